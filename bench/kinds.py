# SPDX-License-Identifier: Apache-2.0
"""How each kind of scenario is measured. Each returns {name of proxy: row} and the details."""

import dataclasses
import math
import statistics
import threading

import accounting
import clients
import figures
import measure
from generator import Load
from scenarios import MIB

BULK = ["--connections", "1", "--path", f"/bytes/{16 * MIB}", "--expect", str(16 * MIB)]
STORM = ["--connections", "256", "--path", "/bytes/1024", "--expect", "1024", "--close", "asked",
         "--tls", "full"]
RELOAD_EVERY_S = 0.1
BESIDE_S_MIN = 2.0  # or there are too few requests for a p99.9
IDLE_BASE = 400  # connections, so that what is allocated once is not counted


def with_roles(proxies, rows):
    for proxy in proxies:
        rows[proxy.name]["role"] = proxy.role
    return rows


def requests(bench, scenario, proxies):
    """CPU time per request in a closed loop, then latency in an open one, all at the same rate."""
    closed = measure.rounds(bench, scenario, proxies, bench.options.rounds)
    rate = bench.options.rate or scenario.rate or figures.fixed_rate(
        [figures.row(closed[proxy.name], [])["rate"] for proxy in proxies
         if proxy.role != "floor" or len(proxies) == 1] or [2])
    opened = measure.rounds(bench, scenario, proxies, bench.options.open_rounds, rate)
    rows = {name: figures.row(closed[name], opened[name]) for name in closed}
    return figures.compare(with_roles(proxies, rows)), {"rate": rate, "closed": closed,
                                                        "open": opened}


def open_loop_beside(bench, scenario, proxies, beside):
    """Latency at the scenario's rate while `beside(proxy, seconds)`, a context, goes on."""
    rate = bench.options.rate or scenario.rate
    seconds = max(bench.options.seconds, BESIDE_S_MIN)
    opened = {proxy.name: [] for proxy in proxies}
    for _ in range(bench.options.rounds):
        for proxy in proxies:
            with bench.load(scenario, proxy) as load, beside(proxy, seconds) as other:
                result = measure.Watch(bench, proxy).done(load.run(seconds, rate))
                result["beside"] = other.measure()
            opened[proxy.name].append(result)
            bench.say(scenario, proxy, f"p99.9 {result['p999_us'] / 1000:8.2f} ms, "
                      f"{result['beside']}")
    rows = {name: figures.row([], slices) for name, slices in opened.items()}
    for name, row in rows.items():
        row["beside"] = statistics.median(one["beside"] for one in opened[name])
    return figures.compare(with_roles(proxies, rows), "p999_ms"), {"rate": rate, "open": opened}


class Beside:
    """Another load; `figure` makes of its result what is shown."""

    def __init__(self, bench, port, load, seconds, figure, niceness=None):
        self.load = Load(bench.options.tools, ["--to", str(port), *load], bench.load_cores,
                         niceness=niceness)
        self.seconds, self.figure = seconds, figure

    def __enter__(self):
        self.load.__enter__()
        self.load.begin(self.seconds)
        return self

    def measure(self):
        return self.figure(self.load.result())

    def __exit__(self, *reason):
        self.load.__exit__(*reason)


class Reloads(threading.Thread):
    """A reload every 100 ms; measures how many there were."""

    def __init__(self, proxy):
        super().__init__()
        self.proxy, self.count, self.enough = proxy, 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def run(self):
        while not self.enough.wait(RELOAD_EVERY_S):
            self.proxy.reload()
            self.count += 1

    def measure(self):
        return self.count

    def __exit__(self, *_):
        self.enough.set()
        self.join()


def beside_bulk(bench, scenario, proxies):
    def download(proxy, seconds):
        return Beside(bench, proxy.beside_port, BULK, seconds,
                      lambda result: round(result["bytes"] / MIB / result["seconds"]))
    return open_loop_beside(bench, scenario, proxies, download)


def beside_handshakes(bench, scenario, proxies):
    """The storm has what the other clients leave of their core, or it would be them that it hurts.
    """
    def storm(proxy, seconds):
        return Beside(bench, proxy.beside_port, STORM, seconds,
                      lambda result: round(result["handshakes"] / result["seconds"]), niceness=10)
    return open_loop_beside(bench, scenario, proxies, storm)


def beside_reload(bench, scenario, proxies):
    return open_loop_beside(bench, scenario, proxies, lambda proxy, _: Reloads(proxy))


def balance(bench, scenario, proxies):
    """How even the load of several workers is, by the CPU time of the threads."""
    closed = measure.rounds(bench, scenario, proxies, bench.options.rounds)
    rows = {name: figures.row(slices, []) for name, slices in closed.items()}
    for name, row in rows.items():
        row["least"] = figures.middle([figures.imbalance(one["threads"], scenario.workers)
                                       for one in closed[name]])
    return figures.compare(with_roles(proxies, rows)), {"closed": closed}


def idle(bench, scenario, proxies):
    """Bytes for each connection that has had an answer and waits; one after another, as a burst
    leaves memory behind that has to do with the burst."""
    rows, slices = {}, {}
    for proxy in proxies:
        proxy.restart()  # what verification has used and freed would hide what a connection takes
        base = dataclasses.replace(scenario, connections=IDLE_BASE)
        with bench.load(base, proxy, warm_up="in-turn"):
            before = accounting.memory_kib(proxy.pid)
            with bench.load(scenario, proxy, warm_up="in-turn"):
                after = accounting.memory_kib(proxy.pid)
        each = (after - before) * 1024 / scenario.connections
        slices[proxy.name] = [{"base_kib": before, "memory_kib": after}]
        rows[proxy.name] = {"bytes_each": each, "memory_mib": after / 1024}
        bench.say(scenario, proxy, f"{each:8.0f} bytes each")
    return figures.compare(with_roles(proxies, rows), "bytes_each"), {"slices": slices}


def slow(bench, scenario, proxies):
    """The most memory while many clients read a large body slowly."""
    rows, slices = {}, {}
    for proxy in proxies:
        proxy.restart()
        before = accounting.memory_kib(proxy.pid)
        most = 0
        with clients.Crowd(proxy.port) as crowd:
            for _ in crowd.read_slowly(scenario.path, scenario.connections,
                                       bench.options.seconds):
                most = max(most, accounting.memory_kib(proxy.pid))
            received = crowd.received
        each = (most - before) * 1024 / scenario.connections if most else math.nan
        slices[proxy.name] = [{"base_kib": before, "memory_kib": most, "received": received}]
        rows[proxy.name] = {"bytes_each": each, "memory_mib": most / 1024}
        bench.say(scenario, proxy, f"{most / 1024:8.1f} MiB, {received} bytes received")
    return figures.compare(with_roles(proxies, rows), "memory_mib"), {"slices": slices}


ALL = {"requests": requests, "beside_bulk": beside_bulk, "beside_reload": beside_reload,
       "beside_handshakes": beside_handshakes, "balance": balance, "idle": idle, "slow": slow}
