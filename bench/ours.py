# SPDX-License-Identifier: Apache-2.0
"""What this project brings to a run: Weir on both backends, the relays (the floor), the origin."""

import os
import sys

from peers import paths_of
from programs import Program, free_port, write

NAMES = ("weir epoll", "weir ring", "relay_epoll", "relay_ring", "relay_splice", "relay_pooled")

WEIR = """
workers = {workers}
io = "{io}"
admin = "off"
"""

WEIR_HTTP = """
[[listen]]
address = "127.0.0.1:{port}"

[upstream.origin]
servers = ["127.0.0.1:{origin}"]
idle_max = 2048
"""

WEIR_TCP = """
[[listen]]
address = "127.0.0.1:{port}"
tcp = {{ upstream = "origin" }}

[upstream.origin]
servers = ["127.0.0.1:{origin}"]
"""


def weir_settings(scenario, io, port, origin):
    text = WEIR.format(io=io, workers=scenario.workers)
    if scenario.mode == "tcp":
        return text + WEIR_TCP.format(port=port, origin=origin)
    text += WEIR_HTTP.format(port=port, origin=origin)
    for path in paths_of(scenario):
        text += f'\n[[route]]\nmatch = {{ path = "{path}**" }}\nupstream = "origin"\n'
    return text


def weir(program, scenario, folder, origin):
    for io in ("epoll", "ring"):
        port = free_port()
        path = write(folder, f"weir-{io}.toml", weir_settings(scenario, io, port, origin.port))
        yield Program(f"weir {io}", [program, "run", "--config", path], folder, port, "weir")


def relays(tools, scenario, folder, origin, response_size):
    """`response_size` is that of one whole response, for the relay that must know it."""
    # Small messages want a ring that stays in cache, large ones want few completions.
    message = max(scenario.size, scenario.body)
    size = 2048 if message <= 1024 else 32768 if message < 65536 else 65536
    count = 64 if size > 2048 else 256 if scenario.connections <= 64 else 1024
    more = {"relay_ring": ["--buffers", str(count), "--buffer-size", str(size)],
            "relay_pooled": ["--response", str(response_size)]}
    for name in scenario.floors:
        yield Program(name, [os.path.join(tools, name), "--to", str(origin.port),
                             *more.get(name, [])], folder)


def origin(tools, folder, cores):
    program = os.path.join(tools, "origin")
    if not os.path.exists(program):
        sys.exit(f"{program} is missing: ninja -C build/release bench_tools, or ./dev bench")
    started = Program("origin", [program], folder, role="origin")
    started.start(cores)
    return started
