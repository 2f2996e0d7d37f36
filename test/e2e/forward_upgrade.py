# SPDX-License-Identifier: Apache-2.0
"""Connections that stop being HTTP by an Upgrade. WebSocket: clients_websocket.py."""

from harness.case import Case, bound
from harness.raw import request
from origins import scripts


class Tunnels(Case):
    def upgraded(self, weir, protocol="chat/1", path="/"):
        client = self.client(weir)
        client.send(request(path, "Connection: Upgrade", f"Upgrade: {protocol}"))
        return client, client.response()

    def test_any_protocol(self):
        origin, weir = self.proxied(scripts.upgrade("chat/1"))
        client, response = self.upgraded(weir)
        self.assertEqual((response.status, response.fields.get("upgrade")), (101, "chat/1"))
        self.assertEqual(response.fields.get("connection").lower(), "upgrade")
        seen = origin.request("/")
        self.assertEqual((seen.fields.get("upgrade"), seen.fields.get("connection").lower()),
                         ("chat/1", "upgrade"))
        for data in (b"\0\1\2", b"GET / HTTP/1.1\r\n\r\n", b"x" * 100_000):
            self.assertEqual(client.send(data).stream.exactly(len(data)), data)

    def test_bytes_sent_right_behind_the_request(self):
        """What follows the request at once belongs to the tunnel."""
        _, weir = self.proxied(scripts.upgrade("chat/1"))
        client = self.client(weir)
        client.send(request("/", "Connection: Upgrade", "Upgrade: chat/1") + b"eager bytes")
        self.assertEqual(client.response().status, 101)
        self.assertEqual(client.stream.exactly(11), b"eager bytes")

    def test_bytes_right_behind_the_101(self):
        data = scripts.head(101, "Connection: upgrade", "Upgrade: chat/1") + b"server first"

        def script(x):
            x.send(data)
            x.peer_gone()
            x.close()
        _, weir = self.proxied(script)
        client, response = self.upgraded(weir)
        self.assertEqual(response.status, 101)
        self.assertEqual(client.stream.exactly(12), b"server first")

    def test_refused_upgrade_stays_http(self):
        origin, weir = self.proxied()
        client, response = self.upgraded(weir)
        self.assertEqual((response.status, response.body), (200, b"hello from origin\n"))
        self.assertEqual(client.get("/next").status, 200)
        self.assertEqual([r.path for r in origin.seen()], ["/", "/next"])

    def test_client_end_reaches_the_origin(self):
        origin, weir = self.proxied(scripts.upgrade("chat/1"))
        client, _ = self.upgraded(weir)
        client.close()
        origin.await_gate("tunnel closed")

    def test_half_close_of_the_client_passes(self):
        """The client sends its last byte and its end; the echo of all of it must still arrive."""
        _, weir = self.proxied(scripts.upgrade("chat/1"), timeouts={"client_half_close": "20s"})
        client, _ = self.upgraded(weir)
        client.send(b"y" * 500_000).finish()
        self.assertEqual(client.stream.to_end(), b"y" * 500_000)

    def test_origin_end_reaches_the_client(self):
        def script(x):
            x.send(scripts.head(101, "Connection: Upgrade", "Upgrade: chat/1") + b"last words")
            x.close()
        _, weir = self.proxied(script)
        client, _ = self.upgraded(weir)
        self.assertEqual(client.stream.to_end(), b"last words")

    def test_connection_is_never_reused(self):
        origin, weir = self.proxied(workers=1)
        origin.on("/up", scripts.upgrade("chat/1"))
        client, _ = self.upgraded(weir, path="/up")
        client.close()
        origin.await_gate("tunnel closed")
        self.client(weir).get("/after")
        self.assertNotEqual(origin.request("/after").connection, origin.request("/up").connection)

    @bound(40)
    def test_idle_tunnel_is_closed(self):
        origin, weir = self.proxied(scripts.upgrade("chat/1"), timeouts={"tunnel_idle": "300ms"})
        client, _ = self.upgraded(weir)
        self.assertEqual(client.send(b"once").stream.exactly(4), b"once")
        self.assertTrue(client.closed())
        origin.await_gate("tunnel closed")
        self.assertEqual(weir.logged_one("/")["cause"], "tunnel_idle_timeout")

    def test_upgrade_without_connection_is_ignored(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        self.assertEqual(client.get("/", "Upgrade: chat/1").status, 200)
        self.assertNotIn("upgrade", origin.request("/").fields)

    def test_h2c_is_not_offered_to_the_origin(self):
        """A tunnel of HTTP/2 would carry requests past every route."""
        origin, weir = self.proxied(scripts.upgrade("h2c"))
        client = self.client(weir)
        client.send(request("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"))
        response = client.response()
        self.assertNotEqual(response.status, 101)
        self.assertNotIn("http2-settings", origin.seen("/")[0].fields)
