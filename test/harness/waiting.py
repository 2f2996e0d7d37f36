# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, with a deadline. Nothing in this suite sleeps for a fixed time."""

import socket
import threading
import time

_pause = threading.Event()


def eventually(condition, what, within=10.0):
    """Returns the first true value of condition(); fails with `what` after `within` seconds.
    `what` may be a function, called when it failed."""
    deadline = time.monotonic() + within
    interval = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {within} s: {text}")
        _pause.wait(interval)
        interval = min(interval * 1.5, 0.05)


def closed_port():
    """A port where nothing listens, kept reserved until the returned socket is closed."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, f"127.0.0.1:{sock.getsockname()[1]}"
