# SPDX-License-Identifier: Apache-2.0
"""Many clients that read slowly."""

import selectors
import socket
import time

REQUEST = "GET {} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: crowd\r\nAccept: */*\r\n\r\n"
RECEIVE_BUFFER = 32 * 1024  # of a slow reader's socket, or its kernel would hide what it does
PIECE, EVERY_S, START_MAX_S = 4096, 0.1, 60


class Crowd:
    """Clients that stay connected for the length of a with statement."""

    def __init__(self, port):
        self.address = ("127.0.0.1", port)
        self.sockets = []
        self.received = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.sockets:
            client.close()

    def read_slowly(self, path, count, seconds):
        """`count` clients ask for `path` and read a little now and then; yields each time."""
        waiting = selectors.DefaultSelector()
        for _ in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            client.settimeout(10)
            client.connect(self.address)
            client.sendall(REQUEST.format(path).encode())
            client.setblocking(False)
            self.sockets.append(client)
            waiting.register(client, selectors.EVENT_READ)
        silent, give_up, end = set(self.sockets), time.monotonic() + START_MAX_S, None
        while end is None or time.monotonic() < end:
            for key, _ in waiting.select(0):
                piece = key.fileobj.recv(PIECE)
                if not piece:
                    raise SystemExit("a slow reader was cut off")
                self.received += len(piece)
                silent.discard(key.fileobj)
            if end is None and not silent:  # the time counts from when all have begun
                end = time.monotonic() + seconds
            if silent and time.monotonic() > give_up:
                raise SystemExit(f"{len(silent)} of {count} slow readers got nothing")
            yield
            time.sleep(EVERY_S)
        waiting.close()
