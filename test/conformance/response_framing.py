# SPDX-License-Identifier: Apache-2.0
"""How the length of a response's body is known, and status codes that have none."""

from .messages import CHUNKED, END, ok, reply
from .rows import (Table, asked, bad_gateway, closes, either, got, server_dropped, server_kept,
                   stays, then, truncated)

BODY = b"5\r\nhello\r\n" + END

LENGTH = [
    ("9112 6.2", "Content-Length frames the body", ok(),
     got(fields={"content-length": "5"}, body=b"hello"), stays, server_kept),
    ("9112 6.2", "a length of 0", ok(body=b""), got(fields={"content-length": "0"}, body=b""),
     server_kept),
    ("9112 6.3", "the same length twice becomes one", ok("Content-Length: 5"),
     got(fields={"content-length": "5"}, body=b"hello")),
    ("9112 6.3", "a list of the same length becomes one",
     reply("Content-Length: 5, 5", body=b"hello"),
     got(fields={"content-length": "5"}, body=b"hello")),
    ("9112 6.3", "differing lengths are 502", ok("Content-Length: 6"), bad_gateway()),
    ("9112 6.3", "a list of differing lengths is 502",
     reply("Content-Length: 5, 6", body=b"hello!"), bad_gateway()),
    ("9112 6.3", "an invalid length is 502", reply("Content-Length: five", body=b"hello"),
     bad_gateway()),
    ("9112 6.3", "a negative length is 502", reply("Content-Length: -5", body=b"hello"),
     bad_gateway()),
    ("9112 6.3", "a signed length is 502", reply("Content-Length: +5", body=b"hello"),
     bad_gateway()),
    ("9112 6.3", "a hexadecimal length is 502", reply("Content-Length: 0x5", body=b"hello"),
     bad_gateway()),
    ("9112 6.3", "an empty length is 502", reply("Content-Length:", body=b"hello"), bad_gateway()),
    ("9112 6.3", "a length beyond 64 bits is 502",
     reply("Content-Length: 18446744073709551621", body=b"hello"), bad_gateway()),
    ("9112 6.3", "Transfer-Encoding and Content-Length together are 502",
     reply(CHUNKED, "Content-Length: 5", body=BODY), bad_gateway()),
    ("9112 6.3", "in the other order, too", reply("Content-Length: 5", CHUNKED, body=BODY),
     bad_gateway()),
    ("9112 6.3", "neither: the body ends with the connection", reply(body=b"hello"), then("fin"),
     got(body=b"hello", framing="chunked"), stays, server_dropped),
    ("9112 6.3", "neither, and nothing before the end", reply(), then("fin"), got(body=b"")),
    ("9112 8", "an end before the length is reached is visible",
     reply("Content-Length: 10", body=b"hello"), then("fin"), truncated, server_dropped),
    ("9112 8", "a reset is, too", reply("Content-Length: 10", body=b"hello"), then("rst"),
     either(truncated, bad_gateway("upstream_reset"))),
    ("9112 8", "an end between chunks is visible", reply(CHUNKED, body=b"5\r\nhello\r\n"),
     then("fin"), truncated),
    ("9112 8", "an end inside a chunk is visible", reply(CHUNKED, body=b"5\r\nhel"), then("fin"),
     truncated),
    ("9112 8", "an end inside the trailers is visible",
     reply(CHUNKED, body=b"5\r\nhello\r\n0\r\nX-A: b\r\n"), then("fin"), truncated),
    ("9112 6.3", "bytes behind the length are nobody's", ok(body=b"hello") + b"XXXXX",
     got(body=b"hello"), server_dropped),
    ("9112 6.3", "a second response behind the first is nobody's", ok() + ok(body=b"wrong"),
     got(body=b"hello"), server_dropped),
    ("9112 9.2", "a response behind the last chunk is nobody's",
     reply(CHUNKED, body=BODY) + ok(body=b"wrong"), got(body=b"hello"), server_dropped),
]

CODING = [
    ("9112 7.1", "chunked frames the body", reply(CHUNKED, body=BODY),
     got(body=b"hello", framing="chunked"), stays, server_kept),
    ("9112 7", "the coding's name has no case", reply("Transfer-Encoding: Chunked", body=BODY),
     got(body=b"hello"), server_kept),
    ("9112 6.1", "a client of 1.0 gets the body to the connection's end",
     reply(CHUNKED, body=BODY), asked(version="1.0"),
     got(body=b"hello", without=["transfer-encoding"]), closes, server_kept),
    ("9112 6.1", "even with keep-alive", reply(CHUNKED, body=BODY),
     asked("GET", "Connection: keep-alive", version="1.0"), got(body=b"hello"), closes),
    ("9112 6.1", "Transfer-Encoding in HTTP/1.0 is faulty framing",
     reply(CHUNKED, version="HTTP/1.0", body=BODY), then("fin"), bad_gateway()),
    ("9112 6.3", "chunked not last is 502", reply("Transfer-Encoding: chunked, gzip", body=BODY),
     bad_gateway()),
    ("9112 6.1", "a coding that is not understood is 502",
     reply("Transfer-Encoding: gzip, chunked", body=BODY), bad_gateway()),
    ("9112 6.1", "chunked twice is 502", reply("Transfer-Encoding: chunked, chunked", body=BODY),
     bad_gateway()),
    ("9112 6.1", "chunked in two fields is 502", reply(CHUNKED, CHUNKED, body=BODY),
     bad_gateway()),
    ("9112 6.1", "identity is 502", reply("Transfer-Encoding: identity", body=b"hello"),
     then("fin"), bad_gateway()),
    ("9112 6.1", "an empty coding is 502", reply("Transfer-Encoding:", body=b"hello"),
     then("fin"), bad_gateway()),
    ("9112 6.1", "a quoted coding is 502", reply('Transfer-Encoding: "chunked"', body=BODY),
     bad_gateway()),
    ("9112 6.1", "xchunked is 502", reply("Transfer-Encoding: xchunked", body=BODY),
     bad_gateway()),
    ("9112 6.1", "a coding with a control byte is 502",
     reply("Transfer-Encoding: \x0bchunked", body=BODY), bad_gateway()),
]

BODILESS = [
    ("9110 15.3.5", "204 has no body", reply(status=204), got(204, body=b"", framing="none"),
     server_kept, stays),
    ("9110 8.6", "Content-Length of 0 in 204 is removed", reply("Content-Length: 0", status=204),
     got(204, without=["content-length"]), server_kept, stays),
    ("9110 15.4.5", "304 has no body", reply(status=304), got(304, body=b"", framing="none"),
     server_kept, stays),
    ("9110 8.6", "Content-Length of 304 passes", reply("Content-Length: 5", status=304),
     got(304, {"content-length": "5"}, body=b""), server_kept, stays),
    ("9110 8.6", "a list of lengths in 304 becomes one",
     reply("Content-Length: 5, 5", status=304), got(304, {"content-length": "5"})),
    ("9112 6.1", "chunked in 304 is not passed on", reply(CHUNKED, status=304),
     got(304, without=["transfer-encoding"]), stays),
    ("9110 15.4.5", "ETag and others of 304 pass",
     reply('ETag: "x"', "Cache-Control: max-age=5", "Vary: Accept", status=304),
     got(304, {"etag": '"x"', "cache-control": "max-age=5", "vary": "Accept"})),
    ("9110 8.6", "Content-Length in 204 is removed, and the connection is doubtful",
     reply("Content-Length: 5", status=204, body=b"hello"),
     got(204, without=["content-length"], body=b""), server_dropped),
    ("9112 6.1", "chunked in 204 is removed, and the connection is doubtful",
     reply(CHUNKED, status=204, body=BODY), got(204, without=["transfer-encoding"]),
     server_dropped),
    ("9112 6.3", "a body behind 204 is nobody's", reply(status=204, body=b"hello"),
     got(204, body=b""), server_dropped),
    ("9112 6.3", "a body behind 304 is nobody's",
     reply("Content-Length: 5", status=304, body=b"hello"), got(304, body=b""), server_dropped),
    ("9112 6.3", "a response behind 304 is nobody's", reply(status=304) + ok(body=b"wrong"),
     got(304, body=b""), server_dropped),
    ("9110 15.3.6", "205 is framed as it says", reply("Content-Length: 0", status=205),
     got(205, {"content-length": "0"}), server_kept),
    ("9110 15.3.6", "205 with chunked, too", reply(CHUNKED, status=205, body=END),
     got(205, body=b"")),
]

HEAD = [
    ("9110 9.3.2", "Content-Length of HEAD passes, no body", reply("Content-Length: 5"),
     asked("HEAD"), got(fields={"content-length": "5"}, body=b""), stays, server_kept),
    ("9110 9.3.2", "chunked of HEAD has no body", reply(CHUNKED), asked("HEAD"),
     got(body=b"", framing="none"), stays, server_kept),
    ("9110 9.3.2", "neither has none and ends at once", reply(), asked("HEAD"),
     got(body=b"", without=["content-length", "transfer-encoding"]), stays, server_kept),
    ("9110 9.3.2", "HEAD of HTTP/1.0", reply("Content-Length: 5"), asked("HEAD", version="1.0"),
     got(fields={"content-length": "5"}, body=b"")),
    ("9110 9.3.2", "HEAD answered 404", reply("Content-Length: 9", status=404), asked("HEAD"),
     got(404, {"content-length": "9"}, body=b""), stays),
    ("9110 9.3.2", "HEAD answered 204", reply(status=204), asked("HEAD"), got(204), stays),
    ("9110 9.3.2", "HEAD answered 304", reply("Content-Length: 5", status=304), asked("HEAD"),
     got(304, {"content-length": "5"}), stays),
    ("9112 6.3", "a body behind HEAD is nobody's", ok(), asked("HEAD"), got(body=b""),
     server_dropped),
    ("9112 6.3", "chunks behind HEAD are nobody's", reply(CHUNKED, body=BODY), asked("HEAD"),
     got(body=b""), server_dropped),
    ("9112 6.3", "differing lengths of HEAD are 502",
     reply("Content-Length: 5", "Content-Length: 6"), asked("HEAD"), bad_gateway()),
    ("9112 6.3", "chunked and length of HEAD are 502", reply(CHUNKED, "Content-Length: 5"),
     asked("HEAD"), bad_gateway()),
    ("9110 9.3.2", "the server of 1.0 and HEAD", reply("Content-Length: 5", version="HTTP/1.0"),
     asked("HEAD"), then("fin"), got(fields={"content-length": "5"}, body=b""), stays),
    ("9110 9.3.2", "Content-Type, ETag and Last-Modified of HEAD pass",
     reply("Content-Type: a/b", 'ETag: "x"', "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"),
     asked("HEAD"), got(fields={"content-type": "a/b", "etag": '"x"'})),
    ("9110 9.1", "head is not HEAD", ok(), asked("head"), got(body=b"hello")),
]


class ResponseFraming(Table):
    def test_length(self):
        self.play_all(LENGTH, "responses")

    def test_coding(self):
        self.play_all(CODING, "responses")

    def test_bodiless(self):
        self.play_all(BODILESS, "responses")

    def test_head(self):
        self.play_all(HEAD, "responses")
