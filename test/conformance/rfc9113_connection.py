# SPDX-License-Identifier: Apache-2.0
"""What belongs to the whole connection: preface, frames, header blocks, SETTINGS, PING, GOAWAY.
RFC 9113 sections 3.4, 4, 5.4, 5.5, 6.5, 6.7 and 6.8."""

from harness import h2
from harness.h2 import (FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, frame, get, goaway,
                        headers, ping, post, settings, window_update)
from harness.h2_client import Client
from harness.message import Broken
from harness.raw import Client as Http1Client
from origins import scripts

from .h2_rows import (BARE, COARSE, H2Table, check, claim, connection_error, count, either, error,
                      finished, forwarded, goes_on, got, may_end, settled)

PREFACE = h2.PREFACE
START = PREFACE + settings()
PROTOCOL = connection_error(PROTOCOL_ERROR)
SIZE = connection_error(FRAME_SIZE_ERROR)
SAID_NOTHING = connection_error(PROTOCOL_ERROR, silent=True)


def started(client):
    """The preface was accepted."""
    client.until(lambda: client.settings_seen and client.acknowledged, "the server's SETTINGS")


def pong(payload):
    @check(lambda client: payload in client.pongs or client.end)
    def seen_pong(seen):
        claim(payload in seen.client.pongs, "no answer to PING", seen.said())
    return seen_pong


@check(lambda client: client.end)
def ends(seen):
    claim(seen.client.end, "the connection goes on", seen.said())


STARTS = [
    ("9113 3.4", "preface and empty SETTINGS", [START, started], BARE, goes_on),
    ("9113 3.4", "preface and SETTINGS with values",
     [PREFACE + settings((h2.ENABLE_PUSH, 0), (h2.INITIAL_WINDOW_SIZE, 100_000)), started], BARE,
     goes_on),
    ("9113 3.4", "requests need not wait for the server's SETTINGS", START + get(1), BARE,
     got(body=b"served\n"), forwarded(target="/")),
    ("9113 3.4", "PING in place of SETTINGS", PREFACE + ping(), BARE, SAID_NOTHING),
    ("9113 3.4", "a request in place of SETTINGS", PREFACE + get(1), BARE, SAID_NOTHING, count(0)),
    ("9113 3.4", "WINDOW_UPDATE in place of SETTINGS", PREFACE + window_update(0, 1000), BARE,
     SAID_NOTHING),
    ("9113 3.4", "an acknowledgement in place of SETTINGS", PREFACE + settings(ack=True), BARE,
     SAID_NOTHING),
    ("9113 3.4", "an unknown frame in place of SETTINGS", PREFACE + frame(0x77), BARE,
     SAID_NOTHING),
    ("9113 3.4", "the first SETTINGS are not sound", PREFACE + settings((h2.ENABLE_PUSH, 7)), BARE,
     SAID_NOTHING),
    ("9113 3.4", "a second preface is no frame", START + PREFACE, BARE,
     connection_error(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
]

# What is not a preface is HTTP/1 at most, and nothing of it reaches a server.
NO_PREFACE = {
    "another last byte": PREFACE[:-1] + b"X" + settings() + get(1),
    "another version": PREFACE.replace(b"2.0", b"2.1") + get(1),
    "without SM": PREFACE[:-6] + b"\r\n" + settings() + get(1),
    "bare line feeds": PREFACE.replace(b"\r\n", b"\n") + get(1),
    "lower case": PREFACE.replace(b"PRI", b"pri") + settings() + get(1),
    "a method of HTTP/1": b"PRI * HTTP/1.1\r\nHost: weir.test\r\n\r\n" + get(1),
    "none": settings() + get(1),
    "after a request of HTTP/1":
        b"GET /first HTTP/1.1\r\nHost: weir.test\r\n\r\n" + START + get(1),
}

FRAMES = [
    ("9113 4.1", "unknown frames are ignored",
     frame(0x16, 0xff, 0, b"x" * 8) + frame(0xff) + get(1), got(body=b"served\n"), goes_on),
    ("9113 4.1", "on an idle stream, too", frame(0x77, 0, 5, b"hello") + get(1), got(), goes_on),
    ("9113 4.1", "and on an open one",
     post(1) + frame(0x77, 0, 1, b"hello") + h2.data(1, b"body", True), got(),
     forwarded(body=b"body")),
    ("9113 4.1", "unused flags of PING are ignored", frame(h2.PING, 0xfe, 0, b"unusual!"),
     pong(b"unusual!"), goes_on),
    ("9113 4.1", "unused flags of HEADERS and DATA are ignored",
     headers(1, h2.request(method="POST"), flags=0x52) + frame(h2.DATA, 0x53, 1, b"body"), got(),
     forwarded(body=b"body")),
    ("9113 4.1", "the reserved bit is ignored", frame(h2.PING, 0, 0, b"reserved", reserved=1),
     pong(b"reserved"), goes_on),
    ("9113 4.1", "the reserved bit before a stream is ignored",
     frame(h2.HEADERS, 5, 1, h2.request(), reserved=1), got()),
    ("9113 4.2", "DATA of the largest size",
     post(1) + h2.data(1, b"x" * h2.FRAME_MAX, True), got(),
     forwarded(body=b"x" * h2.FRAME_MAX)),
    ("9113 4.2", "DATA above SETTINGS_MAX_FRAME_SIZE",
     lambda client: post(1) + h2.data(1, b"x" * (limit(client) + 1)), error(FRAME_SIZE_ERROR),
     count(0)),
    ("9113 4.2", "HEADERS above it",
     lambda client: headers(1, h2.request(("x", "y" * limit(client))), True), SIZE, count(0)),
    ("9113 4.2", "SETTINGS above it",
     lambda client: settings(*[(0x77, 1)] * (limit(client) // 6 + 1)), SIZE),
    ("9113 4.2", "PING that says it is above it", frame(h2.PING, 0, 0, b"", length=0xffffff), SIZE),
    ("9113 4.2", "an unknown frame above it",
     lambda client: frame(0x77, 0, 0, b"x" * (limit(client) + 1)), either(SIZE, goes_on)),
    ("9113 5.5", "an unknown frame inside a header block",
     headers(1, h2.request(), end_headers=False) + frame(0x77, 0, 1) + h2.continuation(1, b""),
     COARSE, PROTOCOL, count(0)),
    ("9113 4.3", "a refused request's header block counts for the next",
     headers(1, h2.block(("X-BAD", "1"), h2.incremental("x-kept", "yes")), True) +
     headers(3, h2.request(h2.indexed(62)), True), got(stream=3), forwarded({"x-kept": "yes"})),
    ("9113 4.3", "and that of a cancelled one",
     headers(1, h2.request(h2.incremental("x-kept", "yes"), method="POST")) + h2.rst_stream(1) +
     headers(3, h2.request(h2.indexed(62)), True), got(stream=3)),
]

SETTINGS = [
    ("9113 6.5", "on a stream", frame(h2.SETTINGS, 0, 1), PROTOCOL),
    ("9113 6.5", "an acknowledgement on a stream", frame(h2.SETTINGS, h2.ACK, 1), PROTOCOL),
    ("9113 6.5", "an acknowledgement with a payload",
     frame(h2.SETTINGS, h2.ACK, 0, b"\0\4\0\0\xff\xff"), SIZE),
    ("9113 6.5", "a size that is no multiple of 6", frame(h2.SETTINGS, 0, 0, b"\0\4\0\0\xff"),
     SIZE),
    ("9113 6.5", "of 7 bytes", frame(h2.SETTINGS, 0, 0, b"\0\4\0\0\xff\xff\0"), SIZE),
    ("9113 6.5.2", "ENABLE_PUSH of 0 and 1", settings((h2.ENABLE_PUSH, 1), (h2.ENABLE_PUSH, 0)),
     goes_on),
    ("9113 6.5.2", "ENABLE_PUSH of 2", settings((h2.ENABLE_PUSH, 2)), PROTOCOL),
    ("9113 6.5.2", "the largest INITIAL_WINDOW_SIZE",
     settings((h2.INITIAL_WINDOW_SIZE, 0x7fffffff)), goes_on),
    ("9113 6.5.2", "INITIAL_WINDOW_SIZE above it", settings((h2.INITIAL_WINDOW_SIZE, 1 << 31)),
     connection_error(FLOW_CONTROL_ERROR)),
    ("9113 6.5.2", "the smallest and the largest MAX_FRAME_SIZE",
     settings((h2.MAX_FRAME_SIZE, h2.FRAME_MAX), (h2.MAX_FRAME_SIZE, (1 << 24) - 1)), goes_on),
    ("9113 6.5.2", "MAX_FRAME_SIZE below", settings((h2.MAX_FRAME_SIZE, h2.FRAME_MAX - 1)),
     PROTOCOL),
    ("9113 6.5.2", "MAX_FRAME_SIZE above", settings((h2.MAX_FRAME_SIZE, 1 << 24)), PROTOCOL),
    ("9113 6.5.2", "MAX_FRAME_SIZE of 0", settings((h2.MAX_FRAME_SIZE, 0)), PROTOCOL),
    ("9113 6.5.2", "what is unknown is ignored", settings((0xff, 1), (0, 1), (0xffff, 1 << 31)),
     goes_on),
    ("9113 6.5.2", "0 for everything that may be 0",
     settings((h2.HEADER_TABLE_SIZE, 0), (h2.ENABLE_PUSH, 0), (h2.MAX_CONCURRENT_STREAMS, 0)),
     goes_on),
    ("9113 6.5.2", "MAX_HEADER_LIST_SIZE is advice", settings((h2.MAX_HEADER_LIST_SIZE, 1)),
     goes_on),
    ("9113 6.5.3", "they are processed in order, the last one counts",
     [lambda client: client.set((h2.INITIAL_WINDOW_SIZE, 1), (h2.INITIAL_WINDOW_SIZE, 100)) and b"",
      get(1)], got(body=b"served\n")),
    ("9113 6.5.3", "each is acknowledged", settings() * 3,
     check(lambda client: client.acknowledged >= 4 or client.end)(
         lambda seen: claim(seen.client.acknowledged == 4, "not 4", seen.said()))),
    ("9113 6.5.3", "an acknowledgement that nobody waits for is no error",
     settings(ack=True), either(goes_on, PROTOCOL)),
    ("9113 4.3.1", "a smaller table of ours is obeyed",
     [get(1), finished(1), lambda client: client.set((h2.HEADER_TABLE_SIZE, 0)) and b"", settled,
      get(3), finished(3), lambda client: client.set((h2.HEADER_TABLE_SIZE, 100)) and b"", settled,
      get(5)], got(stream=5)),
    ("8441 3", "ENABLE_CONNECT_PROTOCOL of 2", settings((h2.ENABLE_CONNECT_PROTOCOL, 2)),
     either(PROTOCOL, goes_on)),
    ("9218 2.1", "NO_RFC7540_PRIORITIES of 2", settings((h2.NO_RFC7540_PRIORITIES, 2)),
     either(PROTOCOL, goes_on)),
    ("9218 2.1", "NO_RFC7540_PRIORITIES in the first ones",
     [PREFACE + settings((h2.NO_RFC7540_PRIORITIES, 1)), started, get(1)], BARE, got()),
]

PINGS = [
    ("9113 6.7", "is answered with its payload", ping(b"\0\xffabcdef"), pong(b"\0\xffabcdef")),
    ("9113 6.7", "several, in any order", ping(b"number 1") + ping(b"number 2"), pong(b"number 1"),
     pong(b"number 2")),
    ("9113 6.7", "an answer that nobody waits for is ignored", ping(b"whatever", ack=True),
     goes_on),
    ("9113 6.7", "an answer is not answered", [ping(b"whatever", ack=True), settled],
     check(lambda client: True)(
         lambda seen: claim(b"whatever" not in seen.client.pongs, "answered"))),
    ("9113 6.7", "on a stream", frame(h2.PING, 0, 1, b"12345678"), PROTOCOL),
    ("9113 6.7", "of 7 bytes", frame(h2.PING, 0, 0, b"1234567"), SIZE),
    ("9113 6.7", "of 9 bytes", frame(h2.PING, 0, 0, b"123456789"), SIZE),
    ("9113 6.7", "of none", frame(h2.PING), SIZE),
]

GOAWAYS = [
    ("9113 6.8", "on a stream", goaway(stream=1), PROTOCOL),
    ("9113 6.8", "of 7 bytes", frame(h2.GOAWAY, 0, 0, b"1234567"), SIZE),
    ("9113 6.8", "requests under way are finished", post(1) + goaway() + h2.data(1, b"body", True),
     got(body=b"served\n"), forwarded(body=b"body"), may_end),
    ("9113 6.8", "with an unknown code and words",
     post(1) + goaway(code=0xdeadbeef, debug=b"words\0") + h2.data(1, b"body", True),
     either(got(body=b"served\n"), ends), may_end),
]


def limit(client):
    return client.settings.get(h2.MAX_FRAME_SIZE, h2.FRAME_MAX)


class Connection(H2Table):
    def test_starts(self):
        self.play_all(STARTS)

    def test_frames(self):
        self.play_all(FRAMES)

    def test_settings(self):
        self.play_all(SETTINGS)

    def test_ping(self):
        self.play_all(PINGS)

    def test_goaway(self):
        self.play_all(GOAWAYS)

    def test_no_preface(self):
        """Either HTTP/1 refuses it, or the connection just ends; no second request comes of it."""
        failed = []
        for name, data in NO_PREFACE.items():
            with Http1Client(self.front.port, timeout=8.0) as client:
                client.try_send(data)
                try:
                    response = client.response()
                    if name.startswith("after") and response.body == b"hello from origin\n":
                        response = client.response()
                    if response.status not in (400, 405, 501, 505):
                        failed.append((name, response))
                    client.stream.to_end()
                except Broken:
                    pass
        self.count_rows(len(NO_PREFACE), len(failed))
        self.assertEqual(failed, [])
        self.assertEqual([r.path for r in self.server.seen() if r.path != "/ready"], ["/first"])

    def test_the_server_closes_after_an_error(self):
        """RFC 9113 section 5.4.1. The client reads on and closes nothing."""
        with Client(self.front.port) as client:
            client.start().send(get(2) + b"what follows is not looked at" * 100)
            client.to_end()
            self.assertEqual(client.goaway and client.goaway[1], PROTOCOL_ERROR, client.said())

    def test_goaway_names_the_last_request(self):
        """RFC 9113 section 6.8: what is above it may be tried again elsewhere."""
        self.server.default = scripts.hold("go")
        with Client(self.front.port) as client:
            client.start()
            for number in (1, 3, 7):
                client.open(number)
            client.settle()
            client.send(frame(h2.PING, 0, 1, b"12345678")).to_end()
            self.assertEqual(client.goaway[:2], (7, PROTOCOL_ERROR), client.said())
