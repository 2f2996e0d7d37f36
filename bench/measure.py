# SPDX-License-Identifier: Apache-2.0
"""One slice of a scenario with one proxy, and the rounds of slices that interleave the proxies."""

import math
import sys
import time

import accounting
import verify
from generator import Load, arguments

COST_MIN_US = 0.1  # nothing passes a request on for less


class Bench:
    """What stays the same during a run."""

    def __init__(self, options, cores):
        self.options = options
        self.proxy_cores, self.load_cores = cores

    def load(self, scenario, proxy, **more):
        return Load(self.options.tools, arguments(scenario, proxy.port, proxy.role == "floor"),
                    self.load_cores, **more)

    def say(self, scenario, proxy, text):
        print(f"  {scenario.name:14} {proxy.name:13} {text}", file=sys.stderr)


class Watch:
    """What a proxy uses, and what others use of its cores, from here to done()."""

    def __init__(self, bench, proxy):
        self.bench, self.proxy = bench, proxy
        self.busy, self.time = self.busy_ns(), time.monotonic_ns()
        self.usage = accounting.usage(proxy.pid)

    def busy_ns(self):
        return sum(map(accounting.busy_ns, self.bench.proxy_cores))

    def done(self, result):
        """Adds the figures of the proxy to those of the load."""
        used = accounting.between(self.usage, accounting.usage(self.proxy.pid))
        elapsed = time.monotonic_ns() - self.time
        total = accounting.total_ns(used)
        others = math.nan
        if not set(self.bench.proxy_cores) & set(self.bench.load_cores):
            others = max(self.busy_ns() - self.busy - total, 0) / elapsed
        requests = result["requests"]
        return result | {"cpu_us": total / requests / 1000 if requests else math.nan,
                         "user_ticks": used.user, "system_ticks": used.system, "others": others,
                         "memory_kib": accounting.memory_kib(self.proxy.pid),
                         "threads": used.threads}


def slice_of(bench, scenario, proxy, rate=0):
    """One slice: closed loop, or open at `rate`. The connections are warm when it begins."""
    with bench.load(scenario, proxy) as load:
        before = verify.seen(proxy.origin.port)
        watch = Watch(bench, proxy)
        result = watch.done(load.run(bench.options.seconds, rate))
        after = verify.seen(proxy.origin.port)
        reached = after[0] - before[0]
        result["origin_connections"] = after[1] - before[1] - 1  # one was to ask this
    if result["requests"] == 0:
        raise SystemExit(f"{scenario.name}: no request went through {proxy.name}")
    asked = result["requests"] + result["retries"] + result["errors"] + result["unfinished"]
    if scenario.mode == "http" and not result["requests"] <= reached <= asked:
        raise SystemExit(f"{scenario.name}: {asked} requests to {proxy.name} were {reached} at the "
                         "origin")
    full = result["handshakes"] - result["resumed"]
    if scenario.handshake == "resumed" and full > 0:
        raise SystemExit(f"{scenario.name}: {full} of {result['handshakes']} handshakes with "
                         f"{proxy.name} were not resumed")
    return result


def counted_slice(bench, scenario, proxy, rate):
    """As slice_of, once more if the kernel counted no time. It was seen: on virtual machines whose
    clocks differ a little a thread can run for a while before its time counts again."""
    result = slice_of(bench, scenario, proxy, rate)
    if result["cpu_us"] < COST_MIN_US:
        bench.say(scenario, proxy, "the kernel counted no CPU time: once more")
        result = slice_of(bench, scenario, proxy, rate)
    return result


def rounds(bench, scenario, proxies, count, rate=0):
    """{name: [slice]}; each round begins with another proxy, so that none is always first."""
    slices = {proxy.name: [] for proxy in proxies}
    for number in range(count):
        turn = number % len(proxies)
        for proxy in proxies[turn:] + proxies[:turn]:
            result = counted_slice(bench, scenario, proxy, rate)
            slices[proxy.name].append(result)
            bench.say(scenario, proxy, f"p99 {result['p99_us'] / 1000:8.2f} ms at {rate}/s" if rate
                      else f"{result['cpu_us']:8.1f} us, {result['requests']} requests")
    return slices
