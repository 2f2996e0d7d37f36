# SPDX-License-Identifier: Apache-2.0
"""Methods, Via, Max-Forwards, Date, status codes, conditional and range requests: what an
intermediary adds, and what it leaves alone."""

from .messages import get, ok, reply, sized
from .rows import (Table, answers, asked, bad_gateway, either, forwarded, got, matches,
                   server_kept, stays, then)

METHODS = [("9110 9.3", f"{method} passes", get(method=method), forwarded(method=method), stays)
           for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND",
                          "QUERY", "LINK", "M-SEARCH", "PURGE")]
METHODS += [("9110 9.3", f"{method} with a body passes", sized(b"hello", method=method),
             forwarded(method=method, body=b"hello"), stays)
            for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY")]
METHODS += [
    ("9110 9.3.8", "TRACE passes", get(method="TRACE"), forwarded(method="TRACE")),
    ("9110 7.6.3", "Via of a request of 1.1", get(), forwarded({"via": "1.1 weir"})),
    ("9110 7.6.3", "Via is not replaced", get("Via: 1.1 other"),
     matches("via", r"1\.1 other, ?1\.1 weir")),
    ("9110 7.6.3", "Via with a comment stays", get("Via: 1.0 fred (Apache/1.1, x)"),
     matches("via", r"1\.0 fred \(Apache/1\.1, x\), ?1\.1 weir")),
    ("9110 7.6.2", "Max-Forwards of OPTIONS is counted down",
     get("Max-Forwards: 5", method="OPTIONS"), forwarded({"max-forwards": "4"})),
    ("9110 7.6.2", "Max-Forwards of TRACE is counted down",
     get("Max-Forwards: 10", method="TRACE"), forwarded({"max-forwards": "9"})),
    ("9110 7.6.2", "Max-Forwards of 1 becomes 0", get("Max-Forwards: 1", method="OPTIONS"),
     forwarded({"max-forwards": "0"})),
    ("9110 7.6.2", "OPTIONS with 0 is answered here", get("Max-Forwards: 0", method="OPTIONS"),
     either(answers(200), answers(204))),
    ("9110 7.6.2", "OPTIONS * with 0 is answered here",
     get("Max-Forwards: 0", method="OPTIONS", target="*"), either(answers(200), answers(204))),
    ("9110 7.6.2", "TRACE with 0 is answered here", get("Max-Forwards: 0", method="TRACE"),
     either(answers(200), answers(405), answers(501, "unsupported_method"))),
    ("9110 7.6.2", "Max-Forwards of other methods may be left", get("Max-Forwards: 0"),
     forwarded({"max-forwards": "0"})),
    ("9110 7.6.2", "Max-Forwards that is no number is not counted",
     get("Max-Forwards: x", method="OPTIONS"), forwarded(method="OPTIONS")),
    ("9110 7.6.2", "a huge Max-Forwards is counted or set to the largest",
     get("Max-Forwards: 99999999999999999999999", method="OPTIONS"), forwarded(method="OPTIONS")),
]

PASSED = [
    ("9110 12.5", "content negotiation passes",
     get("Accept: a/b;q=0.5, */*", "Accept-Encoding: gzip, identity;q=0", "Accept-Language: de",
         "Accept-Charset: utf-8"),
     forwarded({"accept": "a/b;q=0.5, */*", "accept-encoding": "gzip, identity;q=0",
                "accept-language": "de", "accept-charset": "utf-8"})),
    ("9110 13.1", "conditions pass",
     get('If-Match: "a", W/"b"', "If-None-Match: *",
         "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
         "If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT"),
     forwarded({"if-match": '"a", W/"b"', "if-none-match": "*",
                "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT",
                "if-unmodified-since": "Sunday, 06-Nov-94 08:49:37 GMT"})),
    ("9110 14.2", "Range and If-Range pass", get("Range: bytes=0-4, -5", 'If-Range: "a"'),
     forwarded({"range": "bytes=0-4, -5", "if-range": '"a"'})),
    ("9110 10.1", "request context passes",
     get("From: a@b", "Referer: http://a/?b", "User-Agent: a/1 (b) c/2"),
     forwarded({"from": "a@b", "referer": "http://a/?b", "user-agent": "a/1 (b) c/2"})),
    ("9110 8", "representation metadata of a request passes",
     sized(b"hello", "Content-Type: a/b; c=d", "Content-Encoding: x", "Content-Language: de",
           "Content-Location: /a"),
     forwarded({"content-type": "a/b; c=d", "content-encoding": "x", "content-language": "de",
                "content-location": "/a"}, body=b"hello")),
    ("9111 5", "caching fields pass", get("Cache-Control: no-cache, x=y", "Pragma: no-cache"),
     forwarded({"cache-control": "no-cache, x=y", "pragma": "no-cache"})),
    ("9110 10.1.2", "Origin and others of the web pass",
     get("Origin: http://a", "Sec-Fetch-Mode: cors", "DNT: 1", "Priority: u=1"),
     forwarded({"origin": "http://a", "sec-fetch-mode": "cors", "dnt": "1", "priority": "u=1"})),
    ("9110 7.7", "no content coding is undone",
     sized(b"\x1f\x8b\x08", "Content-Encoding: gzip"), forwarded(body=b"\x1f\x8b\x08")),
]

FORWARDED = [
    ("7239 4", "a stranger's X-Forwarded-For is replaced", get("X-Forwarded-For: 1.2.3.4"),
     forwarded({"x-forwarded-for": "127.0.0.1"})),
    ("7239 4", "several of them, in any case",
     get("x-forwarded-for: 1.2.3.4", "X-FORWARDED-FOR: 5.6.7.8"),
     forwarded({"x-forwarded-for": "127.0.0.1"})),
    ("7239 4", "a stranger's Forwarded is removed", get("Forwarded: for=1.2.3.4;proto=https"),
     forwarded(without=["forwarded"])),
    ("7239 4", "a stranger's X-Forwarded-Proto is replaced", get("X-Forwarded-Proto: https"),
     forwarded({"x-forwarded-proto": "http"})),
    ("7239 4", "absolute-form with https does not make it so", get(target="https://weir.test/"),
     forwarded({"x-forwarded-proto": "http"})),
    ("7239 4", "a stranger's X-Forwarded-Host is replaced", get("X-Forwarded-Host: evil"),
     forwarded({"x-forwarded-host": "weir.test"})),
    ("7239 4", "it is the target's host", get(target="http://real.test:81/"),
     forwarded({"x-forwarded-host": "real.test:81"})),
    ("7239 4", "a stranger's X-Request-Id is replaced", get("X-Request-Id: mine"),
     matches("x-request-id", "[0-9a-f]{32}")),
] + [("3875 4.1.18", f"{name}: what a server takes for a field of ours is dropped",
      get(f"{name}: 1.2.3.4"), forwarded(without=[name])) for name in
     ("X_Forwarded_For", "X_FORWARDED_FOR", "X-Forwarded_For", "X.Forwarded.For",
      "X_Forwarded_Proto", "X_Forwarded_Host", "X_Request_Id", "Content_Length",
      "Transfer_Encoding", "Transfer.Encoding", "HTTP2_Settings", "Proxy_Connection",
      "Proxy_Authorization", "Keep_Alive")]

TRUSTED = [
    ("7239 4", "the chain of a trusted proxy goes on", get("X-Forwarded-For: 1.2.3.4"),
     forwarded({"x-forwarded-for": "1.2.3.4, 127.0.0.1"})),
    ("7239 4", "of several fields, too", get("X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: a"),
     forwarded({"x-forwarded-for": "1.2.3.4, a, 127.0.0.1"})),
    ("7239 4", "its other fields are believed",
     get("X-Forwarded-Proto: https", "X-Forwarded-Host: a.test", "X-Request-Id: mine",
         "Forwarded: for=1.2.3.4"),
     forwarded({"x-forwarded-proto": "https", "x-forwarded-host": "a.test", "x-request-id": "mine",
                "forwarded": "for=1.2.3.4"})),
    ("7239 4", "what it does not say is said", get(),
     forwarded({"x-forwarded-proto": "http", "x-forwarded-host": "weir.test"})),
    ("3875 4.1.18", "doubles are dropped all the same",
     get("X_Forwarded_For: 6.6.6.6", "X_Forwarded_Proto: https", "X_Request_Id: mine"),
     forwarded({"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http"},
               without=["x_forwarded_for", "x_forwarded_proto", "x_request_id"])),
    ("9110 7.6.1", "Connection cannot remove X-Forwarded-For",
     get("Connection: X-Forwarded-For", "X-Forwarded-For: 1.2.3.4"),
     matches("x-forwarded-for", ".*127.0.0.1")),
    ("9110 7.6.1", "nor X-Forwarded-Proto",
     get("Connection: X-Forwarded-Proto", "X-Forwarded-Proto: https"),
     forwarded({"x-forwarded-proto": "http"})),
    ("9110 7.6.1", "nor X-Forwarded-Host",
     get("Connection: X-Forwarded-Host", "X-Forwarded-Host: a.test"),
     forwarded({"x-forwarded-host": "weir.test"})),
    ("9110 7.6.1", "nor X-Request-Id", get("Connection: X-Request-Id", "X-Request-Id: mine"),
     matches("x-request-id", "[0-9a-f]{32}")),
]

STATUS = [("9110 15", f"{status} passes", ok(status=status), got(status, body=b"hello"),
           server_kept, stays)
          for status in (200, 201, 202, 203, 206, 207, 226, 299, 300, 301, 302, 303, 305, 307, 308,
                         399, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414,
                         415, 416, 417, 418, 421, 422, 425, 428, 429, 431, 451, 499, 500, 501, 502,
                         503, 504, 505, 507, 511, 599)]
STATUS += [
    ("9110 15.5.8", "407 passes, and its challenge ends at a proxy",
     ok("Proxy-Authenticate: Basic", status=407), got(407)),
    ("9110 15", "a status of two digits is 502", reply("Content-Length: 0", status=20),
     bad_gateway()),
    ("9110 15", "a status of four digits is 502", reply("Content-Length: 0", status=2000),
     bad_gateway()),
    ("9110 15", "a status below 100 is 502", reply("Content-Length: 0", status="099"),
     bad_gateway()),
    ("9110 15", "a status above 599 is 502", reply("Content-Length: 0", status=600),
     bad_gateway()),
    ("9110 15", "a status that is no number is 502", reply("Content-Length: 0", status="2x0"),
     bad_gateway()),
    ("9112 4", "the reason passes", ok(reason="My Own Words"), got(body=b"hello")),
    ("9112 4", "an empty reason", ok(line="HTTP/1.1 200 "), got(body=b"hello")),
    ("9112 4", "no space before an absent reason", ok(line="HTTP/1.1 200"), got(body=b"hello")),
    ("9112 4", "a reason of bytes beyond ASCII", ok(reason="\xe4\xff"), got(body=b"hello")),
    ("9112 4", "a reason with a control byte is 502", ok(reason="a\x01b"), bad_gateway()),
    ("9112 4", "a reason with a bare CR is 502", ok(reason="a\rb"), bad_gateway()),
    ("9112 4", "a reason with NUL is 502", ok(reason="a\0b"), bad_gateway()),
    ("9112 4", "two spaces before the status are 502", ok(line="HTTP/1.1  200 OK"),
     bad_gateway()),
    ("9112 4", "a tab before the status is 502", ok(line="HTTP/1.1\t200 OK"), bad_gateway()),
    ("9112 4", "a letter behind the status is 502", ok(line="HTTP/1.1 200OK"), bad_gateway()),
    ("9112 4", "white space before the version is 502", ok(line=" HTTP/1.1 200 OK"),
     bad_gateway()),
    ("9112 4", "an empty line before the status line is 502", b"\r\n" + ok(), bad_gateway()),
    ("9112 2.3", "HTTP/2.0 is 502", ok(version="HTTP/2.0"), bad_gateway()),
    ("9112 2.3", "HTTP/0.9 is 502", ok(version="HTTP/0.9"), bad_gateway()),
    ("9112 2.3", "HTTP/1.10 is 502", ok(version="HTTP/1.10"), bad_gateway()),
    ("9112 2.3", "http/1.1 is 502", ok(version="http/1.1"), bad_gateway()),
    ("9112 2.3", "ICY is 502", ok(line="ICY 200 OK"), bad_gateway()),
    ("9112 2.3", "no head at all is 502", b"<html>hello</html>", then("fin"),
     either(bad_gateway(), bad_gateway("upstream_closed"))),
    ("9110 15.6.3", "nothing at all is 502", b"", then("fin"), bad_gateway("upstream_closed")),
    ("9110 15.6.3", "half a head is 502", b"HTTP/1.1 200 OK\r\nX-A: b\r\n", then("fin"),
     bad_gateway("upstream_closed")),
    ("9110 15.6.3", "a reset in the head is 502", b"HTTP/1.1 200 OK\r\nX-A: b\r\n", then("rst"),
     either(bad_gateway("upstream_reset"), bad_gateway("upstream_closed"))),
    ("9110 15.6.3", "a request is no response", get(), bad_gateway()),
]

RESPONSES = [
    ("9110 6.6.1", "Date of the server passes", ok("Date: Sun, 06 Nov 1994 08:49:37 GMT"),
     got(fields={"date": "Sun, 06 Nov 1994 08:49:37 GMT"})),
    ("9110 6.6.1", "Date is added where there is none", ok(),
     got(body=b"hello")),
    ("9110 6.6.1", "Date is added to an error of the server", ok(status=500), got(500)),
    ("9110 6.6.1", "Date is added to 204", reply(status=204), got(204)),
    ("9110 6.6.1", "Date is added to 304", reply(status=304), got(304)),
    ("9110 6.6.1", "a Date that is none is not mended", ok("Date: yesterday"),
     got(fields={"date": "yesterday"})),
    ("9110 10.2", "Server, Location, Retry-After and Allow pass",
     ok("Server: a/1", "Location: /a?b#c", "Retry-After: 5", "Allow: GET, X"),
     got(fields={"server": "a/1", "location": "/a?b#c", "retry-after": "5", "allow": "GET, X"})),
    ("9110 8", "representation metadata passes",
     ok("Content-Type: a/b;c=d", "Content-Encoding: gzip", "Content-Language: de",
        "Content-Location: /a", 'ETag: W/"x"', "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"),
     got(fields={"content-type": "a/b;c=d", "content-encoding": "gzip", "etag": 'W/"x"',
                 "content-language": "de", "content-location": "/a"}, body=b"hello")),
    ("9110 14.4", "206 and Content-Range pass", ok("Content-Range: bytes 0-4/9", status=206),
     asked("GET", "Range: bytes=0-4"),
     got(206, {"content-range": "bytes 0-4/9"}, body=b"hello")),
    ("9110 14.6", "multipart/byteranges passes as it came",
     ok("Content-Type: multipart/byteranges; boundary=B", body=b"--B\r\n\r\na\r\n--B--\r\n",
        status=206), got(206, body=b"--B\r\n\r\na\r\n--B--\r\n")),
    ("9110 15.5.17", "416 passes", ok("Content-Range: bytes */9", status=416),
     got(416, {"content-range": "bytes */9"})),
    ("9110 14.3", "Accept-Ranges passes", ok("Accept-Ranges: bytes"),
     got(fields={"accept-ranges": "bytes"})),
    ("9111 5", "caching fields pass",
     ok("Cache-Control: private", "Age: 5", "Expires: 0", "Vary: *", "Warning: 199 a b",
        "Pragma: x"),
     got(fields={"cache-control": "private", "age": "5", "expires": "0", "vary": "*",
                 "warning": "199 a b"})),
    ("9110 11.6.1", "WWW-Authenticate passes, several, too",
     ok('WWW-Authenticate: Basic realm="a"', "WWW-Authenticate: Digest b", status=401),
     got(401, {"www-authenticate": ['Basic realm="a"', "Digest b"]})),
    ("9110 7.6.3", "Via of the server stays", ok("Via: 1.1 inner"),
     lambda seen: matches_back(seen, "via", "1.1 inner")),
    ("9110 7.7", "no body is transformed", ok("Content-Encoding: gzip", body=b"\x1f\x8b\0"),
     got(body=b"\x1f\x8b\0")),
    ("9110 15.5.9", "a server's weir-cause is not taken for ours", ok(), got(
        without=["weir-cause"])),
    ("9110 8.7", "Content-Location and a body of zero bytes", ok("Content-Location: /x", body=b""),
     got(body=b""), server_kept),
    ("9112 9.2", "a response to TRACE is a message like others",
     ok("Content-Type: message/http", body=b"TRACE / HTTP/1.1\r\n\r\n"), asked("TRACE"),
     got(body=b"TRACE / HTTP/1.1\r\n\r\n")),
]

def matches_back(seen, name, start):
    value = ", ".join(seen.response.fields.all(name))
    assert value.startswith(start), (name, value)


class Trusted(Table):
    settings = {"trusted_proxies": ["127.0.0.0/8"]}

    def test_forwarded(self):
        self.play_all(TRUSTED, "requests")


class Semantics(Table):
    def test_methods(self):
        self.play_all(METHODS, "requests")

    def test_passed(self):
        self.play_all(PASSED, "requests")

    def test_forwarded(self):
        self.play_all(FORWARDED, "requests")

    def test_status(self):
        self.play_all(STATUS, "responses")

    def test_responses(self):
        self.play_all(RESPONSES, "responses")
