# SPDX-License-Identifier: Apache-2.0
"""A client that sends exactly the bytes it is given and reads responses strictly."""

import socket

from .message import Broken, Fields, Malformed, Stream, parse_head, read_chunked, reset


class Response:
    """A response as it arrived. `complete` is False when the stream ended before the message did;
    `framing` is "none", "length", "chunked" or "close"."""

    def __init__(self):
        self.version = ""
        self.status = 0
        self.reason = ""
        self.fields = Fields()
        self.body = b""
        self.trailers = Fields()
        self.framing = "none"
        self.complete = True
        self.how = ""
        self.interim = []

    @property
    def cause(self):
        return self.fields.get("weir-cause", "")

    def __repr__(self):
        end = "" if self.complete else f", broken by {self.how}"
        return f"<{self.status} {self.cause} {self.framing} {len(self.body)} bytes{end}>"


class Client:
    """One connection to `target`: a port on 127.0.0.1, a (host, port), or a unix socket's path."""

    def __init__(self, target, timeout=20.0, receive_buffer=None, record=False):
        if isinstance(target, int):
            target = ("127.0.0.1", target)
        if isinstance(target, tuple):
            self.sock = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET)
            self.sock.settimeout(timeout)
            if receive_buffer:  # must be known before the handshake
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.sock.connect(target)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(str(target))
        self.stream = Stream(self.sock, record)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def try_send(self, data):
        """Sends as much as the peer takes; False when it closed meanwhile."""
        try:
            self.sock.sendall(data)
            return True
        except (ConnectionError, TimeoutError):
            return False

    def finish(self):
        """Half-closes: no more bytes from here."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def close(self):
        self.sock.close()

    def reset(self):
        reset(self.sock)

    def get(self, path="/", *lines, method="GET", host="weir.test"):
        """Sends a request without a body and reads the response."""
        self.send(request(path, *lines, method=method, host=host))
        return self.response(method)

    def head(self):
        """The next response head, interim or not, as a Response without body."""
        response = Response()
        line, response.fields = parse_head(self.stream.until(b"\r\n\r\n"))
        parts = line.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise Malformed(f"status line {line!r}")
        response.version, response.status = parts[0], int(parts[1])
        response.reason = parts[2] if len(parts) > 2 else ""
        return response

    def response(self, method="GET"):
        """The next final response; interim ones are in .interim."""
        interim = []
        response = self.head()
        while 100 <= response.status < 200 and response.status != 101:
            interim.append(response)
            response = self.head()
        response.interim = interim
        return self.body(response, method)

    def body(self, response, method="GET"):
        """Reads the body behind a head that was read before, and fills `response`."""
        self._frame(response, method)
        try:
            self._body(response)
        except Broken as broken:
            response.complete, response.how = False, broken.how
            response.body = broken.partial
        return response

    def _frame(self, response, method):
        length = response.fields.all("content-length")
        coding = response.fields.all("transfer-encoding")
        if len(length) > 1 or (length and coding):
            raise Malformed(f"ambiguous length: {response.fields}")
        if method == "HEAD" or response.status in (101, 204, 304):
            response.framing = "none"
        elif coding:
            response.framing = "chunked"
        else:
            response.framing = "length" if length else "close"

    def _body(self, response):
        if response.framing == "chunked":
            response.body, response.trailers, _ = read_chunked(self.stream)
        elif response.framing == "length":
            response.body = self.stream.exactly(int(response.fields.get("content-length")))
        elif response.framing == "close":
            response.body = self.stream.to_end()

    def closed(self):
        """Waits for the peer's end of the connection; True when nothing came before it."""
        return self.stream.at_end()


def request(path="/", *lines, method="GET", host="weir.test", body=None, version="1.1"):
    """The bytes of a request; `lines` are header lines. A `body` is sent by length."""
    head = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        head.append(f"Host: {host}")
    head.extend(lines)
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + (body or b"")
