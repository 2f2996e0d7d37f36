# SPDX-License-Identifier: Apache-2.0
"""Responses of HTTP/1 servers as clients of HTTP/2 get them: RFC 9113 sections 8.1, 8.2 and 8.6. A
response that is not whole is reset, and never ends."""

from harness import h2
from harness.h2 import get
from origins import scripts

from .h2_rows import (H2Table, answered, bad_gateway, check, claim, cut, either, got, method,
                      over, played)
from .messages import CHUNKED, END, ok, reply

HELLO = b"5\r\nhello\r\n"
HEAD = method("HEAD")

WHOLE = [
    ("9113 8.1", "by length", answered(ok()), got(body=b"hello", fields={"content-length": "5"})),
    ("9113 8.1", "in chunks", answered(reply(CHUNKED, body=HELLO + END)),
     got(body=b"hello", without=["transfer-encoding"])),
    ("9113 8.1", "to the end of the connection", answered(reply(body=b"hello"), "fin"),
     got(body=b"hello")),
    ("9113 8.1", "an empty body by length", answered(reply("Content-Length: 0")), got(body=b"")),
    ("9113 8.1", "an empty body in chunks", answered(reply(CHUNKED, body=END)), got(body=b"")),
    ("9113 8.1", "an empty body to the end", answered(reply(), "fin"), got(body=b"")),
    ("9113 8.1", "204", answered(reply(status=204)), got(204, body=b"")),
    ("9113 8.1", "304 with the length of what it is not",
     answered(reply("Content-Length: 500", 'ETag: "a"', status=304)),
     got(304, body=b"", fields={"etag": '"a"'})),
    ("9113 8.1", "205", answered(reply("Content-Length: 0", status=205)), got(205, body=b"")),
    ("9113 8.3.2", "an unusual status", answered(ok(status=599)), got(599, body=b"hello")),
    ("9113 8.3.2", "the reason phrase is lost", answered(ok(reason="Not What You Think")), got()),
    ("9113 8.1", "of 1.0", answered(ok(version="HTTP/1.0"), "fin"), got(body=b"hello")),
    ("9113 8.1", "100,000 bytes", answered(ok(body=b"x" * 100_000)), got(body=b"x" * 100_000)),
    ("9110 8.6", "a chunked response with trailers",
     answered(reply(CHUNKED, "Trailer: X-Sum", body=HELLO + b"0\r\nX-Sum: 42\r\nX-B: c\r\n\r\n")),
     got(body=b"hello", trailers=[("x-sum", "42"), ("x-b", "c")])),
    ("9110 6.5.1", "trailers alone", answered(reply(CHUNKED, body=b"0\r\ngrpc-status: 0\r\n\r\n")),
     got(body=b"", trailers=[("grpc-status", "0")])),
    *[("9110 6.5.1", f"{line} is no trailer",
       answered(reply(CHUNKED, body=HELLO + b"0\r\n" + line.encode() + b"\r\nX-A: 1\r\n\r\n")),
       either(got(body=b"hello", trailers=[("x-a", "1")]), cut()))
      for line in ("Content-Length: 5", "Transfer-Encoding: chunked", "Connection: close",
                   "Set-Cookie: a=b", "Upgrade: x")],
]

HEADS = [
    ("9110 9.3.2", "HEAD with a length", answered(reply("Content-Length: 5")), HEAD,
     got(body=b"", fields={"content-length": "5"})),
    ("9110 9.3.2", "HEAD of what would be chunked", answered(reply(CHUNKED)), HEAD, got(body=b"")),
    ("9110 9.3.2", "HEAD without either", answered(reply()), HEAD, got(body=b"")),
    ("9110 9.3.2", "HEAD and 404", answered(reply("Content-Length: 50", status=404)), HEAD,
     got(404, body=b"")),
]

FIELDS = [
    ("9113 8.2", "names become lower case", answered(ok("X-UPPER: Kept", "ETag: W/\"A\"")),
     got(fields={"x-upper": "Kept", "etag": 'W/"A"'})),
    ("9113 8.2.2", "connection-specific fields stay here",
     answered(ok("Connection: keep-alive, X-Private", "X-Private: 1", "Keep-Alive: timeout=5",
                 "Proxy-Connection: keep-alive", "X-Public: 1")),
     got(fields={"x-public": "1"},
         without=["connection", "x-private", "keep-alive", "proxy-connection"])),
    ("9113 8.2.2", "Connection: close is no affair of the client's",
     answered(ok("Connection: close"), "fin"), got(body=b"hello", without=["connection"])),
    ("9113 8.2.2", "Upgrade", answered(ok("Upgrade: h2c", "Connection: Upgrade")),
     got(without=["upgrade"])),
    ("9113 8.2.2", "Upgrade of 426",
     answered(ok("Upgrade: websocket", "Connection: Upgrade", status=426)),
     got(426, without=["upgrade"])),
    ("6265 3", "each Set-Cookie is a field",
     answered(ok("Set-Cookie: a=1", "Set-Cookie: b=2; Path=/")),
     got(fields={"set-cookie": ["a=1", "b=2; Path=/"]})),
    ("9110 5.3", "fields keep their order", answered(ok("X-A: 1", "X-B: 2", "X-A: 3")),
     got(fields={"x-a": ["1", "3"]})),
    ("9113 8.2.1", "white space around a value is left out", answered(ok("X-A: \t a b \t")),
     got(fields={"x-a": "a b"})),
    ("9110 5.5", "an empty value", answered(ok("X-A:")), got(fields={"x-a": ""})),
    ("9110 5.5", "bytes beyond ASCII", answered(ok("X-A: \xe4\xff")),
     got(fields={"x-a": "\xe4\xff"})),
    ("9110 6.6.1", "Date is kept", answered(ok("Date: Sun, 06 Nov 1994 08:49:37 GMT")),
     got(fields={"date": "Sun, 06 Nov 1994 08:49:37 GMT"})),
    ("9113 6.5.2", "a head of 20,000 bytes", answered(ok("X-Long: " + "x" * 20_000)),
     got(fields={"x-long": "x" * 20_000})),
    ("9113 6.10", "a head of 90 fields", answered(ok(*[f"X-{n}: {'v' * 300}" for n in range(90)])),
     got(fields={"x-89": "v" * 300})),
]

CUT = [
    ("9113 8.1", "by length", played(scripts.die("fin", ok()[:-2])), cut()),
    ("9113 8.1", "by length, reset", played(scripts.die("rst", ok()[:-2])),
     either(cut(), bad_gateway())),
    ("9113 8.1", "between chunks", played(scripts.die("fin", reply(CHUNKED, body=HELLO))), cut()),
    ("9113 8.1", "in a chunk", played(scripts.die("fin", reply(CHUNKED, body=HELLO[:-4]))), cut()),
    ("9113 8.1", "before the last chunk's end",
     played(scripts.die("fin", reply(CHUNKED, body=HELLO + b"0\r\n"))), cut()),
    ("9113 8.1", "in the trailers",
     played(scripts.die("fin", reply(CHUNKED, body=HELLO + b"0\r\nX-A: b\r\n"))), cut()),
    ("9113 8.1", "a malformed chunk", answered(reply(CHUNKED, body=HELLO + b"nonsense\r\n")),
     cut()),
    ("9113 8.1", "nothing of the body", played(scripts.die("fin", reply("Content-Length: 5"))),
     either(cut(), bad_gateway())),
    ("9113 8.1", "before the head", played(scripts.die("fin")), bad_gateway()),
    ("9113 8.1", "in the head", played(scripts.die("fin", b"HTTP/1.1 200 OK\r\nContent-Le")),
     bad_gateway()),
]

BAD = [
    ("9113 8.6", "101 that nobody asked for",
     answered(reply("Connection: Upgrade", "Upgrade: chat", status=101)), bad_gateway()),
    ("9112 6.3", "two lengths", answered(ok("Content-Length: 6")), bad_gateway()),
    ("9112 6.3", "a length beside chunked",
     answered(reply(CHUNKED, "Content-Length: 5", body=HELLO + END)),
     either(bad_gateway(), got(body=b"hello", without=["content-length"]))),
    ("9112 6.1", "a coding that is not known",
     answered(reply("Transfer-Encoding: gzip, chunked", body=HELLO + END)), bad_gateway()),
    ("9113 8.2.1", "a control byte in a value", answered(ok("X-A: a\0b")), bad_gateway()),
    ("9113 8.2.1", "a bare CR in a value", answered(ok("X-A: a\rb")), bad_gateway()),
    ("9113 8.3", "a pseudo-header from HTTP/1", answered(ok(":status: 404")), bad_gateway()),
    ("9112 4", "a status that is none", answered(reply(line="HTTP/1.1 99 Low")), bad_gateway()),
    ("9113 8.1", "an answer in HTTP/2 or worse", answered(h2.settings() + h2.PREFACE, "fin"),
     bad_gateway()),
]

HINTS = reply("Link: </a>", status=103, reason="Early Hints")
CONTINUE = reply(status=100, reason="Continue")


@check(over(1))
def hinted(seen):
    claim(seen.stream(1).interim[0].fields.get("link") == "</a>", "Link", seen.stream(1).interim)


INTERIM = [
    ("9113 8.1", "103 is forwarded, with its fields", answered(HINTS + ok()),
     got(body=b"hello", interim=[103]), hinted),
    ("9113 8.1", "several are, in order", answered(HINTS + reply(status=102) + HINTS + ok()),
     got(interim=[103, 102, 103])),
    ("9113 8.1", "100 that nobody asked for is forwarded or dropped", answered(CONTINUE + ok()),
     either(got(interim=[100]), got(interim=[]))),
    ("9113 8.1", "before 204", answered(HINTS + reply(status=204)), got(204, interim=[103])),
    ("9113 8.1", "before HEAD's answer", answered(HINTS + reply("Content-Length: 5")), HEAD,
     got(interim=[103], body=b"")),
    ("9113 8.2.2", "connection-specific fields of one stay here",
     answered(reply("Connection: X-A", "X-A: 1", "Keep-Alive: 5", status=103) + ok()),
     got(interim=[103])),
    ("9113 8.1", "and then nothing more", played(scripts.die("fin", HINTS)), bad_gateway()),
]


def asked(table):
    """Rows of (section, requirement, what must be seen …): a client asks for /."""
    for section, requirement, *sees in table:
        data = get(1, method="HEAD") if HEAD in sees else get(1)
        yield (section, requirement, data, *sees)


class Responses(H2Table):
    def test_whole(self):
        self.play_all(list(asked(WHOLE)))

    def test_head(self):
        self.play_all(list(asked(HEADS)))

    def test_fields(self):
        self.play_all(list(asked(FIELDS)))

    def test_cut(self):
        self.play_all(list(asked(CUT)))

    def test_bad(self):
        self.play_all(list(asked(BAD)))

    def test_interim(self):
        self.play_all(list(asked(INTERIM)))
