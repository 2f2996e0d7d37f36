# SPDX-License-Identifier: Apache-2.0
"""Connections on both sides: reuse, pipelining, close, HTTP/1.0 and half-close."""

from harness.case import Case
from harness.raw import request
from harness.waiting import eventually
from origins import scripts


class Reuse(Case):
    def test_one_connection_on_each_side(self):
        origin, weir = self.proxied(workers=1)
        client = self.client(weir)
        for number in range(50):
            self.assertEqual(client.get(f"/{number}").status, 200)
        self.assertEqual(len(origin.connections), 1)
        self.assertEqual(len(origin.connections[0].requests), 50)

    def test_one_origin_connection_for_many_clients(self):
        origin, weir = self.proxied(workers=1)
        for number in range(20):
            with self.client(weir) as client:
                self.assertEqual(client.get(f"/{number}").status, 200)
        self.assertEqual(len(origin.connections), 1)

    def test_reuse_after_bodies_of_every_framing(self):
        origin, weir = self.proxied(workers=1)
        origin.on("/length", scripts.body(b"a" * 5000))
        origin.on("/chunked", scripts.body(b"b" * 5000, "chunked", 999))
        origin.on("/none", scripts.raw(scripts.head(204)))
        client = self.client(weir)
        for _ in range(3):
            for path, size in (("/length", 5000), ("/chunked", 5000), ("/none", 0)):
                self.assertEqual(len(client.get(path).body), size)
        self.assertEqual(len(origin.connections), 1)

    def test_origin_says_close(self):
        origin, weir = self.proxied(scripts.text("bye\n", 200, "Connection: close"), workers=1)
        client = self.client(weir)
        for _ in range(3):
            response = client.get()
            self.assertEqual(response.body, b"bye\n")
            self.assertNotEqual(response.fields.get("connection", "").lower(), "close")
        self.assertEqual(len(origin.connections), 3)

    def test_http10_origin_is_not_reused(self):
        origin, weir = self.proxied(scripts.body(b"ten", version="1.0"), workers=1)
        client = self.client(weir)
        for _ in range(3):
            self.assertEqual(client.get().body, b"ten")
        self.assertEqual(len(origin.connections), 3)

    def test_idle_timeout_of_the_pool(self):
        origin, weir = self.proxied(workers=1, upstream={"app": {"idle_timeout": "200ms"}})
        self.client(weir).get()
        self.assertEqual(origin.ended(origin.connections[0]), "eof")

    def test_requests_max_of_the_pool(self):
        origin, weir = self.proxied(workers=1, upstream={"app": {"requests_max": 2}})
        client = self.client(weir)
        for _ in range(4):
            client.get()
        self.assertEqual([len(c.requests) for c in origin.connections], [2, 2])

    def test_client_idle_timeout(self):
        _, weir = self.proxied(timeouts={"client_idle": "200ms"})
        client = self.client(weir)
        self.assertEqual(client.get().status, 200)
        self.assertTrue(client.closed())

    def test_requests_per_connection(self):
        _, weir = self.proxied(limits={"requests_per_connection": 2})
        client = self.client(weir)
        self.assertNotIn("connection", client.get().fields)
        self.assertEqual(client.get().fields.get("connection").lower(), "close")
        self.assertTrue(client.closed())


class Pipelining(Case):
    def test_answers_come_in_order(self):
        origin = self.origin(script=scripts.report)
        weir = self.weir(origin)
        client = self.client(weir)
        client.send(b"".join(request(f"/{n}") for n in range(100)))
        for number in range(100):
            self.assertIn(b'"/%d"' % number, client.response().body)

    def test_slow_first_does_not_let_the_second_pass(self):
        origin = self.origin()
        origin.on("/slow", scripts.hold("go", scripts.text("slow")))
        weir = self.weir(origin)
        client = self.client(weir)
        client.send(request("/slow") + request("/fast"))
        origin.await_gate("arrived:go")
        origin.open("go")
        self.assertEqual(client.response().body, b"slow")
        self.assertEqual(client.response().body, b"hello from origin\n")

    def test_requests_with_bodies(self):
        _, weir = self.proxied(scripts.echo())
        client = self.client(weir)
        bodies = [b"%d" % n * n for n in range(1, 50)]
        client.send(b"".join(request("/", method="POST", body=body) for body in bodies))
        for body in bodies:
            self.assertEqual(client.response().body, body)

    def test_bad_one_ends_after_the_good_ones(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        client.send(request("/1") + request("/2") + b"BAD\x00 / HTTP/1.1\r\n\r\n" + request("/3"))
        self.assertEqual([client.response().status for _ in range(3)], [200, 200, 400])
        self.assertTrue(client.closed())
        self.assertEqual([r.path for r in origin.seen()], ["/1", "/2"])

    def test_empty_lines_between_requests(self):
        _, weir = self.proxied()
        client = self.client(weir)
        client.send(b"\r\n" + request() + b"\r\n" + request())
        self.assertEqual([client.response().status for _ in range(2)], [200, 200])


class Closing(Case):
    def test_client_says_close(self):
        origin, weir = self.proxied(workers=1)
        client = self.client(weir)
        response = client.get("/", "Connection: close")
        self.assertEqual(response.fields.get("connection", "").lower(), "close")
        self.assertTrue(client.closed())
        self.client(weir).get()
        self.assertEqual(len(origin.connections), 1, "the origin's connection lives on")

    def test_nothing_is_served_after_close(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        client.send(request("/1", "Connection: close") + request("/2"))
        self.assertEqual(client.response().status, 200)
        self.assertTrue(client.closed())
        self.assertEqual([r.path for r in origin.seen()], ["/1"])

    def test_http10_closes(self):
        _, weir = self.proxied()
        client = self.client(weir)
        self.assertEqual(client.send(request(version="1.0")).response().status, 200)
        self.assertTrue(client.closed())

    def test_http10_keep_alive(self):
        _, weir = self.proxied()
        client = self.client(weir)
        for _ in range(3):
            client.send(request("/", "Connection: keep-alive", version="1.0"))
            response = client.response()
            self.assertEqual(response.fields.get("connection", "").lower(), "keep-alive")
            self.assertEqual(response.framing, "length")

    def test_http10_without_host(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        self.assertEqual(client.send(b"GET /no-host HTTP/1.0\r\n\r\n").response().status, 200)
        self.assertEqual(len(origin.request("/no-host").fields.all("host")), 1)

    def test_half_closing_client_gets_its_response(self):
        origin = self.origin(script=scripts.hold("go", scripts.body(b"z" * 300_000)))
        weir = self.weir(origin, timeouts={"client_half_close": "20s"})
        client = self.client(weir).send(request()).finish()
        origin.await_gate("arrived:go")
        origin.open("go")
        response = client.response()
        self.assertTrue(response.complete, response)
        self.assertEqual(len(response.body), 300_000)
        self.assertTrue(client.closed())

    def test_half_closing_client_after_an_upload(self):
        _, weir = self.proxied(scripts.echo(), timeouts={"client_half_close": "20s"})
        client = self.client(weir).send(request(method="POST", body=b"q" * 200_000)).finish()
        self.assertEqual(len(client.response("POST").body), 200_000)

    def test_half_closing_client_of_pipelined_requests(self):
        _, weir = self.proxied(timeouts={"client_half_close": "20s"})
        client = self.client(weir).send(request() * 5).finish()
        self.assertEqual([client.response().status for _ in range(5)], [200] * 5)
        self.assertTrue(client.closed())

    def test_connection_without_a_request(self):
        origin, weir = self.proxied()
        self.client(weir).close()
        self.assertEqual(self.client(weir).get("/after").status, 200)
        eventually(lambda: len(weir.log()) == 1, "one line only: an empty connection is no request")
        self.assertEqual(len(origin.seen()), 1)
