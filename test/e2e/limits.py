# SPDX-License-Identifier: Apache-2.0
"""Limits: what is above is refused with its own cause, what is at the limit passes."""

from harness.case import Case
from harness.message import Broken, chunked
from harness.raw import Client, request
from harness.waiting import eventually
from origins import scripts


class Limits(Case):
    def test_body_by_length(self):
        origin, weir = self.proxied(scripts.echo(), limits={"body_size": "1KiB"})
        client = self.client(weir)
        self.assertEqual(
            client.send(request(method="POST", body=b"x" * 1024)).response("POST").status, 200)
        client.send(request("/large", "Content-Length: 1025", method="POST"))
        self.claim_refused(client.response("POST"), 413, "body_too_large")
        self.assertTrue(client.closed())
        self.assertEqual(origin.seen("/large"), [])

    def test_body_in_chunks(self):
        origin, weir = self.proxied(scripts.echo(), limits={"body_size": "1KiB"})
        client = self.client(weir)
        head = request("/c", "Transfer-Encoding: chunked", method="POST")
        client.send(head + chunked(b"x" * 1024, 100))
        self.assertEqual(client.response("POST").status, 200)
        client.send(request("/large", "Transfer-Encoding: chunked", method="POST"))
        client.try_send(chunked(b"x" * 5000, 100))
        self.claim_refused(client.response("POST"), 413, "body_too_large")
        self.assertTrue(client.closed())
        self.assertEqual([r for r in origin.seen("/large") if r.complete], [])

    def test_expecting_client_is_told_before_it_sends(self):
        _, weir = self.proxied(limits={"body_size": "1KiB"})
        client = self.client(weir)
        client.send(request("/", "Content-Length: 5000", "Expect: 100-continue", method="POST"))
        response = client.response("POST")
        self.claim_refused(response, 413, "body_too_large")
        self.assertEqual(response.interim, [])

    def test_head_size(self):
        _, weir = self.proxied(limits={"head_size": "64KiB"})
        self.assertEqual(self.client(weir).get("/", "X-A: " + "a" * 60_000).status, 200)
        refused = self.client(weir).get("/", "X-A: " + "a" * 70_000)
        self.claim_refused(refused, 431, "head_too_large")

    def test_head_fields(self):
        _, weir = self.proxied(limits={"head_fields": 5})
        self.assertEqual(self.client(weir).get("/", *["X-A: b"] * 4).status, 200)
        self.claim_refused(self.client(weir).get("/", *["X-A: b"] * 5), 431, "head_too_large")

    def test_target_size(self):
        _, weir = self.proxied(limits={"target_size": "100B"})
        self.assertEqual(self.client(weir).get("/" + "a" * 99).status, 200)
        self.claim_refused(self.client(weir).get("/" + "a" * 100), 414, "target_too_long")

    def test_connections(self):
        origin, weir = self.proxied(limits={"connections": 6})
        origin.default = scripts.hold("go")
        clients = [self.client(weir).send(request(f"/{n}")) for n in range(6)]
        eventually(lambda: len(origin.seen()) == 6, "six requests at once")
        seventh = self.client(weir)
        seventh.try_send(request())
        self.claim_refused(seventh.response(), 503, "overload_connections")
        self.assertTrue(seventh.closed())
        origin.open("go")
        for client in clients:
            self.assertEqual(client.response().status, 200)

        def served():
            with Client(weir.port) as client:
                client.try_send(request())
                try:
                    return client.response().status == 200
                except Broken:
                    return False
        eventually(served, "an idle connection makes room")

    def test_idle_connection_makes_room(self):
        _, weir = self.proxied(limits={"connections": 4})
        clients = [self.client(weir) for _ in range(4)]
        for client in clients:
            self.assertEqual(client.get().status, 200)
        fifth = self.client(weir)
        self.assertEqual(fifth.get().status, 200)
        eventually(lambda: weir.status()["total"]["connections_active"] <= 4, "one idle is closed")

    def test_limits_change_with_a_reload(self):
        origin, weir = self.proxied(scripts.echo())
        client = self.client(weir)
        client.send(request(method="POST", body=b"x" * 100))
        self.assertEqual(client.response("POST").status, 200)
        weir.reload(self.config(servers=origin, limits={"body_size": "10B"}))
        client.send(request("/", "Content-Length: 100", method="POST"))
        self.claim_refused(client.response("POST"), 413, "body_too_large")

    def test_cause_header_can_be_switched_off(self):
        weir = self.weir(cause_header=False, route=[{"match": {"path": "/a"}, "respond": 204}])
        response = self.client(weir).get("/b")
        self.assertEqual((response.status, response.cause), (404, ""))
        self.assertEqual(weir.logged_one("/b")["cause"], "no_route")
