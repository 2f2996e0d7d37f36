# SPDX-License-Identifier: Apache-2.0
"""What this project brings to a run: Weir on both backends, the relays (the floor), the origin."""

import os
import sys

import certificate
import verify
from peers import fronts_of
from programs import Program, write
from scenarios import paths_of

NAMES = ("weir epoll", "weir ring", "base epoll", "base ring", "relay_epoll",
         "relay_ring", "relay_splice", "relay_pooled")

WEIR = """
workers = {workers}
io = "{io}"
admin = "off"
"""

WEIR_LISTEN = """
[[listen]]
address = "127.0.0.1:{port}"
"""

WEIR_TLS = """tls = {{ certificates = [{{ cert = "{cert}", key = "{key}" }}] }}
"""

WEIR_UPSTREAM = """
[upstream.origin]
servers = ["{scheme}127.0.0.1:{origin}"]
idle_max = 2048
"""

WEIR_TO_TLS = """tls = {{ ca = "{cert}", name = "{host}" }}
"""

WEIR_TCP = """
[[listen]]
address = "127.0.0.1:{port}"
tcp = {{ upstream = "origin" }}

[upstream.origin]
servers = ["127.0.0.1:{origin}"]
"""


def weir_settings(scenario, io, fronts, origin, certified):
    text = WEIR.format(io=io, workers=scenario.workers)
    if scenario.mode == "tcp":
        return text + WEIR_TCP.format(port=fronts[0][0], origin=origin)
    for port, front in fronts:
        text += WEIR_LISTEN.format(port=port)
        if front != "plain":
            text += WEIR_TLS.format(cert=certified.cert, key=certified.key)
    to_tls = scenario.back in ("tls", "h2")
    text += WEIR_UPSTREAM.format(origin=origin, scheme="https://" if to_tls else "")
    if scenario.back in ("h2", "h2c"):
        text += 'protocol = "http2"\n'
    if to_tls:
        text += WEIR_TO_TLS.format(cert=certified.cert, host=certificate.HOST)
    for path in paths_of(scenario):
        text += f'\n[[route]]\nmatch = {{ path = "{path}**" }}\nupstream = "origin"\n'
    return text


def weir(program, scenario, folder, origins, role="weir"):
    """Both backends of a build; its role, "weir" or "base", is its name as well."""
    for io in ("epoll", "ring"):
        fronts, origin = fronts_of(scenario), origins.another()
        text = weir_settings(scenario, io, fronts, origin.port, origins.certificate)
        path = write(folder, f"{role}-{io}.toml", text)
        proxy = Program(f"{role} {io}", [program, "run", "--config", path], folder, fronts[0][0],
                        role, origin=origin)
        proxy.beside_port = fronts[-1][0]
        yield proxy


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
        self.certificate = certificate.make(folder)
        self.started = []

    def another(self):
        command = [self.program, "--certificate", self.certificate.cert, "--key",
                   self.certificate.key]
        origin = Program("origin", command, self.folder, role="origin")
        origin.start(self.cores)
        self.started.append(origin)
        return origin

    def stop(self):
        for origin in self.started:
            origin.stop()
