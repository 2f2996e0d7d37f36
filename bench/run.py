#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Weir beside nginx, HAProxy and bare relays, in one run on one machine.

    bench/run.py [--quick] [--rounds N] [--seconds S] [--scenario NAME,...] [--only PROXY,...]
                 [--weir FILE] [--tools FOLDER] [--json FILE]

Each proxy has one worker, on a core of its own; origin and load generator (wrk) share another.
The figure is the CPU time of the proxy per request, user and system together: unlike requests per
second it does not depend on which side is the bottleneck. Rounds interleave the proxies, the table
shows medians. Machines are noisy: compare rows of one table, never two tables. A floor (relay_*)
parses nothing; a peer (nginx, haproxy) is what ratios refer to.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile

import load
import proxies

SCENARIOS = [
    # name, path, connections, header of the client, relays (in "close" they are no floor, as they
    # open a server connection for each of the client's)
    load.Scenario("1k", "/bytes/1024", 64, None, ("relay_epoll", "relay_ring")),
    load.Scenario("1k-1000", "/bytes/1024", 1000, None, ("relay_epoll", "relay_ring")),
    load.Scenario("64k", "/bytes/65536", 64, None, ("relay_epoll", "relay_ring", "relay_splice")),
    load.Scenario("1m", "/bytes/1048576", 16, None,
                  ("relay_epoll", "relay_ring", "relay_splice")),
    load.Scenario("close", "/bytes/1024", 64, "Connection: close",
                  ("relay_epoll", "relay_ring")),
]
PEERS = ("nginx", "haproxy")


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one round of one second each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--scenario", default="", help="comma-separated: " +
                        " ".join(scenario.name for scenario in SCENARIOS))
    parser.add_argument("--only", default="", help="comma-separated names of proxies")
    parser.add_argument("--weir", default="build/release/weir")
    parser.add_argument("--tools", default="build/release/bench")
    parser.add_argument("--json", default="", help="also write every single result to this file")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds = 1, 1
    return chosen


def measure(scenario, running, chosen):
    """Results of every round: {proxy: [Result]}."""
    results = {proxy.name: [] for proxy in running}
    for number in range(chosen.rounds):
        turn = number % len(running)
        for proxy in running[turn:] + running[:turn]:
            result = load.run(scenario, proxy, chosen.seconds, proxies.LOAD_CORE)
            results[proxy.name].append(result)
            print(f"  {scenario.name} round {number + 1} {proxy.name:14} {result.cpu_us:8.1f} us",
                  file=sys.stderr)
    return results


def medians(results):
    """One Result per proxy, each field the median of the rounds; errors are summed."""
    def middle(rounds, field):
        values = [getattr(result, field) for result in rounds]
        return sum(values) if field == "errors" else statistics.median(values)
    return {name: load.Result(*(middle(rounds, field) for field in load.Result._fields))
            for name, rounds in results.items()}


def table(scenario, middle):
    peers = [middle[name].cpu_us for name in PEERS if name in middle]
    best = min(peers) if peers else None
    print(f"\n{scenario.name}: GET {scenario.path}, {scenario.connections} connections"
          + (f", {scenario.header}" if scenario.header else ""))
    print(f"  {'':14} {'CPU us':>8} {'user us':>8} {'ratio':>6} {'req/s':>8} {'p50 ms':>8} "
          f"{'p99 ms':>8} {'RSS MiB':>8} {'errors':>6}")
    for name, row in sorted(middle.items(), key=lambda item: item[1].cpu_us):
        ratio = f"{row.cpu_us / best:6.2f}" if best else "     -"
        print(f"  {name:14} {row.cpu_us:8.1f} {row.user_us:8.1f} {ratio} {row.rate:8.0f} "
              f"{row.p50_ms:8.2f} {row.p99_ms:8.2f} {row.rss_mib:8.1f} {row.errors:6d}")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        models = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release()}


def run(chosen, folder):
    wanted = set(filter(None, chosen.scenario.split(",")))
    only = set(filter(None, chosen.only.split(",")))
    scenarios = [scenario for scenario in SCENARIOS if not wanted or scenario.name in wanted]
    unknown = wanted - {scenario.name for scenario in SCENARIOS}
    if unknown:
        sys.exit(f"no scenario {', '.join(sorted(unknown))}")
    report = {"machine": machine(), "seconds": chosen.seconds, "scenarios": {}}
    print(f"{report['machine']['cpu']}, {report['machine']['cores']} cores, Linux "
          f"{report['machine']['kernel']}; {chosen.rounds} x {chosen.seconds} s, medians; "
          "ratio: to the best of " + " and ".join(PEERS))
    origin = proxies.start_origin(chosen.tools, folder)
    for scenario in scenarios:
        with proxies.Started(proxies.all_of(chosen, folder, origin, scenario), only) as running:
            if not running:
                sys.exit("nothing to measure")
            for proxy in running:
                load.verify(proxy, origin.port)
            results = measure(scenario, running, chosen)
        table(scenario, medians(results))
        report["scenarios"][scenario.name] = {
            name: [result._asdict() for result in rounds] for name, rounds in results.items()}
    origin.stop()
    return report


def main():
    chosen = options()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk, or ./dev bench")
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        # nginx's worker gives up root, and must reach its folders.
        os.chmod(folder, 0o755)
        report = run(chosen, folder)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as stream:
            json.dump(report, stream, indent=1)


if __name__ == "__main__":
    main()
