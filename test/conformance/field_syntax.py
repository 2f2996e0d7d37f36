# SPDX-License-Identifier: Apache-2.0
"""Header field lines, in requests and in responses."""

from .messages import get, ok
from .rows import Table, bad_gateway, contains, forwarded, got, lacks, matches, refused

_MALFORMED = {
    "white space before the colon": ("9112 5.1", "X-A : b"),
    "a tab before the colon": ("9112 5.1", "X-A\t: b"),
    "a line without colon": ("9112 5", "X-A b"),
    "an empty name": ("9112 5", ": b"),
    "white space in the name": ("9112 5", "X A: b"),
    "a fold with a space": ("9112 5.2", "X-A: b\r\n c"),
    "a fold with a tab": ("9112 5.2", "X-A: b\r\n\tc"),
    "a fold of white space only": ("9112 5.2", "X-A: b\r\n "),
    "a folded name": ("9112 5.2", "X-A\r\n : b"),
    "NUL in a value": ("9110 5.5", "X-A: b\0c"),
    "NUL at the end of a value": ("9110 5.5", "X-A: b\0"),
    "a bare CR in a value": ("9110 5.5", "X-A: b\rX-B: c"),
    "a bare CR at the end of a value": ("9110 5.5", "X-A: b\r"),
    "a bare LF in a value": ("9112 2.2", "X-A: b\nX-B: c"),
    "a bare LF before white space": ("9112 5.2", "X-A: b\n c"),
    "a control byte in a value": ("9110 5.5", "X-A: b\x01c"),
    "a vertical tab in a value": ("9110 5.5", "X-A: b\x0bc"),
    "a form feed around a value": ("9110 5.5", "X-A:\x0cb"),
    "an escape in a value": ("9110 5.5", "X-A: b\x1b[0m"),
    "DEL in a value": ("9110 5.5", "X-A: b\x7f"),
    "NUL in a name": ("9110 5.1", "X\0A: b"),
    "a control byte in a name": ("9110 5.1", "X\x01A: b"),
    "DEL in a name": ("9110 5.1", "X\x7fA: b"),
    "a byte beyond ASCII in a name": ("9110 5.1", "X-\xe4: b"),
    "a no-break space behind a name": ("9110 5.1", "X-A\xa0: b"),
    "parentheses in a name": ("9110 5.1", "X(A): b"),
    "a comma in a name": ("9110 5.1", "X,A: b"),
    "a slash in a name": ("9110 5.1", "X/A: b"),
    "a semicolon in a name": ("9110 5.1", "X;A: b"),
    "an equals sign for a colon": ("9110 5.1", "X-A=b"),
    "an at sign in a name": ("9110 5.1", "X@A: b"),
    "brackets in a name": ("9110 5.1", "X[A]: b"),
    "a backslash in a name": ("9110 5.1", "X\\A: b"),
    "braces in a name": ("9110 5.1", "X{A}: b"),
    "quotes around a name": ("9110 5.1", '"X-A": b'),
}

REQUESTS = [(section, f"{name} is refused", get(line), refused(400, "bad_header"))
            for name, (section, line) in _MALFORMED.items()]
REQUESTS += [
    ("9112 2.2", "white space before the first field is refused",
     b"GET / HTTP/1.1\r\n Host: weir.test\r\n\r\n", refused(400, "bad_header")),
    ("9112 2.2", "a tab before the first field is refused",
     b"GET / HTTP/1.1\r\n\tX-A: b\r\nHost: weir.test\r\n\r\n", refused(400, "bad_header")),
    ("9112 2.2", "a line of white space as the first field is refused",
     b"GET / HTTP/1.1\r\n \r\nHost: weir.test\r\n\r\n", refused(400, "bad_header")),
    ("9112 2.2", "bare LF as every line end is refused", get().replace(b"\r\n", b"\n"),
     refused(400, "bad_request_line")),
    ("9112 2.2", "a bare LF as the empty line is refused",
     b"GET / HTTP/1.1\r\nHost: weir.test\r\n\n", refused(400, "bad_header")),
    ("9112 2.2", "CR CR LF is refused", get("X-A: b\r"), refused(400, "bad_header")),
    ("9112 2.2", "LF CR is refused", b"GET / HTTP/1.1\r\nHost: weir.test\n\r\n\r\n",
     refused(400, "bad_header")),
    ("9110 5.5", "a field that is too large is 431", get("X-A: " + "b" * 40_000),
     refused(431, "head_too_large")),
    ("9110 5.4", "too many fields are 431", get(*(f"X-{n}: b" for n in range(110))),
     refused(431, "head_too_large")),
    ("9110 5.5", "a field of 8000 bytes passes", get("X-A: " + "b" * 8000),
     forwarded({"x-a": "b" * 8000})),
    ("9110 5.5", "bytes beyond ASCII in a value pass", get("X-A: \xe4\xff\x80"),
     forwarded({"x-a": "\xe4\xff\x80"})),
    ("9110 5.5", "a tab within a value passes", get("X-A: b\tc"), contains(b"X-A: b\tc\r\n")),
    ("9112 5.1", "white space around a value is no part of it", get("X-A:\t  b \t "),
     contains(b"X-A: b\r\n")),
    ("9112 5.1", "none behind the colon is needed", get("X-A:b"), forwarded({"x-a": "b"})),
    ("9112 5.1", "a value of white space is empty", get("X-A:   "), forwarded({"x-a": ""})),
    ("9110 5.5", "an empty value passes", get("X-A:"), forwarded({"x-a": ""})),
    ("9110 5.5", "a value of colons passes", get("X-A: :b: c:"), forwarded({"x-a": ":b: c:"})),
    ("9110 5.6.4", "a quoted value passes as it came", get('X-A: "b\\"c, d"'),
     forwarded({"x-a": '"b\\"c, d"'})),
    ("9110 5.1", "every token byte may stand in a name", get("X!#$%&'*+-.^_`|~0: b"),
     forwarded({"X!#$%&'*+-.^_`|~0": "b"})),
    ("9110 5.1", "the case of names is kept", get("x-ODD-cAsE: b"), contains(b"x-ODD-cAsE: b\r\n")),
    ("9110 5.3", "repeated fields keep their order", get("X-A: 1", "X-B: 2", "x-a: 3", "X-A: 4"),
     forwarded({"x-a": ["1", "3", "4"]})),
    ("9110 5.1", "unknown fields pass", get("Some-New-Field: b"),
     forwarded({"some-new-field": "b"})),
    ("9110 5.1", "underscores in unknown names pass", get("x_own_field: b"),
     forwarded({"x_own_field": "b"})),
    ("9110 7.8", "a field that is HTTP/2's does not pass", get("HTTP2-Settings: AAMAAABk"),
     lacks(b"HTTP2")),
    ("9113 8.3", "a pseudo header field is no field", get(":authority: b"),
     refused(400, "bad_header")),
    ("6265 5.4", "several Cookie fields stay several", get("Cookie: a=b", "Cookie: c=d"),
     forwarded({"cookie": ["a=b", "c=d"]})),
    ("9110 7.6.3", "Via stands behind the others'", get("Via: 1.0 a, 1.1 b"),
     matches("via", r"1\.0 a, 1\.1 b, ?1\.1 weir")),
]

RESPONSES = [(section, f"{name} is 502", ok(line), bad_gateway())
             for name, (section, line) in _MALFORMED.items()]
RESPONSES += [
    ("9112 2.2", "bare LF as every line end is 502", ok().replace(b"\r\n", b"\n"),
     bad_gateway()),
    ("9112 2.2", "white space before the first field is 502",
     b"HTTP/1.1 200 OK\r\n Content-Length: 0\r\n\r\n", bad_gateway()),
    ("9110 5.5", "a field that is too large is 502", ok("X-A: " + "b" * 40_000),
     bad_gateway("upstream_head_too_large")),
    ("9110 5.4", "too many fields are 502", ok(*(f"X-{n}: b" for n in range(110))),
     bad_gateway("upstream_head_too_large")),
    ("9110 5.5", "bytes beyond ASCII in a value pass", ok("X-A: \xe4\xff\x80"),
     got(fields={"x-a": "\xe4\xff\x80"})),
    ("9112 5.1", "white space around a value is no part of it", ok("X-A:\t  b \t "),
     got(fields={"x-a": "b"})),
    ("9110 5.5", "an empty value passes", ok("X-A:"), got(fields={"x-a": ""})),
    ("9110 5.1", "every token byte may stand in a name", ok("X!#$%&'*+-.^_`|~0: b"),
     got(fields={"X!#$%&'*+-.^_`|~0": "b"})),
    ("9110 5.1", "unknown fields pass", ok("Some-New-Field: b", "x_y: z"),
     got(fields={"some-new-field": "b", "x_y": "z"})),
    ("9110 5.3", "Set-Cookie stays several, in order", ok("Set-Cookie: a=1", "Set-Cookie: b=2"),
     got(fields={"set-cookie": ["a=1", "b=2"]})),
    ("9110 5.3", "repeated fields keep their order", ok("X-A: 1", "X-B: 2", "x-a: 3"),
     got(fields={"x-a": ["1", "3"]})),
    ("9110 5.5", "a value of 8000 bytes passes", ok("X-A: " + "b" * 8000),
     got(fields={"x-a": "b" * 8000})),
]


class FieldSyntax(Table):
    def test_requests(self):
        self.play_all(REQUESTS, "requests")

    def test_responses(self):
        self.play_all(RESPONSES, "responses")
