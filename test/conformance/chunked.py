# SPDX-License-Identifier: Apache-2.0
"""The chunked coding and trailers, in requests and in responses."""

from .messages import CHUNKED, END, SECRET, chunks, reply
from .rows import (Table, asked, forwarded, got, refused, server_dropped, server_kept,
                   truncated)

HELLO = b"5\r\nhello\r\n"
SUM = [("X-Sum", "42")]

GOOD = {
    "one chunk": (b"5\r\nhello\r\n" + END, b"hello"),
    "no chunk": (END, b""),
    "several chunks": (b"2\r\nhe\r\n3\r\nllo\r\n" + END, b"hello"),
    "sizes in upper case": (b"A\r\n0123456789\r\n" + END, b"0123456789"),
    "sizes in lower case": (b"a\r\n0123456789\r\n" + END, b"0123456789"),
    "leading zeros": (b"0005\r\nhello\r\n" + END, b"hello"),
    "a last chunk of several zeros": (HELLO + b"000\r\n\r\n", b"hello"),
    "an extension, which is dropped": (b"5;a=b\r\nhello\r\n" + END, b"hello"),
    "an extension without value": (b"5;a\r\nhello\r\n" + END, b"hello"),
    "an extension with a quoted value": (b'5;a="b;c"\r\nhello\r\n' + END, b"hello"),
    "several extensions": (b"5;a=b;c=d\r\nhello\r\n" + END, b"hello"),
    "an extension on the last chunk": (HELLO + b"0;a=b\r\n\r\n", b"hello"),
    "white space before an extension": (b"5 ;a=b\r\nhello\r\n" + END, b"hello"),
    "data that looks like chunks": (b"a\r\n0\r\n\r\nGET /\r\n" + END, b"0\r\n\r\nGET /"),
    "data of CR and LF": (b"4\r\n\r\n\r\n\r\n" + END, b"\r\n\r\n"),
}

BAD = {
    "a size that is no number": b"xyz\r\nhello\r\n" + END,
    "an empty size": b"\r\nhello\r\n" + END,
    "a size with a plus sign": b"+5\r\nhello\r\n" + END,
    "a size with a minus sign": b"-5\r\nhello\r\n" + END,
    "a size with 0x": b"0x5\r\nhello\r\n" + END,
    "a size with a letter beyond f": b"5g\r\nhello\r\n" + END,
    "a size with an underscore": b"0_5\r\nhello\r\n" + END,
    "a size in quotes": b'"5"\r\nhello\r\n' + END,
    "a size with a point": b"5.0\r\nhello\r\n" + END,
    "a size with a comma": b"5,5\r\nhello\r\n" + END,
    "white space before a size": b" 5\r\nhello\r\n" + END,
    "a tab before a size": b"\t5\r\nhello\r\n" + END,
    "white space behind a size": b"5 \r\nhello\r\n" + END,
    "a tab behind a size": b"5\t\r\nhello\r\n" + END,
    "a vertical tab behind a size": b"5\x0b\r\nhello\r\n" + END,
    "a NUL behind a size": b"5\0\r\nhello\r\n" + END,
    "a size that wraps 64 bits": b"10000000000000005\r\nhello\r\n" + END,
    "a size of seventeen digits": b"00000000000000005\r\nhello\r\n" + END,
    "another that wraps": b"ffffffffffffffff0\r\nhello\r\n" + END,
    "white space within a size": b"1 0\r\n0123456789abcdef\r\n" + END,
    "a bare LF behind a size": b"5\nhello\r\n" + END,
    "a bare CR behind a size": b"5\rhello\r\n" + END,
    "two CRs behind a size": b"5\r\r\nhello\r\n" + END,
    "a bare LF in an extension": b"5;a\nb\r\nhello\r\n" + END,
    "a bare CR in an extension": b"5;a\rb\r\nhello\r\n" + END,
    "a NUL in an extension": b"5;a\0b\r\nhello\r\n" + END,
    "an extension that ends with a bare LF": b"5;a\nhello\r\n" + END,
    "a semicolon and a bare LF": b"5;\nhello\r\n" + END,
    "an endless extension": b"5;" + b"a" * 100_000 + b"\r\nhello\r\n" + END,
    "data longer than its size": b"4\r\nhello\r\n" + END,
    "data shorter than its size": b"6\r\nhello\r\n" + END,
    "no line end behind data": b"5\r\nhello" + END,
    "a bare LF behind data": b"5\r\nhello\n" + END,
    "a bare CR behind data": b"5\r\nhello\r" + END,
    "LF CR behind data": b"5\r\nhello\n\r" + END,
    "two bytes of something behind data": b"5\r\nhelloXX" + END,
    "a bare LF behind the last chunk's size": HELLO + b"0\n\r\n",
    "a bare LF at the very end": HELLO + b"0\r\n\n",
    "a bare CR at the very end": HELLO + b"0\r\n\rX",
    "a trailer without colon": HELLO + b"0\r\nX-Sum\r\n\r\n",
    "a trailer with white space before its colon": HELLO + b"0\r\nX-Sum : 4\r\n\r\n",
    "a folded trailer": HELLO + b"0\r\nX-Sum: 4\r\n 2\r\n\r\n",
    "a trailer without name": HELLO + b"0\r\n: 4\r\n\r\n",
    "a control byte in a trailer": HELLO + b"0\r\nX-Sum: 4\x01\r\n\r\n",
    "a NUL in a trailer": HELLO + b"0\r\nX-Sum: 4\0\r\n\r\n",
    "a trailer that ends with a bare LF": HELLO + b"0\r\nX-Sum: 4\n\r\n",
    "a trailer that ends with a bare CR": HELLO + b"0\r\nX-Sum: 4\rX: 5\r\n\r\n",
    "a trailer that starts with white space": HELLO + b"0\r\n X-Sum: 4\r\n\r\n",
    "trailers larger than a head may be": HELLO + b"0\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
    "more trailers than a head may have": HELLO + b"0\r\n" + b"X: a\r\n" * 200 + b"\r\n",
}

REQUESTS = [("9112 7.1", f"{name}", chunks(data), forwarded(body=body, framing="chunked"))
            for name, (data, body) in GOOD.items()]
REQUESTS += [("9112 7.1", f"{name} is refused", chunks(data + SECRET),
              refused(400, "bad_chunk", "bad_header")) for name, data in BAD.items()]

RESPONSES = [("9112 7.1", f"{name}", reply(CHUNKED, body=data), got(body=body, framing="chunked"),
              server_kept) for name, (data, body) in GOOD.items()]
RESPONSES += [("9112 7.1", f"{name}: the client sees no whole message",
               reply(CHUNKED, body=data + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
               truncated, server_dropped) for name, data in BAD.items()]

_FORBIDDEN = ["Transfer-Encoding: chunked", "Content-Length: 5", "Host: b", "Authorization: b",
              "Cookie: b", "Content-Type: b", "Content-Encoding: b", "Content-Range: b", "TE: b",
              "Trailer: b", "Connection: close", "X-Forwarded-For: b", "X-Forwarded-Host: b",
              "X-Forwarded-Proto: b", "Forwarded: for=b", "X-Request-Id: b", "Via: 1.1 b",
              "Expect: 100-continue", "Max-Forwards: 1", "Range: bytes=0-1", "If-Match: b",
              "Cache-Control: b", "Set-Cookie: b", "Proxy-Authorization: b", "Keep-Alive: 5",
              "Proxy-Connection: b", "Upgrade: b", "X_Forwarded_For: b", "Content_Length: 5"]
TRAILERS = [
    ("9112 7.1.2", "trailers pass", chunks(HELLO + b"0\r\nX-Sum: 42\r\n\r\n"),
     forwarded(trailers=SUM, body=b"hello")),
    ("9110 6.6.2", "Trailer passes with them", chunks(HELLO + b"0\r\nX-Sum: 42\r\n\r\n",
                                                      "Trailer: X-Sum"),
     forwarded({"trailer": "X-Sum"}, trailers=SUM)),
    ("9110 6.6.2", "Trailer without chunked is dropped",
     chunks(b"").replace(CHUNKED.encode(), b"Trailer: X-Sum"), forwarded(without=["trailer"])),
    ("9112 7.1.2", "several trailers keep their order",
     chunks(HELLO + b"0\r\nX-B: 1\r\nX-A: 2\r\nX-B: 3\r\n\r\n"),
     forwarded(trailers=[("X-B", "1"), ("X-A", "2"), ("X-B", "3")])),
    ("9110 6.5", "a trailer does not become a header field",
     chunks(HELLO + b"0\r\nX-Sum: 42\r\n\r\n"), forwarded(without=["x-sum"])),
    ("9110 7.6.1", "a trailer that Connection names is removed",
     chunks(HELLO + b"0\r\nX-Sum: 42\r\nX-Hop: 1\r\n\r\n", "Connection: X-Hop"),
     forwarded(trailers=SUM)),
] + [("9110 6.5.1", f"{line.split(':')[0]} is no trailer",
      chunks(HELLO + f"0\r\n{line}\r\nX-Sum: 42\r\n\r\n".encode()), forwarded(trailers=SUM))
     for line in _FORBIDDEN]

TRAILERS_BACK = [
    ("9112 7.1.2", "trailers pass", reply(CHUNKED, body=HELLO + b"0\r\nX-Sum: 42\r\n\r\n"),
     asked("GET", "TE: trailers", "Connection: TE"), got(trailers=SUM, body=b"hello")),
    ("9110 6.6.2", "Trailer passes with them",
     reply(CHUNKED, "Trailer: X-Sum", body=HELLO + b"0\r\nX-Sum: 42\r\n\r\n"),
     asked("GET", "TE: trailers", "Connection: TE"),
     got(fields={"trailer": "X-Sum"}, trailers=SUM)),
    ("9112 6.1", "a client of 1.0 gets neither chunks nor trailers",
     reply(CHUNKED, "Trailer: X-Sum", body=HELLO + b"0\r\nX-Sum: 42\r\n\r\n"),
     asked(version="1.0"), got(body=b"hello", without=["trailer"])),
    ("9110 7.6.1", "a trailer that Connection names is removed",
     reply(CHUNKED, "Connection: X-Hop", body=HELLO + b"0\r\nX-Hop: 1\r\nX-Sum: 42\r\n\r\n"),
     got(trailers=SUM)),
] + [("9110 6.5.1", f"{line.split(':')[0]} is no trailer",
      reply(CHUNKED, body=HELLO + f"0\r\n{line}\r\nX-Sum: 42\r\n\r\n".encode()),
      got(trailers=SUM)) for line in
     ("Transfer-Encoding: chunked", "Content-Length: 5", "Content-Type: b", "Set-Cookie: a=b",
      "Content-Encoding: b", "Content-Range: b", "Location: /b", "Connection: close", "Age: 5",
      "Cache-Control: no-store", "Date: b", "Vary: b", "Expires: b", "Retry-After: 1",
      "WWW-Authenticate: b", "Keep-Alive: 5", "Upgrade: b")]


class Chunked(Table):
    def test_requests(self):
        self.play_all(REQUESTS, "requests")

    def test_responses(self):
        self.play_all(RESPONSES, "responses")

    def test_trailers_of_requests(self):
        self.play_all(TRAILERS, "requests")

    def test_trailers_of_responses(self):
        self.play_all(TRAILERS_BACK, "responses")
