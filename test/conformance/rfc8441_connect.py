# SPDX-License-Identifier: Apache-2.0
"""CONNECT and extended CONNECT, which is WebSocket over HTTP/2: RFC 9113 section 8.5, RFC 8441. To
HTTP/1 servers it is an Upgrade (RFC 6455)."""

import base64
import hashlib

from harness.message import Broken
from harness import h2
from harness.h2 import CANCEL, CONNECT_ERROR, INTERNAL_ERROR, headers
from harness.h2_client import Client
from harness.raw import Client as Http1Client
from origins import scripts

from .h2_rows import H2Table, bad_gateway, check, claim, either, malformed, over
from .messages import ok, reply

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
AUTHORITY = (":authority", "weir.test")


def connect(*fields, end_stream=False):
    return headers(1, h2.block((":method", "CONNECT"), *fields), end_stream)


def extended(*fields, protocol="websocket", scheme="http", path="/chat", version="13"):
    pseudo = ((":protocol", protocol), (":scheme", scheme), (":path", path), AUTHORITY)
    rest = ([("sec-websocket-version", version)] if version else []) + list(fields)
    return connect(*[(name, value) for name, value in pseudo if value is not None], *rest)


@check(over(1))
def refused_or_reset(seen):
    """Weir is no forward proxy."""
    found = seen.stream(1)
    claim(not seen.client.goaway and not seen.forwarded and not seen.partial, "passed",
          seen.forwarded, seen.said())
    claim(found.reset is not None or 400 <= (found.status or 0) <= 599, "neither", seen.said())


PLAIN = [
    ("9113 8.5", "CONNECT is refused", connect((":authority", "weir.test:443")), refused_or_reset),
    ("9113 8.5", "with END_STREAM", connect((":authority", "weir.test:443"), end_stream=True),
     refused_or_reset),
    ("9113 8.5", "with :scheme and :path but no :protocol",
     connect((":scheme", "http"), (":path", "/"), AUTHORITY), malformed()),
    ("9113 8.5", "with :path", connect((":path", "/"), AUTHORITY), malformed()),
    ("9113 8.5", "without :authority", connect(), malformed()),
    ("8441 4", "extended, without :path", extended(path=None), malformed()),
    ("8441 4", "extended, without :scheme", extended(scheme=None), malformed()),
    ("8441 4", "an empty :path", extended(path=""), malformed()),
    ("8441 4", ":protocol twice", extended((":protocol", "websocket")), malformed()),
    ("8441 4", "an unknown protocol", extended(protocol="other-protocol"),
     either(refused_or_reset, bad_gateway())),
    ("8441 4", "a line in the protocol", extended(protocol="websocket\r\nx: y"), malformed()),
    ("8441 4", "an empty protocol", extended(protocol=""), either(malformed(), refused_or_reset)),
    ("9113 8.2.2", "Upgrade beside it", extended(("upgrade", "websocket")), malformed()),
]


def accept_of(x):
    """The line that says that the server has understood the upgrade. RFC 6455 section 4.2.2."""
    key = x.request.fields.get("sec-websocket-key") or ""
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    return f"Sec-WebSocket-Accept: {accept}"


def handshaken(*lines, key_of=None, status=101):
    """A server that accepts the upgrade by the letter, and then echoes."""
    def script(x):
        x.send(scripts.head(status, "Connection: Upgrade", "Upgrade: websocket", accept_of(x),
                            *lines))
        stream = x.connection.stream
        while True:
            piece = stream.take(len(stream.buffer))
            if piece:
                x.send(piece)
            if piece.endswith(b"stop"):
                break
            try:
                if not stream.fill():
                    break
            except Broken:
                break
        x.reached("tunnel closed")
        x.close()
    return script


class Tunnel(H2Table):
    def open(self, client, **options):
        client.start()
        self.assertEqual(client.settings.get(h2.ENABLE_CONNECT_PROTOCOL), 1, client.settings)
        stream = client.expect(1, "CONNECT")
        client.send(extended(**options))
        client.until(lambda: stream.head or stream.ended, "an answer")
        return stream

    def test_refused(self):
        self.play_all(PLAIN)

    def test_handshake(self):
        """RFC 8441 section 5: GET with Upgrade and a key of Weir's; 101 becomes 200."""
        self.server.default = handshaken("Sec-WebSocket-Protocol: b")
        with Client(self.front.port) as client:
            client.start().expect(1, "CONNECT")
            client.send(extended(("sec-websocket-protocol", "a, b"), ("origin", "http://weir.test"),
                                 path="/chat?x=1"))
            stream = client.streams[1]
            client.until(lambda: stream.head or stream.ended, "an answer")
            self.assertEqual((stream.status, stream.ended), (200, False), stream)
            self.assertEqual(stream.fields.get("sec-websocket-protocol"), "b")
            for name in ("sec-websocket-accept", "upgrade", "connection", "content-length"):
                self.assertNotIn(name, stream.fields)
        request = self.server.request("/chat")
        self.assertEqual((request.method, request.target), ("GET", "/chat?x=1"))
        wanted = {"upgrade": "websocket", "sec-websocket-version": "13", "host": "weir.test",
                  "sec-websocket-protocol": "a, b", "origin": "http://weir.test"}
        for name, value in wanted.items():
            self.assertEqual(request.fields.all(name), [value], name)
        self.assertEqual(request.fields.get("connection").lower(), "upgrade")
        self.assertEqual(len(base64.b64decode(request.fields.get("sec-websocket-key"))), 16)
        self.assertNotIn(":protocol", request.raw_head.decode())
        self.assertNotIn("transfer-encoding", request.fields)

    def test_bytes_both_ways(self):
        self.server.default = handshaken()
        with Client(self.front.port) as client:
            stream = self.open(client)
            client.write(stream, b"one").until(lambda: stream.body == b"one", "an echo")
            sent = bytes(range(256)) * 4000
            client.upload(stream, sent, end_stream=False)
            client.until(lambda: len(stream.body) == 3 + len(sent), "the rest")
            self.assertEqual(bytes(stream.body[3:]), sent)
            client.write(stream, b"", True)  # the end of our direction
            client.finish(stream)
            self.assertTrue(stream.complete, stream)
            self.server.await_gate("tunnel closed")

    def test_other_streams_beside_it(self):
        self.server.default = handshaken()
        self.server.on("/plain", scripts.text("plain\n"))
        with Client(self.front.port) as client:
            stream = self.open(client)
            for number in range(3, 23, 2):
                self.assertEqual(client.get(number, path="/plain").body, b"plain\n")
                client.write(stream, b"x")
            client.until(lambda: stream.body == b"x" * 10, "the echoes")

    def test_end_by_the_server(self):
        self.server.default = handshaken()
        with Client(self.front.port) as client:
            stream = self.open(client)
            client.write(stream, b"stop")
            client.finish(stream)
            self.assertEqual((bytes(stream.body), stream.complete), (b"stop", True), stream)

    def test_reset_by_the_server(self):
        """RFC 8441 section 5: RST is RST_STREAM with CANCEL."""
        def script(x):
            x.send(scripts.head(101, "Connection: Upgrade", "Upgrade: websocket", accept_of(x)))
            x.connection.stream.exactly(3)
            x.reset()
        self.server.default = script
        with Client(self.front.port) as client:
            stream = self.open(client)
            client.write(stream, b"die")
            client.finish(stream)
            self.assertFalse(stream.complete, stream)
            self.assertIn(stream.reset, (CANCEL, CONNECT_ERROR, INTERNAL_ERROR), stream)

    def test_cancelled_by_the_client(self):
        self.server.default = handshaken()
        with Client(self.front.port) as client:
            stream = self.open(client)
            client.cancel(stream)
            self.server.await_gate("tunnel closed")
            self.server.default = scripts.text("next\n")
            self.assertEqual(client.get(3).body, b"next\n")

    def refusal(self, answer):
        self.server.default = scripts.raw(answer)
        with Client(self.front.port) as client:
            stream = self.open(client)
            client.finish(stream)
            if stream.reset is None:
                client.write(stream, b"", True)
            client.settle()
            self.server.default = scripts.text("next\n")
            self.assertEqual(client.get(3).body, b"next\n")
        return stream

    def test_refused_by_the_server(self):
        for status in (400, 403, 426):
            stream = self.refusal(ok(status=status))
            self.assertEqual((stream.status, bytes(stream.body)), (status, b"hello"))

    def test_a_server_that_answers_without_upgrade(self):
        """200 of HTTP/1 is no agreement: the client must not take it for one."""
        stream = self.refusal(ok())
        self.assertTrue(stream.status != 200 or stream.reset is not None, stream)

    def test_a_server_that_agrees_to_something_else(self):
        stream = self.refusal(reply("Connection: Upgrade", "Upgrade: other", status=101))
        self.assertEqual(stream.status, 502, stream)

    def test_a_wrong_accept(self):
        """RFC 6455 section 4.1: whoever sent the key has to look at the answer."""
        stream = self.refusal(reply("Connection: Upgrade", "Upgrade: websocket",
                                    "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                    status=101))
        self.assertEqual(stream.status, 502, stream)

    def test_http1_on_the_same_listener(self):
        self.server.default = scripts.upgrade("websocket")
        with Http1Client(self.front.port) as client:
            response = client.get("/chat", "Connection: Upgrade", "Upgrade: websocket")
            self.assertEqual(response.status, 101)
