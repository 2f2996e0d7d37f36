# SPDX-License-Identifier: Apache-2.0
"""States and numbers of streams, and their windows: RFC 9113 sections 5.1, 5.4.2, 6.3, 6.4 and
6.9."""

from harness import h2
from harness.h2 import (CANCEL, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR,
                        REFUSED_STREAM, STREAM_CLOSED, data, frame, get, headers, post, priority,
                        rst_stream, settings, window_update)
from harness.h2_client import Client
from origins import scripts

from .h2_rows import (HUNGRY, H2Table, check, claim, connection_error, count, either, error,
                      finished, forwarded, goes_on, got, over, played, sets, settled,
                      stream_error)

PROTOCOL = connection_error(PROTOCOL_ERROR)
SIZE = connection_error(FRAME_SIZE_ERROR)
CLOSED = error(STREAM_CLOSED)
LARGEST = (1 << 31) - 1
WAITING = played(scripts.until_gone)  # stream 1 stays half-closed (remote)
DONE = [get(1), finished(1)]
TRAILERS = headers(1, h2.block(("x-t", "1")), True)

IDLE = [
    ("9113 5.1", "DATA", data(1, b"x", True), PROTOCOL),
    ("9113 5.1", "RST_STREAM", rst_stream(1), PROTOCOL),
    ("9113 5.1", "WINDOW_UPDATE", window_update(1, 100), PROTOCOL),
    ("9113 5.1", "CONTINUATION", h2.continuation(1, h2.request()), PROTOCOL),
    ("9113 6.3", "PRIORITY is allowed", priority(3) + get(1) + get(3), got(), got(stream=3)),
    ("9113 5.1", "DATA on one that the server would open", data(2, b"x"), PROTOCOL),
    ("9113 5.1", "WINDOW_UPDATE on one that the server would open", window_update(2, 100),
     PROTOCOL),
    ("9113 5.1", "RST_STREAM on one that the server would open", rst_stream(2), PROTOCOL),
]

HALF_CLOSED = [
    ("9113 5.1", "DATA", get(1) + data(1, b"x", True), WAITING, CLOSED),
    ("9113 5.1", "HEADERS", get(1) + TRAILERS, WAITING, CLOSED),
    ("9113 5.1", "CONTINUATION", get(1) + h2.continuation(1, h2.block(("x", "y"))), WAITING,
     connection_error(PROTOCOL_ERROR, STREAM_CLOSED)),
    ("9113 5.1", "DATA behind DATA with END_STREAM",
     post(1) + data(1, b"x", True) + data(1, b"x", True), WAITING, CLOSED),
    ("9113 5.1", "DATA behind trailers", post(1) + data(1, b"x") + TRAILERS + data(1, b"x", True),
     WAITING, CLOSED),
    ("9113 5.1", "WINDOW_UPDATE is allowed", get(1) + window_update(1, 100), WAITING, goes_on),
    ("9113 5.1", "PRIORITY is allowed", get(1) + priority(1), WAITING, goes_on),
    ("9113 5.1", "RST_STREAM is allowed, and reaches the server", get(1) + rst_stream(1), WAITING,
     goes_on),
]


# RFC 9113 section 5.1: who has sent END_STREAM or RST_STREAM may still get frames that were on
# their way, and may treat them as an error later.
LATE = either(error(STREAM_CLOSED), goes_on)

CLOSED_STREAMS = [
    ("9113 5.1", "DATA behind both ends", [*DONE, data(1, b"x", True)],
     either(connection_error(STREAM_CLOSED), goes_on), count(1)),
    ("9113 5.1", "HEADERS behind both ends", [*DONE, get(1)],
     either(connection_error(STREAM_CLOSED, PROTOCOL_ERROR), goes_on), count(1)),
    ("9113 5.1", "CONTINUATION behind both ends", [*DONE, h2.continuation(1, h2.request())],
     connection_error(STREAM_CLOSED, PROTOCOL_ERROR), count(1)),
    ("9113 5.1", "WINDOW_UPDATE behind both ends", [*DONE, window_update(1, 100)], goes_on),
    ("9113 5.1", "RST_STREAM behind both ends", [*DONE, rst_stream(1)], goes_on),
    ("9113 5.1", "PRIORITY behind both ends", [*DONE, priority(1)], goes_on),
    ("9113 5.1", "DATA behind our RST_STREAM", post(1) + rst_stream(1) + data(1, b"x", True), LATE,
     count(0)),
    ("9113 5.1", "HEADERS behind our RST_STREAM", post(1) + rst_stream(1) + get(1),
     either(error(STREAM_CLOSED, PROTOCOL_ERROR), goes_on), count(0)),
    ("9113 5.1", "WINDOW_UPDATE behind our RST_STREAM",
     post(1) + rst_stream(1) + window_update(1, 100), LATE),
    ("9113 5.4.2", "RST_STREAM is not answered with RST_STREAM",
     [post(1) + rst_stream(1) + rst_stream(1), settled],
     check(lambda client: True)(lambda seen: claim(seen.stream(1).reset is None, "RST_STREAM",
                                                   seen.said()))),
    ("9113 5.1", "DATA behind the server's RST_STREAM is discarded, with its windows",
     [headers(1, h2.request(("X-BAD", "1"), method="POST")), data(1, b"x" * 10_000, True)],
     goes_on, count(0)),
    ("9113 5.1", "trailers behind the server's RST_STREAM are discarded, but decoded",
     headers(1, h2.request(("X-BAD", "1"), method="POST")) +
     headers(1, h2.block(h2.incremental("x-kept", "yes")), True) +
     headers(3, h2.request(h2.indexed(62)), True), got(stream=3), forwarded({"x-kept": "yes"})),
]

NUMBERS = [
    ("9113 5.1.1", "an even stream", get(2), PROTOCOL, count(0)),
    ("9113 5.1.1", "stream 0", get(0), PROTOCOL, count(0)),
    ("9113 5.1.1", "numbers may be left out", get(5) + get(101), got(stream=5), got(stream=101)),
    # An error, says section 5.1.1; nghttp2 ignores them, as it cannot tell them from frames that
    # were under way to a stream that has ended. That no request comes of it is what matters.
    ("9113 5.1.1", "a lower number than before", [get(5) + get(3), finished(5)],
     either(connection_error(PROTOCOL_ERROR, STREAM_CLOSED), goes_on), count(1)),
    ("9113 5.1.1", "a number that was left out is closed", [get(5), finished(5), data(3, b"x")],
     either(connection_error(PROTOCOL_ERROR, STREAM_CLOSED), goes_on)),
    ("9113 5.1.1", "the same number twice", post(1) + post(1),
     either(stream_error(PROTOCOL_ERROR, STREAM_CLOSED),
            connection_error(PROTOCOL_ERROR, STREAM_CLOSED))),
    ("9113 5.1.1", "a gap of two thousand millions", get(1) + get(LARGEST - 2), got(),
     got(stream=LARGEST - 2)),
]

PRIORITIES = [
    ("9113 6.3", "on stream 0", frame(h2.PRIORITY, 0, 0, h2.priority_fields()), PROTOCOL),
    ("9113 6.3", "of 4 bytes", post(1) + frame(h2.PRIORITY, 0, 1, bytes(4)) + data(1, b"", True),
     error(FRAME_SIZE_ERROR)),
    ("9113 6.3", "of 6 bytes", post(1) + frame(h2.PRIORITY, 0, 1, bytes(6)) + data(1, b"", True),
     error(FRAME_SIZE_ERROR)),
    ("9113 6.3", "on an open stream", post(1) + priority(1, 0, 255) + data(1, b"", True), got()),
    ("9113 6.3", "on itself is ignored or an error", post(1) + priority(1, 1) + data(1, b"", True),
     either(got(), error(PROTOCOL_ERROR))),
    ("9113 6.2", "HEADERS with priority", headers(
        1, h2.priority_fields(0, 200, True) + h2.request(), True, flags=h2.PRIORITIZED), got()),
    ("9113 6.2", "HEADERS with priority on themselves", headers(
        1, h2.priority_fields(1) + h2.request(), True, flags=h2.PRIORITIZED),
     either(got(), error(PROTOCOL_ERROR))),
    ("9113 6.2", "HEADERS too short for their priority",
     headers(1, b"\0\0\0\0", True, flags=h2.PRIORITIZED),
     error(FRAME_SIZE_ERROR, PROTOCOL_ERROR), count(0)),
]

RESETS = [
    ("9113 6.4", "on stream 0", rst_stream(0), PROTOCOL),
    ("9113 6.4", "of 3 bytes", post(1) + frame(h2.RST_STREAM, 0, 1, bytes(3)), SIZE),
    ("9113 6.4", "of 5 bytes", post(1) + frame(h2.RST_STREAM, 0, 1, bytes(5)), SIZE),
    ("9113 6.4", "of none", post(1) + frame(h2.RST_STREAM, 0, 1), SIZE),
    ("9113 7", "an unknown code", post(1) + rst_stream(1, 0xdeadbeef), goes_on, count(0)),
    ("9113 7", "NO_ERROR cuts, too", post(1) + data(1, b"part") + rst_stream(1, NO_ERROR), goes_on,
     count(0)),
    ("9113 6.4", "others go on", post(1) + post(3) + rst_stream(1, CANCEL) + data(3, b"x", True),
     got(stream=3), forwarded(body=b"x", on=3)),
]


def body_is(body, stream=1):
    """So much has come of the body, the rest waits."""
    @check(lambda client: client.end or len(client.streams[stream].body) >= len(body))
    def seen_part(seen):
        found = seen.stream(stream)
        claim(found.body == body and not found.ended, f"body is not {body}", bytes(found.body))
    return seen_part


@check(over(1))
def by_pieces_of_one(seen):
    frames = [f for f in seen.client.frames if f.kind == h2.DATA and f.stream == 1 and f.payload]
    claim(len(frames) == 7, "not 7 frames", frames)


def window(size):
    return sets((h2.INITIAL_WINDOW_SIZE, size))


def later(size):
    """SETTINGS with another window for streams."""
    def step(client):
        client.set((h2.INITIAL_WINDOW_SIZE, size))
    return step


def so_much(size, stream=1):
    def step(client):
        client.until(lambda: len(client.streams[stream].body) >= size, f"{size} bytes")
    return step


def headed(client):
    client.until(lambda: client.streams[1].head, "the head")


def headed_3(client):
    client.until(lambda: client.streams[3].head, "the head")


def granted(size):
    def step(client):
        client.grant(1, size)
    return step


def padded(client):
    """A byte of DATA and 256 of padding, once there is room for them."""
    client.until(lambda: min(client.credit, client.streams[1].credit) >= 257 or client.end, "room")
    return data(1, b"y", padding=255)


WINDOWS = [
    ("9113 6.9", "0 on a stream", post(1) + window_update(1, 0), error(PROTOCOL_ERROR)),
    ("9113 6.9", "0 on the connection", window_update(0, 0), PROTOCOL),
    ("9113 6.9", "of 3 bytes", frame(h2.WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    ("9113 6.9", "of 5 bytes", frame(h2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1\0"), SIZE),
    ("9113 6.9", "of 5 bytes on a stream", post(1) + frame(h2.WINDOW_UPDATE, 0, 1, b"\0\0\0\1\0"),
     SIZE),
    ("9113 6.9", "its reserved bit is ignored", window_update(0, 1 | 1 << 31), goes_on),
    ("9113 6.9.1", "the largest window of the connection", window_update(0, LARGEST - h2.WINDOW),
     goes_on),
    ("9113 6.9.1", "beyond it", window_update(0, LARGEST - h2.WINDOW + 1),
     connection_error(FLOW_CONTROL_ERROR)),
    ("9113 6.9.1", "beyond it in two steps", window_update(0, LARGEST) + window_update(0, LARGEST),
     connection_error(FLOW_CONTROL_ERROR)),
    ("9113 6.9.1", "the largest window of a stream",
     get(1) + window_update(1, LARGEST - h2.WINDOW), got()),
    ("9113 6.9.1", "beyond that", post(1) + window_update(1, LARGEST - h2.WINDOW + 1),
     error(FLOW_CONTROL_ERROR)),
    # A connection error, says section 6.9.2; nghttp2 resets the streams concerned.
    ("9113 6.9.2", "SETTINGS that make a window too large",
     post(1) + window_update(1, LARGEST - h2.WINDOW)
     + settings((h2.INITIAL_WINDOW_SIZE, h2.WINDOW + 1)), error(FLOW_CONTROL_ERROR)),
    ("9113 6.9.1", "a window of 1 byte gives pieces of one", get(1), window(1), got(),
     by_pieces_of_one),
    ("9113 6.9.1", "without one only the head comes", [get(1), headed, settled], window(0),
     body_is(b""), HUNGRY),
    ("9113 6.9.2", "SETTINGS give more", [get(1), headed, later(3), settled], window(0),
     body_is(b"ser"), HUNGRY),
    ("9113 6.9.2", "SETTINGS take, and the window is negative: nothing comes",
     [get(1), so_much(3), later(0), settled, granted(3), settled], window(3), body_is(b"ser"),
     HUNGRY),
    ("9113 6.9.2", "until it is positive again",
     [get(1), so_much(3), later(0), settled, granted(5)], window(3), body_is(b"serve"), HUNGRY),
    ("9113 6.9.1", "the connection's window counts, too",
     [get(1), so_much(h2.WINDOW), settled, get(3), headed_3, settled],
     window(1 << 20), played(scripts.body(b"x" * 100_000)), body_is(b"x" * h2.WINDOW),
     body_is(b"", 3), HUNGRY),
    ("9113 6.9", "padding counts, and is given back",
     [post(1), *[padded] * 1000, data(1, b"", True)], got(), forwarded(body=b"y" * 1000)),
]


class Streams(H2Table):
    def test_idle(self):
        self.play_all(IDLE)

    def test_half_closed(self):
        self.play_all(HALF_CLOSED)

    def test_closed(self):
        self.play_all(CLOSED_STREAMS)

    def test_numbers(self):
        self.play_all(NUMBERS)

    def test_priority(self):
        self.play_all(PRIORITIES)

    def test_rst_stream(self):
        self.play_all(RESETS)

    def test_windows(self):
        self.play_all(WINDOWS)

    def test_cancelled_request_is_cancelled_at_the_server(self):
        """RFC 9113 section 8.7 and 6.4."""
        self.server.default = scripts.until_gone
        with Client(self.front.port) as client:
            client.start()
            stream = client.open(1)
            self.server.await_gate("arrived")
            client.cancel(stream)
            self.server.await_gate("gone")
            self.server.default = scripts.text("next\n")
            self.assertEqual(client.get(3).body, b"next\n")

    def test_streams_at_once(self):
        """Section 5.1.2: as many as are allowed; one more is refused; when one ends there is room
        again."""
        self.server.default = scripts.hold("go")
        with Client(self.front.port) as client:
            client.start()
            most = client.settings.get(h2.MAX_CONCURRENT_STREAMS)
            self.assertIsNotNone(most, "no limit is announced")
            self.assertTrue(100 <= most <= 1000, most)
            streams = [client.open(2 * n + 1) for n in range(most)]
            self.assertTrue(client.settle())
            one_more = client.open(2 * most + 1)
            client.until(lambda: client.end or one_more.ended, "a refusal")
            if client.goaway:
                self.assertEqual(client.goaway[1], PROTOCOL_ERROR)
                return
            self.assertIn(one_more.reset, (REFUSED_STREAM, PROTOCOL_ERROR))
            client.cancel(streams[0])
            later = client.open(2 * most + 3)
            self.server.open("go")
            for stream in [*streams[1:], later]:
                self.assertEqual((client.finish(stream).status, stream.complete), (200, True))

    def test_client_above_the_windows(self):
        """Section 6.9.1: whatever the windows are, 32 MiB that no server reads are above them."""
        def script(x):
            x.wait("never")
        self.server.default = script
        with Client(self.front.port, timeout=10) as client:
            client.start().open(1, method="POST", end_stream=False)
            piece = data(1, bytes(h2.FRAME_MAX))
            for _ in range(2048):
                if not client.try_send(piece):
                    break
            client.until(lambda: client.end or client.streams[1].reset is not None, "an error")
            codes = (client.streams[1].reset, client.goaway and client.goaway[1])
            self.assertIn(FLOW_CONTROL_ERROR, codes, client.said())
        self.server.open("never")
