# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 messages over a blocking socket, read strictly: for the raw client and the
scripted origin."""

import socket


class Broken(Exception):
    """The peer ended the stream where it may not end. `how` is "eof" or "reset"."""

    def __init__(self, how, partial=b""):
        super().__init__(f"{how} after {len(partial)} bytes")
        self.how = how
        self.partial = partial


class Malformed(Exception):
    """Bytes that are no HTTP/1 message."""


class Stream:
    """A socket with a read buffer. Keeps every received byte in `received` when asked to."""

    def __init__(self, sock, record=False):
        self.sock = sock
        self.buffer = bytearray()
        self.received = bytearray() if record else None

    def fill(self):
        """Reads once; False at the end of the stream."""
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Broken("reset", bytes(self.buffer)) from error
        if self.received is not None:
            self.received += data
        self.buffer += data
        return bool(data)

    def take(self, size):
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def until(self, mark):
        searched = 0
        while (end := self.buffer.find(mark, searched)) < 0:
            searched = max(0, len(self.buffer) - len(mark))
            if not self.fill():
                raise Broken("eof", bytes(self.buffer))
        return self.take(end + len(mark))

    def pieces(self, size):
        """Yields the next `size` bytes in the pieces in which they arrive."""
        while size > 0:
            if not self.buffer and not self.fill():
                raise Broken("eof")
            data = self.take(min(size, len(self.buffer)))
            size -= len(data)
            yield data

    def exactly(self, size):
        parts = bytearray()
        try:
            for data in self.pieces(size):
                parts += data
        except Broken as broken:
            raise Broken(broken.how, bytes(parts) + broken.partial) from broken
        return bytes(parts)

    def to_end(self):
        while self.fill():
            pass
        return self.take(len(self.buffer))

    def at_end(self):
        """True when the peer has closed or reset and nothing is left to read."""
        if self.buffer:
            return False
        try:
            return not self.fill()
        except Broken:
            return True


class Fields(list):
    """Header fields as (name, value) in order of arrival; look-up without case."""

    def all(self, name):
        return [value for key, value in self if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def __contains__(self, name):
        return bool(self.all(name))


def parse_head(head):
    """(first line, Fields) of a head that ends with an empty line."""
    lines = head.decode("latin-1").split("\r\n")
    fields = Fields()
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        if not colon or not name or name.strip() != name:
            raise Malformed(f"header line {line!r}")
        fields.append((name, value.strip(" \t")))
    return lines[0], fields


def read_chunked(stream):
    """(body, trailers, chunk sizes). Broken.partial holds the body so far."""
    body = bytearray()
    sizes = []
    try:
        while True:
            line = stream.until(b"\r\n")
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError as error:
                raise Malformed(f"chunk size line {bytes(line)!r}") from error
            if size == 0:
                break
            sizes.append(size)
            for data in stream.pieces(size):
                body += data
            if stream.exactly(2) != b"\r\n":
                raise Malformed("no CRLF after a chunk")
        trailers = Fields()
        while (line := stream.until(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
            trailers.append((name, value.strip()))
    except Broken as broken:
        raise Broken(broken.how, bytes(body)) from broken
    return bytes(body), trailers, sizes


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(body, size=None, trailers=()):
    """`body` in the chunked coding, whole or in pieces of `size`."""
    size = size or max(1, len(body))
    parts = [chunk(body[at:at + size]) for at in range(0, len(body), size)]
    tail = b"".join(f"{name}: {value}\r\n".encode() for name, value in trailers)
    return b"".join(parts) + b"0\r\n" + tail + b"\r\n"


def reset(sock):
    """Closes with RST in place of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
