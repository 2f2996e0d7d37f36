# SPDX-License-Identifier: Apache-2.0
"""Smuggling inside chunked bodies: sizes that are read differently, and ends of chunk lines and of
chunk data (TERM.EXT, EXT.TERM, TERM.SPILL, SPILL.TERM, ONE.TWO, TWO.ONE)."""

from origins.naive import Habits, lenient_hex, without_noise, wraps

from .messages import CHUNKED, END, SECRET, post
from .smuggling import Attacks

TAIL = END + SECRET


def attack(body, *lines):
    return post(CHUNKED, *lines, body=body, target="/attack")


def hidden(line, end=b"\r\n"):
    """For a reader that sees no end of the body before it, all of the rest is a chunk's data."""
    return line + end + b"XXXXX\r\n" + TAIL


# The size of a chunk that has five bytes for the front end and another number for the origin.
_SIZES = {
    "a sign": (b"+5", lenient_hex), "a minus": (b"-5", lenient_hex), "0x": (b"0x5", lenient_hex),
    "0X": (b"0X5", lenient_hex), "an underscore": (b"0_5", without_noise),
    "white space before": (b" 5", lenient_hex), "a tab before": (b"\t5", lenient_hex),
    "white space behind": (b"5 ", lenient_hex), "a tab behind": (b"5\t", lenient_hex),
    "a vertical tab before": (b"\x0b5", lenient_hex), "a NUL behind": (b"5\0", lenient_hex),
    "a letter behind": (b"5g", lenient_hex), "a comma behind": (b"5,", lenient_hex),
    "a second number": (b"5 5", lenient_hex), "a point": (b"5.0", lenient_hex),
    "quotes": (b'"5"', without_noise), "white space within": (b"0 5", without_noise),
    "wraps 64 bits": (b"10000000000000005", wraps(64)),
    "wraps 64 bits, with an extension": (b"10000000000000005;a", wraps(64)),
    "wraps 32 bits behind 16 digits": (b"00000001000000005", wraps(32)),
    "wraps 128 bits": (b"1" + b"0" * 31 + b"5", wraps(128)),
    "only zeros, many": (b"0" * 70 + b"5", lenient_hex),
    "a byte beyond ASCII before": (b"\xa05", without_noise),
}
SIZES = [("chunk size", name, attack(hidden(size)), Habits(size=read))
         for name, (size, read) in _SIZES.items()]
# Read as 0, it is the last chunk: what follows the next empty line is a request.
SIZES += [("chunk size", name, attack(size + b"\r\n\r\n" + SECRET), Habits(size=lenient_hex))
          for name, size in (("an empty line for the last chunk", b""), ("a word", b"xyz"),
                             ("a semicolon only", b";"), ("a sign and zero", b"-0"),
                             ("0x and zero", b"0x0"), ("zero and a letter", b"0g"),
                             ("zero and white space", b"0 "), ("zero in quotes", b'0"'))]

LF = rb"\r?\n"
ANY = rb"\r\n|\n|\r"

# A line end inside an extension: for one reader the line goes on, for the other it has ended.
EXTENSIONS = [
    ("EXT.TERM", f"{name}: the line has ended for the origin",
     attack(b"5;a" + end + b"XXXXX\r\n" + TAIL), Habits(size_ends=ends))
    for name, end, ends in (("LF", b"\n", LF), ("CR", b"\r", ANY),
                            ("CR CR LF", b"\r\r\n", rb"\r+\n"))
]
EXTENSIONS += [
    ("TERM.EXT", f"{name}: the line goes on for the origin",
     attack(b"2;" + end + b"xx\r\n%x\r\n" % len(TAIL) + TAIL + b"\r\n" + END), Habits())
    for name, end in (("LF", b"\n"), ("CR", b"\r"), ("LF LF", b"\n\n"))
]
EXTENSIONS += [
    ("EXT.TERM", f"{name} behind the size, no extension", attack(b"5" + end + b"XXXXX\r\n" + TAIL),
     Habits(size_ends=ends)) for name, end, ends in
    (("LF", b"\n", LF), ("CR", b"\r", ANY))
]
EXTENSIONS += [
    ("EXT.TERM", f"{name} of the last chunk", attack(b"5\r\nXXXXX\r\n0" + end + b"\r\n" + SECRET),
     Habits(size_ends=ends, line_ends=ends)) for name, end, ends in
    (("LF", b"\n", LF), ("CR", b"\r", ANY), ("LF in an extension", b";a\n", LF),
     ("CR in an extension", b";a\r", ANY))
]
EXTENSIONS += [
    ("extensions", name, attack(line + b"\r\nXXXXX\r\n" + TAIL), Habits())
    for name, line in (("too long", b"5;" + b"a" * 70_000), ("with NUL", b"5;a\0b"),
                       ("with a control byte", b"5;a\x01b"), ("with DEL", b"5;a\x7fb"))
]

# What stands behind a chunk's data.
SPILLS = [
    ("TERM.SPILL", f"{name} behind data for its line end", attack(b"5\r\nXXXXX" + end + TAIL),
     Habits(data_ends=ends)) for name, end, ends in
    (("LF", b"\n", LF), ("CR", b"\r", ANY), ("nothing", b"", rb"\r\n"),
     ("LF CR", b"\n\r", rb"\n\r"), ("CR CR LF", b"\r\r\n", rb"\r\r\n"))
]
SPILLS += [
    ("SPILL.TERM", f"{name} behind data, two bytes skipped unseen",
     attack(b"5\r\nXXXXX" + end + TAIL), Habits(blind_ends=2)) for name, end in
    (("two letters", b"YY"), ("LF and a letter", b"\nY"), ("CR and a letter", b"\rY"),
     ("two LFs", b"\n\n"), ("NUL NUL", b"\0\0"))
]
SPILLS += [
    ("ONE.TWO", f"{name}: the origin skips two bytes where one ends the data",
     attack(b"5\r\nXXXXX" + end + b"\r\n" + TAIL), Habits(blind_ends=3))
    for name, end in (("LF", b"\n"), ("CR", b"\r"), ("a letter", b"Y"))
]
SPILLS += [
    ("TWO.ONE", f"{name}: the origin skips one byte where two end the data",
     attack(b"5\r\nXXXXX" + end + TAIL), Habits(blind_ends=1))
    for name, end in (("LF", b"\n"), ("CR", b"\r"), ("a letter", b"Y"))
]
SPILLS += [
    ("spill", "more data than the size, which the origin skips",
     attack(b"5\r\nXXXXXYYY\r\n" + TAIL), Habits(blind_ends=5)),
    ("spill", "less data than the size: the line end is data",
     attack(b"7\r\nXXXXX\r\n" + TAIL), Habits(data_ends=b"")),
]

TRAILERS = [
    ("trailers", f"{name}: for the origin the trailers have ended",
     attack(b"5\r\nXXXXX\r\n0\r\n" + trailer + SECRET), Habits(line_ends=ends))
    for name, trailer, ends in (
        ("LF LF", b"X-A: b\n\n", LF), ("CR CR", b"X-A: b\r\r", ANY),
        ("LF CR LF", b"X-A: b\n\r\n", LF), ("LF for the empty line", b"X-A: b\r\n\n", LF),
        ("CR for the empty line", b"X-A: b\r\n\r", ANY))
]

class SmugglingChunks(Attacks):
    def test_sizes(self):
        self.play_all(SIZES)

    def test_extensions(self):
        self.play_all(EXTENSIONS)

    def test_spills(self):
        self.play_all(SPILLS)

    def test_trailers(self):
        self.play_all(TRAILERS)
