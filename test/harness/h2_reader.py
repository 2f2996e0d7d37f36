# SPDX-License-Identifier: Apache-2.0
"""What an HTTP/2 server writes, read by the letter of RFC 9113: whatever a server may not send is a
Fault, whether the test asks for it or not."""

import collections
import re

import hpack

from . import h2
from .message import Fields
from .strict import DATE, Fault

NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
# RFC 9113 section 8.2.2.
CONNECTION_SPECIFIC = ("connection", "proxy-connection", "keep-alive", "transfer-encoding",
                       "upgrade", "te", "http2-settings")
LARGEST = (1 << 31) - 1


def need(condition, text, *details):
    if not condition:
        raise Fault(text + (f": {details}" if details else ""))


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    def has(self, flag):
        return bool(self.flags & flag)

    def __repr__(self):
        name = h2.NAMES.get(self.kind, hex(self.kind))
        return f"<{name} {self.flags:#x} on {self.stream}, {len(self.payload)} bytes>"


class Head:
    """The head of a response: `status` and the other fields."""

    def __init__(self, fields):
        self.status = int(fields[0][1])
        self.fields = Fields(fields[1:])

    def __repr__(self):
        return f"<{self.status} {self.fields}>"


class Stream:
    """What has come on one stream. `complete` once END_STREAM came; `reset` is the code of
    RST_STREAM. `window` is what the server may still send."""

    def __init__(self, number, window, method="GET"):
        self.number = number
        self.method = method
        self.window = window
        self.credit = 0  # what we may still send
        self.interim = []
        self.head = None
        self.body = bytearray()
        self.trailers = None
        self.complete = False
        self.reset = None
        self.quiet = False  # we have reset it: what comes was on its way

    @property
    def status(self):
        return self.head.status if self.head else None

    @property
    def fields(self):
        return self.head.fields if self.head else Fields()

    @property
    def cause(self):
        return self.fields.get("weir-cause", "")

    @property
    def ended(self):
        return self.complete or self.reset is not None

    def __repr__(self):
        end = "complete" if self.complete else "open"
        if self.reset is not None:
            end = f"reset by {h2.code_name(self.reset)}"
        return f"<stream {self.number}: {self.status} {self.cause} {len(self.body)} bytes, {end}>"


def check_fields(fields):
    for name, value in fields:
        need(NAME.fullmatch(name.removeprefix(":")), "a field's name", name)
        need(VALUE.fullmatch(value), "a field's value", name, value)
        need(name not in CONNECTION_SPECIFIC, "a connection-specific field", name, value)


def check_response(fields, end):
    """RFC 9113 sections 8.1 and 8.3.2."""
    names = [name for name, _ in fields]
    need(names and names[0] == ":status" and
         not any(name.startswith(":") for name in names[1:]), "pseudo-headers", fields)
    need(re.fullmatch("[1-5][0-9][0-9]", fields[0][1]), ":status", fields[0])
    status = int(fields[0][1])
    lengths = [value for name, value in fields if name == "content-length"]
    need(status != 101, "101 in HTTP/2")
    need(status >= 200 or not end, "END_STREAM on an interim response", fields)
    need(len(lengths) <= 1 and all(re.fullmatch("[0-9]+", value) for value in lengths),
         "Content-Length", lengths)
    need(status >= 200 and status != 204 or not lengths, "Content-Length", fields)
    if status >= 200:
        check_date(fields)


def check_date(fields):
    dates = [value for name, value in fields if name == "date"]
    need(len(dates) == 1 and DATE.fullmatch(dates[0]), "not one Date", fields)


class Reader:
    """The state of one connection, from the frames that have come. Who derives from it sends what
    is to be sent (try_send). `feed`: give back the windows as DATA comes."""

    def __init__(self, feed=True):
        self.feed = feed
        self.frames = []
        self.streams = {}
        self.settings = {}  # the server's
        self.settings_seen = 0
        self.acknowledged = 0  # our SETTINGS
        self.unacknowledged = collections.deque()  # what of ours is not in force yet
        self.pongs = []
        self.goaway = None  # (last stream, code, debug)
        self.initial_window = h2.WINDOW  # for the server's DATA
        self.window = h2.WINDOW
        self.credit = h2.WINDOW  # for ours
        self.frame_max = h2.FRAME_MAX
        self.buffer = bytearray()
        self._decoder = hpack.Decoder(max_header_list_size=1 << 24)
        self._headers = None  # (stream, flags, block) between HEADERS and END_HEADERS

    def try_send(self, data):
        raise NotImplementedError

    def expect(self, number, method="GET"):
        """A stream that the bytes sent have opened, or will."""
        stream = Stream(number, self.initial_window, method)
        stream.credit = self.settings.get(h2.INITIAL_WINDOW_SIZE, h2.WINDOW)
        self.streams[number] = stream
        return stream

    def took(self, data):
        """Takes the frames that are complete with these bytes."""
        self.buffer += data
        at = 0
        while len(self.buffer) - at >= 9:
            size = int.from_bytes(self.buffer[at:at + 3], "big")
            need(size <= self.frame_max, "a frame above SETTINGS_MAX_FRAME_SIZE", size)
            if len(self.buffer) - at < 9 + size:
                break
            kind, flags = self.buffer[at + 3], self.buffer[at + 4]
            stream = int.from_bytes(self.buffer[at + 5:at + 9], "big")
            self._take(Frame(kind, flags, stream, bytes(self.buffer[at + 9:at + 9 + size])))
            at += 9 + size
        del self.buffer[:at]

    def _apply(self, pairs):
        """Settings of ours that the server has acknowledged."""
        for name, value in pairs:
            if name == h2.INITIAL_WINDOW_SIZE:
                for stream in self.streams.values():
                    stream.window += value - self.initial_window
                self.initial_window = value
            elif name == h2.MAX_FRAME_SIZE:
                self.frame_max = value
            elif name == h2.HEADER_TABLE_SIZE:
                self._decoder.max_allowed_table_size = value

    def _take(self, frame):
        need(self.frames or frame.kind == h2.SETTINGS and not frame.has(h2.ACK),
             "SETTINGS do not come first", frame)
        need(frame.stream < 1 << 31, "the reserved bit is set", frame)
        need(self._headers is None or frame.kind == h2.CONTINUATION, "inside a header block", frame)
        self.frames.append(frame)
        if len(self.frames) > 4000:
            del self.frames[1:2000]
        take = self._TAKE.get(frame.kind)
        need(take, "an unknown frame", frame)
        take(self, frame)

    def _settings(self, frame):
        need(frame.stream == 0, "SETTINGS on a stream", frame)
        if frame.has(h2.ACK):
            need(not frame.payload, "SETTINGS ACK with a payload")
            self.acknowledged += 1
            if self.unacknowledged:
                self._apply(self.unacknowledged.popleft())
            return
        need(len(frame.payload) % 6 == 0, "size of SETTINGS", frame)
        before = self.settings.get(h2.INITIAL_WINDOW_SIZE, h2.WINDOW)
        for at in range(0, len(frame.payload), 6):
            name = int.from_bytes(frame.payload[at:at + 2], "big")
            value = int.from_bytes(frame.payload[at + 2:at + 6], "big")
            need(name != h2.ENABLE_PUSH or value == 0, "a server enables push")
            need(name != h2.INITIAL_WINDOW_SIZE or value <= LARGEST, "INITIAL_WINDOW_SIZE", value)
            need(name != h2.MAX_FRAME_SIZE or h2.FRAME_MAX <= value < 1 << 24, "MAX_FRAME_SIZE",
                 value)
            self.settings[name] = value
        for stream in self.streams.values():
            stream.credit += self.settings.get(h2.INITIAL_WINDOW_SIZE, h2.WINDOW) - before
        self.settings_seen += 1
        self.try_send(h2.settings(ack=True))

    def _stream(self, frame):
        stream = self.streams.get(frame.stream)
        need(stream, "a frame on a stream that was not opened", frame)
        return stream

    def _open_stream(self, frame):
        stream = self._stream(frame)
        need(not stream.ended, "a frame behind the stream's end", frame, stream)
        return stream

    def _data(self, frame):
        stream = self._open_stream(frame)
        need(stream.head, "DATA before HEADERS", frame)
        size, payload = len(frame.payload), frame.payload
        if frame.has(h2.PADDED):
            need(payload and payload[0] < size, "padding", frame)
            payload = payload[1:size - payload[0]]
        self.window -= size
        stream.window -= size
        need(size == 0 or self.window >= 0 and stream.window >= 0, "above the window", frame,
             self.window, stream.window)
        stream.body += payload
        if frame.has(h2.END_STREAM):
            self._complete(stream)
        if self.feed and size:
            self.grant(0, size)
            if not stream.ended:
                self.grant(stream.number, size)

    def grant(self, number, size):
        if number:
            self.streams[number].window += size
        else:
            self.window += size
        self.try_send(h2.window_update(number, size))

    def _headers_frame(self, frame):
        payload = frame.payload
        self._stream(frame)
        if frame.has(h2.PADDED):
            need(payload and payload[0] < len(payload), "padding", frame)
            payload = payload[1:len(payload) - payload[0]]
        if frame.has(h2.PRIORITIZED):
            payload = payload[5:]
        self._headers = (frame.stream, frame.flags, payload)
        if frame.has(h2.END_HEADERS):
            self._block()

    def _continuation(self, frame):
        need(self._headers and self._headers[0] == frame.stream, "CONTINUATION", frame)
        stream, flags, payload = self._headers
        self._headers = (stream, flags, payload + frame.payload)
        if frame.has(h2.END_HEADERS):
            self._block()

    def _block(self):
        number, flags, payload = self._headers
        self._headers = None
        try:
            fields = [(name.decode("latin-1"), value.decode("latin-1"))
                      for name, value in self._decoder.decode(payload, raw=True)]
        except hpack.HPACKError as error:
            raise Fault(f"a header block that cannot be decoded: {error!r}") from error
        stream = self.streams[number]
        need(not stream.ended, "HEADERS behind the stream's end", stream, fields)
        check_fields(fields)
        end = bool(flags & h2.END_STREAM)
        if stream.head:
            need(end, "trailers without END_STREAM", fields)
            need(not any(name.startswith(":") for name, _ in fields), "pseudo in trailers", fields)
            stream.trailers = Fields(fields)
        else:
            check_response(fields, end)
            head = Head(fields)
            if head.status < 200:
                stream.interim.append(head)
                return
            stream.head = head
        if end:
            self._complete(stream)

    @staticmethod
    def _complete(stream):
        stream.complete = True
        lengths = stream.fields.all("content-length")
        bodiless = stream.method == "HEAD" or stream.status in (204, 304)
        need(not bodiless or not stream.body, "a body where none can be", stream)
        need(bodiless or not lengths or int(lengths[0]) == len(stream.body),
             "END_STREAM before Content-Length", stream, lengths)

    def _rst_stream(self, frame):
        stream = self._stream(frame)
        need(len(frame.payload) == 4, "size of RST_STREAM", frame)
        if stream.reset is None:
            stream.reset = int.from_bytes(frame.payload, "big")

    def _ping(self, frame):
        need(frame.stream == 0 and len(frame.payload) == 8, "PING", frame)
        if frame.has(h2.ACK):
            self.pongs.append(frame.payload)
        else:
            self.try_send(h2.ping(frame.payload, ack=True))

    def _goaway(self, frame):
        need(frame.stream == 0 and len(frame.payload) >= 8, "GOAWAY", frame)
        last = int.from_bytes(frame.payload[:4], "big")
        need(self.goaway is None or last <= self.goaway[0], "GOAWAY's last stream rises", frame)
        self.goaway = (last, int.from_bytes(frame.payload[4:8], "big"), frame.payload[8:])

    def _window_update(self, frame):
        need(len(frame.payload) == 4, "size of WINDOW_UPDATE", frame)
        increment = int.from_bytes(frame.payload, "big")
        need(0 < increment <= LARGEST, "WINDOW_UPDATE", increment)
        if frame.stream:
            stream = self._stream(frame)
            stream.credit += increment
            need(stream.credit <= LARGEST, "a stream's window above 2^31-1", stream.credit)
        else:
            self.credit += increment
            need(self.credit <= LARGEST, "the window above 2^31-1", self.credit)

    _TAKE = {h2.SETTINGS: _settings, h2.DATA: _data, h2.HEADERS: _headers_frame,
             h2.CONTINUATION: _continuation, h2.RST_STREAM: _rst_stream, h2.PING: _ping,
             h2.GOAWAY: _goaway, h2.WINDOW_UPDATE: _window_update}
