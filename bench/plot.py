# SPDX-License-Identifier: Apache-2.0
"""Draws a report: for each scenario the CPU time per request (or memory) of each proxy as a ratio
to the best peer, so that shorter is better and 1 is the best of the others.

    bench/plot.py REPORT.json > docs/performance.svg
"""

import html
import json
import sys

ORDER = ("weir ring", "weir epoll", "nginx", "haproxy", "h2o", "nghttpx", "caddy")
COLOURS = {"weir ring": "#b3261e", "weir epoll": "#e07a5f", "nginx": "#3d7a57",
           "haproxy": "#2f5d8a", "h2o": "#8a6fb0", "nghttpx": "#b08d3c", "caddy": "#6b7a88"}
LEFT, UNIT, RATIO_MAX, BAR, GAP, TOP = 300, 170, 3.0, 9, 16, 70
KINDS = ("requests", "idle", "slow", "beside_bulk", "beside_reload", "beside_handshakes")


def bars(report):
    """[(title, [(name, ratio)], floor's ratio)] of the scenarios that compare one figure."""
    for scenario in report["scenarios"].values():
        rows = scenario["proxies"]
        ratios = [(name, rows[name]["ratio"]) for name in ORDER
                  if name in rows and rows[name]["ratio"] is not None]
        floors = [row["ratio"] for row in rows.values()
                  if row["role"] == "floor" and row["ratio"] is not None]
        if scenario["kind"] in KINDS and ratios:
            yield scenario["title"], ratios, min(floors, default=None)


def text(x, y, what, size=11, anchor="start", colour="#333"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{colour}">{html.escape(what)}</text>')


def legend(y):
    parts, x = [], 20
    for name in ORDER:
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[name]}"/>')
        parts.append(text(x + 14, y, name))
        x += 34 + 7 * len(name)
    parts.append(f'<path d="M{x} {y - 10}v12" stroke="#111" stroke-width="2"/>')
    parts.append(text(x + 6, y, "floor (bare relay)"))
    return parts


def svg(report):
    parts, y = [], TOP
    for title, ratios, floor in bars(report):
        height = BAR * len(ratios)
        parts.append(text(LEFT - 10, y + height / 2 + 4, title, anchor="end"))
        for name, ratio in ratios:
            shown = min(ratio, RATIO_MAX)
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{shown * UNIT:.1f}" '
                         f'height="{BAR - 1}" fill="{COLOURS[name]}"/>')
            beyond = " >" if ratio > RATIO_MAX else ""
            parts.append(text(LEFT + shown * UNIT + 4, y + BAR - 1, f"{ratio:.2f}{beyond}", 9))
            y += BAR
        if floor is not None:
            x = LEFT + min(floor, RATIO_MAX) * UNIT
            parts.append(f'<path d="M{x:.1f} {y - height - 2}v{height + 3}" stroke="#111" '
                         'stroke-width="2"/>')
        y += GAP
    width = LEFT + int(RATIO_MAX * UNIT) + 60
    head = [text(20, 24, "CPU time per request (memory, latency), relative to the best peer; "
                 "shorter is better", 13)] + legend(46)
    line = LEFT + UNIT
    head.append(f'<path d="M{line} {TOP - 8}V{y - GAP + 4}" stroke="#999" stroke-dasharray="3 3"/>')
    box = report["machine"]
    foot = text(20, y + 8, f"{report['date']}, {box['cpu']}, {box['cores']} cores, "
                f"Linux {box['kernel']}", 10, colour="#777")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 20}" '
            f'viewBox="0 0 {width} {y + 20}" font-family="sans-serif">\n'
            f'<rect width="{width}" height="{y + 20}" fill="#fff"/>\n'
            + "\n".join(head + parts + [foot]) + "\n</svg>\n")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as stream:
        sys.stdout.write(svg(json.load(stream)))
