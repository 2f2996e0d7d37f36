# SPDX-License-Identifier: Apache-2.0
"""Tests of the benchmark itself: bench/harness_test.py TOOLS [-v]; TOOLS is the folder of origin
and load."""

import contextlib
import io
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree

import accounting
import figures
import generator
import kinds
import markdown
import ours
import peers
import plot
import programs
import run
import scenarios
import table
import verify

TOOLS = ""
HTTP = scenarios.ALL[0]
ADDED = (b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
         b"Via: 1.1 honest\r\nX-Forwarded-Host: bench.test\r\nX-Request-Id: 1\r\n")


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
        self.assertEqual((2, 0.4, "/bin/true"), (chosen.rounds, chosen.seconds, chosen.nginx))
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
        row = markdown.text(report).splitlines()[2]
        self.assertEqual("| 1 KiB | **15.0** | – | **20.0** | – | – | – | – | 12.0 | 0.75 |", row)


class BadProxy(threading.Thread):
    """Passes one request and its answer, each spoilt by a function of its bytes."""

    def __init__(self, origin_port, of_request, of_response):
        super().__init__(daemon=True)
        self.origin_port, self.of_request, self.of_response = origin_port, of_request, of_response
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        server = socket.create_connection(("127.0.0.1", self.origin_port))
        back = threading.Thread(target=self.pass_on, args=(server, client, self.of_response),
                                daemon=True)
        back.start()
        self.pass_on(client, server, self.of_request)
        back.join()
        client.close()
        server.close()

    @staticmethod
    def pass_on(source, target, spoil):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 20):
                target.sendall(spoil(piece))
            target.shutdown(socket.SHUT_WR)


def honest(request):
    head, end, body = request.partition(b" HTTP/1.1\r\n")
    return head + end + ADDED + body if end else request


def same(response):
    return response


class Verification(unittest.TestCase):
    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.origin = ours.Origins(TOOLS, folder, programs.CORES).another()
        self.addCleanup(self.origin.stop)

    def check(self, of_request=honest, of_response=same, scenario=HTTP):
        proxy = BadProxy(self.origin.port, of_request, of_response)
        proxy.start()
        self.addCleanup(proxy.listener.close)
        return verify.proxy(proxy.port, self.origin.port, scenario)

    def test_an_honest_proxy_passes(self):
        self.assertEqual(["via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
                          "x-request-id"], self.check())

    def test_a_byte_that_is_changed(self):
        def spoil(response):
            return response[:-1] + bytes([response[-1] ^ 1]) if len(response) > 5000 else response
        with self.assertRaisesRegex(verify.Mismatch, "did not arrive as it was sent"):
            self.check(of_response=spoil)

    def test_a_byte_that_is_dropped(self):
        dropped = []

        def spoil(response):
            if len(response) < 5000 or dropped:
                return response
            dropped.append(response[-1])
            return response[:-1]
        verify.TIMEOUT_S, kept = 0.5, verify.TIMEOUT_S
        self.addCleanup(setattr, verify, "TIMEOUT_S", kept)
        with self.assertRaises(verify.Mismatch):
            self.check(of_response=spoil)
        self.assertTrue(dropped)

    def test_an_upload_that_is_changed(self):
        def spoil(request):
            if request.endswith(b"\r\n\r\n"):
                return honest(request)
            return honest(request[:-1] + bytes([request[-1] ^ 1]))
        with self.assertRaisesRegex(verify.Mismatch, "POST of 1 bytes"):
            self.check(of_request=spoil)

    def test_a_field_that_is_not_added(self):
        for line in ADDED.split(b"\r\n")[:-1]:
            with self.assertRaisesRegex(verify.Mismatch, "did not get"):
                self.check(of_request=lambda request, line=line:
                           honest(request).replace(line + b"\r\n", b""))

    def test_a_field_of_the_client_that_is_lost(self):
        with self.assertRaisesRegex(verify.Mismatch, "did not get X-Field-7|x-field-7"):
            self.check(of_request=lambda request: honest(request).replace(b"X-Field", b"X-Fiel"))

    def test_a_target_that_is_changed(self):
        with self.assertRaisesRegex(verify.Mismatch, "the origin got"):
            self.check(of_request=lambda request: honest(request).replace(b"b%20c", b"b+c"))

    def test_a_request_that_is_sent_twice(self):
        def twice(request):
            if request.startswith(b"GET /bytes/1024 "):
                verify.ask(self.origin.port, "/bytes/1")
            return honest(request)
        with self.assertRaisesRegex(verify.Mismatch, "5 requests were not 5"):
            self.check(of_request=twice)

    def test_tcp_mode_changes_nothing(self):
        tcp = next(row for row in scenarios.ALL if row.mode == "tcp")
        self.check(of_request=same, scenario=tcp)
        with self.assertRaisesRegex(verify.Mismatch, "did not pass unchanged"):
            self.check(of_request=same, scenario=tcp,
                       of_response=lambda response: response.replace(b"Server", b"server"))

    def test_a_websocket_echoes(self):
        websocket = next(row for row in scenarios.ALL if row.mode == "websocket")
        self.check(scenario=websocket)
        with self.assertRaisesRegex(verify.Mismatch, "another message"):
            self.check(scenario=websocket, of_response=lambda response:
                       response[:-1] + bytes([response[-1] ^ 1]) if len(response) == 102
                       else response)

    def test_a_whole_run(self):
        with tempfile.TemporaryDirectory() as folder:
            files = [os.path.join(folder, name) for name in ("report.json", "plot.svg")]
            done = subprocess.run(
                [sys.executable, run.__file__, "--tools", TOOLS, "--scenario",
                 "1k,new,websocket,idle", "--only", "relay_epoll,relay_pooled", "--rounds", "1",
                 "--seconds", "0.05", "--json", files[0], "--plot", files[1]],
                capture_output=True, text=True, check=False)
            self.assertEqual(0, done.returncode, done.stderr)
            with open(files[0], encoding="utf-8") as stream:
                report = json.load(stream)["scenarios"]
        rows = {name: one["proxies"] for name, one in report.items()}
        self.assertEqual({"1k": ["relay_epoll"], "new": ["relay_pooled"],
                          "websocket": ["relay_epoll"]}, {name: list(rows[name]) for name in rows})
        for one_row in (row for by_name in rows.values() for row in by_name.values()):
            self.assertEqual(0, one_row["errors"])
            self.assertGreater(one_row["rate"], 0)
        self.assertIn("websocket: WebSocket", done.stdout)
        self.assertIn("none of the proxies does it", done.stdout)

    def load(self, *more):
        return generator.Load(TOOLS, ["--to", str(self.origin.port), "--connections", "4", "--path",
                                      "/bytes/1024", *more], programs.CORES, warm_up_ms=1)

    def test_the_open_loop_sends_as_many_as_it_should(self):
        before = verify.seen(self.origin.port)[0]
        with self.load("--expect", "1024") as load:
            warm = verify.seen(self.origin.port)[0]
            self.assertGreaterEqual(warm - before, 4)  # each connection
            result = load.run(0.2, 500)
        self.assertEqual((100, 0, 0), (result["requests"], result["errors"], result["unfinished"]))
        self.assertEqual(100, verify.seen(self.origin.port)[0] - warm)

    def test_latency_counts_from_when_a_request_should_have_been_sent(self):
        options = ["--to", str(self.origin.port), "--path", "/late/50", "--expect", "5"]
        with generator.Load(TOOLS, options, programs.CORES, warm_up_ms=1) as load:
            result = load.run(0.1, 100)  # ten, one after the other: the last is due at 90 ms
        self.assertEqual(10, result["requests"])
        self.assertGreater(result["max_us"], (10 * 49 - 90) * 1000)
        self.assertGreater(result["p50_us"], (5 * 49 - 50) * 1000)

    def test_a_response_of_another_length_is_an_error(self):
        with self.assertRaisesRegex(SystemExit, "failed"), self.load("--expect", "1023"):
            pass


if __name__ == "__main__":
    TOOLS = sys.argv.pop(1) if len(sys.argv) > 1 else sys.exit(__doc__)
    unittest.main()
