# SPDX-License-Identifier: Apache-2.0
"""A scripted HTTP/1 origin: what it answers to a path is a function that reads like a sequence of
events, and everything that reached it is kept: each byte, each request, each end."""

import hashlib
import pathlib
import socket
import threading

from harness.message import Broken, Fields, Malformed, Stream, parse_head, read_chunked, reset
from . import scripts
from .stage import Stage


class Request:
    """One request as it arrived. `complete` once its body was read to the end."""

    def __init__(self, head, connection):
        self.raw_head = head
        line, self.fields = parse_head(head)
        parts = line.split(" ")
        if len(parts) != 3:
            raise Malformed(f"request line {line!r}")
        self.method, self.target, self.version = parts
        self.path = self.target.split("?")[0]
        self.connection = connection
        self.body = b""
        self.trailers = Fields()
        self.chunks = []
        self.complete = False

    @property
    def framing(self):
        if "transfer-encoding" in self.fields:
            return "chunked"
        return "length" if "content-length" in self.fields else "none"

    def __repr__(self):
        return f"<{self.method} {self.target} {self.framing} on {self.connection.number}>"


class Connection:
    """One accepted connection. `end` is None while open, then "eof", "reset" or "origin"."""

    def __init__(self, number, sock):
        self.number = number
        self.sock = sock
        self.stream = Stream(sock, record=True)
        self.requests = []
        self.end = None

    @property
    def received(self):
        return bytes(self.stream.received)


class Exchange:
    """What a script works with."""

    def __init__(self, origin, connection, request):
        self.origin = origin
        self.connection = connection
        self.request = request
        self.keep = request.version == "HTTP/1.1"
        self._continued = False

    def send(self, data):
        self.connection.sock.sendall(data)

    def body(self):
        """Reads the request's body to its end (asking for it first if the client waits)."""
        request = self.request
        if request.complete:
            return request.body
        if not self._continued and "100-continue" in (request.fields.get("expect") or "").lower():
            self._continued = True
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        stream = self.connection.stream
        try:
            if request.framing == "chunked":
                request.body, request.trailers, request.chunks = read_chunked(stream)
            elif request.framing == "length":
                request.body = stream.exactly(int(request.fields.get("content-length")))
        except Broken as broken:
            request.body = broken.partial
            raise
        request.complete = True
        return request.body

    def wait(self, gate):
        """Waits until the test opens the gate of that name."""
        if not self.origin.gate(gate).wait(60):
            raise AssertionError(f"gate {gate} was never opened")

    def reached(self, gate):
        """Tells the test that the script came to here."""
        self.origin.gate(gate).set()

    def peer_gone(self):
        """Blocks until Weir has closed or reset this connection."""
        while not self.connection.stream.at_end():
            self.connection.stream.take(len(self.connection.stream.buffer))
        return True

    def close(self):
        self.keep = False

    def reset(self):
        self.keep = False
        self.connection.end = "origin"
        reset(self.connection.sock)


class Origin(Stage):
    """Listens on `address`: "127.0.0.1", "::1" or a unix socket's path. Paths without a script are
    answered 200 with a short text."""

    def __init__(self, address="127.0.0.1", script=None, name="origin", port=0):
        super().__init__(name, script or scripts.text(f"hello from {name}\n"))
        self._listen(address, port)
        threading.Thread(target=self._accept, daemon=True).start()

    def _listen(self, address, port):
        if isinstance(address, pathlib.Path) or "/" in address:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(address))
            self.port, self.address = None, f"unix:{address}"
        else:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((address, port))
            self.port = self.listener.getsockname()[1]
            host = f"[{address}]" if ":" in address else address
            self.address = f"{host}:{self.port}"
        self.listener.listen(4096)

    def bytes(self):
        """Everything received on all connections."""
        with self._lock:
            return b"".join(connection.received for connection in self.connections)

    # --- serving ---------------------------------------------------------------------------------

    def stop(self):
        """Stops listening; open connections stay."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def drop_connections(self):
        """Closes every connection from this side, as a restarting application does."""
        with self._lock:
            open_ones = [c for c in self.connections if c.end is None]
        for connection in open_ones:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for connection in open_ones:
            self.ended(connection)

    def end(self):
        self.stop()
        for gate in list(self._gates.values()):
            gate.set()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(120)
            with self._lock:
                connection = Connection(len(self.connections), sock)
                self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        end = "origin"
        try:
            while self._one(connection):
                pass
        except Broken as broken:
            end = broken.how
        except (ConnectionError, TimeoutError) as error:
            end = "reset" if isinstance(error, ConnectionError) else "silent"
        except OSError:
            end = connection.end or "origin"
        except Exception as error:  # shown by the test that fails because of it
            self.faults.append(repr(error))
        connection.sock.close()
        connection.end = connection.end or end

    def _one(self, connection):
        request = Request(connection.stream.until(b"\r\n\r\n"), connection)
        with self._lock:
            connection.requests.append(request)
            self.requests.append(request)
        exchange = Exchange(self, connection, request)
        self.scripts.get(request.path, self.default)(exchange)
        if exchange.keep:
            exchange.body()
        return exchange.keep


def digest(data):
    return hashlib.sha256(data).hexdigest()
