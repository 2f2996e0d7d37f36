# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 messages read by the letter of RFC 9112, from bytes that Weir wrote: whatever a lenient
reader could take in another way is a Fault."""

import re

from .message import Fields

TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
FIELD = re.compile(rb"(%s+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
                   rb"[\x21-\x7e\x80-\xff])?)?)[ \t]*" % TCHAR)
REQUEST_LINE = re.compile(rb"(%s+) ([\x21\x22\x24-\x7e]+) HTTP/1\.1" % TCHAR)
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
VIA = re.compile(r"(^|, ?)(1\.[01]|2(\.0)?) weir$")
CHUNK_LINE = re.compile(rb"[1-9a-fA-F][0-9a-fA-F]{0,15}")
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)?(:[0-9]*)?")
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct"
                  r"|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT")
# RFC 9110 section 7.6.1: never forwarded, whether Connection names them or not.
CONNECTION_SPECIFIC = ("keep-alive", "proxy-connection", "http2-settings")
# RFC 9110 section 6.5.1: framing, routing, authentication, content handling.
NEVER_TRAILERS = ("transfer-encoding", "content-length", "host", "connection", "te", "trailer",
                  "authorization", "cookie", "set-cookie", "content-type", "content-encoding",
                  "content-range", "x-forwarded-for", "x-request-id", "via", "expect", "upgrade")


class Fault(Exception):
    """What Weir wrote is not conforming."""


class Message:
    """A request or response. `complete` is False when the bytes ended inside it."""

    def __init__(self):
        self.fields = Fields()
        self.body = b""
        self.trailers = Fields()
        self.framing = "none"
        self.complete = False
        self.raw = b""
        self.interim = []

    def __repr__(self):
        first = getattr(self, "target", None) or getattr(self, "status", None)
        return f"<{first} {self.framing} {self.body[:60]!r}>"


def _need(condition, text, *details):
    if not condition:
        raise Fault(text + (f": {details}" if details else ""))


def _head(data, at):
    """(first line, Fields, offset behind the head), or None when the head has no end."""
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        return None
    lines = data[at:end].split(b"\r\n")
    fields = Fields()
    for line in lines[1:]:
        found = FIELD.fullmatch(line)
        _need(found, "not a field line", line)
        fields.append((found[1].decode("latin-1"), found[2].decode("latin-1")))
    return lines[0], fields, end + 4


def _options(fields):
    values = ",".join(fields.all("connection")).split(",")
    return {value.strip().lower() for value in values} - {""}


def _check_framing(message):
    lengths = message.fields.all("content-length")
    codings = message.fields.all("transfer-encoding")
    _need(len(lengths) <= 1, "several Content-Length", lengths)
    _need(len(codings) <= 1, "several Transfer-Encoding", codings)
    _need(not (lengths and codings), "Content-Length beside Transfer-Encoding")
    _need(all(re.fullmatch("[0-9]+", value) for value in lengths), "Content-Length", lengths)
    _need(all(value == "chunked" for value in codings), "Transfer-Encoding", codings)
    _need("trailer" not in message.fields or codings, "Trailer without chunked")


def _check_connection(message):
    for name in CONNECTION_SPECIFIC:
        _need(name not in message.fields, f"{name} was forwarded")
    options = _options(message.fields)
    _need(options <= {"close", "keep-alive", "upgrade", "te"}, "Connection", options)
    _need(("upgrade" in options) == ("upgrade" in message.fields), "Upgrade without its option")
    _need(("te" in options) == ("te" in message.fields), "TE without its option")


def _chunked(data, at, message):
    """Reads a chunked body; the offset behind it, or None when it has no end."""
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        line = data[at:end]
        at = end + 2
        if line == b"0":
            break
        _need(CHUNK_LINE.fullmatch(line), "chunk size line", line)
        size = int(line, 16)
        if len(data) < at + size + 2:
            message.body += data[at:at + size]
            return None
        _need(data[at + size:at + size + 2] == b"\r\n", "no CRLF behind a chunk")
        message.body += data[at:at + size]
        at += size + 2
    while (end := data.find(b"\r\n", at)) >= 0:
        line, at = data[at:end], end + 2
        if not line:
            return at
        found = FIELD.fullmatch(line)
        _need(found, "not a trailer line", line)
        name = found[1].decode("latin-1")
        _need(name.lower() not in NEVER_TRAILERS, "forbidden trailer", name)
        message.trailers.append((name, found[2].decode("latin-1")))
    return None


def _body(data, at, message):
    if message.framing == "chunked":
        return _chunked(data, at, message)
    if message.framing == "length":
        size = int(message.fields.get("content-length"))
        message.body = data[at:at + size]
        return at + size if len(data) >= at + size else None
    if message.framing == "close":
        message.body = data[at:]
        return len(data)
    return at


def _read(data, at, message):
    end = _body(data, at, message)
    message.complete = end is not None
    return len(data) if end is None else end


def requests(data):
    """All requests of a connection from Weir to a server; the last one may be incomplete."""
    found, at = [], 0
    while at < len(data):
        message = Message()
        head = _head(data, at)
        if head is None:
            found.append(message)
            break
        line, message.fields, end = head
        match = REQUEST_LINE.fullmatch(line)
        _need(match, "request line", line)
        message.method, message.target = match[1].decode(), match[2].decode()
        message.raw = data[at:end]
        _check_request(message)
        if "transfer-encoding" in message.fields:
            message.framing = "chunked"
        elif "content-length" in message.fields:
            message.framing = "length"
        at = _read(data, end, message)
        found.append(message)
        if "upgrade" in message.fields:
            break  # what follows may be of another protocol
    return found


def _check_request(message):
    fields = message.fields
    _need(message.target.startswith("/") or (message.target, message.method) == ("*", "OPTIONS"),
          "target form to an origin server", message.target)
    _need(len(fields.all("host")) == 1, "not one Host", fields)
    _need(HOST.fullmatch(fields.get("host")), "Host", fields.get("host"))
    _need(VIA.search(", ".join(fields.all("via"))), "Via", fields)
    _need(fields.get("te") in (None, "trailers"), "TE", fields)
    _check_framing(message)
    _check_connection(message)


def responses(data, methods, version="1.1"):
    """The responses to requests of these methods by a client of that version; stops early at the
    end of the data. Bytes behind the last one are a Fault."""
    found, at = [], 0
    for method in methods:
        interim = []
        while at < len(data):
            head = _head(data, at)
            _need(head, "a head without its end", data[at:])
            message = Message()
            line, message.fields, end = head
            match = STATUS_LINE.fullmatch(line)
            _need(match, "status line", line)
            message.version, message.status = "1." + match[1].decode(), int(match[2])
            message.raw = data[at:end]
            _check_response(message, version)
            message.framing = _response_framing(message, method)
            at = _read(data, end, message)
            if 100 <= message.status < 200 and message.status != 101:
                interim.append(message)
                continue
            message.interim = interim
            found.append(message)
            if message.status == 101:
                message.body = data[at:]
                return found
            break
    _need(at >= len(data), "bytes behind the last response", data[at:at + 200])
    return found


def _response_framing(message, method):
    if method == "HEAD" or message.status < 200 or message.status in (204, 304):
        return "none"
    if "transfer-encoding" in message.fields:
        return "chunked"
    return "length" if "content-length" in message.fields else "close"


def _check_response(message, version):
    fields, status = message.fields, message.status
    _check_framing(message)
    _check_connection(message)
    bodiless = status < 200 or status == 204
    for name in ("content-length", "transfer-encoding"):
        _need(not (bodiless and name in fields), f"{name} in {status}")
    _need("te" not in fields, "TE in a response")
    _need(version == "1.1" or "transfer-encoding" not in fields, "chunked to HTTP/1.0")
    _need(version == "1.1" or status >= 200, "1xx to HTTP/1.0")
    _need(status < 200 or len(fields.all("date")) == 1, "not one Date", fields)
    _need("connection" not in fields or status >= 200 or status == 101, "Connection in 1xx")
