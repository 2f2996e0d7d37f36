# SPDX-License-Identifier: Apache-2.0
"""Response splitting and its kin: what a client or a server puts into a message never begins
another one, or another field. Redirects and fixed answers that Weir makes itself."""

from .messages import get, ok, reply, sized
from .rows import (Table, answers, asked, bad_gateway, claim, closes, got, refused,
                   server_dropped, stays)

# Written in a target as they are, escaped, or as bytes that some decoders make CR and LF of.
_SPLITTERS = ["\r\nX-Injected: 1", "\nX-Injected: 1", "\rX-Injected: 1", "\r\n\r\nHTTP/1.1 200 OK",
              "\0X-Injected: 1", "\x85X-Injected: 1"]
_ESCAPED = ["%0d%0aX-Injected:%201", "%0AX-Injected:%201", "%0DX-Injected:%201",
            "%E5%98%8A%E5%98%8DX-Injected:%201", "%u000aX-Injected:1", "\\r\\nX-Injected:1",
            "%250d%250aX-Injected:%201", "%c0%8aX-Injected:1"]


def location(wanted):
    """A redirect to there, with nothing else that the client brought."""
    def check(seen):
        claim(seen.response.fields.all("location") == [wanted], "Location",
              seen.response.fields.all("location"))
        claim("x-injected" not in seen.response.fields, "injected", seen.response.fields)
        claim(not seen.forwarded, "reached the server")
    return check


def refused_or_bad(seen):
    """Refused, for whichever reason; nothing injected."""
    claim(seen.response.status in (400, 505), "not refused", seen.response)
    claim("x-injected" not in seen.response.fields, "injected", seen.response.fields)
    claim(not seen.forwarded, "reached the server", seen.forwarded)


REDIRECTS = [
    ("9110 15.4", "a redirect to the same path of another scheme", get(target="/to/a?b"),
     location("https://weir.test/to/a?b"), stays),
    ("9110 15.4", "of HEAD: no body", get(method="HEAD", target="/to/a"),
     location("https://weir.test/to/a"), stays),
    ("9110 15.4", "with a body that nobody wants", sized(b"hello", target="/to/a"),
     location("https://weir.test/to/a"), stays),
    ("9110 15.4", "of absolute-form", get(target="http://other.test/to/a"),
     location("https://other.test/to/a")),
    ("9110 15.4", "of HTTP/1.0", get(target="/to/a", version="HTTP/1.0"),
     location("https://weir.test/to/a"), closes),
    ("9110 10.2.2", "a path of two slashes names no other host",
     get("X-Slash: 1", target="//evil.test/x"), location("/evil.test/x/")),
    ("9110 10.2.2", "nor does one of a slash and a backslash",
     get("X-Slash: 1", target="/\\evil.test/x"), location("/evil.test/x/")),
    ("9110 10.2.2", "nor one of many slashes", get("X-Slash: 1", target="////evil.test/x"),
     location("/evil.test/x/")),
    ("9110 10.2.2", "nor after the route's own path", get(target="/path//evil.test"),
     location("/path//evil.test/")),
] + [("9110 5.5", f"{text!r} in a target that becomes Location", get(target=f"/to/{text}"),
      refused_or_bad) for text in _SPLITTERS
] + [("9110 5.5", f"{text!r} in a query that becomes Location", get(target=f"/to/a?b={text}"),
      refused_or_bad) for text in _SPLITTERS
] + [("9110 5.5", f"{text!r} in a target stays escaped in Location", get(target=f"/to/{text}"),
      location(f"https://weir.test/to/{text}")) for text in _ESCAPED
] + [("9110 5.5", f"{text!r} in Host that becomes Location",
      get(target="/to/a", host=f"weir.test{text}"), refused_or_bad)
     for text in _SPLITTERS if "\r\n" not in text
] + [("9110 5.5", f"{text!r} in absolute-form that becomes Location",
      get(target=f"http://weir.test{text}/to/a"), refused_or_bad) for text in _SPLITTERS
] + [("3986 3.2.2", f"a Host of {text!r} does not become Location", get(target="/to/a", host=text),
      refused(400, "bad_host")) for text in
     ("weir.test/..", "weir.test@evil", "weir.test\\evil", "\"weir.test\"", "<a>", "a b",
      "weir.test#", "weir.test?")]

FIXED = [
    ("9110 15", "a fixed answer has its length and Date", get(target="/fixed"),
     answers(403), got(403, {"content-length": "10"}, body=b"403 closed"), stays),
    ("9110 9.3.2", "of HEAD: the same length, no body", get(method="HEAD", target="/fixed"),
     got(403, {"content-length": "10"}, body=b""), stays),
    ("9110 15.3.5", "a fixed 204 has neither body nor length", get(target="/none"),
     got(204, without=["content-length", "transfer-encoding"], body=b""), stays),
    ("9110 15.4.5", "a fixed 304 has no body", get(target="/same"), got(304, body=b""), stays),
    ("9112 9.3", "a fixed answer to a request with a body", sized(b"hello", target="/fixed"),
     answers(403), stays),
    ("9112 9.3", "to one of HTTP/1.0", get(target="/fixed", version="HTTP/1.0"), answers(403),
     closes),
    ("9110 10.1.1", "to one that waits for 100: the connection ends",
     b"POST /fixed HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
     got(403, interim=[]), closes),
    ("9110 9.3.2", "a refusal of HEAD has no body", get("X A: b", method="HEAD"),
     refused(400, "bad_header"), got(400, body=b"")),
    ("9110 9.3.2", "a refusal of HEAD without Host", get(method="HEAD", host=None),
     refused(400, "bad_host"), got(400, body=b"")),
    ("9110 9.3.2", "a refusal of HEAD with a bad target", get(method="HEAD", target="a"),
     refused(400, "bad_target"), got(400, body=b"")),
    ("9110 9.3.2", "a refusal of HEAD with a bad version",
     get(method="HEAD", version="HTTP/3.0"), refused(505, "unsupported_version"),
     got(505, body=b"")),
    ("9110 9.3.2", "a refusal of HEAD of HTTP/1.0", get("X A: b", method="HEAD",
                                                       version="HTTP/1.0"),
     refused(400, "bad_header"), got(400, body=b"")),
    ("9110 9.3.2", "a refusal of HEAD with a bad length", get("Content-Length: x", method="HEAD"),
     refused(400, "bad_content_length"), got(400, body=b"")),
]

# Of the server: what stands in one field or in the reason never becomes another field.
SERVERS = [("9110 5.5", f"{text!r} in {where} is 502", data(text), bad_gateway())
           for text in ("\rX-Injected: 1", "\0X-Injected: 1", "\nX-Injected: 1")
           for where, data in (
               ("Location", lambda text: reply(f"Location: /a{text}", "Content-Length: 0",
                                               status=302)),
               ("Set-Cookie", lambda text: ok(f"Set-Cookie: a=b{text}")),
               ("the reason", lambda text: ok(reason=f"OK{text}")),
               ("Content-Type", lambda text: ok(f"Content-Type: a/b{text}")),
               ("a name", lambda text: ok(f"X{text}")))
           ]
SERVERS += [
    ("9112 9.2", f"{name}: a response that the server was made to send is nobody's", data,
     *more, server_dropped) for name, data, *more in (
        ("behind the length", ok() + ok(body=b"wrong"), got(body=b"hello")),
        ("behind 204", reply(status=204) + ok(body=b"wrong"), got(204)),
        ("behind 304", reply("ETag: x", status=304) + ok(body=b"wrong"), got(304)),
        ("behind HEAD", ok() + ok(body=b"wrong"), asked("HEAD"), got(body=b"")),
        ("behind a length of 0", ok(body=b"") + ok(body=b"wrong"), got(body=b"")),
        ("in the body of 204", reply("Content-Length: 44", status=204) + ok(body=b"wrong"),
         got(204)),
        ("in the body of 304", reply("Content-Length: 44", status=304) + ok(body=b"wrong"),
         got(304)),
        ("behind a redirect", reply("Location: /", "Content-Length: 0", status=302)
         + ok(body=b"wrong"), got(302)),
        ("behind the last chunk", reply("Transfer-Encoding: chunked", body=b"0\r\n\r\n")
         + ok(body=b"wrong"), got(body=b"")),
        ("an empty line behind the body", ok() + b"\r\n", got(body=b"hello")),
        ("an interim response behind the body", ok() + reply(status=103), got(body=b"hello")),
     )]
SERVERS += [
    ("9110 15.2", "a body of an interim response is not the answer",
     reply("Content-Length: 43", status=100) + ok(body=b"wrong") + ok(), bad_gateway()),
    ("9112 6.3", "chunks of an interim response are not",
     reply("Transfer-Encoding: chunked", status=103, body=b"0\r\n\r\n") + ok(), bad_gateway()),
    ("9112 6.3", "what stands behind an interim response must be a head",
     reply(status=103, body=b"hello") + ok(), bad_gateway()),
    ("9112 6.3", "a 101 with a body is 502",
     reply("Connection: upgrade", "Upgrade: chat", "Content-Length: 5", status=101, body=b"hello"),
     asked("GET", "Connection: Upgrade", "Upgrade: chat"), bad_gateway()),
]

class Splitting(Table):
    settings = {"route": [
        {"match": {"path": "/to/**"}, "redirect": "https://{host}{uri}"},
        {"match": {"path": "/path/**"}, "redirect": "{path}/"},
        {"match": {"path": "/**", "header": {"X-Slash": "1"}}, "redirect": "{path}/"},
        {"match": {"path": "/fixed"}, "respond": {"status": 403, "body": "403 closed"}},
        {"match": {"path": "/none"}, "respond": 204},
        {"match": {"path": "/same"}, "respond": 304},
        {"match": {"path": "/**"}, "upstream": "app"},
    ]}

    def test_redirects(self):
        self.play_all(REDIRECTS, "requests")

    def test_fixed(self):
        self.play_all(FIXED, "requests")

    def test_servers(self):
        self.play_all(SERVERS, "responses")
