# SPDX-License-Identifier: Apache-2.0
"""From the slices of a scenario to the rows of its table."""

import math
import statistics

# A percentile of fewer than this many requests beyond it is chance.
SAMPLES_BEYOND = 5


def middle(values):
    """The median of those that are numbers; nan if none is."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def spread(values):
    """Half of the range, as a share of the median: 0.05 is "plus or minus 5 %"."""
    centre = statistics.median(values)
    return (max(values) - min(values)) / 2 / centre if centre > 0 else math.nan


def tail(slices, key, share):
    """The median over slices of a percentile, from slices long enough to have one."""
    return middle([one[key] / 1000 if one["requests"] * (1 - share) >= SAMPLES_BEYOND else math.nan
                   for one in slices])


def user_share(slices):
    """Of the ticks of all slices together: one slice has too few to say."""
    user = sum(one["user_ticks"] for one in slices)
    both = user + sum(one["system_ticks"] for one in slices)
    return user / both if both else math.nan


def row(closed, opened):
    """One proxy in one scenario: medians of its slices in closed and open loop (either may lack).
    """
    result = {"cpu_us": math.nan, "spread": math.nan, "user_us": math.nan, "rate": math.nan}
    if closed:
        costs = [one["cpu_us"] for one in closed]
        result = {"cpu_us": middle(costs), "spread": spread(costs),
                  "user_us": middle(costs) * user_share(closed),
                  "rate": middle([one["requests"] / one["seconds"] for one in closed])}
    result |= {"open_us": middle([one["cpu_us"] for one in opened]),
               "p50_ms": tail(opened, "p50_us", 0.5), "p99_ms": tail(opened, "p99_us", 0.99),
               "p999_ms": tail(opened, "p999_us", 0.999),
               "memory_mib": middle([one["memory_kib"] / 1024 for one in closed + opened]),
               "errors": sum(one["errors"] + one["unfinished"] for one in closed + opened)}
    return result


def compare(rows, field="cpu_us"):
    """Adds to each row its ratio to the best peer, and its efficiency: the best floor's share.

    `rows` is {name: row}; a row says in "role" whether it is a "peer", a "floor" or "weir".
    """
    def best(role):
        values = [row[field] for row in rows.values()
                  if row["role"] == role and not math.isnan(row[field])]
        return min(values, default=math.nan)
    peer, floor = best("peer"), best("floor")
    for row in rows.values():
        row["ratio"] = row[field] / peer if peer > 0 else math.nan
        row["efficiency"] = floor / row[field] if row[field] > 0 else math.nan
    return rows


def fixed_rate(rates):
    """The rate of the open loop: half of what the median proxy reached, two digits of it."""
    half = statistics.median(rates) / 2
    digits = max(int(math.log10(half)) - 1, 0) if half >= 1 else 0
    return max(int(half / 10 ** digits) * 10 ** digits, 1)


def imbalance(threads, workers):
    """The least loaded worker's share of the mean: 1 is even, 0 is one that does nothing."""
    busiest = sorted(threads.values(), reverse=True)[:workers]
    busiest += [0] * (workers - len(busiest))
    return min(busiest) / statistics.mean(busiest) if sum(busiest) else math.nan


def without_nan(value):
    """The same with None for what is not known: JSON has no nan."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
