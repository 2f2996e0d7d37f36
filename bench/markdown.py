# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/performance.md, from a report or several: bench/markdown.py REPORT.json ...

A row per scenario, a column per proxy. A cell is the median of the reports; a ratio is made in each
of them. Bold are the best peer of each row, and Weir where it is at least as good.
"""

import json
import statistics
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


def merged(reports, scenario):
    """The proxies of a scenario with the medians of their figures."""
    runs = [report["scenarios"][scenario]["proxies"] for report in reports
            if scenario in report["scenarios"]]
    rows = {}
    for name, row in runs[0].items():
        same = [run[name] for run in runs if name in run]
        rows[name] = row | {
            field: statistics.median([one[field] for one in same if one.get(field) is not None])
            for field in (column[1] for column in TABLES)
            if any(one.get(field) is not None for one in same)}
    return rows


def ratios(reports, scenario, field, role):
    """Of that role's best to the best peer, in each report."""
    for report in reports:
        rows = report["scenarios"].get(scenario, {}).get("proxies", {})
        ours, peer = best(rows, field, role), best(rows, field, "peer")
        if ours and peer:
            yield ours / peer


def ratio(reports, scenario, field, role="weir"):
    each = list(ratios(reports, scenario, field, role))
    if not each or field == "least":
        return "–"
    text = f"{statistics.median(each):.2f}"
    return text if len(each) == 1 else f"{text} ({', '.join(format(one, '.2f') for one in each)})"


def table(reports, heading, field, form, of_kinds, with_floor):
    scenarios = {name: one for name, one in reports[0]["scenarios"].items()
                 if one["kind"] in of_kinds
                 and any(row.get(field) is not None for row in one["proxies"].values())}
    heads = [heading, *COLUMNS, *(["floor"] if with_floor else []), "Weir : best peer",
             *(["floor : best peer"] if with_floor else [])]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for scenario, one in scenarios.items():
        rows = merged(reports, scenario)
        cells = [one["title"], *(cell(rows, name, field, form) for name in COLUMNS)]
        if with_floor:
            floor = best(rows, field, "floor")
            cells.append("–" if floor is None else format(floor, form))
        cells.append(ratio(reports, scenario, field))
        if with_floor:
            cells.append(ratio(reports, scenario, field, "floor"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) if scenarios else ""


def text(reports):
    return "\n\n".join(filter(None, (table(reports, *row) for row in TABLES)))


def read(path):
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


if __name__ == "__main__":
    print(text([read(path) for path in sys.argv[1:]]))
