# SPDX-License-Identifier: Apache-2.0
"""What this project brings to a run: Weir on both backends, the relays (the floor), the origin."""

import os
import sys

import verify
from peers import paths_of
from programs import Program, free_port, write

NAMES = ("weir epoll", "weir ring", "base epoll", "base ring", "relay_epoll",
         "relay_ring", "relay_splice", "relay_pooled")

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


def weir(program, scenario, folder, origins, role="weir"):
    """Both backends of a build; its role, "weir" or "base", is its name as well."""
    for io in ("epoll", "ring"):
        port, origin = free_port(), origins.another()
        path = write(folder, f"{role}-{io}.toml", weir_settings(scenario, io, port, origin.port))
        yield Program(f"{role} {io}", [program, "run", "--config", path], folder, port, role,
                      origin=origin)


def relays(tools, scenario, folder, origins):
    # Small messages want a ring that stays in cache, large ones want few completions.
    message = scenario.head + max(scenario.size, scenario.body)
    size = next((size for size in (2048, 4096, 32768) if message <= size), 65536)
    count = 64 if size > 4096 else 256 if scenario.connections <= 64 else 1024
    for name in scenario.floors:
        origin = origins.another()
        command = [os.path.join(tools, name), "--to", str(origin.port)]
        if name == "relay_ring":
            command += ["--buffers", str(count), "--buffer-size", str(size)]
        if name == "relay_pooled":
            whole = verify.response_size(origin.port, scenario.path, scenario.size)
            command += ["--response", str(whole)]
        yield Program(name, command, folder, origin=origin)


class Origins:
    """An origin for each proxy: together their kept connections would be more than one process may
    have. Those that are not asked cost nothing."""

    def __init__(self, tools, folder, cores):
        self.program = os.path.join(tools, "origin")
        if not os.path.exists(self.program):
            sys.exit(f"{self.program} is missing: ninja -C build/release bench_tools; or use "
                     "./dev bench")
        self.folder, self.cores = folder, cores
        self.started = []

    def another(self):
        origin = Program("origin", [self.program], self.folder, role="origin")
        origin.start(self.cores)
        self.started.append(origin)
        return origin

    def stop(self):
        for origin in self.started:
            origin.stop()
