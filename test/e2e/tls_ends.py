# SPDX-License-Identifier: Apache-2.0
"""How TLS connections end: with close_notify, without it, in bodies, in the handshake."""

import ssl

from harness.case import Case, bound
from harness.crowd import Crowd
from harness.message import chunk
from harness.raw import request
from harness.tls import TlsClient, trusting
from harness.waiting import eventually
from origins import scripts


class Ending(Case):
    def https(self, script=None, **settings):
        return self.proxied(script, listen=[{"address": "127.0.0.1:0", "tls": "self-signed"}],
                            **settings)

    def tls(self, weir, **options):
        client = TlsClient(weir.port, **options)
        self._stack.callback(client.close)
        return client


class Responses(Ending):
    def test_close_is_said(self):
        _, weir = self.https()
        client = self.tls(weir).send(request("/", "Connection: close"))
        self.assertTrue(client.response().complete)
        self.assertTrue(client.stream.at_end())
        self.assertEqual(client.stream.to_end(), b"", "an end, and not a cut")

    def test_body_until_close_ends_with_close_notify(self):
        """To an HTTP/1.0 client the end of the connection is the end of the body."""
        data = b"until the end " * 20_000
        _, weir = self.https(scripts.body(data, framing="chunked"))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting()
            context.maximum_version = version
            client = self.tls(weir, context=context)
            client.send(b"GET / HTTP/1.0\r\nHost: weir.test\r\n\r\n")
            response = client.response()
            self.assertEqual((response.framing, response.complete), ("close", True))
            self.assertTrue(response.body == data)

    def dying(self, version):
        """The response to a request of this version, whose origin dies in the middle."""
        part = scripts.head(200, "Transfer-Encoding: chunked") + chunk(b"part")
        origin, weir = self.https(scripts.die("rst", part, gate="die"))
        client = self.tls(weir)
        client.send(f"GET / HTTP/{version}\r\nHost: weir.test\r\n\r\n".encode())
        head = client.head()
        origin.open("die")
        return client.body(head)

    def test_origin_dies_in_a_body_until_close(self):
        """Without close_notify, so that nobody takes the part for the whole."""
        response = self.dying("1.0")
        self.assertEqual((response.framing, response.complete), ("close", False))

    def test_origin_dies_in_a_chunked_body(self):
        response = self.dying("1.1")
        self.assertEqual((response.framing, response.complete), ("chunked", False))

    def test_client_that_ended_its_direction_is_answered(self):
        origin, weir = self.https(scripts.hold("go"))
        client = self.tls(weir).send(request())
        origin.await_gate("arrived:go")
        client.cut()
        origin.open("go")
        self.assertEqual(client.response().body, b"late\n")


class Uploads(Ending):
    def cut(self, head, part, leave):
        origin, weir = self.https(scripts.echo())
        client = self.tls(weir).send(head + part)
        seen = origin.request("/up")
        eventually(lambda: len(seen.connection.received) > len(seen.raw_head), "part of the body")
        leave(client)
        origin.ended(seen.connection)
        self.assertFalse(seen.complete)
        self.assertIn(weir.logged_one("/up")["cause"], ("client_body_truncated", "client_closed"))

    LENGTH = request("/up", "Content-Length: 1000", method="POST")
    CHUNKED = request("/up", "Transfer-Encoding: chunked", method="POST")

    def test_cut_below_tls(self):
        self.cut(self.LENGTH, b"x" * 10, lambda client: client.plain.close() or client.close())

    def test_reset(self):
        self.cut(self.CHUNKED, b"5\r\nhello\r\n", lambda client: client.reset())

    def test_ended_by_close_notify(self):
        self.cut(self.LENGTH, b"x" * 10, lambda client: client.sock.close())

    def test_tunnel_that_is_cut_is_not_ended(self):
        origin, weir = self.https(scripts.upgrade("chat/1"))
        client = self.tls(weir)
        client.send(request("/t", "Connection: Upgrade", "Upgrade: chat/1"))
        self.assertEqual(client.response().status, 101)
        self.assertEqual(client.send(b"still").stream.exactly(5), b"still")
        client.cut()
        entry = weir.logged_one("/t")
        self.assertNotEqual(entry["cause"], "", entry)
        origin.await_gate("tunnel closed")


class Quiet(Ending):
    def test_idle_connections_end_without_a_word(self):
        _, weir = self.https()
        for leave in (lambda client: client.plain.close() or client.close(),
                      lambda client: client.sock.close(), lambda client: client.reset()):
            client = TlsClient(weir.port)
            self.assertEqual(client.get().status, 200)
            leave(client)
        eventually(lambda: weir.status()["total"]["connections_active"] == 0, "all are gone")
        self.assertEqual([entry["cause"] for entry in weir.logged(3)], ["", "", ""])

    def test_idle_timeout_says_close_notify(self):
        _, weir = self.https(timeouts={"client_idle": "100ms"})
        client = self.tls(weir)
        self.assertEqual(client.get().status, 200)
        self.assertEqual(client.stream.to_end(), b"")

    def test_who_only_connects_is_counted(self):
        _, weir = self.https()
        self.client(weir).close()
        eventually(lambda: weir.status()["causes"].get("tls_client_left") == 1, "the count")
        self.assertEqual(weir.log(), [])


class Handshakes(Ending):
    def test_slow_one_is_cut(self):
        _, weir = self.https(timeouts={"tls_handshake": "200ms"})
        client = self.client(weir)
        client.send(b"\x16\x03\x01\x02\x00\x01")
        self.assertTrue(client.stream.at_end())
        entry = weir.logged(1)[0]
        self.assertEqual((entry["cause"], entry["protocol"]), ("tls_handshake_timeout", "TLS"))

    def test_dripping_is_cut(self):
        """The limit is a total."""
        _, weir = self.https(timeouts={"tls_handshake": "500ms"})
        crowd = Crowd(weir.port, 5)
        crowd.drip(b"\x16\x03\x01\x02\x00" + b"\x01" * 100, every=0.05,
                   until=lambda: all(member.end for member in crowd.members))
        self.assertEqual(weir.status()["causes"]["tls_handshake_timeout"], 5)

    def test_plain_http_is_answered(self):
        _, weir = self.https()
        response = self.client(weir).get()
        self.assertEqual(response.status, 400)
        self.assertIn(b"https://", response.body)
        entry = weir.logged(1)[0]
        self.assertEqual((entry["cause"], entry["status"]), ("tls_plain_http", 400))

    def test_tls_to_a_plain_port_is_named(self):
        _, weir = self.proxied()
        with self.assertRaises(ssl.SSLError):
            TlsClient(weir.port)
        self.assertEqual(weir.logged(1)[0]["cause"], "tls_to_plain_port")

    def test_rubbish(self):
        _, weir = self.https()
        for rubbish in (b"\x16\x03\x01\x00\x05hello", b"\x80\x2e\x01\x03\x01", b"\x00" * 64,
                        b"\x16\x03\x01\xff\xff" + b"x" * 2000):
            client = self.client(weir).send(rubbish)
            client.stream.to_end()
        self.assertEqual({entry["cause"] for entry in weir.logged(4)}, {"tls_handshake_failed"})
        self.assertEqual(self.tls(weir).get().status, 200)

    @bound(60)
    def test_many_at_once(self):
        _, weir = self.https(timeouts={"client_head": "1m"})
        context = trusting()
        clients = [TlsClient(weir.port, context) for _ in range(300)]
        for client in clients:
            self.assertEqual(client.get().status, 200)
        for client in clients:
            client.close()

    def test_abort_and_drain(self):
        """Connections in their handshake do not hold up the end."""
        _, weir = self.https(timeouts={"drain": "300ms"})
        silent = self.client(weir)
        served = self.tls(weir)
        self.assertEqual(served.get().status, 200)
        self.assertEqual(weir.terminate(within=10), 0)
        silent.close()
