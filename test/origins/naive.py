# SPDX-License-Identifier: Apache-2.0
"""An origin that can be fooled: it reads HTTP/1 with the bad habits that published request
smuggling relies on, answers every request that it believes in with that request's target, and
remembers them all."""

import collections
import dataclasses
import re
import socket
import threading

Believed = collections.namedtuple("Believed", "method target host fields connection")


def lenient_number(text, base=10):
    """strtol(): leading white space, a sign, 0x, then digits; whatever follows is ignored."""
    digits = "[0-9]" if base == 10 else "[0-9a-fA-F]"
    found = re.match(rf"\s*([+-]?)(?:0[xX])?({digits}+)", text)
    return int(found[2], base) if found else 0


def lenient_hex(text):
    return lenient_number(text, 16)


def wraps(bits):
    """A size computed in so many bits."""
    return lambda text: int(re.match("[0-9a-fA-F]*", text)[0] or "0", 16) % (1 << bits)


def without_noise(text):
    """Digits wherever they stand, in hexadecimal."""
    return int(re.sub("[^0-9a-fA-F]", "", text) or "0", 16)


@dataclasses.dataclass
class Habits:
    """How this origin reads. The defaults are those of a correct one, where it matters here."""

    prefers: str = "te"             # with both lengths: "te" or "cl"
    anything_chunked: bool = False  # a head in which both words occur is Transfer-Encoding: chunked
    knows_chunked: bool = True      # False: an old server that knows Content-Length only
    takes: str = "first"            # of repeated fields: "first" or "last"
    number: object = int            # reads Content-Length
    line_ends: bytes = rb"\r\n"     # regular expression, of head lines
    name: object = None             # makes a field's name of what stands before the colon
    unread: tuple = ()              # methods whose body is not read; "*" is all
    unread_if: str = ""             # a field whose presence makes it not read the body
    length_of_http10: bool = True
    size: object = lambda text: int(text, 16)  # reads a chunk size line without extension
    size_ends: bytes = rb"\r\n"     # regular expression, of chunk size lines
    data_ends: bytes = rb"\r\n"     # regular expression, behind a chunk's data; b"" for nothing
    blind_ends: int = 0             # so many bytes behind a chunk's data are skipped unseen
    stops_at_colonless: bool = False  # a line without colon ends the head
    early: int = 0                  # a status: answers with it at the head of what is no GET, and
                                    # takes what follows for a request
    host_from: str = "target"       # with absolute-form: "target" or "host"
    host: object = lambda text: text  # what it takes of a host
    merges_trailers: bool = False   # trailers become fields


class _End(Exception):
    """The peer has ended its direction."""


class _Reader:
    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            raise _End from error
        if not data:
            raise _End
        self.buffer += data

    def line(self, ends):
        while True:
            found = re.search(ends, self.buffer)
            if found:
                line = bytes(self.buffer[:found.start()])
                del self.buffer[:found.end()]
                return line
            self._fill()

    def take(self, size):
        while len(self.buffer) < size:
            self._fill()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def skip(self, pattern):
        """Skips one occurrence of the pattern, if it is next."""
        while len(self.buffer) < 2:
            self._fill()
        found = re.match(pattern, self.buffer)
        if found:
            del self.buffer[:found.end()]


class NaiveOrigin:
    """`habits` may be changed at any time; a request is read with those of its beginning."""

    def __init__(self):
        self.habits = Habits()
        self.believed = []
        self._lock = threading.Lock()
        self._sockets = []
        self._threads = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.drop_connections()

    def drop_connections(self):
        """Closes all connections and waits until nobody reads from them any more."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
            threads, self._threads = self._threads, []
        for sock in sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in threads:
            thread.join(10)

    def targets(self):
        with self._lock:
            return [one.target for one in self.believed]

    def forget(self):
        with self._lock:
            self.believed.clear()

    def _accept(self):
        number = 0
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(30)
            thread = threading.Thread(target=self._serve, args=(sock, number), daemon=True)
            with self._lock:
                self._sockets.append(sock)
                self._threads.append(thread)
            number += 1
            thread.start()

    def _serve(self, sock, number):
        reader = _Reader(sock)
        try:
            while self._one(sock, reader, number):
                pass
        except (_End, OSError, ValueError):
            pass  # a request that it cannot make sense of ends the connection
        sock.close()

    def _one(self, sock, reader, number):
        habits = self.habits
        first = reader.line(habits.line_ends)
        while len(parts := first.decode("latin-1").split()) < 2:
            first = reader.line(habits.line_ends)  # whatever this is, a request may follow
        fields = self._fields(reader, habits)
        method, target = parts[0], parts[1]
        if habits.early and method != "GET":
            self._believe(method, target, fields, number)
            return self._answer(sock, target, fields, habits.early)
        if not self._unread(habits, method, fields):
            trailers = self._body(reader, habits, fields, parts[-1])
            if habits.merges_trailers:
                fields += trailers
        self._believe(method, target, fields, number)
        return self._answer(sock, target, fields)

    def _believe(self, method, target, fields, number):
        host = self._field(fields, "host", self.habits)
        found = re.match("[a-zA-Z]+://([^/?]*)", target)
        if found and self.habits.host_from == "target":
            host = found[1]
        host = self.habits.host(host) if host is not None else None
        with self._lock:
            self.believed.append(Believed(method, target, host, fields, number))

    def value(self, believed, name):
        """What this origin takes for the value of a field; None if there is none."""
        return self._field(believed.fields, name, self.habits)

    @staticmethod
    def _answer(sock, target, fields, status=200):
        body = target.encode("latin-1")
        closing = any(name == "connection" and "close" in value.lower()
                      for name, value, _ in fields)
        sock.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s" % (
            status, len(body), b"Connection: close\r\n" if closing else b"", body))
        return not closing

    @staticmethod
    def _unread(habits, method, fields):
        if "*" in habits.unread or method in habits.unread:
            return True
        return bool(habits.unread_if) and any(name == habits.unread_if for name, _, _ in fields)

    @staticmethod
    def _fields(reader, habits):
        """[(name, value, whole line)], names as this origin takes them: of a head or trailers."""
        fields = []
        while line := reader.line(habits.line_ends):
            text = line.decode("latin-1")
            name, colon, value = text.partition(":")
            if not colon and habits.stops_at_colonless:
                break
            name = habits.name(name) if habits.name else name
            fields.append((name.lower(), value.strip(), text))
        return fields

    @staticmethod
    def _field(fields, name, habits):
        values = [value for key, value, _ in fields if key == name]
        return None if not values else values[0 if habits.takes == "first" else -1]

    def _body(self, reader, habits, fields, version):
        coding = self._field(fields, "transfer-encoding", habits)
        chunked = coding is not None and coding.lower() == "chunked"
        if habits.anything_chunked:
            head = "\n".join(line for _, _, line in fields)
            chunked = bool(re.search("transfer.?encoding.*chunk", head, re.I | re.S))
        length = self._field(fields, "content-length", habits)
        if length is not None and habits.prefers == "cl":
            chunked = False
        if version == "HTTP/1.0" and not habits.length_of_http10:
            return []
        if chunked and habits.knows_chunked:
            self._chunks(reader, habits)
            return self._fields(reader, habits)
        if length is not None:
            reader.take(habits.number(length))
        return []

    @staticmethod
    def _chunks(reader, habits):
        while True:
            line = reader.line(habits.size_ends).decode("latin-1")
            size = habits.size(line.split(";")[0])
            if size == 0:
                break
            reader.take(size)
            if habits.blind_ends:
                reader.take(habits.blind_ends)
            elif habits.data_ends:
                reader.skip(habits.data_ends)
