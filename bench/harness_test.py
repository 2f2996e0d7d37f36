# SPDX-License-Identifier: Apache-2.0
"""Tests of the benchmark without its programs: bench/harness_test.py [-v]"""

import contextlib
import io
import math
import os
import unittest
import xml.etree.ElementTree

import accounting
import figures
import kinds
import markdown
import peers
import plot
import run
import scenarios
import table

HTTP = scenarios.ALL[0]


def one(**values):
    """A slice as measure.py makes it."""
    return {"cpu_us": 10.0, "user_ticks": 1, "system_ticks": 3, "requests": 100_000, "seconds": 2.0,
            "p50_us": 100.0, "p99_us": 200.0, "p999_us": 300.0, "memory_kib": 2048, "errors": 0,
            "unfinished": 0} | values


class Accounting(unittest.TestCase):
    def test_a_name_may_hold_anything(self):
        numbered = " ".join(map(str, range(4, 53)))  # as proc(5) numbers the fields
        self.assertEqual((14, 15), accounting.stat_ticks(f"12 (we ir) (x)) S {numbered}"))

    def test_this_process_has_used_time_and_memory(self):
        used = accounting.usage(os.getpid())
        self.assertGreater(accounting.total_ns(used), 0)
        self.assertGreater(accounting.memory_kib(os.getpid()), 1000)

    def test_a_new_thread_began_with_nothing_and_an_old_one_does_not_count_again(self):
        before = accounting.Usage({1: 100, 2: 50}, 7, 8)
        after = accounting.Usage({1: 150, 3: 30}, 9, 12)
        used = accounting.between(before, after)
        self.assertEqual(({1: 50, 3: 30}, 2, 4), used)
        self.assertEqual(80, accounting.total_ns(used))


class Figures(unittest.TestCase):
    def test_the_median_is_of_what_is_known(self):
        self.assertEqual(3, figures.middle([5, math.nan, 1, 3]))
        self.assertTrue(math.isnan(figures.middle([math.nan])))

    def test_the_spread_is_half_the_range(self):
        self.assertAlmostEqual(0.1, figures.spread([9, 10, 11]))

    def test_user_time_is_a_share_of_all_slices_together(self):
        slices = [one(user_ticks=0, system_ticks=10), one(user_ticks=10, system_ticks=20)]
        self.assertAlmostEqual(0.25, figures.user_share(slices))
        self.assertAlmostEqual(2.5, figures.row(slices, [])["user_us"])

    def test_a_percentile_of_few_requests_is_not_shown(self):
        row = figures.row([one()], [one(requests=4000)])
        self.assertAlmostEqual(0.2, row["p99_ms"])
        self.assertTrue(math.isnan(row["p999_ms"]))

    def test_what_failed_and_what_never_ended_are_both_errors(self):
        self.assertEqual(7, figures.row([one(errors=3)], [one(unfinished=4)])["errors"])

    def test_the_cost_at_a_fixed_rate_is_another_figure(self):
        row = figures.row([one(cpu_us=10.0)], [one(cpu_us=14.0)])
        self.assertEqual((10.0, 14.0), (row["cpu_us"], row["open_us"]))

    def test_ratios_are_to_the_best_peer_and_efficiency_to_the_lowest_floor(self):
        rows = {"a": {"role": "peer", "cpu_us": 20.0}, "b": {"role": "peer", "cpu_us": 30.0},
                "weir": {"role": "weir", "cpu_us": 16.0}, "f": {"role": "floor", "cpu_us": 12.0},
                "g": {"role": "floor", "cpu_us": 14.0}, "x": {"role": "peer", "cpu_us": math.nan}}
        figures.compare(rows)
        self.assertAlmostEqual(0.8, rows["weir"]["ratio"])
        self.assertAlmostEqual(1.5, rows["b"]["ratio"])
        self.assertAlmostEqual(0.75, rows["weir"]["efficiency"])

    def test_without_peers_there_is_no_ratio(self):
        rows = figures.compare({"weir": {"role": "weir", "cpu_us": 16.0}})
        self.assertTrue(math.isnan(rows["weir"]["ratio"]))

    def test_json_gets_no_nan(self):
        self.assertEqual({"a": [None, 1.5], "b": "nan"},
                         figures.without_nan({"a": [math.nan, 1.5], "b": "nan"}))

    def test_the_fixed_rate_is_half_of_the_median(self):
        self.assertEqual(10_000, figures.fixed_rate([1000, 20_789, 90_000]))
        self.assertEqual(250, figures.fixed_rate([501]))
        self.assertEqual(1, figures.fixed_rate([0.4]))

    def test_an_idle_worker_is_seen(self):
        self.assertEqual(0, figures.imbalance({1: 100}, 2))
        self.assertAlmostEqual(0.5, figures.imbalance({1: 150, 2: 50, 3: 1}, 2))


class Scenarios(unittest.TestCase):
    def test_each_has_a_name_of_its_own_a_kind_and_a_table(self):
        names = [scenario.name for scenario in scenarios.ALL]
        self.assertEqual(len(set(names)), len(names))
        for scenario in scenarios.ALL:
            self.assertIn(scenario.kind, kinds.ALL)
            self.assertIn(scenario.kind, table.KINDS)

    def test_http2_to_the_origin_is_not_for_all(self):
        row = next(row for row in scenarios.ALL if row.back == "h2")
        self.assertEqual(["nginx", "h2o"], peers.unable(peers.ALL, row))
        self.assertEqual([], peers.unable(peers.ALL, HTTP))

    def test_chosen_by_name_or_by_quick(self):
        self.assertEqual(["1k", "new"],
                         [row.name for row in scenarios.chosen(["new", "1k"], False)])
        self.assertTrue(all(row.quick for row in scenarios.chosen([], True)))
        self.assertEqual(scenarios.ALL, scenarios.chosen([], False))
        with self.assertRaisesRegex(ValueError, "no scenario nwe"):
            scenarios.chosen(["nwe", "1k"], False)

    def test_few_descriptors_scale_a_scenario_down_and_it_says_so(self):
        crowd = next(row for row in scenarios.ALL if row.name == "1k-1000")
        self.assertEqual(crowd, scenarios.fitted(crowd, 20_000))
        small = scenarios.fitted(crowd, 1024)
        self.assertEqual(393, small.connections)
        self.assertIn("here 393", small.title)

    def test_options(self):
        chosen = run.options(["--quick", "--nginx", "/bin/true"])
        self.assertEqual((2, 0.3, "/bin/true"), (chosen.rounds, chosen.seconds, chosen.nginx))
        chosen = run.options(["--quick", "--rounds", "5", "--seconds", "0.2"])
        self.assertEqual((5, 0.2), (chosen.rounds, chosen.seconds))

    def test_a_proxy_that_is_none(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as said:
            run.options(["--only", "nginx,wier ring"])
        self.assertIn("no proxy wier ring", said.getvalue())

    def test_another_build_takes_the_place_of_the_installed_one(self):
        chosen = run.options(["--nginx", "/bin/true"])
        self.assertEqual("/bin/true", peers.programs(chosen)["nginx"])
        with self.assertRaisesRegex(SystemExit, "/no/such: no such program"):
            peers.programs(run.options(["--nginx", "/no/such"]))


class Output(unittest.TestCase):
    def setUp(self):
        rows = {"nginx": figures.row([one(cpu_us=20.0)], [one(requests=900)]) | {"role": "peer"},
                "weir ring": figures.row([one(cpu_us=15.0)], [one()]) | {"role": "weir"},
                "relay_epoll": figures.row([one(cpu_us=12.0)], [one()]) | {"role": "floor"}}
        self.rows = figures.compare(rows)

    def test_the_table_is_ordered_and_says_whether_the_goal_is_met(self):
        lines = table.text(HTTP, self.rows, {"rate": 5000}).splitlines()
        self.assertEqual(["relay_epoll", "weir", "nginx"], [line.split()[0] for line in lines[2:5]])
        self.assertIn("0.75", lines[3])
        self.assertIn("goal: 0.72 of the best peer; Weir 0.75: not met", lines[5])
        self.assertIn(" - ", lines[4])  # 900 requests have no p99.9

    def test_what_is_left_out_is_named(self):
        self.assertEqual([f"1k: {HTTP.title}", "  none of the proxies does it",
                          "  left out: nginx: cannot"],
                         table.text(HTTP, {}, {"left_out": {"nginx": "cannot"}}).splitlines())

    def test_the_plot_is_well_formed_and_shows_each_ratio(self):
        report = {"date": "2026-01-01", "machine": {"cpu": "a <b>", "cores": 2, "kernel": "6"},
                  "scenarios": {"1k": {"title": "1 KiB & more", "kind": "requests",
                                       "proxies": self.rows}}}
        drawn = xml.etree.ElementTree.fromstring(plot.svg(figures.without_nan(report)))
        texts = [item.text for item in drawn.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("1 KiB & more", texts)
        self.assertIn("0.75", texts)
        self.assertIn("1.00", texts)

    def test_the_markdown_marks_the_best_peer_and_what_is_better(self):
        report = figures.without_nan({"scenarios": {"1k": {
            "title": "1 KiB", "kind": "requests", "proxies": self.rows}}})
        row = markdown.text([report]).splitlines()[2]
        self.assertEqual(
            "| 1 KiB | **15.0** | – | **20.0** | – | – | – | – | 12.0 | 0.75 | 0.60 |", row)

    def test_the_markdown_of_several_reports_has_medians_and_each_ratio(self):
        def report(cost):
            rows = {name: dict(row) for name, row in self.rows.items()}
            for row in rows.values():
                if row["role"] == "weir":
                    row["cpu_us"] = cost
            return figures.without_nan({"scenarios": {"1k": {
                "title": "1 KiB", "kind": "requests", "proxies": rows}}})
        row = markdown.text([report(cost) for cost in (10.0, 30.0, 16.0)]).splitlines()[2]
        self.assertIn("| 16.0 |", row.replace("**", ""))
        self.assertIn("| 0.80 (0.50, 1.50, 0.80) |", row)


if __name__ == "__main__":
    unittest.main()
