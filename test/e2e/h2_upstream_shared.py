# SPDX-License-Identifier: Apache-2.0
"""Connections to HTTP/2 servers and who shares them: how many there are, when they end, who goes on
elsewhere."""

import signal
import threading

from e2e.h2_upstream_odd import Scripted
from harness.case import bound
from harness.raw import Client, request
from harness.waiting import closed_port, eventually
from origins import scripts
from origins.h2_origin import CODES, Exchange


def held(x):
    x.body()
    x.wait("go")
    x.text("held")


class Shared(Scripted):
    def at_once(self, weir, origin, count):
        """So many requests that are all with the server at the same time."""
        clients = [self.client(weir).send(request(f"/{n}")) for n in range(count)]
        eventually(lambda: len(origin.seen()) == count,
                   lambda: f"{len(origin.seen())} of {count} requests arrive", 25)
        return clients

    def test_as_few_as_they_need(self):
        origin, weir = self.scripted(held, app={"streams_max": 10})
        clients = self.at_once(weir, origin, 35)
        self.assertEqual(len(origin.connections), 4)
        origin.open("go")
        for client in clients:
            self.assertEqual(client.response().body, b"held")

    @bound(60)
    def test_500_at_a_cold_start(self):
        origin, weir = self.scripted(held, app={"streams_max": 100})
        clients = self.at_once(weir, origin, 500)
        self.assertEqual(len(origin.connections), 5)
        origin.open("go")
        for client in clients:
            self.assertEqual(client.response().body, b"held")

    def test_server_lowers_it(self):
        origin, weir = self.scripted(held)
        clients = self.at_once(weir, origin, 3)
        x = Exchange(origin, origin.seen()[0])
        x.set(MAX_CONCURRENT_STREAMS=2)
        # The acknowledgement shows that it is known.
        eventually(lambda: x.connection.h2.local_settings.max_concurrent_streams == 2, "known")
        clients += [self.client(weir).send(request("/more"))]
        origin.request("/more")
        self.assertEqual(len(origin.connections), 2)
        origin.open("go")
        self.assertEqual([c.response().body for c in clients], [b"held"] * 4)

    def test_refused_connection_is_no_stampede(self):
        """All who wait for a connection share its failure."""
        reserved, address = closed_port()
        weir = self.before(address)
        clients = [self.client(weir).send(request(f"/{n}")) for n in range(30)]
        for client in clients:
            self.assertEqual(client.response().status // 100, 5)
        reserved.close()

    def test_client_leaves_while_it_waits_for_a_connection(self):
        """Its request is not sent."""
        from e2e.upstreams import Balance
        weir = self.before(Balance.black_hole(self), timeouts={"upstream_connect": "60s"})
        first = self.client(weir).send(request("/first"))
        eventually(lambda: weir.status()["workers"][0]["requests_active"] == 1, "it connects")
        second = self.client(weir).send(request("/second"))
        eventually(lambda: weir.status()["workers"][0]["requests_active"] == 2, "it waits")
        second.reset()
        self.assertEqual(weir.logged_one("/second")["cause"], "client_closed")
        first.reset()
        self.assertEqual(weir.logged_one("/first")["cause"], "client_closed")

    @bound(60)
    def test_slow_clients_hold_up_nobody(self):
        """Most streams of a connection are stalled by their clients: the others are not."""
        data = b"x" * 1_000_000
        origin, weir = self.scripted(lambda x: x.text(data), app={"streams_max": 32})
        slow = []
        for number in range(30):
            client = self.client(weir, receive_buffer=4096).send(request(f"/slow{number}"))
            self.assertEqual(client.head().status, 200)
            slow.append(client)
        for number in range(3):
            client = self.client(weir)
            self.assertEqual(len(client.get(f"/fast{number}").body), len(data))
        self.assertEqual(len(origin.connections), 1)

    @bound(60)
    def test_memory_with_100_stalled(self):
        data = b"x" * 4_000_000
        origin, weir = self.scripted(lambda x: x.text(data), app={"streams_max": 100})
        self.client(weir).get("/first")
        before = weir.memory()
        slow = []
        for number in range(100):
            client = self.client(weir, receive_buffer=4096).send(request(f"/slow{number}"))
            self.assertEqual(client.head().status, 200)
            slow.append(client)
        self.claim_growth(weir.memory() - before, 24 << 20)


class Again(Scripted):
    def test_refused_stream(self):
        """RFC 9113 section 8.7: it was not looked at, whichever method it has."""
        count = []

        def script(x):
            count.append(x)
            if len(count) % 2 == 1:
                x.reset(CODES.REFUSED_STREAM)
            else:
                x.text("taken")
        _, weir = self.scripted(script)
        client = self.client(weir)
        self.assertEqual(client.get("/one").body, b"taken")
        client.send(request("/two", method="POST", body=b""))
        self.assertEqual(client.response("POST").body, b"taken")
        self.assertEqual([e["retries"] for e in weir.logged(2)], [1, 1])

    def test_refused_upload(self):
        """Its body is gone: the client is told."""
        _, weir = self.scripted(lambda x: (x.received(1), x.reset(CODES.REFUSED_STREAM)))
        client = self.client(weir).send(request("/up", method="POST", body=b"body"))
        self.claim_refused(client.response("POST"), 502, "upstream_closed")

    def test_goaway(self):
        """Those that the server has taken finish, the others go elsewhere, on one connection."""
        origin, weir = self.scripted(held)
        clients = []
        for number in range(6):
            clients.append(self.client(weir).send(request(f"/{number}")))
            eventually(lambda: len(origin.seen()) == number + 1, "it arrives")
        first = origin.connections[0]
        Exchange(origin, origin.seen()[0]).goaway(first.requests[1].stream)
        eventually(lambda: len(origin.seen()) == 10, lambda: f"four come again {origin.seen()}")
        self.assertEqual(len(origin.connections), 2)
        origin.open("go")
        for client in clients:
            self.assertEqual(client.response().body, b"held")
        # All is answered: a frame of the server's that comes late may turn the end into a reset.
        self.assertIn(origin.ended(first), ("eof", "reset"))
        self.assertEqual(sorted(e["retries"] for e in weir.logged(6)), [0, 0, 1, 1, 1, 1])

    def test_goaway_of_an_idle_connection(self):
        origin, weir = self.scripted(lambda x: (x.text("one"), x.goaway(x.request.stream)))
        client = self.client(weir)
        self.assertEqual(client.get("/1").body, b"one")
        origin.ended(origin.connections[0])
        self.assertEqual(client.get("/2").body, b"one")

    def test_connection_dies_under_many(self):
        """Idempotent requests are sent again, once, and on one connection."""
        def script(x):
            if x.connection.number == 0:
                x.wait("die")
            else:
                x.text("again")
        origin, weir = self.scripted(script)
        clients = [self.client(weir).send(request(f"/{n}")) for n in range(8)]
        eventually(lambda: len(origin.seen()) == 8, "all there")
        Exchange(origin, origin.seen()[0]).die()
        bodies = [client.response().body for client in clients]
        # The first of them made the connection: RFC 9112 section 9.3.1 does not speak of it.
        self.assertGreaterEqual(bodies.count(b"again"), 7, bodies)
        self.assertEqual(len(origin.connections), 2)
        origin.open("die")


class Ends(Scripted):
    def test_idle_timeout(self):
        origin, weir = self.scripted(lambda x: x.text("x"), app={"idle_timeout": "100ms"})
        client = self.client(weir)
        self.assertEqual(client.get("/1").status, 200)
        self.assertEqual(origin.ended(origin.connections[0]), "eof")
        self.assertEqual(origin.connections[0].goaway, CODES.NO_ERROR)
        self.assertEqual(client.get("/2").status, 200)

    def test_requests_max(self):
        origin, weir = self.scripted(lambda x: x.text("x"), app={"requests_max": 3})
        client = self.client(weir)
        for number in range(7):
            self.assertEqual(client.get(f"/{number}").status, 200)
        self.assertEqual([len(c.requests) for c in origin.connections], [3, 3, 1])
        self.assertEqual(origin.ended(origin.connections[0]), "eof")

    def test_lifetime(self):
        origin, weir = self.scripted(lambda x: x.text("x"), app={"lifetime": "1ms"})
        client = self.client(weir)
        for number in range(3):
            self.assertEqual(client.get(f"/{number}").status, 200)
            origin.ended(origin.connections[number])

    def test_reload_removes_the_upstream(self):
        """What is under way finishes; then its connection ends, as an idle one does at once."""
        origin, weir = self.scripted(held)
        client = self.client(weir).send(request("/under/way"))
        origin.request("/under/way")
        other = self.origin()
        weir.reload(self.config(servers=[other], upstream={"app": {}}, workers=1))
        config = self.config(servers=[other], workers=1)
        config["upstream"] = {"new": {"servers": [other.address]}}
        config["route"][0]["upstream"] = "new"
        self.assertEqual(weir.reload(config).returncode, 0)
        self.assertEqual(self.client(weir).get("/x").status, 200)
        origin.open("go")
        self.assertEqual(client.response().body, b"held")
        self.assertEqual(origin.ended(origin.connections[0]), "eof")

    def test_reload_removes_an_idle_one(self):
        origin, weir = self.scripted(lambda x: x.text("x"))
        self.assertEqual(self.client(weir).get("/1").status, 200)
        other = self.origin()
        config = self.config(servers=[other], workers=1)
        config["upstream"] = {"new": {"servers": [other.address]}}
        config["route"][0]["upstream"] = "new"
        self.assertEqual(weir.reload(config).returncode, 0)
        self.assertEqual(origin.ended(origin.connections[0]), "eof")

    def test_reload_changes_the_protocol(self):
        origin, weir = self.scripted(held)
        client = self.client(weir).send(request("/under/way"))
        origin.request("/under/way")
        origin.open("go")
        origin.stop()
        self.assertEqual(client.response().body, b"held")
        plain = self.origin(port=origin.port, script=scripts.text("plain"))
        self.assertEqual(weir.reload(self.config(servers=[plain], workers=1)).returncode, 0)
        self.assertEqual(origin.ended(origin.connections[0]), "eof")
        self.assertEqual(client.get("/2").body, b"plain")

    def test_stop_waits_for_streams(self):
        origin, weir = self.scripted(held)
        clients = [self.client(weir).send(request(f"/{n}")) for n in range(5)]
        eventually(lambda: len(origin.seen()) == 5, "all there")
        weir.process.signal(signal.SIGTERM)
        weir.process.line("drain|stopping|ending")
        origin.open("go")
        for client in clients:
            self.assertEqual(client.response().body, b"held")
        self.assertEqual(weir.process.wait(10), 0)

    def test_end_of_the_drain(self):
        origin, weir = self.scripted(held, timeouts={"drain": "100ms"})
        clients = [self.client(weir).send(request(f"/{n}")) for n in range(5)]
        eventually(lambda: len(origin.seen()) == 5, "all there")
        weir.process.signal(signal.SIGTERM)
        self.assertEqual(weir.process.wait(10), 0)
        self.assertEqual({e["cause"] for e in weir.log()}, {"cancelled"})
        for client in clients:
            client.close()
        origin.open("go")

    def test_client_leaves(self):
        origin, weir = self.scripted(lambda x: x.await_reset())
        client = self.client(weir).send(request("/x"))
        seen = origin.request("/x")
        client.reset()
        eventually(lambda: seen.code == CODES.CANCEL, "the server is told")
        self.assertEqual(weir.logged_one("/x")["cause"], "client_closed")
        self.claim_others_live(weir)


class Upgrade(Scripted):
    def test_websocket(self):
        """Upgrade is of HTTP/1 alone: the request goes on as a plain one, the answer comes back."""
        origin, weir = self.scripted(lambda x: x.text("no", 426))
        response = self.client(weir).get("/ws", "Connection: Upgrade", "Upgrade: websocket",
                                         "Sec-WebSocket-Version: 13",
                                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        self.assertEqual((response.status, response.body), (426, b"no"))
        self.assertNotIn("upgrade", origin.request("/ws").fields)
