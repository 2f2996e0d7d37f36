# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 frames and header blocks as bytes, right and wrong ones: RFC 9113 and RFC 7541 by hand, so
that a test can say exactly what it sends."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# RFC 9113 section 6; RFC 9218 section 7.1.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10
NAMES = {DATA: "DATA", HEADERS: "HEADERS", PRIORITY: "PRIORITY", RST_STREAM: "RST_STREAM",
         SETTINGS: "SETTINGS", PUSH_PROMISE: "PUSH_PROMISE", PING: "PING", GOAWAY: "GOAWAY",
         WINDOW_UPDATE: "WINDOW_UPDATE", CONTINUATION: "CONTINUATION",
         PRIORITY_UPDATE: "PRIORITY_UPDATE"}

# RFC 9113 section 7.
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, \
    ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = range(14)
CODES = ("NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED "
         "FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR "
         "ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED").split()

# RFC 9113 section 6.5.2; RFC 8441 section 3; RFC 9218 section 2.1.
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES = 8, 9

END_STREAM, END_HEADERS, PADDED, PRIORITIZED, ACK = 0x1, 0x4, 0x8, 0x20, 0x1
WINDOW = 65_535
FRAME_MAX = 16_384


def code_name(code):
    return CODES[code] if code < len(CODES) else f"code {code:#x}"


def frame(kind, flags=0, stream=0, payload=b"", length=None, reserved=0):
    """Any frame; `length` replaces the true length of the payload."""
    size = len(payload) if length is None else length
    return (size.to_bytes(3, "big") + bytes([kind, flags])
            + (stream | reserved << 31).to_bytes(4, "big") + payload)


def settings(*pairs, ack=False):
    """pairs: (identifier, value)."""
    payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in pairs)
    return frame(SETTINGS, ACK if ack else 0, 0, payload)


def headers(stream, block, end_stream=False, end_headers=True, flags=0):
    return frame(HEADERS, flags | (END_STREAM if end_stream else 0)
                 | (END_HEADERS if end_headers else 0), stream, block)


def continuation(stream, block, end_headers=True):
    return frame(CONTINUATION, END_HEADERS if end_headers else 0, stream, block)


def data(stream, payload=b"", end_stream=False, padding=None):
    """`padding`: that many bytes, or none and no PADDED flag."""
    flags = END_STREAM if end_stream else 0
    if padding is not None:
        flags, payload = flags | PADDED, bytes([padding]) + payload + bytes(padding)
    return frame(DATA, flags, stream, payload)


def priority_fields(depends=0, weight=15, exclusive=False):
    return (depends | (1 << 31 if exclusive else 0)).to_bytes(4, "big") + bytes([weight])


def priority(stream, depends=0, weight=15, exclusive=False):
    return frame(PRIORITY, 0, stream, priority_fields(depends, weight, exclusive))


def priority_update(stream, value):
    return frame(PRIORITY_UPDATE, 0, 0, stream.to_bytes(4, "big") + value.encode("latin-1"))


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def ping(payload=b"\0" * 8, ack=False):
    return frame(PING, ACK if ack else 0, 0, payload)


def goaway(last=0, code=NO_ERROR, debug=b"", stream=0):
    return frame(GOAWAY, 0, stream, last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


# --- header blocks: RFC 7541 ----------------------------------------------------------------------

def integer(value, prefix, first=0):
    """Section 5.1; `first`: the bits before the prefix."""
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes([first | value])
    out, value = bytearray([first | limit]), value - limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def string(text):
    """Section 5.2, without Huffman's code."""
    raw = text.encode("latin-1") if isinstance(text, str) else text
    return integer(len(raw), 7) + raw


def literal(name, value):
    """Without indexing and with its name written out: leaves no trace in the table."""
    return b"\x00" + string(name) + string(value)


def indexed(index):
    return integer(index, 7, 0x80)


def incremental(name, value):
    """A literal that is put into the dynamic table, where it is entry 62."""
    return b"\x40" + string(name) + string(value)


def table_size(size):
    return integer(size, 5, 0x20)


def block(*fields):
    """(name, value) as literals; bytes stand as they are."""
    return b"".join(one if isinstance(one, bytes) else literal(*one) for one in fields)


def request(*fields, method="GET", path="/", scheme="http", authority="weir.test"):
    """The header block of a request; a pseudo-header of None is left out."""
    pseudo = ((":method", method), (":scheme", scheme), (":authority", authority), (":path", path))
    return block(*((name, value) for name, value in pseudo if value is not None), *fields)


def get(stream=1, *fields, **options):
    """A whole GET."""
    return headers(stream, request(*fields, **options), end_stream=True)


def post(stream=1, *fields, method="POST", **options):
    """The head of a request whose body follows."""
    return headers(stream, request(*fields, method=method, **options))
