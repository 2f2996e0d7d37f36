# SPDX-License-Identifier: Apache-2.0
"""Responses of a server that are malformed or ambiguous: 502, and that connection is never used
again."""

from harness.case import Case
from origins import scripts

OK = b"HTTP/1.1 200 OK\r\n"
BAD = "upstream_bad_response"

# name: (cause, bytes)
TABLE = {
    "no_http": (BAD, b"hello, this is no HTTP at all\r\n\r\n"),
    "http09": (BAD, b"<html>hello</html>"),
    "http2_version": (BAD, b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "lower_case_version": (BAD, b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "status_of_two_digits": (BAD, b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    "status_of_four_digits": (BAD, b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    "status_zero": (BAD, b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"),
    "status_not_a_number": (BAD, b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n"),
    "status_negative": (BAD, b"HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n"),
    "tab_in_status_line": (BAD, b"HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n"),
    "control_in_reason": (BAD, b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n"),
    "space_before_colon": (BAD, OK + b"Content-Length : 2\r\n\r\nok"),
    "no_colon": (BAD, OK + b"nonsense\r\nContent-Length: 0\r\n\r\n"),
    "empty_name": (BAD, OK + b": x\r\nContent-Length: 0\r\n\r\n"),
    "nul_in_value": (BAD, OK + b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n"),
    "bare_cr_in_value": (BAD, OK + b"X-A: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"),
    "folded_line": (BAD, OK + b"X-A: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    "two_lengths": (BAD, OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk"),
    "length_not_a_number": (BAD, OK + b"Content-Length: two\r\n\r\nok"),
    "length_negative": (BAD, OK + b"Content-Length: -2\r\n\r\nok"),
    "length_too_large": (BAD, OK + b"Content-Length: 99999999999999999999999\r\n\r\nok"),
    "length_and_chunked": (BAD, OK + b"Content-Length: 5\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "unknown_coding": (BAD, OK + b"Transfer-Encoding: strange\r\n\r\nok"),
    "chunked_not_last": (BAD, OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "chunked_twice": (BAD, OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "chunked_of_http10": (BAD, b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "large_head": ("upstream_head_too_large", OK + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n"),
    "endless_head": ("upstream_head_too_large", OK + b"X-A: " + b"a" * 400_000),
    "too_many_fields": ("upstream_head_too_large", OK + b"X-A: b\r\n" * 200 + b"\r\n"),
}


class Refused(Case):
    def refuse(self, data, cause):
        def script(x):
            x.body()
            try:
                x.send(data)
            except ConnectionError:
                pass
            x.peer_gone()
            x.reached("gone")
            x.close()
        origin, weir = self.proxied(workers=1)
        origin.on("/bad", script)
        client = self.client(weir)
        self.assertEqual(client.get("/before").status, 200)
        response = client.get("/bad")
        self.claim_refused(response, 502, cause)
        origin.await_gate("gone")
        self.assertEqual(weir.logged_one("/bad")["cause"], cause)
        self.assertEqual(client.get("/after").status, 200, "the client's connection lives on")
        self.assertEqual(len(origin.seen("/bad")), 1)
        self.assertNotEqual(origin.request("/after").connection, origin.request("/bad").connection)


def _add(name, cause, data):
    setattr(Refused, f"test_{name}", lambda self: self.refuse(data, cause))


for _name, (_cause, _data) in TABLE.items():
    _add(_name, _cause, _data)


class Leftovers(Case):
    """Bytes behind a complete response belong to nobody: they must not become the next answer."""

    def check(self, data, expected):
        origin, weir = self.proxied(workers=1)
        origin.on("/more", scripts.raw(data))
        client = self.client(weir)
        response = client.get("/more")
        self.assertEqual((response.status, response.body), (200, expected))
        self.assertEqual(client.get("/after").body, b"hello from origin\n")
        self.assertNotEqual(origin.request("/after").connection, origin.request("/more").connection)

    def test_second_response(self):
        self.check(scripts.head(200, "Content-Length: 2") + b"ok"
                   + scripts.head(200, "Content-Length: 5") + b"wrong", b"ok")

    def test_more_than_content_length(self):
        self.check(scripts.head(200, "Content-Length: 2") + b"okGARBAGE", b"ok")

    def test_bytes_behind_the_last_chunk(self):
        self.check(scripts.head(200, "Transfer-Encoding: chunked") + b"2\r\nok\r\n0\r\n\r\nGARBAGE",
                   b"ok")

    def test_body_of_a_head_response(self):
        origin, weir = self.proxied(workers=1)
        origin.on("/more", scripts.raw(scripts.head(200, "Content-Length: 5") + b"wrong"))
        client = self.client(weir)
        self.assertEqual(client.get("/more", method="HEAD").status, 200)
        self.assertEqual(client.get("/after").body, b"hello from origin\n")

    def test_bytes_on_an_idle_connection(self):
        """Sent by the server without being asked, after the exchange has ended."""
        def script(x):
            scripts.text("good\n")(x)
            x.wait("more")
            x.send(scripts.head(200, "Content-Length: 5") + b"wrong")
            x.reached("sent")
        origin, weir = self.proxied(workers=1)
        origin.on("/first", script)
        client = self.client(weir)
        self.assertEqual(client.get("/first").body, b"good\n")
        origin.open("more")
        origin.await_gate("sent")
        self.assertEqual(client.get("/after").body, b"hello from origin\n")
