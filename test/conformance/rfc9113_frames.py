# SPDX-License-Identifier: Apache-2.0
"""DATA, HEADERS, CONTINUATION, PUSH_PROMISE and header blocks: RFC 9113 sections 6.1, 6.2, 6.6 and
6.10, and RFC 7541."""

import hpack.huffman
import hpack.huffman_constants

from harness import h2
from harness.h2 import (COMPRESSION_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, continuation, data,
                        frame, get, headers, indexed, literal, ping, post, priority, rst_stream,
                        settings, table_size, window_update)

from .h2_rows import (COARSE, H2Table, connection_error, count, either, error, forwarded, got,
                      malformed)

PROTOCOL = connection_error(PROTOCOL_ERROR)
COMPRESSION = connection_error(COMPRESSION_ERROR)
PADDING = connection_error(PROTOCOL_ERROR, FRAME_SIZE_ERROR)
BLOCK = h2.request()
OPEN = headers(1, BLOCK[:10], True, end_headers=False)
REST = continuation(1, BLOCK[10:])
UPLOAD = headers(1, h2.request(method="POST"))

DATAS = [
    ("9113 6.1", "on stream 0", data(0, b"x"), PROTOCOL),
    ("9113 6.1", "several make the body", post(1) + data(1, b"one") + data(1, b"two", True), got(),
     forwarded(body=b"onetwo")),
    ("9113 6.1", "an empty one ends it", post(1) + data(1, b"one") + data(1, b"", True), got(),
     forwarded(body=b"one")),
    ("9113 6.1", "padded", post(1) + data(1, b"one", padding=10) + data(1, b"two", True, 0), got(),
     forwarded(body=b"onetwo")),
    ("9113 6.1", "of nothing but padding", post(1) + data(1, b"", padding=20) + data(1, b"x", True),
     got(), forwarded(body=b"x")),
    ("9113 6.1", "nothing but padding at the end", post(1) + data(1, b"x") + data(1, b"", True, 9),
     got(), forwarded(body=b"x")),
    ("9113 6.1", "as much padding as payload",
     post(1) + frame(h2.DATA, h2.PADDED | h2.END_STREAM, 1, b"\x06hello"), PADDING, count(0)),
    ("9113 6.1", "more padding than payload",
     post(1) + frame(h2.DATA, h2.PADDED | h2.END_STREAM, 1, b"\xffhello"), PADDING, count(0)),
    ("9113 6.1", "padded, and no length of it",
     post(1) + frame(h2.DATA, h2.PADDED | h2.END_STREAM, 1), PADDING, count(0)),
    ("9113 6.1", "padding that is not zeros",
     post(1) + frame(h2.DATA, h2.PADDED | h2.END_STREAM, 1, b"\x03hello\1\2\3"),
     either(got(), PROTOCOL)),
    ("9113 6.1", "two bodies side by side",
     post(1, path="/1") + post(3, path="/3") + data(1, b"a") + data(3, b"b") + data(1, b"c", True) +
     data(3, b"d", True), got(), got(stream=3), count(2)),
]

HEADERS = [
    ("9113 6.2", "on stream 0", headers(0, BLOCK, True), PROTOCOL),
    ("9113 6.2", "padded",
     frame(h2.HEADERS, 0xd, 1, b"\x07" + BLOCK + bytes(7)), got(), forwarded(target="/")),
    ("9113 6.2", "padded and with priority",
     frame(h2.HEADERS, 0x2d, 1, b"\x07" + h2.priority_fields() + BLOCK + bytes(7)), got()),
    ("9113 6.2", "more padding than payload", frame(h2.HEADERS, 0xd, 1, b"\xff" + BLOCK), PADDING,
     count(0)),
    ("9113 6.2", "padding into the priority",
     frame(h2.HEADERS, 0x2d, 1, b"\x05" + h2.priority_fields()[:4]), PADDING, count(0)),
    ("9113 6.2", "padded, and no length of it", frame(h2.HEADERS, 0xd, 1), PADDING),
    ("9113 6.2", "with an empty block", headers(1, b"", True), malformed()),
    ("9113 6.2", "that end the stream, and go on in CONTINUATION", OPEN + REST, COARSE, got(),
     forwarded(target="/")),
    ("9113 6.6", "PUSH_PROMISE of a client", frame(h2.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + BLOCK),
     PROTOCOL, count(0)),
    ("9113 6.6", "PUSH_PROMISE on an open stream",
     post(1) + frame(h2.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + BLOCK), PROTOCOL, count(0)),
]


def split(*cuts):
    """BLOCK in HEADERS and CONTINUATION frames, cut at these places."""
    ends = [*cuts, len(BLOCK)]
    out = headers(1, BLOCK[:ends[0]], True, end_headers=False)
    for begin, end in zip(ends, ends[1:]):
        out += continuation(1, BLOCK[begin:end], end == len(BLOCK))
    return out


CONTINUATIONS = [
    ("9113 6.10", "one", split(10), got(), forwarded(target="/")),
    ("9113 6.10", "several", split(1, 5, 20), got(), forwarded(target="/")),
    ("9113 6.10", "HEADERS may be empty", split(0), got(), forwarded(target="/")),
    ("9113 6.10", "the last may be empty",
     headers(1, BLOCK, True, end_headers=False) + continuation(1, b""), got()),
    ("9113 6.10", "END_STREAM in CONTINUATION is no flag",
     headers(1, h2.request(method="POST"), end_headers=False) + frame(h2.CONTINUATION, 5, 1)
     + data(1, b"body", True), got(), forwarded(body=b"body")),
    ("9113 6.10", "on stream 0", headers(1, BLOCK, True, end_headers=False) + continuation(0, b""),
     PROTOCOL, count(0)),
    ("9113 6.10", "on another stream",
     headers(1, BLOCK, True, end_headers=False) + continuation(3, b""), PROTOCOL, count(0)),
    ("9113 6.10", "without HEADERS", continuation(1, BLOCK), PROTOCOL, count(0)),
    ("9113 6.10", "behind END_HEADERS", post(1) + continuation(1, h2.block(("x", "y"))), PROTOCOL,
     count(0)),
    ("9113 6.10", "behind END_HEADERS of another", split(10) + continuation(1, b""),
     connection_error(PROTOCOL_ERROR, h2.STREAM_CLOSED)),
    ("9113 6.10", "behind DATA", post(1) + data(1, b"x") + continuation(1, BLOCK), PROTOCOL),
    *[("9113 6.2", f"{name} inside a header block", OPEN + between + REST, PROTOCOL, count(0))
      for name, between in (
          ("DATA", data(1, b"x")), ("HEADERS", headers(1, BLOCK, True)),
          ("HEADERS of another", get(3)), ("PRIORITY", priority(1)),
          ("PRIORITY of another", priority(3)), ("RST_STREAM", rst_stream(1)),
          ("SETTINGS", settings()), ("their acknowledgement", settings(ack=True)),
          ("PING", ping()), ("GOAWAY", h2.goaway()), ("WINDOW_UPDATE", window_update(0, 1)),
          ("PRIORITY_UPDATE", h2.priority_update(1, "u=1")))],
]


def request(*representations):
    """A request with these bytes at the end of its header block."""
    return headers(1, BLOCK + b"".join(representations), True)


def huffman(raw, padding=None):
    """A string in Huffman's code; `padding` replaces its last byte's."""
    text = raw.encode()
    coded = bytearray(hpack.huffman.HuffmanEncoder(
        hpack.huffman_constants.REQUEST_CODES,
        hpack.huffman_constants.REQUEST_CODES_LENGTH).encode(text))
    if padding is not None:
        coded[-1] = padding(coded[-1])
    return h2.integer(len(coded), 7, 0x80) + bytes(coded)


X = h2.string("x")
# ":method GET", ":path /", ":scheme http" of the static table.
STATIC = indexed(2) + indexed(4) + indexed(6) + b"\x01" + h2.string("weir.test")

HPACK = [
    ("7541 6.1", "fields of the static table", headers(1, STATIC, True), got(),
     forwarded({"host": "weir.test"}, method="GET", target="/")),
    ("7541 6.1", "index 0", request(indexed(0)), COMPRESSION, count(0)),
    ("7541 2.3.3", "an index behind the tables", request(indexed(62)), COMPRESSION, count(0)),
    ("7541 2.3.3", "one far behind them", request(indexed(1 << 20)), COMPRESSION, count(0)),
    ("7541 2.3.3", "a name's index behind them", request(h2.integer(70, 4), h2.string("v")),
     COMPRESSION, count(0)),
    ("7541 2.3.3", "likewise with indexing", request(h2.integer(70, 6, 0x40), h2.string("v")),
     COMPRESSION, count(0)),
    ("7541 6.2.1", "a field is put into the table and used again",
     request(h2.incremental("x-a", "1"), indexed(62)), forwarded({"x-a": ["1", "1"]})),
    ("7541 6.2.1", "also by the next request, with its name alone",
     request(h2.incremental("x-a", "1")) +
     headers(3, BLOCK + h2.integer(62, 4) + h2.string("2"), True), got(stream=3), count(2)),
    ("7541 2.3.2", "the newest field comes first",
     request(h2.incremental("x-a", "1"), h2.incremental("x-b", "2"), indexed(63), indexed(62)),
     forwarded({"x-a": ["1", "1"], "x-b": ["2", "2"]})),
    ("7541 6.2.3", "a field that is never put into a table",
     request(b"\x10" + h2.string("x-secret") + h2.string("1")), forwarded({"x-secret": "1"})),
    ("7541 6.2.2", "one that is not put into it leaves nothing",
     request(literal("x-a", "1"), indexed(62)), COMPRESSION),
    ("7541 4.4", "a field larger than the table empties it",
     request(h2.incremental("x-a", "1"), h2.incremental("x-b", "b" * 5000)), got(),
     forwarded({"x-a": "1", "x-b": "b" * 5000})),
    ("7541 4.4", "and it is empty then",
     request(h2.incremental("x-a", "1"), h2.incremental("x-b", "b" * 5000), indexed(62)),
     COMPRESSION, count(0)),
    ("7541 4.4", "the oldest fields make room",
     request(*[h2.incremental(f"x-{n}", "v" * 900) for n in range(8)], indexed(62)), got()),
    ("7541 4.4", "and are gone",
     request(*[h2.incremental(f"x-{n}", "v" * 900) for n in range(8)], indexed(69)), COMPRESSION,
     count(0)),
    ("7541 4.2", "the table is made smaller",
     headers(1, table_size(0) + BLOCK + h2.incremental("x-a", "1"), True), got(),
     forwarded({"x-a": "1"})),
    ("7541 4.2", "nothing is left in it then",
     get(1, h2.incremental("x-a", "1")) + headers(3, table_size(0) + BLOCK + indexed(62), True),
     COMPRESSION),
    ("7541 4.2", "smaller and larger again, together",
     headers(1, table_size(0) + table_size(4096) + BLOCK + h2.incremental("x-a", "1") + indexed(62),
             True), forwarded({"x-a": ["1", "1"]})),
    ("7541 4.2", "larger than allowed",
     lambda client: headers(1, table_size(
         client.settings.get(h2.HEADER_TABLE_SIZE, 4096) + 1) + BLOCK, True), COMPRESSION,
     count(0)),
    ("7541 4.2", "a size behind a field", request(table_size(0)), COMPRESSION, count(0)),
    ("7541 4.2", "a size between fields",
     headers(1, BLOCK + table_size(100) + h2.block(("x", "y")), True), COMPRESSION, count(0)),
    ("7541 5.1", "an integer without its end", request(b"\x00\x7f\xff"), COMPRESSION, count(0)),
    ("7541 5.1", "an integer beyond all sizes", request(b"\xff" + b"\xff" * 12 + b"\x01"),
     COMPRESSION, count(0)),
    ("7541 5.1", "a length beyond 32 bits",
     request(b"\x00" + X + b"\x7f\xff\xff\xff\xff\xff\xff\x01"), COMPRESSION, count(0)),
    ("7541 5.1", "an integer with zeros behind it", request(b"\x00" + X + b"\x7f\x80\x80\x00"
                                                            + b"v" * 127),
     either(forwarded({"x": "v" * 127}), COMPRESSION)),
    ("7541 5.2", "a string longer than the block", request(b"\x00" + X + h2.integer(100, 7) + b"v"),
     COMPRESSION, count(0)),
    ("7541 6.2", "a name without a value", request(b"\x00" + X), COMPRESSION, count(0)),
    ("7541 5.2", "Huffman's code", request(b"\x00" + huffman("x-huffman") + huffman("www, 1\\~")),
     forwarded({"x-huffman": "www, 1\\~"})),
    ("7541 5.2", "padding that is not of ones",
     request(b"\x00" + X + huffman("aa", lambda last: last & 0xc0)), COMPRESSION, count(0)),
    ("7541 5.2", "padding of a whole byte", request(b"\x00" + X + b"\x83\x1c\x7f\xff"), COMPRESSION,
     count(0)),
    ("7541 5.2", "the end of string itself", request(b"\x00" + X + b"\x84\xff\xff\xff\xff"),
     COMPRESSION, count(0)),
    ("7541 5.2", "an empty string", request(b"\x00" + X + b"\x80"), forwarded({"x": ""})),
    ("7541 5.2", "an empty name in Huffman's code", request(b"\x00\x80" + h2.string("v")),
     malformed()),
    ("9113 4.3", "a block that ends inside a field", headers(1, BLOCK[:-3], True), COMPRESSION,
     count(0)),
    ("9113 4.3", "trailers that cannot be decoded",
     UPLOAD + data(1, b"x") + headers(1, indexed(99), True), COMPRESSION, count(0)),
]


class Frames(H2Table):
    def test_data(self):
        self.play_all(DATAS)

    def test_headers(self):
        self.play_all(HEADERS)

    def test_continuation(self):
        self.play_all([(*row, COARSE) for row in CONTINUATIONS])

    def test_hpack(self):
        self.play_all(HPACK)
