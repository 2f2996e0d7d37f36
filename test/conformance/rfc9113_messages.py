# SPDX-License-Identifier: Apache-2.0
"""Requests as HTTP/1 servers get them: framing, trailers, Expect, what Weir adds. RFC 9113 sections
8.1, 8.6 and 8.8, RFC 9110."""

from harness import h2
from harness.h2 import PROTOCOL_ERROR, STREAM_CLOSED, data, get, headers, post
from harness.h2_client import Client
from origins import scripts

from .h2_rows import (H2Table, check, claim, count, either, error, forwarded, got, malformed,
                      malformed_late, method, over, played, refused, refused_anyway)
from .messages import SECRET

BODY = data(1, b"hello", True)


def sized(length, *frames, **options):
    return post(1, ("content-length", length), **options) + b"".join(frames)


def trailers(*fields, end=True):
    return headers(1, h2.block(*fields), end)


LENGTHS = [
    ("9113 8.1.1", "a length that is right", sized("5", BODY), got(),
     forwarded({"content-length": "5"}, body=b"hello", framing="length")),
    ("9113 8.1.1", "in several frames",
     sized("5", data(1, b"he"), data(1, b"llo"), data(1, b"", True)), forwarded(body=b"hello")),
    ("9113 8.1.1", "padding does not count", sized("5", data(1, b"hello", True, padding=7)),
     forwarded(body=b"hello")),
    ("9113 8.1.1", "0 and no body", headers(1, h2.request(("content-length", "0"), method="POST"),
                                            True), got(), forwarded(method="POST", body=b"")),
    ("9113 8.1.1", "0 and empty DATA", sized("0", data(1, b"", True)), got(), forwarded(body=b"")),
    ("9113 8.1.1", "fewer bytes than it says", sized("6", BODY), malformed()),
    ("9113 8.1.1", "fewer, and trailers", sized("6", data(1, b"hello"), trailers(("x", "1"))),
     malformed()),
    ("9113 8.1.1", "more bytes than it says", sized("4", BODY), malformed()),
    ("9113 8.1.1", "more in a second frame", sized("5", data(1, b"hello"), data(1, b"x", True)),
     malformed_late(b"hello")),
    ("9113 8.1.1", "none at all", headers(1, h2.request(("content-length", "5"), method="POST"),
                                          True), malformed()),
    ("9113 8.1.1", "none, of GET", get(1, ("content-length", "5")), malformed()),
    ("9113 8.1.1", "0, and a body", sized("0", BODY), malformed_late(b"")),
    *[("9110 8.6", f"a length of {value!r}", sized(value, BODY), malformed())
      for value in ("", "+5", "-5", "0x5", "5 5", "5;", "five", "5.0", "5,6",
                    "18446744073709551621", "99999999999999999999999999")],
    ("9110 8.6", "two that differ",
     post(1, ("content-length", "5"), ("content-length", "6")) + BODY, malformed()),
    ("9110 8.6", "two that are equal",
     post(1, ("content-length", "5"), ("content-length", "5")) + BODY,
     either(malformed(), forwarded({"content-length": "5"}, body=b"hello"))),
    ("9110 8.6", "a list of equal ones", sized("5, 5", BODY),
     either(malformed(), forwarded({"content-length": "5"}, body=b"hello"))),
]

BODIES = [
    ("9113 8.1", "without a length it is chunked", post(1) + BODY, got(),
     forwarded(without=["content-length"], body=b"hello", framing="chunked")),
    ("9113 8.1", "GET has none", get(1), got(), forwarded(framing="none", body=b"")),
    ("9113 8.1", "GET with one", headers(1, h2.request()) + BODY, forwarded(body=b"hello")),
    ("9113 8.1", "POST without one", headers(1, h2.request(method="POST"), True), got(),
     forwarded(method="POST", body=b"")),
    ("9113 8.1", "an empty one", post(1) + data(1, b"", True), got(), forwarded(body=b"")),
    ("9113 8.1", "of 100,000 bytes",
     lambda client: post(1) + b"".join(data(1, b"x" * 10_000, n == 5) for n in range(6)), got(),
     forwarded(body=b"x" * 60_000)),
    ("9112 6.1", "one that looks like chunks", post(1) + data(1, b"0\r\n\r\n", True),
     forwarded(body=b"0\r\n\r\n")),
    ("9112 6.1", "one that looks like a request",
     sized(str(len(SECRET)), data(1, SECRET, True)), forwarded(target="/", body=SECRET)),
]

TRAILERS = [
    ("9113 8.1", "pass", post(1) + data(1, b"hello") + trailers(("x-sum", "42"), ("x-b", "c")),
     got(), forwarded(body=b"hello", framing="chunked", trailers=[("x-sum", "42"), ("x-b", "c")])),
    ("9113 8.1", "without a body", post(1) + trailers(("x-sum", "42")), got(),
     forwarded(body=b"", trailers=[("x-sum", "42")])),
    ("9113 8.1", "of a body by length cannot pass in HTTP/1",
     sized("5", data(1, b"hello"), trailers(("x-sum", "42"))),
     either(forwarded(body=b"hello", framing="length"),
            forwarded(body=b"hello", trailers=[("x-sum", "42")]))),
    ("9113 8.1", "without END_STREAM",
     post(1) + data(1, b"hello") + trailers(("x", "1"), end=False),
     error(PROTOCOL_ERROR), count(0)),
    ("9113 8.1", "DATA behind them",
     post(1) + data(1, b"x") + trailers(("x", "1")) + data(1, b"x", True),
     played(scripts.until_gone), error(STREAM_CLOSED, PROTOCOL_ERROR)),
    ("9113 8.1", "twice", post(1) + trailers(("x", "1")) + trailers(("x", "1")),
     played(scripts.until_gone), error(STREAM_CLOSED, PROTOCOL_ERROR)),
    ("9113 8.1", "empty", post(1) + data(1, b"hello") + trailers(), got(),
     forwarded(body=b"hello", trailers=[])),
    ("9113 8.2", "an upper-case name", post(1) + data(1, b"hello") + trailers(("X-Sum", "1")),
     malformed()),
    ("9113 8.2.1", "a line in a value",
     post(1) + data(1, b"hello") + trailers(("x", "1\r\nhost: evil.test")), malformed()),
    *[("9110 6.5.1", f"{name} is no trailer",
       post(1) + data(1, b"hello") + trailers((name, value), ("x-a", "1")),
       either(malformed(), forwarded(body=b"hello", trailers=[("x-a", "1")])))
      for name, value in (("content-length", "5"), ("host", "evil.test"), ("authorization", "x"),
                          ("cookie", "a=b"), ("x-forwarded-for", "1.2.3.4"), ("expect", "x"))],
]

EXPECT = [
    ("9110 10.1.1", "Expect passes, and the server's 100 comes back",
     [post(1, ("expect", "100-continue")),
      lambda client: client.until(lambda: client.streams[1].interim, "100") and None, BODY],
     got(interim=[100]), forwarded({"expect": "100-continue"}, body=b"hello")),
    ("9110 10.1.1", "a body need not wait for 100", post(1, ("expect", "100-continue")) + BODY,
     got(), forwarded(body=b"hello")),
    ("9110 10.1.1", "a refusal in place of 100", post(1, ("expect", "100-continue")),
     played(scripts.early(403)), refused_anyway(403)),
    ("9110 10.1.1", "another expectation is 417", post(1, ("expect", "teapot")) + BODY,
     refused(417, "expectation_failed")),
    ("9110 10.1.1", "without a body it is dropped", get(1, ("expect", "100-continue")), got(),
     forwarded(without=["expect"])),
]


@check(over(1))
def marked(seen):
    """Via, X-Forwarded-* and X-Request-Id."""
    claim(len(seen.forwarded) == 1, "not one request forwarded", seen.forwarded)
    fields = seen.forwarded[0].fields
    claim(fields.get("via") in ("2 weir", "2.0 weir"), "Via", fields)
    claim((fields.get("x-forwarded-for"), fields.get("x-forwarded-proto"),
           fields.get("x-forwarded-host")) == ("127.0.0.1", "http", "weir.test"),
          "X-Forwarded", fields)
    claim(fields.get("x-request-id"), "X-Request-Id", fields)


FORWARDED = [
    ("9110 7.6.3", "what Weir adds", get(1), marked),
    ("9110 7.6.3", "a stranger's claims are dropped",
     get(1, ("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"),
         ("x-forwarded-host", "evil.test")), marked),
    ("9110 7.6.3", "Via is not replaced", get(1, ("via", "1.1 other")), got(),
     either(forwarded({"via": "1.1 other, 2 weir"}), forwarded({"via": "1.1 other, 2.0 weir"}),
            forwarded({"via": ["1.1 other", "2.0 weir"]}),
            forwarded({"via": ["1.1 other", "2 weir"]}))),
    ("9113 8.3.1", "the path is kept as it is written", get(1, path="/a%2Fb/%E4?x=1&y=%20;z&&="),
     forwarded(target="/a%2Fb/%E4?x=1&y=%20;z&&=")),
    ("9110 9.3.2", "HEAD", get(1, method="HEAD"), method("HEAD"), got(body=b""),
     forwarded(method="HEAD")),
    ("9218 5", "priority is end to end", get(1, ("priority", "u=1, i")),
     forwarded({"priority": "u=1, i"})),
    ("9110 7.6.2", "Max-Forwards of OPTIONS is counted down",
     get(1, ("max-forwards", "5"), method="OPTIONS"), forwarded({"max-forwards": "4"})),
]

LIMITS = [
    ("9113 10.5.1", "a head of 20,000 bytes",
     lambda client: fragmented(h2.request(("x-long", "x" * 20_000))), got(),
     forwarded({"x-long": "x" * 20_000})),
    ("9113 10.5.1", "one above limits.head_size",
     lambda client: fragmented(h2.request(("x-long", "x" * 40_000))),
     either(refused(431, "head_too_large"), error(h2.ENHANCE_YOUR_CALM, PROTOCOL_ERROR)), count(0)),
    ("9113 10.5.1", "more fields than limits.head_fields",
     lambda client: fragmented(h2.request(*[(f"x-{n}", "v") for n in range(101)])),
     either(refused(431, "head_too_large"), error(h2.ENHANCE_YOUR_CALM)), count(0)),
    ("9113 10.5.1", "as many", lambda client: fragmented(
        h2.request(*[(f"x-{n}", "v") for n in range(90)])), got(), forwarded({"x-89": "v"})),
    ("9112 3", "a target above limits.target_size",
     lambda client: fragmented(h2.request(path="/" + "a" * 17_000)),
     refused(414, "target_too_long")),
]


def fragmented(block, size=h2.FRAME_MAX, stream=1):
    """HEADERS and as many CONTINUATION frames as it takes."""
    out = headers(stream, block[:size], True, end_headers=len(block) <= size)
    for at in range(size, len(block), size):
        out += h2.continuation(stream, block[at:at + size], at + size >= len(block))
    return out


class Messages(H2Table):
    def test_length(self):
        self.play_all(LENGTHS)

    def test_body(self):
        self.play_all(BODIES)

    def test_trailers(self):
        self.play_all(TRAILERS)

    def test_expect(self):
        self.play_all(EXPECT)

    def test_forwarded(self):
        self.play_all(FORWARDED)

    def test_limits(self):
        self.play_all(LIMITS)

    def test_answer_before_the_body_is_sent(self):
        """Section 8.1: a whole response, and then RST_STREAM with NO_ERROR or nothing at all; not
        an error that makes a client throw the response away."""
        self.server.default = scripts.early(413)
        with Client(self.front.port) as client:
            stream = client.start().open(1, method="POST", end_stream=False)
            client.send(data(1, b"the beginning"))
            client.until(lambda: stream.complete, "the response")
            self.assertEqual((stream.status, bytes(stream.body)), (413, b"early"))
            client.settle()
            self.assertIn(stream.reset, (None, h2.NO_ERROR), client.said())
            client.try_send(data(1, b"the rest", True))
            self.server.default = scripts.text("next\n")
            self.assertEqual(client.get(3).body, b"next\n")
