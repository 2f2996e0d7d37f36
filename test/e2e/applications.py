# SPDX-License-Identifier: Apache-2.0
"""Servers that people put behind a proxy: gunicorn, wsgiref, uvicorn, aiohttp, Node, PHP. The same
application runs on each, so the same is asked of each; see origins/applications.py."""

import json
import os
import random

from harness.case import Case, bound
from harness.message import chunked
from harness.raw import request
from harness.waiting import eventually
from origins import applications
from origins.applications import LINE
from origins.origin import digest

DATA = random.Random(3).randbytes(1_300_000)
SIZES = (0, 1, 15, 16, 4096, 100_000, 3_000_001)


def open_gate(path):
    """Lets whoever reads the FIFO go on, once somebody does."""
    def opened():
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK) + 1
        except OSError:
            return None
    os.close(eventually(opened, f"the origin waits at {path.name}") - 1)


class Served:
    """The tests of one server; a class below names its starter."""

    starter = None
    chunked_uploads = True
    continues = True

    def serve(self, **settings):
        self.backend = self.kept(type(self).starter(self.directory))
        return self.weir(self.backend.address, **settings)

    def claim_logged(self, weir, count, *unusual):
        """That many requests, each answered well; those of other outcomes are named."""
        log = weir.logged(count)
        outcomes = sorted((e["path"].split("?")[0], e["status"], e["cause"])
                          for e in log if (e["status"], e["cause"]) != (200, ""))
        self.assertEqual((len(log), outcomes), (count, sorted(unusual)))

    @bound(60)
    def test_requests_and_responses(self):
        weir = self.serve()
        client = self.client(weir)
        for method in ("GET", "DELETE", "OPTIONS", "PUT"):
            response = client.get("/seen?a=1&b=%20", "X-Kept: so it is", method=method)
            seen = json.loads(response.body)
            self.assertEqual((seen["method"], seen["path"], seen["query"]),
                             (method, "/seen", "a=1&b=%20"))
            fields = {name: seen["headers"].get(name)
                      for name in ("host", "x-kept", "x-forwarded-for", "x-forwarded-proto")}
            self.assertEqual(fields, {"host": "weir.test", "x-kept": "so it is",
                                      "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http"})
        for status in (204, 304, 404, 500):
            self.assertEqual(client.get(f"/status/{status}").status, status)
        cookies = client.get("/cookies")
        self.assertEqual(cookies.fields.all("set-cookie"), ["a=1; Path=/", "b=2"])
        self.assertEqual(client.get("/missing").body, b"nothing\n")
        self.claim_logged(weir, 10, ("/status/204", 204, ""), ("/status/304", 304, ""),
                          ("/status/404", 404, ""), ("/status/500", 500, ""),
                          ("/missing", 404, ""))
        self.check_downloads(client)

    def check_downloads(self, client):
        for size in SIZES:
            response = client.get(f"/size/{size}")
            self.assertEqual((response.status, response.complete), (200, True), response)
            self.assertEqual(digest(response.body), digest((LINE * (size // 16 + 1))[:size]))
        for count in (0, 1, 700):
            response = client.get(f"/pieces/{count}")
            self.assertEqual((response.status, response.complete), (200, True), response)
            self.assertEqual(digest(response.body), digest(LINE * 64 * count))
        head = client.get("/size/1000", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(client.get("/size/3").body, b"012")

    @bound(60)
    def test_uploads(self):
        weir = self.serve()
        client = self.client(weir)
        for size in (0, 1, 5000, len(DATA)):
            data = DATA[:size]
            client.send(request("/digest", method="POST", body=data))
            self.assertEqual(client.response("POST").body.decode(), f"{size} {digest(data)}")
        for size in (1, 5000, 50_000):
            client.send(request("/echo", method="POST", body=DATA[:size]))
            response = client.response("POST")
            self.assertEqual((response.complete, digest(response.body)),
                             (True, digest(DATA[:size])))
        client.send(request("/digest", "Transfer-Encoding: chunked", method="POST")
                    + chunked(DATA, 7001))
        response = client.response("POST")
        if self.chunked_uploads:
            self.assertEqual(response.body.decode(), f"{len(DATA)} {digest(DATA)}")
            self.claim_logged(weir, 8)
        if self.continues:
            self.check_continue(client)
        self.check_early_answer(weir)

    def check_continue(self, client):
        """The body is sent only when the server has asked for it."""
        client.send(request("/digest", "Expect: 100-continue", "Content-Length: 5000",
                            method="POST"))
        self.assertEqual(client.head().status, 100)
        client.send(DATA[:5000])
        self.assertEqual(client.response("POST").body.decode(), f"5000 {digest(DATA[:5000])}")

    def check_early_answer(self, weir):
        """The server answers before it has read the upload, and may reset what it did not read."""
        for size in (10, 400_000):
            client = self.client(weir)
            client.try_send(request("/unread", method="POST", body=DATA[:size]))
            response = client.response("POST")
            self.assertEqual((response.status, response.body), (413, b"too much\n"), response)
        self.assertEqual(self.client(weir).get("/size/3").body, b"012")

    @bound(60)
    def test_streams(self):
        weir = self.serve()
        gate = self.directory / "gate"
        os.mkfifo(gate, 0o666)
        client = self.client(weir).send(request(f"/gated?gate={gate}"))
        response = client.head()
        eventually(lambda: b"first\n" in client.stream.buffer or client.stream.fill() and False,
                   "the first piece, before the last is made")
        self.assertNotIn(b"last", client.stream.buffer)
        open_gate(gate)
        self.assertEqual(client.body(response).body, b"first\nlast\n")
        self.claim_logged(weir, 1)
        self.check_leaving(weir)

    def check_leaving(self, weir):
        gone = self.directory / "gone"
        client = self.client(weir).send(request(f"/endless?gate={gone}"))
        client.head()
        client.stream.exactly(300_000)
        client.reset()
        eventually(gone.exists, "the origin learns that nobody reads")
        self.assertEqual(self.client(weir).get("/size/3").body, b"012")
        self.assertEqual(weir.logged_one("/endless")["cause"], "client_closed")


class GunicornSync(Served, Case):
    starter = applications.gunicorn_sync


class GunicornThreads(Served, Case):
    starter = applications.gunicorn_threads


class Wsgiref(Served, Case):
    """Knows no chunked requests, and no 100."""
    starter = applications.wsgiref
    chunked_uploads = False
    continues = False


class Uvicorn(Served, Case):
    starter = applications.uvicorn


class Aiohttp(Served, Case):
    starter = applications.aiohttp


class Node(Served, Case):
    starter = applications.node


class Php(Served, Case):
    starter = applications.php
    continues = False


class PhpFpm(Served, Case):
    starter = applications.PhpFpm
