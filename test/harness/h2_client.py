# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 client that sends exactly the frames it is given. What comes back is read by the letter
(h2_reader.py)."""

import socket

from . import h2
from .h2_reader import Reader, need
from .message import reset


class Client(Reader):
    """One connection to a port of 127.0.0.1, or over `sock`. `feed`: give back the windows as DATA
    comes. Nothing is sent before start()."""

    def __init__(self, port, timeout=20.0, receive_buffer=None, sock=None, feed=True):
        if sock is None:
            sock = socket.socket()
            sock.settimeout(timeout)
            if receive_buffer:  # must be known before the handshake
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.connect(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(feed)
        self.sock = sock
        self.end = None  # "eof" or "reset"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- sending ---------------------------------------------------------------------------------

    def start(self, *pairs):
        """Preface and SETTINGS, and waits for the server's and their acknowledgement."""
        self.send(h2.PREFACE)
        self.set(*pairs)
        self.until(lambda: self.acknowledged and self.settings_seen, "the server's SETTINGS")
        return self

    def set(self, *pairs):
        """SETTINGS; they are in force here when the server acknowledges them."""
        self.unacknowledged.append(pairs)
        return self.send(h2.settings(*pairs))

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

    def open(self, number, *fields, method="GET", end_stream=True, **options):
        """Sends a request's head."""
        stream = self.expect(number, method)
        self.send(h2.headers(number, h2.request(*fields, method=method, **options), end_stream))
        return stream

    def get(self, number, *fields, **options):
        """A request without a body; waits for its end."""
        stream = self.open(number, *fields, **options)
        return self.finish(stream)

    def write(self, stream, data, end_stream=False):
        """One DATA frame, for which there is room in the windows."""
        stream.credit -= len(data)
        self.credit -= len(data)
        need(stream.credit >= 0 and self.credit >= 0, "a test sends too much")
        return self.send(h2.data(stream.number, data, end_stream))

    def upload(self, stream, data, end_stream=True):
        """Sends a body within the server's windows."""
        at = 0
        while at < len(data):
            self.until(lambda: self.end or stream.ended or min(stream.credit, self.credit) > 0,
                       "room for DATA")
            if self.end or stream.ended:
                return stream
            size = min(stream.credit, self.credit, h2.FRAME_MAX, len(data) - at)
            last = at + size == len(data)
            self.write(stream, data[at:at + size], end_stream and last)
            at += size
        if not data and end_stream:
            self.send(h2.data(stream.number, b"", True))
        return stream

    def cancel(self, stream, code=h2.CANCEL):
        stream.quiet = True
        return self.send(h2.rst_stream(stream.number, code))

    def close(self):
        self.sock.close()

    def reset(self):
        reset(self.sock)

    # --- waiting ---------------------------------------------------------------------------------

    def until(self, condition, what):
        """Reads until condition() is true; fails when the connection ends before."""
        while not condition():
            if self.end or not self.read():
                if condition():
                    return self
                raise AssertionError(f"{what}: connection ended by {self.end}, {self.said()}")
        return self

    def finish(self, stream):
        """Waits for the end of a stream, whichever."""
        self.until(lambda: stream.ended, f"the end of {stream}")
        return stream

    def settle(self, mark=b"settled!"):
        """Waits until all that was sent was looked at: a PING comes back. False when the
        connection ended instead."""
        self.try_send(h2.ping(mark))
        while mark not in self.pongs:
            if self.end or not self.read():
                return mark in self.pongs
        self.pongs.remove(mark)
        return True

    def to_end(self):
        """Reads until the connection ends."""
        while not self.end and self.read():
            pass
        return self

    def said(self):
        goaway = self.goaway and f"GOAWAY {h2.code_name(self.goaway[1])} {self.goaway}"
        return f"{goaway or 'no GOAWAY'}, {list(self.streams.values())}, {self.frames[-12:]}"

    def read(self):
        """Reads once and takes what is complete; False at the end."""
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionError:
            self.end = "reset"
            return False
        except TimeoutError:
            raise AssertionError(f"nothing comes any more: {self.said()}") from None
        if not data:
            need(not self.buffer, "the connection ends inside a frame", bytes(self.buffer[:40]))
            self.end = "eof"
            return False
        self.took(data)
        return True
