# SPDX-License-Identifier: Apache-2.0
"""Fields and pseudo-header fields of requests: RFC 9113 sections 8.2 and 8.3. What is malformed
must not reach a server: that is how requests are smuggled through HTTP/2."""

from harness import h2
from harness.h2 import get, headers, post
from harness.h2_client import Client

from .h2_rows import H2Table, check, claim, either, forwarded, got, malformed, over, refused

TCHARS = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
TRAILERS = [post(1), h2.data(1, b"body")]


def get_with(*fields):
    return get(1, *fields)


def bare(*fields):
    """A request of these fields alone."""
    return headers(1, h2.block(*fields), True)


METHOD, SCHEME, AUTHORITY, PATH = PSEUDO = ((":method", "GET"), (":scheme", "http"),
                                            (":authority", "weir.test"), (":path", "/"))

NAMES = [
    ("9113 8.2", "an upper-case name", get_with(("X-Upper", "1")), malformed()),
    ("9113 8.2", "one upper-case letter", get_with(("x-uppeR", "1")), malformed()),
    ("9113 8.2", "a pseudo-header in upper case", bare((":METHOD", "GET"), *PSEUDO[1:]),
     malformed()),
    ("9113 8.2.1", "an empty name", get_with(("", "1")), malformed()),
    ("9113 8.2.1", "a colon in a name", get_with(("x:y", "1")), malformed()),
    ("9113 8.2.1", "a line in a name", get_with(("x: 1\r\ny", "1")), malformed()),
    ("9113 8.2.1", "a space behind a name", get_with(("transfer-encoding ", "chunked")),
     malformed()),
    ("9113 8.2", "names keep their order and repeat",
     get_with(("x-a", "1"), ("x-b", "2"), ("x-a", "3")),
     forwarded({"x-a": ["1", "3"], "x-b": "2"})),
    ("9110 5.1", "every character of a token", get_with(("x-!#$%&'*+-.^_`|~09az", "1")), got(),
     forwarded({"x-!#$%&'*+-.^_`|~09az": "1"})),
    ("9110 5.5", "an empty value", get_with(("x", "")), forwarded({"x": ""})),
    ("9110 5.5", "white space inside a value", get_with(("x", "a b\tc")),
     forwarded({"x": "a b\tc"})),
    ("9110 5.5", "bytes beyond ASCII in a value", get_with(("x", b"\x80\xff\xc3\xbc")),
     forwarded({"x": "\x80\xff\xc3\xbc"})),
    ("9113 8.2.1", "a space before a value", get_with(("x", " 1")), malformed()),
    ("9113 8.2.1", "a space behind a value", get_with(("x", "1 ")), malformed()),
    ("9113 8.2.1", "a tab before a value", get_with(("x", "\t1")), malformed()),
    ("9113 8.2.1", "a tab behind a value", get_with(("x", "1\t")), malformed()),
    ("9113 8.2.1", "a value of a space", get_with(("x", " ")), malformed()),
    ("9113 8.2.1", "NUL in a value", get_with(("x", "a\0b")), malformed()),
    ("9113 8.2.1", "CR in a value", get_with(("x", "a\rb")), malformed()),
    ("9113 8.2.1", "LF in a value", get_with(("x", "a\nb")), malformed()),
    ("9113 8.2.1", "CR LF and a field in a value", get_with(("x", "a\r\ny: b")), malformed()),
    ("9113 8.2.1", "a whole request in a value",
     get_with(("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: weir.test\r\n\r\n")), malformed()),
    ("9113 8.2.1", "LF at the end of a value", get_with(("x", "a\n")), malformed()),
    ("9113 8.2.1", "LF in a cookie", get_with(("cookie", "a=b\nx: y")), malformed()),
]

SPECIFIC = [
    *[("9113 8.2.2", f"{name}: {value}", get_with((name, value)), malformed())
      for name, value in (
          ("connection", "close"), ("connection", "x-a"), ("connection", "keep-alive"),
          ("connection", ""), ("proxy-connection", "keep-alive"), ("keep-alive", "timeout=5"),
          ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"),
          ("transfer-encoding", ""), ("upgrade", "websocket"), ("upgrade", "h2c"),
          ("te", "gzip"), ("te", "trailers, gzip"), ("te", "trailers;q=0.5"), ("te", "chunked"))],
    ("9113 8.2.2", "te: trailers", get_with(("te", "trailers")), got()),
    ("9113 8.2.2", "an empty te", get_with(("te", "")), either(malformed(), got())),
    ("9113 8.2.2", "transfer-encoding beside content-length", [
        post(1, ("transfer-encoding", "chunked"), ("content-length", "5"))
        + h2.data(1, b"0\r\n\r\n", True)], malformed()),
    ("9113 8.2.2", "http2-settings is not passed on", get_with(("http2-settings", "AAMAAABk")),
     either(forwarded(without=["http2-settings"]), malformed())),
    ("9113 8.2.2", "trailers with connection-specific fields",
     [*TRAILERS, headers(1, h2.block(("connection", "close")), True)], malformed()),
    ("9113 8.2.2", "trailers with transfer-encoding",
     [*TRAILERS, headers(1, h2.block(("transfer-encoding", "chunked")), True)], malformed()),
]

COOKIES = [
    ("9113 8.2.3", "crumbs are joined", get_with(("cookie", "a=1"), ("cookie", "b=2")),
     forwarded({"cookie": "a=1; b=2"})),
    ("9113 8.2.3", "with other fields between them",
     get_with(("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2"), ("x-b", "2"), ("cookie", "c")),
     forwarded({"cookie": "a=1; b=2; c", "x-a": "1", "x-b": "2"})),
    ("9113 8.2.3", "of several pairs", get_with(("cookie", "a=1; b=2"), ("cookie", "c=3")),
     forwarded({"cookie": "a=1; b=2; c=3"})),
    ("9113 8.2.3", "50 of them", get_with(*[("cookie", f"n{n}={n}") for n in range(50)]),
     forwarded({"cookie": "; ".join(f"n{n}={n}" for n in range(50))})),
    ("9113 8.2.3", "one stays as it is", get_with(("cookie", "a=1; b=\"2\"")),
     forwarded({"cookie": "a=1; b=\"2\""})),
]


def without(field):
    return [one for one in PSEUDO if one is not field]


PSEUDOS = [
    ("9113 8.3.1", "without :method", bare(*without(METHOD)), malformed()),
    ("9113 8.3.1", "without :scheme", bare(*without(SCHEME)), malformed()),
    ("9113 8.3.1", "without :path", bare(*without(PATH)), malformed()),
    ("9113 8.3.1", "without any", bare(("host", "weir.test")), malformed()),
    *[("9113 8.3.1", f"{name} twice", bare(*PSEUDO, (name, value)), malformed())
      for name, value in PSEUDO],
    ("9113 8.3", "a second :path that differs", bare(*PSEUDO, (":path", "/other")), malformed()),
    ("9113 8.3", "an unknown pseudo-header", bare(*PSEUDO, (":x", "1")), malformed()),
    ("9113 8.3", "one without a name", bare(*PSEUDO, (":", "1")), malformed()),
    ("9113 8.3", ":status in a request", bare(*PSEUDO, (":status", "200")), malformed()),
    ("8441 4", ":protocol without CONNECT", bare(*PSEUDO, (":protocol", "websocket")), malformed()),
    *[("9113 8.3", f"{name} behind a field",
       bare(*[one for one in PSEUDO if one[0] != name], ("x", "1"), (name, value)), malformed())
      for name, value in PSEUDO],
    ("9113 8.3", "in any order", bare(PATH, AUTHORITY, SCHEME, METHOD), got(), forwarded()),
    ("9113 8.1", "in trailers", [*TRAILERS, headers(1, h2.block((":path", "/x")), True)],
     malformed()),
    ("9113 8.1", "of a response in trailers",
     [*TRAILERS, headers(1, h2.block((":status", "200")), True)], malformed()),
    ("9113 8.1", "an unknown one in trailers",
     [*TRAILERS, headers(1, h2.block((":x", "1"), ("y", "2")), True)], malformed()),
]

METHODS = [
    *[("9110 9.1", f"{name} passes", get(1, method=name), forwarded(method=name), got())
      for name in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "M-SEARCH", "get")],
    *[("9110 9.1", f"a method of {name!r}", get(1, method=name), malformed())
      for name in ("", "GE T", "GET /x HTTP/1.1\r\nx:", "G\xcbT", "GET\t", "G(T")],
]

SCHEMES = [
    ("9113 8.3.1", "a scheme that is none", get(1, scheme="h ttp"), malformed()),
    ("9113 8.3.1", "a line in it", get(1, scheme="http\r\nx: y"), malformed()),
    ("9113 8.3.1", "an empty one", get(1, scheme=""), malformed()),
    ("9113 8.3.1", "part of a URI", get(1, scheme="http://evil.test/?"), malformed()),
    ("9113 8.3.1", "an unknown one", get(1, scheme="gopher"), either(malformed(), got())),
    ("9113 8.3.1", "https without TLS", get(1, scheme="https"),
     either(malformed(), got(), refused(421))),
    ("9113 8.3.1", "in upper case", get(1, scheme="HTTP"), either(malformed(), got())),
]

PATHS = [
    *[("9113 8.3.1", f"the path {path}", get(1, path=path), got(), forwarded(target=path))
      for path in ("/", "/a/b?c=d&e", "/?", "//", "/a%2fb", "/;a=b,c", "/a?b/c?d",
                   "/~!$&'()*+,;=:@")],
    ("9113 8.3.1", "* of OPTIONS", get(1, method="OPTIONS", path="*"),
     forwarded(method="OPTIONS", target="*")),
    ("9113 8.3.1", "* of GET", get(1, path="*"), malformed()),
    *[("9113 8.3.1", f"a path of {path!r}", get(1, path=path), malformed())
      for path in ("", "a", "a/b", "?a", "http://weir.test/", "/a b", "/\0", "/a\tb", "/\r\n",
                   "/ HTTP/1.1\r\nHost: evil.test\r\n\r\nGET /", "/a\x7f", "/\xe4")],
    ("3986 3.5", "a fragment", get(1, path="/a#b"), malformed()),
]


@check(over(1))
def one_host(seen):
    claim(seen.stream(1).complete, "not answered", seen.said())
    hosts = [request.fields.all("host") for request in seen.forwarded]
    claim(hosts == [["weir.test"]], "Host", hosts)


AUTHORITIES = [
    ("9113 8.3.1", "it becomes Host", get(1), one_host),
    ("9113 8.3.1", "Host alone will do", get(1, ("host", "weir.test"), authority=None), one_host),
    ("9113 8.3.1", "both, equal", get(1, ("host", "weir.test")), one_host),
    ("9113 8.3.1", "both, but for case", get(1, ("host", "WEIR.test")),
     either(one_host, got(), malformed())),
    ("9113 8.3.1", "with a port", get(1, authority="weir.test:8080"),
     forwarded({"host": "weir.test:8080"})),
    ("9113 8.3.1", "Host that differs", get(1, ("host", "evil.test")), malformed()),
    ("9113 8.3.1", "Host with another port", get(1, ("host", "weir.test:81")), malformed()),
    ("9113 8.3.1", "two of Host", get(1, ("host", "weir.test"), ("host", "evil.test")),
     malformed()),
    ("9113 8.3.1", "two of Host alone",
     get(1, ("host", "weir.test"), ("host", "evil.test"), authority=None), malformed()),
    ("9110 7.2", "two of Host alone, equal",
     get(1, ("host", "weir.test"), ("host", "weir.test"), authority=None), malformed()),
    ("9113 8.3.1", "neither", get(1, authority=None), malformed()),
    ("9113 8.3.1", "an empty one", get(1, authority=""), malformed()),
    ("9113 8.3.1", "an empty Host", get(1, ("host", ""), authority=None), malformed()),
    ("9113 8.3.1", "an empty Host beside it", get(1, ("host", "")), malformed()),
    *[("9113 8.3.1", f"an authority of {value!r}", get(1, authority=value), malformed())
      for value in ("user@weir.test", "user:secret@weir.test", "@weir.test", "weir.test/", "a b",
                    "weir.test:80:80", "weir.test:x", "weir.test?", "weir.test#", "a,b",
                    "weir.test\r\nx: y", "http://weir.test", "[::1", "::1", "w\xe4ir.test",
                    "weir.test\t", "\0")],
    *[("9110 7.2", f"a Host of {value!r}", get(1, ("host", value), authority=None), malformed())
      for value in ("user@weir.test", "weir.test/", "a b", "a,b", "weir.test:x")],
]


class Fields(H2Table):
    def test_names_and_values(self):
        self.play_all(NAMES)

    def test_connection_specific(self):
        self.play_all(SPECIFIC)

    def test_cookies(self):
        self.play_all(COOKIES)

    def test_pseudo_headers(self):
        self.play_all(PSEUDOS)

    def test_methods(self):
        self.play_all(METHODS)

    def test_schemes(self):
        self.play_all(SCHEMES)

    def test_paths(self):
        self.play_all(PATHS)

    def test_authority(self):
        self.play_all(AUTHORITIES)

    def bytes(self, make, allowed, either_way=b""):
        """One stream for each byte; which of them were served."""
        wrong = []
        with Client(self.front.port, timeout=10) as client:
            client.start()
            for byte in range(256):
                stream = client.expect(2 * byte + 1)
                client.send(headers(stream.number, h2.request(make(byte)), True))
                client.finish(stream)
                served = stream.status == 200
                if not served and stream.reset != h2.PROTOCOL_ERROR and stream.status != 400:
                    wrong.append((byte, stream))
                elif byte not in either_way and served != (byte in allowed):
                    wrong.append((byte, stream))
        self.count_rows(256, len(wrong))
        self.assertEqual(wrong, [])

    def test_every_byte_of_a_name(self):
        self.bytes(lambda byte: (b"x-" + bytes([byte]) + b"-x", b"1"), TCHARS)

    def test_every_byte_of_a_value(self):
        """Other controls than NUL, CR and LF are for RFC 9110 to forbid."""
        controls = bytes(range(1, 32)) + b"\x7f"
        either_way = bytes(set(controls) - set(b"\r\n\t"))
        self.bytes(lambda byte: (b"x", b"a" + bytes([byte]) + b"b"),
                   b"\t" + bytes(range(32, 127)) + bytes(range(128, 256)), either_way)

    def test_every_byte_at_the_end_of_a_value(self):
        controls = bytes(range(1, 32)) + b"\x7f"
        either_way = bytes(set(controls) - set(b"\r\n\t"))
        self.bytes(lambda byte: (b"x", b"a" + bytes([byte])),
                   bytes(range(33, 127)) + bytes(range(128, 256)), either_way)
