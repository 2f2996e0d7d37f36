# SPDX-License-Identifier: Apache-2.0
"""Streams beside each other: one that stalls, dies or is left does nothing to the others; and what
happens to all of them at a reload, a drain and the end of the client."""

import hashlib
import signal
import sys
import pathlib

from harness import h2
from harness.case import Case, bound
from harness.h2_client import Client
from harness.waiting import eventually
from origins import scripts

MIB = 1 << 20
ECHO = pathlib.Path(__file__).resolve().parent.parent / "origins" / "websocket_echo.py"


class StreamCase(Case):
    def h2(self, weir, *pairs, **options):
        client = Client(weir.port, **options)
        self._stack.callback(client.close)
        return client.start(*pairs)



class Stalled(StreamCase):
    @bound(60)
    def test_one_of_eight_downloads(self):
        """The first takes 64 KiB and no more; seven others of 8 MiB are whole, and its rest waits
        at the server, not in memory."""
        data = hashlib.shake_256(b"eight").digest(8 * MIB)
        origin, weir = self.proxied(scripts.body(data), workers=1)
        client = self.h2(weir, feed=False)
        stalled = client.open(1, path="/stalled")
        client.until(lambda: len(stalled.body) == h2.WINDOW, "the first window")
        client.grant(0, h2.WINDOW)
        before = weir.memory()
        weir.reset_peak()
        streams = [client.open(number) for number in range(3, 17, 2)]
        left = set(streams)
        while left:
            client.read()
            for stream in list(left):
                for frame in self.taken(stream):
                    client.grant(0, frame)
                    if not stream.ended:
                        client.grant(stream.number, frame)
                if stream.ended:
                    left.remove(stream)
        for stream in streams:
            self.assertTrue(stream.complete, stream)
            self.assertEqual(hashlib.sha256(stream.body).digest(), hashlib.sha256(data).digest())
        self.assertEqual(len(stalled.body), h2.WINDOW)
        self.claim_growth(weir.memory("VmHWM") - before, 12 * MIB)
        while not stalled.ended:  # and goes on
            client.grant(0, h2.WINDOW)
            client.grant(1, h2.WINDOW)
            before_size = len(stalled.body)
            client.until(lambda: stalled.ended or len(stalled.body) > before_size, "the rest")
        self.assertEqual(bytes(stalled.body), data)

    @staticmethod
    def taken(stream):
        """What came on the stream since the last time."""
        seen = getattr(stream, "seen", 0)
        stream.seen = len(stream.body)
        if stream.seen > seen:
            yield stream.seen - seen

    @bound(60)
    def test_an_upload_that_the_server_does_not_read(self):
        """It fills its window and waits; other requests of the connection go on, uploads too."""
        def never(x):
            x.wait("go")
            x.body()
            x.send(scripts.head(200, "Content-Length: 0"))
        origin, weir = self.proxied(scripts.echo(), workers=1)
        origin.on("/never", never)
        client = self.h2(weir)
        stuck = client.open(1, method="POST", end_stream=False, path="/never")
        sent = 0
        while True:
            size = min(stuck.credit, client.credit, h2.FRAME_MAX)
            if size <= 0 or sent > 64 * MIB:
                client.settle()
                if stuck.credit <= 0 or client.credit <= 0:
                    break
                continue
            client.write(stuck, bytes(size))
            sent += size
        self.assertGreater(client.credit, h2.FRAME_MAX, "it used up the connection's window")
        self.assertLess(sent, 64 * MIB)
        for number in range(3, 43, 2):
            stream = client.open(number, method="POST", end_stream=False, path="/echo")
            client.upload(stream, b"y" * 50_000)
            client.finish(stream)
            self.assertEqual((stream.complete, len(stream.body)), (True, 50_000), stream)
        origin.open("go")
        client.write(stuck, b"") if stuck.credit <= 0 else None
        client.until(lambda: stuck.credit > 0, "the window opens again")
        client.write(stuck, b"end", True)
        self.assertEqual(client.finish(stuck).status, 200)
        self.assertEqual(len(origin.request("/never").body), sent + 3)

    def test_a_response_that_waits(self):
        origin, weir = self.proxied(workers=1)
        origin.on("/waits", scripts.hold("go"))
        client = self.h2(weir)
        waiting = client.open(1, path="/waits")
        origin.await_gate("arrived:go")
        for number in range(3, 203, 2):
            self.assertEqual(client.get(number).body, b"hello from origin\n")
        origin.open("go")
        self.assertEqual(client.finish(waiting).body, b"late\n")


class Dying(StreamCase):
    def test_others_live_on(self):
        origin, weir = self.proxied(workers=1)
        part = scripts.head(200, "Content-Length: 100") + b"part"
        origin.on("/dies", scripts.die("fin", part, gate="die"))
        origin.on("/waits", scripts.hold("go"))
        client = self.h2(weir)
        dying = [client.open(number, path="/dies") for number in (1, 3, 5)]
        waiting = client.open(7, path="/waits")
        client.until(lambda: all(stream.body == b"part" for stream in dying), "the beginnings")
        origin.open("die")
        for stream in dying:
            client.finish(stream)
            self.assertEqual((stream.complete, stream.reset), (False, h2.INTERNAL_ERROR), stream)
        origin.open("go")
        self.assertEqual(client.finish(waiting).body, b"late\n")
        self.assertEqual(client.get(9).status, 200)
        self.assertIsNone(client.goaway)
        entries = [e for e in weir.logged(5) if e["path"] == "/dies"]
        self.assertEqual([e["cause"] for e in entries], ["upstream_truncated"] * 3)

    def test_a_server_that_hangs(self):
        origin, weir = self.proxied(workers=1, timeouts={"upstream_head": "300ms"})
        origin.on("/hangs", scripts.until_gone)
        client = self.h2(weir)
        stream = client.get(1, path="/hangs")
        self.assertEqual((stream.status, stream.cause), (504, "upstream_head_timeout"))
        origin.await_gate("gone")
        self.assertEqual(client.get(3).status, 200)

    def test_a_client_that_leaves(self):
        """All of its requests are cancelled at the servers, and logged."""
        for leave in (lambda client: client.close(), lambda client: client.reset()):
            origin, weir = self.proxied(scripts.until_gone, workers=1)
            client = self.h2(weir)
            for number in range(1, 21, 2):
                client.open(number)
            eventually(lambda: len(origin.seen()) == 10, "ten requests")
            leave(client)
            for connection in origin.connections:
                origin.ended(connection)
            self.assertEqual([e["cause"] for e in weir.logged(10)], ["client_closed"] * 10)
            eventually(lambda: weir.status()["total"]["connections_active"] == 0, "quiet")
            weir.end()

    def test_a_client_that_half_closes(self):
        """FIN behind the requests: they are answered, and then the connection ends."""
        origin, weir = self.proxied(workers=1)
        client = self.h2(weir)
        streams = [client.open(number) for number in range(1, 11, 2)]
        client.sock.shutdown(1)
        client.to_end()
        self.assertEqual([(s.status, s.complete) for s in streams], [(200, True)] * 5)


class Leaving(StreamCase):
    def under_way(self, **settings):
        origin, weir = self.proxied(scripts.hold("go"), workers=1, **settings)
        client = self.h2(weir)
        streams = [client.open(number) for number in range(1, 21, 2)]
        eventually(lambda: len(origin.seen()) == 10, "ten requests")
        return origin, weir, client, streams

    def test_drain(self):
        """GOAWAY; requests under way are finished, then the connection and Weir end."""
        origin, weir, client, streams = self.under_way()
        weir.process.signal(signal.SIGTERM)
        client.until(lambda: client.goaway, "GOAWAY")
        self.assertEqual(client.goaway[1], h2.NO_ERROR)
        origin.open("go")
        for stream in streams:
            self.assertEqual((client.finish(stream).body, stream.complete), (b"late\n", True))
        client.to_end()
        self.assertEqual((client.goaway[0], client.goaway[1]), (19, h2.NO_ERROR))
        self.assertEqual(weir.process.wait(), 0)

    def test_requests_behind_the_notice(self):
        """RFC 9113 section 6.8: the first GOAWAY names no stream as too late, and what a client
        sends before it has seen it is served; the last one says what was."""
        origin, weir, client, streams = self.under_way()
        weir.process.signal(signal.SIGTERM)
        client.until(lambda: client.goaway, "GOAWAY")
        late = client.open(21)
        client.settle()
        origin.open("go")
        client.to_end()
        if client.goaway[0] >= 21:
            self.assertEqual((late.status, late.complete), (200, True))
        else:
            self.assertIn(late.reset, (None, h2.REFUSED_STREAM))
            self.assertIsNone(late.head)
        self.assertEqual({s.complete for s in streams}, {True})

    def test_an_idle_connection_ends_at_once(self):
        origin, weir = self.proxied()
        client = self.h2(weir)
        client.get(1)
        weir.process.signal(signal.SIGTERM)
        client.to_end()
        self.assertEqual(client.goaway[1], h2.NO_ERROR)
        self.assertEqual(weir.process.wait(), 0)

    def test_drain_that_takes_too_long(self):
        """What is cut by it looks cut."""
        def script(x):
            x.send(scripts.head(200, "Content-Length: 100") + b"part")
            x.wait("never")
        origin, weir = self.proxied(script, workers=1, timeouts={"drain": "300ms"})
        client = self.h2(weir)
        stream = client.open(1)
        client.until(lambda: stream.body == b"part", "the beginning")
        weir.process.signal(signal.SIGTERM)
        client.to_end()
        self.assertFalse(stream.complete, stream)
        origin.open("never")

    def test_reload(self):
        """Requests under way keep their configuration, the next ones get the new one, on the same
        connection or behind GOAWAY."""
        origin, weir, client, streams = self.under_way()
        config = self.config(workers=1, route=[{"match": {"path": "/**"},
                                                "respond": {"status": 200, "body": "new"}}])
        self.assertEqual(weir.reload(config).returncode, 0)
        origin.open("go")
        for stream in streams:
            self.assertEqual(client.finish(stream).body, b"late\n")
        client.settle()
        if client.goaway or client.end:
            client = self.h2(weir)
        self.assertEqual(client.get(21).body, b"new")

    def test_idle_timeout(self):
        origin, weir = self.proxied(timeouts={"client_idle": "300ms"})
        client = self.h2(weir)
        client.get(1)
        client.to_end()
        self.assertEqual(client.goaway[1], h2.NO_ERROR)

    def test_a_request_longer_than_the_idle_timeout(self):
        """A connection with a request on it is not idle."""
        origin, weir = self.proxied(timeouts={"client_idle": "200ms"})
        origin.on("/slow", lambda x: (x.origin.gate("never").wait(1),
                                      scripts.text("slow\n")(x)))
        client = self.h2(weir)
        self.assertEqual(client.get(1, path="/slow").body, b"slow\n")


class WebSockets(StreamCase):
    """A browser's part is played by hand; the server is the websockets library, of HTTP/1."""

    def setUp(self):
        super().setUp()
        self.server = self.process(sys.executable, ECHO)
        self.front = self.weir(f"127.0.0.1:{self.server.line(r'port ([0-9]+)')[1]}", workers=1)

    def open(self, client, number, path="/chat", *fields):
        stream = client.expect(number, "CONNECT")
        client.send(h2.headers(number, h2.block(
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
            (":path", path), (":authority", "weir.test"), ("sec-websocket-version", "13"),
            ("origin", "http://weir.test"), *fields)))
        client.until(lambda: stream.head or stream.ended, "an answer")
        return stream

    @staticmethod
    def message(text, opcode=1):
        """A masked frame of RFC 6455 section 5.2, the mask all zeros."""
        size = len(text)
        length = (bytes([0x80 | size]) if size < 126 else
                  b"\xfe" + size.to_bytes(2, "big") if size < 65536 else
                  b"\xff" + size.to_bytes(8, "big"))
        return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + text

    @staticmethod
    def answer(text, opcode=1):
        size = len(text)
        length = (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
                  if size < 65536 else b"\x7f" + size.to_bytes(8, "big"))
        return bytes([0x80 | opcode]) + length + text

    def test_messages(self):
        client = self.h2(self.front)
        stream = self.open(client, 1, "/chat", ("sec-websocket-protocol", "weir.v1"))
        self.assertEqual((stream.status, stream.fields.get("sec-websocket-protocol")),
                         (200, "weir.v1"), stream)
        want = b""
        for text in (b"one", b"", b"x" * 200, b"y" * 70_000):
            client.upload(stream, self.message(text), end_stream=False)
            want += self.answer(text)
            client.until(lambda: len(stream.body) >= len(want) or stream.ended, "an echo")
            self.assertEqual(bytes(stream.body), want)
        client.upload(stream, self.message(b"close 4001"), end_stream=False)
        client.until(lambda: len(stream.body) > len(want), "a close frame")
        self.assertEqual(bytes(stream.body[len(want):]), self.answer(b"\x0f\xa1as asked", 8))
        client.upload(stream, self.message(b"\x0f\xa1", 8), end_stream=True)
        client.finish(stream)
        self.server.line("^closed 4001$")
        self.assertEqual(self.front.logged_one("/chat")["cause"], "")

    def test_ten_on_one_connection_beside_requests(self):
        client = self.h2(self.front)
        streams = [self.open(client, number, f"/{number}") for number in range(1, 21, 2)]
        for turn in range(5):
            for stream in streams:
                client.upload(stream, self.message(b"%d %d" % (stream.number, turn)),
                              end_stream=False)
        for stream in streams:
            want = b"".join(self.answer(b"%d %d" % (stream.number, turn)) for turn in range(5))
            client.until(lambda: len(stream.body) >= len(want), "echoes")
            self.assertEqual(bytes(stream.body), want)

    def test_refused(self):
        client = self.h2(self.front)
        stream = self.open(client, 1, "/refused")
        client.finish(stream)
        self.assertEqual((stream.status, bytes(stream.body)), (403, b"not here\n"))

    def test_cancelled(self):
        client = self.h2(self.front)
        stream = self.open(client, 1)
        client.cancel(stream)
        self.server.line("^closed 1006$")

    def test_reload_leaves_it(self):
        client = self.h2(self.front)
        stream = self.open(client, 1)
        config = self.config(workers=1, route=[{"match": {"path": "/**"}, "respond": 204}])
        self.assertEqual(self.front.reload(config).returncode, 0)
        client.upload(stream, self.message(b"still here"), end_stream=False)
        client.until(lambda: stream.body == self.answer(b"still here"), "an echo")
