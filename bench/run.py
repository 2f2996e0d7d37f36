#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Weir beside nginx, HAProxy, h2o, nghttpx, Caddy and bare relays, in one run on one machine.

    bench/run.py [--quick] [--scenario NAME,...] [--only PROXY,...] [--rounds N] [--seconds S]
                 [--rate R] [--nginx FILE ...] [--base FILE] [--json FILE] [--plot FILE] [--list]

Each proxy has one worker, on a core of its own; origin and load generator share another. The figure
is the CPU time of the proxy per request, user and system together: unlike requests per second it
does not depend on which side is the bottleneck. Rounds interleave the proxies, the table shows
medians. Machines are noisy: compare rows of one table, never two tables. A floor (relay_*) parses
nothing; ratios refer to the best peer. docs/performance.md explains the columns.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile

import figures
import kinds
import ours
import peers
import plot
import programs
import scenarios
import table
import verify
from measure import Bench


def names(text):
    return list(filter(None, text.split(",")))


def options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true",
                        help="the most important scenarios, in about two minutes")
    parser.add_argument("--list", action="store_true", help="the scenarios")
    parser.add_argument("--scenario", default="", help="comma-separated names; default: all")
    parser.add_argument("--only", default="", help="comma-separated names of proxies")
    parser.add_argument("--rounds", type=int, help="slices for each proxy (5)")
    parser.add_argument("--seconds", type=float, help="of a slice (1)")
    parser.add_argument("--rate", type=int, default=0, help="of the open loop, requests a second")
    parser.add_argument("--weir", default="build/release/weir")
    parser.add_argument("--base", metavar="FILE", help="another build of Weir, beside the first")
    for name in peers.ALL:
        parser.add_argument(f"--{name}", metavar="FILE", help=f"another build of {name}")
    parser.add_argument("--tools", default="build/release/bench", help="folder of origin, load …")
    parser.add_argument("--json", default="", help="write every slice to this file")
    parser.add_argument("--plot", default="", help="draw the ratios into this file (SVG)")
    chosen = parser.parse_args(arguments)
    unknown = set(names(chosen.only)) - {*peers.ALL, *ours.NAMES}
    if unknown:
        parser.error(f"no proxy {', '.join(sorted(unknown))}")
    chosen.rounds = chosen.rounds or (2 if chosen.quick else 5)
    chosen.seconds = chosen.seconds or (0.3 if chosen.quick else 1)
    chosen.open_rounds = 1 if chosen.quick else chosen.rounds
    return chosen


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        models = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release().split("-")[0]}


def weir_version(program):
    done = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"


def proxies_of(chosen, paths, scenario, folder, origins):
    found = [*ours.relays(chosen.tools, scenario, folder, origins),
             *peers.starters(paths, scenario, folder, origins)]
    if os.path.exists(chosen.weir):
        found += ours.weir(chosen.weir, scenario, folder, origins)
    if chosen.base:
        found += ours.weir(programs.find("base", chosen.base), scenario, folder, origins, "base")
    only = names(chosen.only)
    return [proxy for proxy in found if not only or proxy.name in only]


def run_scenario(chosen, paths, scenario, folder):
    """(rows, details); no rows if none of the proxies that were chosen does the scenario."""
    cores = programs.cores_for(scenario.workers)
    origins = ours.Origins(chosen.tools, folder, cores[1])
    left_out = {name: "cannot" for name in peers.unable(paths, scenario)
                if name in (names(chosen.only) or paths)}
    try:
        candidates = proxies_of(chosen, paths, scenario, folder, origins)
        with programs.Started(candidates, cores[0], left_out) as running:
            if not running:
                return {}, {"left_out": left_out}
            added = {}
            for proxy in running:
                if proxy.name != "relay_pooled":  # which knows one size only; load checks it
                    fields = None if proxy.role == "floor" else verify.ADDED \
                        if proxy.adds_less else verify.ADDED + verify.ADDED_MORE
                    added[proxy.name] = verify.proxy(proxy.port, proxy.origin.port, scenario,
                                                     fields)
            rows, details = kinds.ALL[scenario.kind](Bench(chosen, cores), scenario, running)
            return rows, details | {"added": added, "left_out": left_out}
    except verify.Mismatch as mismatch:
        sys.exit(f"{scenario.name}, {proxy.name}: {mismatch}")
    finally:
        origins.stop()


def noise(details):
    """What others used of the proxies' core, in the slices where that can be known."""
    slices = [one for phase in ("closed", "open") for many in details.get(phase, {}).values()
              for one in many]
    return figures.middle([one["others"] for one in slices])


def save(chosen, report):
    """After each scenario: a run is long, and may be ended."""
    known = figures.without_nan(report)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as stream:
            json.dump(known, stream, indent=1)
    if chosen.plot:
        with open(chosen.plot, "w", encoding="utf-8") as stream:
            stream.write(plot.svg(known))


def introduce(chosen, paths):
    report = {"date": datetime.date.today().isoformat(), "machine": machine(),
              "command": " ".join(["bench/run.py", *sys.argv[1:]]),
              "versions": {name: peers.version(name, path) for name, path in paths.items()},
              "scenarios": {}}
    if os.path.exists(chosen.weir):
        report["versions"]["weir"] = weir_version(chosen.weir)
    box = report["machine"]
    print(f"{box['cpu']}, {box['cores']} cores, Linux {box['kernel']}, {report['date']}; "
          f"{chosen.rounds} x {chosen.seconds:g} s, medians")
    for name, said in report["versions"].items():
        print(f"  {name}: {said}")
    for name in peers.ALL:
        if name not in paths:
            print(f"  {name}: not installed, left out")
    if programs.cores_for(1)[0] == programs.cores_for(1)[1]:
        print("  one core only: proxy, origin and load share it")
    return report


def main():
    # Whoever ends a run ends what it has started as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    chosen = options()
    if chosen.list:
        for scenario in scenarios.ALL:
            print(f"{scenario.name:14} {'quick ' if scenario.quick else '      '}{scenario.title}")
        return
    try:
        wanted = scenarios.chosen(names(chosen.scenario), chosen.quick)
    except ValueError as error:
        sys.exit(str(error))
    paths = peers.programs(chosen)
    report = introduce(chosen, paths)
    for scenario in (scenarios.fitted(row, programs.descriptors()) for row in wanted):
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            os.chmod(folder, 0o755)  # nginx's worker gives up root, and must reach its folders
            rows, details = run_scenario(chosen, paths, scenario, folder)
        print("\n" + table.text(scenario, rows, details), flush=True)
        if not rows:
            continue
        others = noise(details)
        if others > 0.05:
            print(f"  other programs used {others:.0%} of the proxy's core meanwhile")
        report["scenarios"][scenario.name] = {"title": scenario.title, "kind": scenario.kind,
                                              "goal": scenario.goal, "proxies": rows} | details
        save(chosen, report)


if __name__ == "__main__":
    main()
