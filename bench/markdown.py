# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/performance.md, from a report: bench/markdown.py REPORT.json

A row per scenario, a column per proxy. Bold are the best peer of each row, and Weir where it is at
least as good.
"""

import json
import sys

COLUMNS = ("weir ring", "weir epoll", "nginx", "haproxy", "h2o", "nghttpx", "caddy")
# heading, field, format, kinds of scenarios, ends with the floor
TABLES = [("CPU µs per request", "cpu_us", ".1f", ("requests", "balance"), True),
          ("p99 in ms, at a fixed rate", "p99_ms", ".1f", ("requests",), True),
          ("p99.9 in ms, at a fixed rate", "p999_ms", ".1f",
           ("beside_bulk", "beside_reload", "beside_handshakes"), False),
          ("least loaded worker, % of the mean", "least", ".0%", ("balance",), False),
          ("bytes per connection", "bytes_each", ",.0f", ("idle", "slow"), False)]


def best(rows, field, role):
    return min((row[field] for row in rows.values()
                if row["role"] == role and row.get(field) is not None), default=None)


def cell(rows, name, field, form):
    value = rows.get(name, {}).get(field)
    if value is None:
        return "–"
    text = format(value, form)
    peer = best(rows, field, "peer")
    if peer is None or value > peer or field == "least":
        return text
    return f"**{text}**"


def table(report, heading, field, form, of_kinds, with_floor):
    scenarios = [one for one in report["scenarios"].values() if one["kind"] in of_kinds
                 and any(row.get(field) is not None for row in one["proxies"].values())]
    heads = [heading, *COLUMNS, *(["floor"] if with_floor else []), "Weir : best peer"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for one in scenarios:
        rows = one["proxies"]
        cells = [one["title"], *(cell(rows, name, field, form) for name in COLUMNS)]
        if with_floor:
            floor = best(rows, field, "floor")
            cells.append("–" if floor is None else format(floor, form))
        ours, peer = best(rows, field, "weir"), best(rows, field, "peer")
        cells.append(f"{ours / peer:.2f}" if ours and peer and field != "least" else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) if scenarios else ""


def text(report):
    return "\n\n".join(filter(None, (table(report, *row) for row in TABLES)))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as stream:
        print(text(json.load(stream)))
