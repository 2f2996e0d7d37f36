# SPDX-License-Identifier: Apache-2.0
"""The tables that a run prints."""

import math

# heading, width, field of the row, format, factor
REQUESTS = [("CPU us", 9, "cpu_us", ".1f", 1), ("+-%", 5, "spread", ".0f", 100),
            ("at rate", 8, "open_us", ".1f", 1), ("user us", 8, "user_us", ".1f", 1),
            ("ratio", 6, "ratio", ".2f", 1), ("of floor", 9, "efficiency", ".0f", 100),
            ("req/s", 8, "rate", ".0f", 1), ("p50 ms", 8, "p50_ms", ".2f", 1),
            ("p99 ms", 8, "p99_ms", ".2f", 1), ("p99.9 ms", 9, "p999_ms", ".2f", 1),
            ("MiB", 7, "memory_mib", ".1f", 1), ("errors", 7, "errors", "d", 1)]
BESIDE = [("p50 ms", 8, "p50_ms", ".2f", 1), ("p99 ms", 8, "p99_ms", ".2f", 1),
          ("p99.9 ms", 9, "p999_ms", ".2f", 1), ("ratio", 6, "ratio", ".2f", 1),
          ("beside", 8, "beside", ".0f", 1), ("MiB", 7, "memory_mib", ".1f", 1),
          ("errors", 7, "errors", "d", 1)]
BALANCE = [("CPU us", 9, "cpu_us", ".1f", 1), ("+-%", 5, "spread", ".0f", 100),
           ("ratio", 6, "ratio", ".2f", 1), ("req/s", 8, "rate", ".0f", 1),
           ("least %", 8, "least", ".0f", 100), ("MiB", 7, "memory_mib", ".1f", 1),
           ("errors", 7, "errors", "d", 1)]
MEMORY = [("bytes each", 11, "bytes_each", ".0f", 1), ("ratio", 6, "ratio", ".2f", 1),
          ("MiB", 7, "memory_mib", ".1f", 1)]

# kind: (columns, field that the rows are ordered by, what "beside" counts)
KINDS = {"requests": (REQUESTS, "cpu_us", ""),
         "beside_bulk": (BESIDE, "p999_ms", "beside: MiB/s of the download"),
         "beside_reload": (BESIDE, "p999_ms", "beside: reloads"),
         "beside_handshakes": (BESIDE, "p999_ms", "beside: handshakes a second"),
         "balance": (BALANCE, "cpu_us", "least: the least loaded worker's share of the mean"),
         "idle": (MEMORY, "bytes_each", ""), "slow": (MEMORY, "memory_mib", "")}


def cell(row, field, form, factor):
    value = row.get(field, math.nan)
    if isinstance(value, float):
        return "-" if math.isnan(value) else format(value * factor, form)
    return format(value, form if form != "d" else "d")


def ordered(rows, field):
    def key(item):
        value = item[1][field]
        return math.inf if math.isnan(value) else value
    return sorted(rows.items(), key=key)


def verdict(scenario, rows):
    """Where the best of Weir's backends stands against the goal."""
    ratios = [row["ratio"] for row in rows.values()
              if row["role"] == "weir" and not math.isnan(row["ratio"])]
    if not scenario.goal or not ratios:
        return ""
    best = min(ratios)
    return (f"  goal: {scenario.goal:.2f} of the best peer; Weir {best:.2f}: "
            + ("met" if best <= scenario.goal else "not met"))


def table(kind, rows):
    columns, order, note = KINDS[kind]
    yield "  " + " " * 13 + "".join(f"{column[0]:>{column[1]}}" for column in columns)
    for name, row in ordered(rows, order):
        yield f"  {name:13}" + "".join(f"{cell(row, field, form, factor):>{width}}"
                                       for _, width, field, form, factor in columns)
    if note:
        yield f"  {note}"


def text(scenario, rows, details):
    rate = f", latency at {details['rate']}/s" if "rate" in details else ""
    lines = [f"{scenario.name}: {scenario.title}{rate}"]
    lines += table(scenario.kind, rows) if rows else ["  none of the proxies does it"]
    lines += filter(None, [verdict(scenario, rows)])
    lines += [f"  left out: {name}: {why}" for name, why in details.get("left_out", {}).items()]
    return "\n".join(lines)
