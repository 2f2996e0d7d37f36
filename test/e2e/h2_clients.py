# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by curl, nghttp and h2load, by prior knowledge and, where the client would, by a try of
Upgrade."""

import copy
import hashlib
import random
import re
import subprocess

from harness.case import Case, alone, bound
from harness.process import Process, run, tool
from origins import applications, scripts
from origins.nginx import Nginx
from origins.origin import digest

BODY = bytes(range(256)) * 1031
SUCCEEDED = (r"requests: {0} total, {0} started, {0} done, {0} succeeded, 0 failed, 0 errored, "
             r"0 timeout")


class Curl(Case):
    H2 = "--http2-prior-knowledge"

    def curl(self, weir, *arguments, path="/", stdin=None, code=0):
        done = run(tool("curl"), "-sS", "--max-time", "25", self.H2, *arguments, weir.url(path),
                   stdin=stdin)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return done.stdout

    def test_get(self):
        _, weir = self.proxied(scripts.body(BODY))
        shown = self.curl(weir, "-w", "%{stderr}%{http_version}")
        self.assertEqual(digest(shown), digest(BODY))
        entry = weir.logged_one("/")
        self.assertEqual((entry["protocol"], entry["status"], entry["cause"], entry["bytes_sent"]),
                         ("HTTP/2", 200, "", len(BODY)))

    def test_head(self):
        origin, weir = self.proxied(scripts.text("twelve bytes"))
        shown = self.curl(weir, "--head").decode().lower()
        self.assertTrue(shown.startswith("http/2 200 \r\n"), shown)
        self.assertIn("content-length: 12\r\n", shown)
        self.assertEqual(origin.request("/").method, "HEAD")

    def test_statuses_without_a_body(self):
        origin, weir = self.proxied()
        for status in (204, 304):
            origin.on(f"/{status}", scripts.raw(scripts.head(status, "X-A: b")))
            shown = self.curl(weir, "-i", path=f"/{status}").decode()
            self.assertTrue(shown.startswith(f"HTTP/2 {status} \r\n"), shown)
            self.assertTrue(shown.endswith("\r\n\r\n"), shown)

    def test_post(self):
        origin, weir = self.proxied(scripts.echo())
        shown = self.curl(weir, "--data-binary", "@-", stdin=BODY)
        self.assertEqual(digest(shown), digest(BODY))
        self.assertEqual(origin.request("/").framing, "length")

    def test_put_without_a_length(self):
        origin, weir = self.proxied(scripts.echo("chunked", 5000))
        shown = self.curl(weir, "-T", "-", stdin=BODY)
        self.assertEqual(digest(shown), digest(BODY))
        self.assertEqual((origin.request("/").method, origin.request("/").framing),
                         ("PUT", "chunked"))

    def test_expect(self):
        _, weir = self.proxied(scripts.echo())
        shown = self.curl(weir, "-H", "Expect: 100-continue", "--expect100-timeout", "60",
                          "--data-binary", "@-", stdin=BODY)
        self.assertEqual(digest(shown), digest(BODY))

    def test_early_hints_and_trailers(self):
        hints = scripts.head(103, "Link: </a.css>; rel=preload", reason="Early Hints")
        _, weir = self.proxied(scripts.interim(hints, then=scripts.body(
            b"body", "chunked", trailers=[("X-Sum", "42")])))
        shown = self.curl(weir, "-i").decode()
        self.assertRegex(shown, r"^HTTP/2 103 \r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/2 200 ")
        self.assertTrue(shown.endswith("\r\n\r\nbodyx-sum: 42\r\n"), shown[-80:])

    def test_cut_body_is_an_error(self):
        """92: the stream was not closed cleanly."""
        for start in (scripts.head(200, "Content-Length: 5000") + b"part",
                      scripts.head(200, "Transfer-Encoding: chunked") + b"4\r\npart\r\n"):
            _, weir = self.proxied(scripts.die("fin", start))
            self.curl(weir, code=92)
            weir.end()

    def test_upgrade_is_not_taken(self):
        """RFC 9113 section 3.1: h2c by Upgrade is no more; the answer comes in HTTP/1."""
        origin, weir = self.proxied()
        done = run(tool("curl"), "-sS", "--http2", "-i", weir.url("/"))
        self.assertTrue(done.stdout.startswith(b"HTTP/1.1 200 "), done.stdout)
        self.assertNotIn("upgrade", origin.request("/").fields)
        self.assertNotIn("http2-settings", origin.request("/").fields)

    def test_a_body_that_is_too_large(self):
        """One that is sent at once: curl 7.88 forgets an answer behind which RST_STREAM with
        NO_ERROR comes, as it may (RFC 9113 section 8.1), and as it does from nginx and nghttpx."""
        _, weir = self.proxied(limits={"body_size": "1KiB"})
        run(tool("curl"), "-sS", "--http2-prior-knowledge", "-d", "x" * 2000, weir.url())
        line = weir.logged(1)[0]
        self.assertEqual((line["status"], line["cause"]), (413, "body_too_large"))

    def test_no_route(self):
        weir = self.weir(self.origin(), route=[{"match": {"path": "/here"}, "upstream": "app"}])
        shown = self.curl(weir, "-i", path="/there").decode()
        self.assertTrue(shown.startswith("HTTP/2 404 "), shown)
        self.assertIn("weir-cause: no_route", shown)


class Bulk(Case):
    SIZE = 100 << 20

    def setUp(self):
        super().setUp()
        self.file = self.directory / "bulk"
        dice = random.Random(7)
        piece = dice.randbytes(1 << 20)
        sha = hashlib.sha256()
        with open(self.file, "wb") as file:
            for number in range(self.SIZE >> 20):
                data = number.to_bytes(8, "big") + piece[8:]
                sha.update(data)
                file.write(data)
        self.digest = sha.hexdigest()
        self.backend = self.kept(applications.Application("/usr/bin/python3", "bulk.py", self.file))

    def sum_of(self, *arguments):
        target = self.directory / "got"
        done = run(tool("curl"), "-sS", "--max-time", "100", "--http2-prior-knowledge", "-o",
                   target, *arguments, within=110)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return target

    @alone
    @bound(120)
    def test_downloads(self):
        weir = self.weir(self.backend.address)
        before = weir.memory()
        weir.reset_peak()
        for framing in ("length", "chunked", "close"):
            target = self.sum_of(weir.url(f"/{framing}"))
            with open(target, "rb") as file:
                self.assertEqual(hashlib.file_digest(file, "sha256").hexdigest(), self.digest,
                                 framing)
        self.claim_growth(weir.memory("VmHWM") - before, 12 << 20)

    @alone
    @bound(120)
    def test_uploads(self):
        weir = self.weir(self.backend.address)
        before = weir.memory()
        weir.reset_peak()
        for arguments in (("-T", self.file), ("-T", self.file, "-H", "Content-Length:")):
            target = self.sum_of(*arguments, weir.url("/up"))
            self.assertEqual(target.read_text(), f"{self.SIZE} {self.digest}")
        self.claim_growth(weir.memory("VmHWM") - before, 12 << 20)


class Nghttp(Case):
    def nghttp(self, *arguments, code=0):
        done = run(tool("nghttp"), "--no-dep", *arguments)
        self.assertEqual(done.returncode, code, done.stderr.decode(errors="replace"))
        return done.stdout

    def test_get_and_statistics(self):
        _, weir = self.proxied(scripts.body(BODY))
        self.assertEqual(digest(self.nghttp(weir.url("/a"))), digest(BODY))
        shown = self.nghttp("-nvs", weir.url("/b")).decode()
        self.assertIn(":status: 200", shown)
        self.assertNotIn("PUSH_PROMISE", shown)

    def test_with_priorities_of_rfc7540(self):
        """nghttp sends a tree of PRIORITY frames unless it is told not to."""
        _, weir = self.proxied(scripts.body(BODY))
        done = run(tool("nghttp"), "-m", "5", weir.url("/a"))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(sorted(done.stdout), sorted(BODY * 5), "in pieces of one another")

    def test_padding_and_small_windows(self):
        _, weir = self.proxied(scripts.echo())
        (self.directory / "body").write_bytes(BODY)
        shown = self.nghttp("--padding=255", "--window-bits=10", "--connection-window-bits=12",
                            "-d", self.directory / "body", weir.url("/"))
        self.assertEqual(digest(shown), digest(BODY))

    def test_continuation_and_trailers(self):
        origin, weir = self.proxied(scripts.echo())
        (self.directory / "body").write_bytes(BODY)
        shown = self.nghttp("--continuation", "--trailer=x-sum: 42", "--no-content-length",
                            "-d", self.directory / "body", weir.url("/"))
        self.assertEqual(digest(shown), digest(BODY))
        self.assertEqual(origin.request("/").trailers.get("x-sum"), "42")

    def test_a_small_header_table(self):
        _, weir = self.proxied(scripts.text("x", 200, "X-Long: " + "y" * 3000))
        for size in (0, 100, 65536):
            self.assertEqual(self.nghttp("-c", size, weir.url("/a"), weir.url("/b")), b"xx")

    def test_hexdump_of_settings(self):
        _, weir = self.proxied()
        shown = self.nghttp("-nv", weir.url("/")).decode()
        self.assertRegex(shown, r"SETTINGS_MAX_CONCURRENT_STREAMS\(0x03\):1\d\d")
        self.assertRegex(shown, r"SETTINGS_ENABLE_CONNECT_PROTOCOL\(0x08\):1")


class H2load(Case):
    def prepare(self, **settings):
        self.backend = self.kept(Nginx(self.directory))
        return self.weir(self.backend.address, **settings)

    def crowd(self, weir, clients, streams, requests, path="/small", *arguments, within=100):
        done = run(tool("h2load"), "-n", requests, "-c", clients, "-m", streams, "-t", 1,
                   *arguments, weir.url(path), within=within)
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 0, text + done.stderr.decode())
        self.assertRegex(text, SUCCEEDED.format(requests), text)
        self.assertRegex(text, rf"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx", text)
        return text

    def claim_logged(self, weir, requests):
        entries = weir.logged(requests, within=20)
        self.assertEqual(len(entries), requests)
        self.assertEqual({(e["status"], e["cause"], e["protocol"]) for e in entries},
                         {(200, "", "HTTP/2")})

    @alone
    @bound(60)
    def test_16_times_32_streams(self):
        weir = self.prepare()
        text = self.crowd(weir, 16, 32, 40_000)
        self.claim_logged(weir, 40_000)
        self.assertIn(f"({40_000 * 1023}) data", text)

    @alone
    @bound(60)
    def test_one_connection_of_100_streams(self):
        weir = self.prepare(workers=1)
        self.crowd(weir, 1, 100, 20_000)
        self.claim_logged(weir, 20_000)

    @alone
    @bound(60)
    def test_large_bodies(self):
        weir = self.prepare()
        (self.directory / "large").write_bytes(BODY * 4)
        text = self.crowd(weir, 8, 16, 800, "/large")
        self.assertIn(f"({800 * len(BODY) * 4}) data", text)

    def under_reload(self, streams, requests, **settings):
        """500 connections of so many streams; a reload now and then breaks none of them."""
        weir = self.start(self.config(access_log="off", **copy.deepcopy(settings)))
        load = self.kept(Process([tool("h2load"), "-n", requests, "-c", 500, "-m", streams, "-t", 1,
                                  weir.url("/small")]))
        reloads = 0
        while load.running():
            reloads += 1
            config = self.config(access_log="off", **copy.deepcopy(settings),
                                 timeouts={"client_idle": f"{60 + reloads}s"})
            self.assertEqual(weir.reload(config).returncode, 0)
            try:
                load.child.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        self.assertEqual(load.wait(80), 0)
        self.assertRegex(load.text(), SUCCEEDED.format(requests))
        self.assertRegex(load.text(), rf"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx")
        self.assertGreater(reloads, 3)

    @alone
    @bound(90)
    def test_500_times_100_streams_under_reload(self):
        """Answered here: 50,000 requests at once would need as many connections to a server of
        HTTP/1, more than there are ports to one address."""
        self.under_reload(100, 60_000, route=[
            {"match": {"path": "/**"}, "respond": {"status": 200, "body": "x" * 1000}}])

    @alone
    @bound(90)
    def test_500_times_10_streams_to_http1_under_reload(self):
        backend = self.kept(Nginx(self.directory))
        self.under_reload(10, 30_000, servers=backend.address)

    @alone
    @bound(120)
    def test_500_times_100_streams_to_http2_under_reload(self):
        backend = self.kept(Nginx(self.directory, options=" http2"))
        self.under_reload(100, 60_000, servers=backend.address,
                          upstream={"app": {"protocol": "http2"}})

    @alone
    @bound(60)
    def test_uploads(self):
        (self.directory / "up").write_bytes(BODY)
        origin = self.origin(script=scripts.echo())
        weir = self.weir(origin)
        text = self.crowd(weir, 4, 25, 400, "/echo", "-d", self.directory / "up")
        self.assertIn(f"({400 * len(BODY)}) data", text)
        self.assertEqual({digest(r.body) for r in origin.seen()}, {digest(BODY)})

    @bound(60)
    def test_requests_on_one_connection(self):
        """500, one after the other, on one connection of the client and one of the server."""
        origin = self.origin()
        weir = self.weir(origin, workers=1)
        self.crowd(weir, 1, 1, 500, "/")
        self.assertEqual(len(origin.seen()), 500)
        self.assertEqual(len(origin.connections), 1)

    def test_limit_of_requests_per_connection(self):
        """GOAWAY behind the last one; what h2load had on its way is told that it was not done."""
        origin = self.origin()
        weir = self.weir(origin, workers=1, limits={"requests_per_connection": 100})
        done = run(tool("h2load"), "-n", 100, "-c", 1, "-m", 10, weir.url("/"))
        self.assertRegex(done.stdout.decode(), SUCCEEDED.format(100))
        self.assertTrue(re.search("100 2xx", done.stdout.decode()))
