# SPDX-License-Identifier: Apache-2.0
"""Smuggling by the length of requests: CL.TE, TE.CL, TE.TE, CL.CL, CL.0, 0.CL."""

from origins.naive import Habits, lenient_number

from .messages import CHUNKED, END, SECRET, get, post
from .smuggling import Attacks

TAIL = END + SECRET                                   # the end of a body for who knows chunked
WRAPPED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SECRET), SECRET)  # one chunk, with a request in it
FIRST_LINE = len(b"%x\r\n" % len(SECRET))             # a length that ends before that request


def attack(*lines, body, **settings):
    return post(*lines, body=body, target="/attack", **settings)


# Lines that some reader takes for "Transfer-Encoding: chunked" and another one does not.
OBFUSCATED = {
    "a space before the colon": "Transfer-Encoding : chunked",
    "a tab before the colon": "Transfer-Encoding\t: chunked",
    "a leading space": " Transfer-Encoding: chunked",
    "a leading tab": "\tTransfer-Encoding: chunked",
    "folded behind the name": "Transfer-Encoding\r\n : chunked",
    "folded before the value": "Transfer-Encoding:\r\n chunked",
    "folded with a tab": "Transfer-Encoding:\r\n\tchunked",
    "folded behind another field": "X: a\r\n Transfer-Encoding: chunked",
    "a vertical tab before the value": "Transfer-Encoding: \x0bchunked",
    "a form feed before the value": "Transfer-Encoding: \x0cchunked",
    "a vertical tab behind the name": "Transfer-Encoding\x0b: chunked",
    "a bare CR before the name": "X: a\rTransfer-Encoding: chunked",
    "a bare LF before the name": "X: a\nTransfer-Encoding: chunked",
    "an empty field and a bare LF": "X:\nTransfer-Encoding: chunked",
    "CR CR LF before the name": "X: a\r\r\nTransfer-Encoding: chunked",
    "CR CR LF behind the value": "Transfer-Encoding: chunked\r",
    "a NUL behind the value": "Transfer-Encoding: chunked\0",
    "a NUL behind the name": "Transfer-Encoding\0: chunked",
    "a NUL before the name": "\0Transfer-Encoding: chunked",
    "a byte beyond ASCII before the value": "Transfer-Encoding: \xffchunked",
    "a byte beyond ASCII behind the name": "Transfer-Encoding\xa0: chunked",
    "DEL behind the value": "Transfer-Encoding: chunked\x7f",
    "xchunked": "Transfer-Encoding: xchunked",
    "chunkedx": "Transfer-Encoding: chunkedx",
    "chunk": "Transfer-Encoding: chunk",
    "quoted": 'Transfer-Encoding: "chunked"',
    "in apostrophes": "Transfer-Encoding: 'chunked'",
    "with a parameter": "Transfer-Encoding: chunked;q=1",
    "with a semicolon": "Transfer-Encoding: chunked;",
    "with a comma behind": "Transfer-Encoding: chunked,",
    "with a comma before": "Transfer-Encoding: ,chunked",
    "chunked, identity": "Transfer-Encoding: chunked, identity",
    "identity, chunked": "Transfer-Encoding: identity, chunked",
    "chunked, cow": "Transfer-Encoding: chunked, cow",
    "cow, chunked": "Transfer-Encoding: cow, chunked",
    "gzip, chunked": "Transfer-Encoding: gzip, chunked",
    "chunked, chunked": "Transfer-Encoding: chunked, chunked",
    "two fields, identity first": "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "two fields, identity last": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "two fields, one of them odd": "Transfer-Encoding: chunked\r\nTransfer-encoding: cow",
    "two fields, one of them empty": "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
    "two words": "Transfer-Encoding: x chunked",
    "a colon in the value": "Transfer-Encoding: : chunked",
    "an underscore": "Transfer_Encoding: chunked",
    "a dot": "Transfer.Encoding: chunked",
    "a space for the dash": "Transfer Encoding: chunked",
    "a bracket behind the name": "Transfer-Encoding(: chunked",
    "a semicolon behind the name": "Transfer-Encoding;: chunked",
    "a quoted name": '"Transfer-Encoding": chunked',
    "an equals sign for the colon": "Transfer-Encoding= chunked",
    "no colon at all": "Transfer-Encoding chunked",
    "an empty name before": ": Transfer-Encoding: chunked",
    "hidden by Connection": "Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding",
    "hidden by Connection, obfuscated": "Transfer-Encoding: xchunked\r\n"
                                        "Connection: Transfer-Encoding",
    "an escaped letter": "Transfer-Encoding: %63hunked\r\nX: Transfer-Encoding chunked",
    "an encoded word": "Transfer-Encoding: =?iso-8859-1?B?Y2h1bmtlZA==?=\r\n"
                       "X: Transfer-Encoding chunked",
    "upper case": "TRANSFER-ENCODING: CHUNKED",
    "no space": "Transfer-Encoding:chunked",
    "a tab before the value": "Transfer-Encoding:\tchunked",
    "white space behind the value": "Transfer-Encoding: chunked \t",
}

ANY_LINE_END = rb"\r\n|\n|\r"

# The front end goes by Content-Length, the origin by whatever looks like chunked.
CL_TE = [("CL.TE", name, attack(f"Content-Length: {len(TAIL)}", line, body=TAIL),
          Habits(anything_chunked=True, line_ends=rb"\r?\r\n|\n"))
         for name, line in OBFUSCATED.items()]
CL_TE += [("CL.TE", f"{name}, before Content-Length",
           attack(line, f"Content-Length: {len(TAIL)}", body=TAIL),
           Habits(anything_chunked=True, line_ends=rb"\r?\r\n|\n"))
          for name, line in OBFUSCATED.items() if not line.startswith((" ", "\t"))]

# The front end goes by whatever looks like chunked, the origin by Content-Length.
TE_CL = [("TE.CL", name, attack(f"Content-Length: {FIRST_LINE}", line, body=WRAPPED),
          Habits(prefers="cl")) for name, line in OBFUSCATED.items()
         if name not in ("an underscore", "a dot")]  # of another name: Weir goes by the length, too

PLAIN = [
    ("CL.TE", "both, plainly", attack(f"Content-Length: {len(TAIL)}", CHUNKED, body=TAIL),
     Habits()),
    ("TE.CL", "both, plainly", attack(f"Content-Length: {FIRST_LINE}", CHUNKED, body=WRAPPED),
     Habits(prefers="cl")),
    ("TE.CL", "an origin that does not know chunked",
     attack(f"Content-Length: {FIRST_LINE}", CHUNKED, body=WRAPPED), Habits(knows_chunked=False)),
    ("CL.TE", "in HTTP/1.0", attack(f"Content-Length: {len(TAIL)}", CHUNKED, body=TAIL,
                                    version="HTTP/1.0"), Habits()),
    ("TE.CL", "in HTTP/1.0", attack(f"Content-Length: {FIRST_LINE}", CHUNKED, body=WRAPPED,
                                    version="HTTP/1.0"), Habits(prefers="cl")),
    ("CL.TE", "in HTTP/1.0 with keep-alive",
     attack(f"Content-Length: {len(TAIL)}", CHUNKED, "Connection: keep-alive", body=TAIL,
            version="HTTP/1.0"), Habits()),
    ("CL.TE", "in HTTP/1.9", attack(f"Content-Length: {len(TAIL)}", CHUNKED, body=TAIL,
                                    version="HTTP/1.9"), Habits()),
    ("CL.TE", "with GET", attack(f"Content-Length: {len(TAIL)}", CHUNKED, body=TAIL, method="GET"),
     Habits()),
    ("CL.TE", "Content-Length hidden by Connection",
     attack(f"Content-Length: {len(TAIL)}", CHUNKED, "Connection: Content-Length", body=TAIL),
     Habits()),
    ("TE.0", "an origin that does not read chunked bodies",
     attack(CHUNKED, body=WRAPPED, method="OPTIONS"), Habits(unread=("OPTIONS",))),
    ("TE.TE", "chunked for one, the second for the other",
     attack("Transfer-Encoding: chunked", "Transfer-Encoding: x",
            f"Content-Length: {FIRST_LINE}", body=WRAPPED), Habits(takes="last")),
]

BOTH_WAYS = len(SECRET)


def lengths(*lines):
    """The body is a request; one of the lengths covers it and the other is 0."""
    return attack(*lines, body=SECRET)


CL_CL = [
    ("CL.CL", "two fields, the first counts", lengths("Content-Length: 0",
                                                     f"Content-Length: {BOTH_WAYS}"), Habits()),
    ("CL.CL", "two fields, the last counts", lengths(f"Content-Length: {BOTH_WAYS}",
                                                    "Content-Length: 0"), Habits(takes="last")),
    ("CL.CL", "two fields in other cases", lengths("content-length: 0",
                                                  f"CONTENT-LENGTH: {BOTH_WAYS}"), Habits()),
] + [("CL.CL", name, lengths(*lines), Habits(number=number, takes=takes, line_ends=ends,
                                             name=named))
     for name, lines, number, takes, ends, named in (
         ("a list, the first counts", [f"Content-Length: 0, {BOTH_WAYS}"], lenient_number,
          "first", rb"\r\n", None),
         ("a list, the last counts", [f"Content-Length: {BOTH_WAYS}, 0"],
          lambda text: int(text.split(",")[-1]), "first", rb"\r\n", None),
         ("a list of three", [f"Content-Length: 0, 0, {BOTH_WAYS}"], lenient_number, "first",
          rb"\r\n", None),
         ("a plus sign", [f"Content-Length: +{BOTH_WAYS}"], lambda text: 0 if "+" in text else
          int(text), "first", rb"\r\n", None),
         ("a minus sign", [f"Content-Length: -{BOTH_WAYS}"], lambda text: max(0, int(text)),
          "first", rb"\r\n", None),
         ("minus zero", ["Content-Length: -0"], lenient_number, "first", rb"\r\n", None),
         ("hexadecimal", [f"Content-Length: 0x{BOTH_WAYS:x}"], lambda text: int(text[0]), "first",
          rb"\r\n", None),
         ("octal", [f"Content-Length: 0o{BOTH_WAYS:o}"], lambda text: int(text[0]), "first",
          rb"\r\n", None),
         ("white space within", [f"Content-Length: 0 {BOTH_WAYS}"], lenient_number, "first",
          rb"\r\n", None),
         ("a tab within", [f"Content-Length: 0\t{BOTH_WAYS}"], lenient_number, "first", rb"\r\n",
          None),
         ("a vertical tab before", [f"Content-Length: \x0b{BOTH_WAYS}"],
          lambda text: 0, "first", rb"\r\n", None),
         ("an underscore in the number", ["Content-Length: 0_0"], lenient_number, "first", rb"\r\n",
          None),
         ("an exponent", [f"Content-Length: 0e{BOTH_WAYS}"], lenient_number, "first", rb"\r\n",
          None),
         ("a fraction", [f"Content-Length: 0.{BOTH_WAYS}"], lenient_number, "first", rb"\r\n",
          None),
         ("a semicolon behind", [f"Content-Length: 0;{BOTH_WAYS}"], lenient_number, "first",
          rb"\r\n", None),
         ("in quotes", [f'Content-Length: "{BOTH_WAYS}"'], lenient_number, "first", rb"\r\n",
          None),
         ("wraps 64 bits", ["Content-Length: 18446744073709551616"],
          lambda text: int(text) % (1 << 64), "first", rb"\r\n", None),
         ("a NUL in the number", [f"Content-Length: 0\0{BOTH_WAYS}"], lenient_number, "first",
          rb"\r\n", None),
         ("a space before the colon", [f"Content-Length: {BOTH_WAYS}", "Content-Length : 0"], int,
          "last", rb"\r\n", str.strip),
         ("a tab before the colon", [f"Content-Length: {BOTH_WAYS}", "Content-Length\t: 0"], int,
          "last", rb"\r\n", str.strip),
         ("an underscore in the name", [f"Content-Length: {BOTH_WAYS}", "Content_Length: 0"], int,
          "last", rb"\r\n", lambda name: name.replace("_", "-")),
         ("a dot in the name", [f"Content-Length: {BOTH_WAYS}", "Content.Length: 0"], int,
          "last", rb"\r\n", lambda name: name.replace(".", "-")),
         ("a space in the name", [f"Content-Length: {BOTH_WAYS}", "Content Length: 0"], int,
          "last", rb"\r\n", lambda name: name.replace(" ", "-")),
         ("a leading space", [f"Content-Length: {BOTH_WAYS}", " Content-Length: 0"], int, "last",
          rb"\r\n", str.strip),
         ("a NUL in the name", [f"Content-Length: {BOTH_WAYS}", "Content-Length\0x: 0"], int,
          "last", rb"\r\n", lambda name: name.split("\0")[0]),
         ("a byte beyond ASCII in the name",
          [f"Content-Length: {BOTH_WAYS}", "Content-Length\xa0: 0"], int, "last", rb"\r\n",
          str.strip),
         ("behind a bare LF", [f"Content-Length: {BOTH_WAYS}", "X: a\nContent-Length: 0"], int,
          "last", rb"\r\n|\n", None),
         ("behind a bare CR", [f"Content-Length: {BOTH_WAYS}", "X: a\rContent-Length: 0"], int,
          "last", ANY_LINE_END, None),
         ("in a fold", [f"Content-Length: {BOTH_WAYS}", "X: a\r\n Content-Length: 0"], int,
          "last", rb"\r\n", str.strip),
         ("a comma in the name", [f"Content-Length: {BOTH_WAYS}", "Content-Length,: 0"], int,
          "last", rb"\r\n", lambda name: name.strip(",")),
     )]

# The origin does not read a body at all.
CL_0 = [("CL.0", f"an origin that does not read the body of {method}",
         attack(f"Content-Length: {len(SECRET)}", body=SECRET, method=method),
         Habits(unread=(method,))) for method in ("GET", "HEAD", "DELETE", "OPTIONS", "TRACE")]
CL_0 += [("CL.0", f"{method}, chunked", attack(CHUNKED, body=WRAPPED, method=method),
          Habits(unread=(method,))) for method in ("GET", "HEAD", "DELETE", "OPTIONS")]
CL_0 += [
    ("CL.0", "of an upgrade that is refused",
     attack("Connection: Upgrade", "Upgrade: websocket", f"Content-Length: {len(SECRET)}",
            body=SECRET, method="GET"), Habits(unread=("GET",))),
    ("CL.0", "in HTTP/1.0", attack(f"Content-Length: {len(SECRET)}", "Connection: keep-alive",
                                   body=SECRET, version="HTTP/1.0", method="GET"),
     Habits(unread=("GET",))),
    ("CL.0", "an origin that reads no body of HTTP/1.0",
     attack(f"Content-Length: {len(SECRET)}", "Connection: keep-alive", body=SECRET,
            version="HTTP/1.0"), Habits(length_of_http10=False)),
    ("CL.0", "GET with Expect", attack(f"Content-Length: {len(SECRET)}", "Expect: 100-continue",
                                       body=SECRET, method="GET"), Habits(unread=("GET",))),
]

# The front end sees no body, the origin sees one: it takes the next request for it.
COVER = get(target="/cover")
ZERO_CL = [
    ("0.CL", name, attack(line, body=b""), habits, attack(line, body=COVER + SECRET))
    for name, line, habits in (
        ("a space before the colon", f"Content-Length : {len(COVER)}", Habits(name=str.strip)),
        ("a tab before the colon", f"Content-Length\t: {len(COVER)}", Habits(name=str.strip)),
        ("a leading space", f" Content-Length: {len(COVER)}", Habits(name=str.strip)),
        ("an underscore", f"Content_Length: {len(COVER)}",
         Habits(name=lambda name: name.replace("_", "-"))),
        ("a dot", f"Content.Length: {len(COVER)}",
         Habits(name=lambda name: name.replace(".", "-"))),
        ("a fold", f"Content-Length:\r\n {len(COVER)}",
         Habits(number=lambda text: len(COVER))),
        ("a NUL behind the name", f"Content-Length\0: {len(COVER)}",
         Habits(name=lambda name: name.strip("\0"))),
        ("a byte beyond ASCII behind the name", f"Content-Length\xa0: {len(COVER)}",
         Habits(name=str.strip)),
        ("behind a bare LF", f"X: a\nContent-Length: {len(COVER)}", Habits(line_ends=rb"\r?\n")),
        ("behind a bare CR", f"X: a\rContent-Length: {len(COVER)}",
         Habits(line_ends=ANY_LINE_END)),
        ("the second of two", f"Content-Length: 0\r\nContent-Length: {len(COVER)}",
         Habits(takes="last")),
        ("with Expect", f"Expect: 100-continue\r\nContent-Length : {len(COVER)}",
         Habits(name=str.strip)),
        ("with an obfuscated Expect", f"Expect: y 100-continue\r\nContent-Length: 0\r\n"
                                      f"Content-Length : {len(COVER)}",
         Habits(name=str.strip, takes="last")),
    )]

EXPECT = [
    ("Expect", f"{name}: an origin that does not read the body then",
     attack(f"Content-Length: {len(SECRET)}", line, body=SECRET),
     Habits(unread_if="expect", name=str.strip))
    for name, line in (("another expectation", "Expect: x"),
                       ("a word before", "Expect: y 100-continue"),
                       ("a list", "Expect: 100-continue, x"),
                       ("a parameter", "Expect: 100-continue;x=y"),
                       ("quoted", 'Expect: "100-continue"'),
                       ("twice", "Expect: 100-continue\r\nExpect: x"),
                       ("a NUL", "Expect: 100-continue\0"),
                       ("a space before the colon", "Expect : 100-continue"),
                       ("a fold", "Expect:\r\n 100-continue"),
                       ("a vertical tab", "Expect:\x0b100-continue"))]

class SmugglingLengths(Attacks):
    def test_plain(self):
        self.play_all(PLAIN)

    def test_cl_te(self):
        self.play_all(CL_TE)

    def test_te_cl(self):
        self.play_all(TE_CL)

    def test_cl_cl(self):
        self.play_all(CL_CL)

    def test_cl_0(self):
        self.play_all(CL_0)

    def test_0_cl(self):
        self.play_all(ZERO_CL)

    def test_expect(self):
        self.play_all(EXPECT)
