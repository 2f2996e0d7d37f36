# SPDX-License-Identifier: Apache-2.0
"""How the length of a request's body is known."""

from .messages import CHUNKED, END, SECRET, chunks, get, post, sized
from .rows import Table, closes, forwarded, refused, stays

LENGTH = [
    ("9112 6.2", "Content-Length frames the body", sized(b"hello"),
     forwarded({"content-length": "5"}, body=b"hello", framing="length"), stays),
    ("9112 6.2", "a length of 0 passes", sized(b""), forwarded({"content-length": "0"}, body=b"")),
    ("9112 6.3", "a request without either has no body", post(), forwarded(framing="none"), stays),
    ("9112 6.3", "GET with a body by length passes", sized(b"hello", method="GET"),
     forwarded(body=b"hello", framing="length")),
    ("9112 6.3", "DELETE with a body passes", sized(b"hello", method="DELETE"),
     forwarded(body=b"hello")),
    ("9112 6.3", "an unknown method with a body passes", sized(b"hello", method="BREW"),
     forwarded(body=b"hello")),
    ("9112 6.3", "leading zeros are digits", post("Content-Length: 005", body=b"hello"),
     forwarded({"content-length": "5"}, body=b"hello")),
    ("9110 8.6", "the same value twice is one, or refused",
     post("Content-Length: 5", "Content-Length: 5", body=b"hello"),
     forwarded({"content-length": "5"}, body=b"hello")),
    ("9110 8.6", "a list of the same value is one, or refused",
     post("Content-Length: 5, 5", body=b"hello"),
     forwarded({"content-length": "5"}, body=b"hello")),
    ("9112 6.3", "differing lengths are refused",
     post("Content-Length: 5", "Content-Length: 6", body=b"hello!"),
     refused(400, "bad_content_length")),
    ("9112 6.3", "a list of differing lengths is refused",
     post("Content-Length: 5, 6", body=b"hello!"), refused(400, "bad_content_length")),
    ("9112 6.3", "a list whose third value differs is refused",
     post("Content-Length: 5, 5, 0", body=b"hello"), refused(400, "bad_content_length")),
    ("9112 6.3", "a list with an empty element is refused",
     post("Content-Length: 5,", body=b"hello"), refused(400, "bad_content_length")),
    ("9112 6.3", "a list beginning with an empty element is refused",
     post("Content-Length: ,5", body=b"hello"), refused(400, "bad_content_length")),
    ("9110 8.6", "equal numbers written differently are refused",
     post("Content-Length: 5", "Content-Length: 05", body=b"hello"),
     refused(400, "bad_content_length")),
]

_BAD = {"nothing": "", "a word": "five", "a plus sign": "+5", "a minus sign": "-5",
        "minus zero": "-0", "hexadecimal": "0x5", "a letter behind it": "5a",
        "a fraction": "5.0", "an exponent": "5e0", "an underscore": "1_0", "quotes": '"5"',
        "white space within": "1 0", "a semicolon": "5;", "a tab within": "1\t0",
        "a digit of another script": "\u0665".encode().decode("latin-1"),
        "2 to the 64th": "18446744073709551616", "400 digits": "9" * 400,
        "a minus far behind": "5 -1", "a second number": "5 5"}
LENGTH += [("9112 6.3", f"Content-Length of {name} is refused",
            post(f"Content-Length: {value}", body=b"hello"), refused(400, "bad_content_length"))
           for name, value in _BAD.items()]
LENGTH += [
    ("9112 6.3", "Content-Length in HTTP/1.0 is checked, too",
     post("Content-Length: 5x", body=b"hello", version="HTTP/1.0"),
     refused(400, "bad_content_length")),
    ("9112 6.3", "a length that GET cannot need is checked, too",
     get("Content-Length: x"), refused(400, "bad_content_length")),
]

BOTH = [
    ("9112 6.3", "Transfer-Encoding beside Content-Length is refused",
     post(CHUNKED, "Content-Length: 5", body=END), refused(400, "bad_content_length")),
    ("9112 6.3", "in the other order, too", post("Content-Length: 5", CHUNKED, body=END),
     refused(400, "bad_content_length")),
    ("9112 6.3", "with fields between", post("Content-Length: 5", "X-A: b", CHUNKED, body=END),
     refused(400, "bad_content_length")),
    ("9112 6.3", "with a length of 0", post(CHUNKED, "Content-Length: 0", body=END),
     refused(400, "bad_content_length")),
    ("9112 6.3", "with GET", get("Content-Length: 0", CHUNKED, body=END),
     refused(400, "bad_content_length")),
    ("9112 6.3", "with a bad length", post(CHUNKED, "Content-Length: x", body=END),
     refused(400, "bad_content_length")),
    ("9112 6.3", "Connection cannot hide one of them",
     post(CHUNKED, "Content-Length: 5", "Connection: content-length", body=END),
     refused(400, "bad_content_length")),
    ("9112 6.1", "Transfer-Encoding in HTTP/1.0 is faulty framing",
     chunks(version="HTTP/1.0"), refused(400, "bad_transfer_encoding")),
    ("9112 6.1", "with Content-Length beside it, too",
     chunks(END, "Content-Length: 5", version="HTTP/1.0"),
     refused(400, "bad_transfer_encoding", "bad_content_length")),
    ("9112 6.1", "with keep-alive, too", chunks(END, "Connection: keep-alive", version="HTTP/1.0"),
     refused(400, "bad_transfer_encoding")),
]

_CODINGS = {"chunked twice": "chunked, chunked", "chunked before another": "chunked, gzip",
            "identity alone": "identity", "chunked before identity": "chunked, identity",
            "an unknown one": "strange", "chunked with a parameter": "chunked;q=1",
            "chunked with an empty parameter": "chunked;", "nothing": "",
            "a comma": ",", "chunked and an empty element": "chunked,",
            "an empty element and chunked": ",chunked", "chunked in quotes": '"chunked"',
            "chunked in apostrophes": "'chunked'", "xchunked": "xchunked",
            "chunkedx": "chunkedx", "chunk": "chunk", "chunked as two words": "chu nked",
            "chunked behind a word": "x chunked", "a word behind chunked": "chunked x",
            "chunked and a colon": "chunked:", "a colon and chunked": ": chunked",
            "a byte beyond ASCII": "chunked\xa0", "a soft hyphen": "chun\xadked",
            "a Kelvin sign for k": "chun\u212aed".encode().decode("latin-1")}
CODING = [
    ("9112 7.1", "chunked frames the body", chunks(),
     forwarded({"transfer-encoding": "chunked"}, body=b"hello", framing="chunked"), stays),
    ("9112 7", "the coding's name has no case",
     post("Transfer-Encoding: CHUNKED", body=b"5\r\nhello\r\n" + END),
     forwarded({"transfer-encoding": "chunked"}, body=b"hello")),
    ("9112 5.1", "white space around it is no part of it",
     post("Transfer-Encoding: \t chunked \t ", body=b"5\r\nhello\r\n" + END),
     forwarded({"transfer-encoding": "chunked"}, body=b"hello")),
    ("9112 6.1", "GET with a chunked body passes", chunks(method="GET"),
     forwarded(body=b"hello", framing="chunked")),
    ("9112 6.1", "a coding that is not known is 501",
     post("Transfer-Encoding: gzip, chunked", body=END), refused(501, "unsupported_coding")),
    ("9112 6.3", "chunked must be last", post("Transfer-Encoding: gzip", body=END),
     refused(400, "bad_transfer_encoding")),
    ("9112 6.1", "chunked is applied once, in two fields, too",
     post(CHUNKED, CHUNKED, body=END), refused(400, "bad_transfer_encoding")),
    ("9112 6.3", "a second field behind chunked", post(CHUNKED, "Transfer-Encoding: x", body=END),
     refused(400, "bad_transfer_encoding", "unsupported_coding")),
    ("9112 6.3", "a second field before chunked", post("Transfer-Encoding: x", CHUNKED, body=END),
     refused(400, "bad_transfer_encoding", "unsupported_coding")),
    ("9112 6.3", "an empty second field", post("Transfer-Encoding:", CHUNKED, body=END),
     refused(400, "bad_transfer_encoding")),
    ("9112 6.1", "Connection cannot remove it", chunks(b"5\r\nhello\r\n" + END,
                                                      "Connection: transfer-encoding"),
     forwarded(body=b"hello", framing="chunked")),
] + [("9112 6.3", f"Transfer-Encoding of {name} is refused",
      post(f"Transfer-Encoding: {value}", body=b"5\r\nhello\r\n" + END + SECRET),
      refused(400, "bad_transfer_encoding") if value.lower() != "strange" else
      refused(400, "bad_transfer_encoding", "unsupported_coding"))
     for name, value in _CODINGS.items()]


class RequestFraming(Table):
    def test_length(self):
        self.play_all(LENGTH, "requests")

    def test_both(self):
        self.play_all(BOTH, "requests")

    def test_coding(self):
        self.play_all(CODING, "requests")
