# SPDX-License-Identifier: Apache-2.0
"""Tests of the benchmark with its programs: bench/programs_test.py TOOLS [-v]; TOOLS is the folder
of origin and load."""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import generator
import ours
import programs
import run
import scenarios
import verify

TOOLS = ""
HTTP = scenarios.ALL[0]
ADDED = (b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
         b"Via: 1.1 honest\r\nX-Forwarded-Host: bench.test\r\nX-Request-Id: 1\r\n")


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

    def test_tls_and_http2_carry_the_same(self):
        for front in ("tls", "h2"):  # the origin stands before itself
            scenario = dataclasses.replace(HTTP, front=front, back=front, handshake="resumed")
            verify.proxy(self.origin.port, self.origin.port, scenario, None)

    def test_tls_with_the_origin_where_there_should_be_none(self):
        with self.assertRaisesRegex(verify.Mismatch, "TLS handshakes with the origin"):
            verify.proxy(self.origin.port, self.origin.port,
                         dataclasses.replace(HTTP, front="tls"), None)

    def test_http2_to_the_origin_is_seen(self):
        scenario = dataclasses.replace(HTTP, front="h2", back="h2")
        names = verify.request_head(self.origin.port, scenario, [])
        self.assertEqual([], names)
        with self.assertRaisesRegex(verify.Mismatch, "the origin got b'GET /echo.* HTTP/1.1'"):
            verify.request_head(self.origin.port, dataclasses.replace(scenario, front="tls"), [])

    def test_a_proxy_that_does_not_start_is_left_out(self):
        done = subprocess.run(
            [sys.executable, run.__file__, "--tools", TOOLS, "--scenario", "1k", "--weir",
             "/bin/false", "--only", "weir epoll"], capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("left out: weir epoll: it said nothing", done.stdout)

    def load(self, *more, warm_up=1):
        return generator.Load(TOOLS, ["--to", str(self.origin.port), "--connections", "4", "--path",
                                      "/bytes/1024", *more], programs.CORES, warm_up=warm_up)

    def test_handshakes_are_full_or_resumed(self):
        for kind in ("full", "resumed"):
            with self.load("--expect", "1024", "--close", "asked", "--tls", kind) as load:
                before = verify.seen(self.origin.port)[2]
                result = load.run(0.1, 300)
            self.assertEqual((30, 0, 30), (result["requests"], result["errors"],
                                           result["handshakes"]))
            self.assertEqual(30 if kind == "resumed" else 0, result["resumed"])
            self.assertEqual(30, verify.seen(self.origin.port)[2] - before)

    def test_streams_share_a_connection(self):
        before = verify.seen(self.origin.port)
        with self.load("--expect", "1024", "--tls", "full", "--streams", "8") as load:
            result = load.run(0.1)
        after = verify.seen(self.origin.port)
        self.assertEqual((0, 0), (result["errors"], result["unfinished"]))
        self.assertGreater(result["requests"], 32)
        self.assertEqual((4, 4), (after[1] - before[1] - 1, after[2] - before[2]))

    def test_http2_in_the_clear(self):
        with self.load("--expect", "1024", "--streams", "2") as load:
            result = load.run(0.1, 500)
        self.assertEqual((50, 0, 0), (result["requests"], result["errors"], result["handshakes"]))

    def test_a_warm_up_in_turn_is_one_request_each(self):
        for more in ((), ("--tls", "full"), ("--tls", "full", "--streams", "1")):
            before = verify.seen(self.origin.port)
            with self.load("--expect", "1024", *more, warm_up="in-turn"):
                after = verify.seen(self.origin.port)
            self.assertEqual((4, 5), (after[0] - before[0], after[1] - before[1]))

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
        with generator.Load(TOOLS, options, programs.CORES, warm_up=1) as load:
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
