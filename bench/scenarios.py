# SPDX-License-Identifier: Apache-2.0
"""What is measured: one row per scenario. How a kind is measured stands in kinds.py."""

import dataclasses

KIB, MIB = 1024, 1024 * 1024
EPOLL, RING, SPLICE, POOLED = "relay_epoll", "relay_ring", "relay_splice", "relay_pooled"
SMALL_FLOORS = (EPOLL, RING)
BULK_FLOORS = (EPOLL, RING, SPLICE)


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    path: str = "/bytes/1024"
    size: int = KIB              # of the body of each response
    connections: int = 64
    head: int = 250              # of each message, about
    body: int = 0                # sent with each request
    load: tuple = ()             # more options of load
    floors: tuple = SMALL_FLOORS
    mode: str = "http"           # http, tcp or websocket: what the proxies are configured for
    front: str = "plain"         # towards clients: plain, tls, or h2, which is TLS as well
    back: str = "plain"          # towards the origin: plain, tls, h2, or h2c, which is not TLS
    handshake: str = "full"      # or resumed: those of clients, under TLS
    streams: int = 0             # requests at once on a connection, in HTTP/2
    shape: str = "small"         # small or bulk: what their buffers are configured for
    routes: int = 0              # that many, instead of one
    workers: int = 1
    kind: str = "requests"
    goal: float = 0              # CPU (or memory) as a ratio to the best peer; 0: none set
    quick: bool = False          # part of --quick
    rate: int = 0                # of the open loop; 0: half of what the median proxy reaches


def paths_of(scenario):
    """The prefixes that are routed; all lead to the origin, by different routes."""
    return [f"/bytes/1024/{n}/" for n in range(scenario.routes)] or ["/"]


def uploads(name, size):
    shape = "bulk" if size > 64 * KIB else "small"
    title = f"POST {size // KIB} KiB" if size < MIB else f"POST {size // MIB} MiB"
    return Scenario(name, title, "/take", 6, 64 if shape == "small" else 16,
                    body=size, load=("--method", "POST"), shape=shape,
                    floors=SMALL_FLOORS if shape == "small" else BULK_FLOORS)


ALL = [
    Scenario("1k", "1 KiB, 64 connections", goal=0.72, quick=True),
    Scenario("1k-1000", "1 KiB, 1,000 connections", connections=1000, goal=0.55),
    Scenario("1k-2000", "1 KiB, 2,000 connections", connections=2000, goal=0.55),
    Scenario("64k", "64 KiB, 64 connections", f"/bytes/{64 * KIB}", 64 * KIB, shape="bulk",
             floors=BULK_FLOORS, goal=0.85, quick=True),
    Scenario("1m", "1 MiB, 16 connections", f"/bytes/{MIB}", MIB, 16, shape="bulk",
             floors=BULK_FLOORS, goal=0.65, quick=True),
    Scenario("new", "1 KiB, a new connection for each request", load=("--close", "asked"),
             floors=(POOLED,), goal=0.85, quick=True),
    uploads("post-16k", 16 * KIB),
    uploads("post-1m", MIB),
    Scenario("tls-1k", "HTTPS, 1 KiB, 64 connections", front="tls", floors=(), goal=0.8,
             quick=True),
    Scenario("tls-1m", "HTTPS, 1 MiB, 16 connections", f"/bytes/{MIB}", MIB, 16, shape="bulk",
             front="tls", floors=(), goal=0.7),
    Scenario("tls-new", "HTTPS, 1 KiB, a full handshake for each request", front="tls",
             load=("--close", "asked"), floors=(), goal=0.85, quick=True),
    Scenario("tls-resumed", "HTTPS, 1 KiB, a resumed handshake for each request", front="tls",
             handshake="resumed", load=("--close", "asked"), floors=()),
    Scenario("h2-1k", "HTTP/2, 1 KiB, 16 connections of 32 streams", connections=16, streams=32,
             front="h2", floors=(), goal=0.9, quick=True),
    Scenario("h2-64k", "HTTP/2, 64 KiB, 16 connections of 32 streams", f"/bytes/{64 * KIB}",
             64 * KIB, 16, shape="bulk", streams=32, front="h2", floors=(), goal=0.8),
    Scenario("h2-to-h2", "HTTP/2 to HTTP/2, both under TLS, 1 KiB, 16 connections of 32 streams",
             connections=16, streams=32, front="h2", back="h2", floors=()),
    Scenario("h2-to-h2c", "HTTP/2 under TLS to HTTP/2 in the clear, 1 KiB, 16 connections of 32 "
             "streams", connections=16, streams=32, front="h2", back="h2c", floors=()),
    Scenario("to-tls", "to a server under TLS, 1 KiB, 64 connections", back="tls", floors=()),
    Scenario("to-tls-new", "to a server under TLS, 1 KiB, a new connection of the client for each "
             "request", back="tls", load=("--close", "asked"), floors=()),
    Scenario("pipelined", "1 KiB, 64 pipelined, 64 connections", load=("--pipeline", "64")),
    # 16 pieces rather than more: then they fit the smallest buffers among the proxies.
    Scenario("chunked", "chunked, 16 pieces of 1 KiB", "/chunked/16384/1024", 16 * KIB),
    Scenario("fields", "1 KiB, 50 header fields each way", "/fields/50/1024", head=2700,
             load=("--fields", "50")),
    Scenario("routes", "1 KiB, 1,000 routes", "/bytes/1024/{n}/x", load=("--paths", "1000"),
             routes=1000),
    Scenario("tcp", "TCP mode, 1 KiB answers", mode="tcp"),
    Scenario("tcp-bulk", "TCP mode, 1 MiB answers", f"/bytes/{MIB}", MIB, 16, mode="tcp",
             shape="bulk", floors=BULK_FLOORS),
    Scenario("websocket", "WebSocket, echo of 100 bytes", "/websocket", 0,
             load=("--websocket", "100"), mode="websocket"),
    Scenario("beside-bulk", "1 KiB at a fixed rate beside one greedy download",
             kind="beside_bulk", floors=(), rate=5000),
    Scenario("beside-reload", "1 KiB at a fixed rate beside a reload every 100 ms",
             kind="beside_reload", floors=(), rate=5000),
    # So many connections that a proxy which gives each of the storm its turn can keep the rate.
    Scenario("beside-handshakes", "1 KiB at a fixed rate over 1,000 connections beside a storm of "
             "full TLS handshakes", connections=1000, kind="beside_handshakes", floors=(),
             rate=3000),
    Scenario("workers-8", "1 KiB, two workers, 8 connections", connections=8, kind="balance",
             workers=2, floors=()),
    Scenario("workers-16", "1 KiB, two workers, 16 connections", connections=16, kind="balance",
             workers=2, floors=()),
    Scenario("workers-64", "1 KiB, two workers, 64 connections", kind="balance", workers=2,
             floors=()),
    Scenario("idle", "memory of an idle connection", connections=4000, kind="idle", floors=(),
             goal=1.0, quick=True),
    Scenario("idle-tls", "memory of an idle TLS connection", connections=2000, kind="idle",
             front="tls", floors=(), goal=0.75),
    Scenario("idle-h2", "memory of an idle HTTP/2 connection", connections=2000, kind="idle",
             front="h2", streams=1, floors=()),
    Scenario("slow", "memory with 1,000 slow readers of 100 MiB", f"/bytes/{100 * MIB}",
             100 * MIB, 1000, kind="slow", shape="bulk", floors=()),
]


def chosen(names, quick):
    """The scenarios of these names, or all of a run; ValueError for a name that is none."""
    unknown = set(names) - {scenario.name for scenario in ALL}
    if unknown:
        raise ValueError(f"no scenario {', '.join(sorted(unknown))}; --list names them")
    if names:
        return [scenario for scenario in ALL if scenario.name in names]
    return [scenario for scenario in ALL if scenario.quick or not quick]


def fitted(scenario, descriptors):
    """The scenario with as many connections as a proxy of so many descriptors has room for: two for
    each, and half of one for pipes."""
    most = int(descriptors / 2.6)
    if scenario.connections <= most:
        return scenario
    return dataclasses.replace(scenario, connections=most, title=scenario.title +
                               f" (here {most:,}: there are {descriptors:,} descriptors)")
