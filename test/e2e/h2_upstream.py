# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 to servers: messages of every kind, by servers that nobody here wrote."""

import json

from harness.case import Case, bound
from harness.process import run, tool
from harness.raw import request
from harness.message import chunk
from origins.h2_servers import Nghttpd, Node
from origins.origin import digest

HTTP2 = {"app": {"protocol": "http2"}}
MIB = 1 << 20


def block(size):
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


class Upstream(Case):
    def curl(self, weir, path, *options, version="--http1.1"):
        return run(tool("curl"), "-sS", version, *options, weir.url(path), within=60)

    def over_both(self):
        for version in ("--http1.1", "--http2-prior-knowledge"):
            with self.subTest(version):
                yield version


class ByNghttpd(Upstream):
    def started(self, *options, **settings):
        self.server = self.kept(Nghttpd(self.directory, *options))
        return self.weir(self.server, **{"upstream": HTTP2, **settings})

    @bound(90)
    def test_100_mib_down(self):
        data = block(100 * MIB)
        (self.directory / "large").write_bytes(data)
        weir = self.started()
        for version in self.over_both():
            to = self.directory / "got"
            done = self.curl(weir, "/large", "-o", to, version=version)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(digest(to.read_bytes()), digest(data))
        self.assertEqual({e["cause"] for e in weir.logged(2)}, {""})

    @bound(90)
    def test_100_mib_up_and_down(self):
        """nghttpd keeps an upload in a file and sends it back."""
        data = block(100 * MIB)
        (self.directory / "large").write_bytes(data)
        weir = self.started()
        for version in self.over_both():
            to = self.directory / "got"
            done = self.curl(weir, "/up", "-T", self.directory / "large", "-o", to,
                             version=version)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(digest(to.read_bytes()), digest(data))
        self.assertEqual({e["cause"] for e in weir.logged(2)}, {""})

    def test_head(self):
        (self.directory / "file").write_bytes(b"x" * 1000)
        weir = self.started()
        for version in self.over_both():
            done = self.curl(weir, "/file", "-I", version=version)
            self.assertIn(b"content-length: 1000", done.stdout.lower())
        client = self.client(weir)
        self.assertEqual(client.get("/file", method="HEAD").fields.get("content-length"), "1000")
        self.assertEqual(len(client.get("/file").body), 1000)

    def test_304(self):
        (self.directory / "file").write_bytes(b"x")
        weir = self.started()
        client = self.client(weir)
        modified = client.get("/file").fields.get("last-modified")
        response = client.get("/file", f"If-Modified-Since: {modified}")
        self.assertEqual((response.status, response.body), (304, b""))
        self.assertEqual(client.get("/file").status, 200)

    def test_trailers(self):
        (self.directory / "file").write_bytes(b"behind this")
        weir = self.started("--trailer", "x-sum: abc")
        # nghttpd says the length; HTTP/1 has no trailers behind a length.
        self.assertEqual(self.client(weir).get("/file", "TE: trailers").body, b"behind this")
        done = run(tool("nghttp"), "-v", weir.url("/file"))
        self.assertIn(b"x-sum: abc", done.stdout)

    def test_one_stream_at_a_time(self):
        """The server allows one stream; a request more waits or has a connection of its own."""
        (self.directory / "file").write_bytes(b"x" * 5000)
        weir = self.started("--max-concurrent-streams", "1")
        done = run(tool("h2load"), "-n", "200", "-c", "4", "-m", "10", weir.url("/file"))
        self.assertIn(b"200 succeeded, 0 failed", done.stdout, done.stdout)

    def test_killed(self):
        (self.directory / "large").write_bytes(block(100 * MIB))
        weir = self.started(workers=1)
        client = self.client(weir, receive_buffer=4096).send(request("/large"))
        head = client.head()
        self.assertEqual(head.status, 200)
        self.server.kill()
        response = client.body(head)
        self.assertFalse(response.complete, response)
        self.assertEqual(weir.logged_one("/large")["cause"], "upstream_truncated")

    def test_h2load(self):
        (self.directory / "file").write_bytes(b"x" * 5000)
        weir = self.started()
        done = run(tool("h2load"), "-n", "5000", "-c", "10", "-m", "32", weir.url("/file"))
        self.assertIn(b"5000 succeeded, 0 failed", done.stdout, done.stdout)
        self.assertEqual(weir.status()["upstreams"][0]["name"], "app")


class ByNode(Upstream):
    def setUp(self):
        super().setUp()
        self.server = self.kept(Node())

    def started(self, **settings):
        return self.weir(self.server, upstream=HTTP2, **settings)

    def test_fields_of_a_request(self):
        client = self.client(self.started())
        client.send(request("/report", "X-Mixed: Value", "Cookie: a=1", "Connection: x-gone",
                            "X-Gone: 1", "TE: trailers", "Keep-Alive: 5", method="POST",
                            body=b"hello", host="app.test:81"))
        seen = json.loads(client.response("POST").body)["fields"]
        self.assertEqual((seen[":method"], seen[":path"], seen[":authority"], seen[":scheme"]),
                         ("POST", "/report", "app.test:81", "http"))
        self.assertEqual((seen["x-mixed"], seen["cookie"], seen["te"], seen["content-length"]),
                         ("Value", "a=1", "trailers", "5"))
        self.assertEqual({"host", "connection", "x-gone", "keep-alive"} & set(seen), set())

    @bound(60)
    def test_32_mib(self):
        weir = self.started()
        for version in self.over_both():
            done = self.curl(weir, f"/bulk/{32 * MIB}", "-o", self.directory / "got",
                             version=version)
            self.assertEqual(done.returncode, 0, done.stderr)
            got = (self.directory / "got").read_bytes()
            self.assertEqual((len(got), got[:8], got[-4:]), (32 * MIB, b"weirweir", b"weir"))

    @bound(90)
    def test_32_mib_up(self):
        data = block(32 * MIB)
        (self.directory / "large").write_bytes(data)
        weir = self.started()
        for version in self.over_both():
            done = self.curl(weir, "/report", "-T", self.directory / "large", version=version)
            seen = json.loads(done.stdout)
            self.assertEqual((seen["size"], seen["sha256"]), (len(data), digest(data)))

    def test_echo_while_it_is_sent(self):
        """Each piece comes back before the next is sent."""
        client = self.client(self.started())
        client.send(request("/echo", "Transfer-Encoding: chunked", method="POST"))
        head = None
        for number in range(10):
            piece = b"piece %d." % number
            client.send(chunk(piece))
            head = head or client.head()
            line = client.stream.until(b"\r\n")
            self.assertEqual(client.stream.exactly(int(line, 16) + 2), piece + b"\r\n")
        client.send(b"0\r\n\r\n")
        self.assertEqual(client.stream.until(b"\r\n\r\n"), b"0\r\n\r\n")

    def test_statuses_without_a_body(self):
        weir = self.started()
        client = self.client(weir)
        for status in (204, 304, 205, 404, 503):
            response = client.get(f"/status/{status}")
            self.assertEqual((response.status, response.body, response.fields.get("x-of")),
                             (status, b"", "node"))

    def test_early_hints(self):
        """Also when they come together with the response, in one piece."""
        weir = self.started()
        client = self.client(weir)
        for _ in range(20):
            response = client.get("/hints")
            self.assertEqual([i.status for i in response.interim], [103])
            self.assertIn("style.css", response.interim[0].fields.get("link"))
            self.assertEqual(response.body, b"hinted")
        done = run(tool("nghttp"), "-v", weir.url("/hints"))
        self.assertIn(b":status: 103", done.stdout)

    def test_trailers_both_ways(self):
        weir = self.started()
        client = self.client(weir)
        response = client.get("/trailers", "TE: trailers")
        self.assertEqual(response.trailers, [("x-sum", "abc"), ("x-more", "def")])
        client.send(request("/report", "Transfer-Encoding: chunked", "Trailer: x-up",
                            method="POST") + chunk(b"data") + b"0\r\nX-Up: yes\r\n\r\n")
        seen = json.loads(client.response("POST").body)
        self.assertEqual((seen["size"], seen["trailers"]["x-up"]), (4, "yes"))

    def test_expect_continue(self):
        client = self.client(self.started())
        client.send(request("/report", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        self.assertEqual(client.head().status, 100)
        client.send(b"hello")
        seen = json.loads(client.response("POST").body)
        self.assertEqual(seen["size"], 5)
