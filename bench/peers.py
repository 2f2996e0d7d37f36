# SPDX-License-Identifier: Apache-2.0
"""The peers: each with its best honest settings; peer_*.py says how it is configured and started.

The same for all: connections are kept on both sides and nothing limits how often they are used, no
access log, no more threads than the scenario says, Host as the client sent it, and the fields added
that Weir always adds (verify.ADDED); h2o and nghttpx cannot be told to add all of them and do less.
Under TLS: one certificate, TLS 1.3 (load and origin agree to one cipher only), tickets as the
program gives them out by itself, and the origin's certificate verified. What else is set was
measured to help, or is what the program's own manual advises; the reason stands beside it.
verify.py holds all of them to the same work.
"""

import dataclasses
import subprocess
import typing

import peer_caddy
import peer_h2o
import peer_haproxy
import peer_nghttpx
import peer_nginx
from certificate import Certificate
from programs import find, free_port


@dataclasses.dataclass(frozen=True)
class Place:
    """What a configuration needs to know beside the scenario."""
    folder: str
    origin: int               # port
    fronts: tuple             # (port, as Scenario.front) of each listener
    certificate: Certificate  # of the proxy, and of the origin

    @property
    def port(self):
        return self.fronts[0][0]


@dataclasses.dataclass(frozen=True)
class Peer:
    make: typing.Callable     # of a Program, from its path, a scenario and a place; None: cannot
    version: str              # the option that makes it say its version
    modes: tuple = ("http", "websocket")
    backs: tuple = ("plain", "tls")  # as Scenario.back
    adds_less: bool = False   # fields than the others, as it cannot be told to


HTTP2_TOO = ("plain", "tls", "h2", "h2c")
ALL = {
    "nginx": Peer(peer_nginx.make, "-v", ("http", "tcp", "websocket")),
    "haproxy": Peer(peer_haproxy.make, "-v", ("http", "tcp", "websocket"), HTTP2_TOO),
    "h2o": Peer(peer_h2o.make, "-v", adds_less=True),
    "nghttpx": Peer(peer_nghttpx.make, "-v", backs=HTTP2_TOO, adds_less=True),
    "caddy": Peer(peer_caddy.make, "version", backs=HTTP2_TOO),
}


def version(name, program):
    said = subprocess.run([program, ALL[name].version], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False).stdout
    return said.splitlines()[0].strip() if said else "?"


def programs(options):
    """{name: path} of the peers that are there; `options` may hold a path for each."""
    found = {name: find(name, getattr(options, name, None)) for name in ALL}
    return {name: path for name, path in found.items() if path}


def fronts_of(scenario):
    """A listener for what is measured, and one for what goes on beside, if that is TLS."""
    fronts = [(free_port(), scenario.front)]
    if scenario.kind == "beside_handshakes":
        fronts.append((free_port(), "tls"))
    return tuple(fronts)


def unable(paths, scenario):
    """The names of those that cannot do the scenario."""
    return [name for name in paths
            if scenario.mode not in ALL[name].modes or scenario.back not in ALL[name].backs]


def starters(paths, scenario, folder, origins):
    """The peers that can do the scenario, ready to start."""
    for name, path in paths.items():
        if name in unable(paths, scenario):
            continue
        peer = ALL[name]
        origin, fronts = origins.another(), fronts_of(scenario)
        proxy = peer.make(path, scenario, Place(folder, origin.port, fronts, origins.certificate))
        if proxy is not None:
            proxy.origin = origin
            proxy.role = "peer"
            proxy.adds_less = peer.adds_less
            proxy.beside_port = fronts[-1][0]
            yield proxy
