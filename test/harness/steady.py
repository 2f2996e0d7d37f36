# SPDX-License-Identifier: Apache-2.0
"""A well-behaved client that goes on while something beside it is broken."""

import hashlib
import threading

from .raw import Client, request
from .waiting import eventually

BODY = hashlib.shake_256(b"steady").digest(20_000)


class Steady:
    """Asks for `path` again and again over a kept connection and compares every response, byte for
    byte. `wrong` is the first thing that was not as it must be; `reconnects` counts kept
    connections that were closed while nothing was asked, which a client has to live with."""

    def __init__(self, target, path="/steady", body=BODY):
        self.target, self.path, self.body = target, path, body
        self.count = 0
        self.reconnects = 0
        self.wrong = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def proceeds(self, count=20, within=15.0):
        """Waits for so many more exact responses."""
        goal = self.count + count
        eventually(lambda: self.count >= goal or self.wrong,
                   lambda: f"{goal} exact responses, there were {self.count}", within)
        assert not self.wrong, f"the well-behaved client got {self.wrong}"

    def end(self):
        self._stop.set()
        self._thread.join(10)

    def _run(self):
        client = None
        try:
            while not self._stop.wait(0.002):
                if client is None:
                    client = Client(self.target)
                    self.fresh = True
                if not self._exchange(client):
                    client.close()
                    client = None
                    self.reconnects += 1
        except Exception as error:  # shown by the test
            self.wrong = self.wrong or repr(error)
        if client is not None:
            client.close()

    def _exchange(self, client):
        """False when the kept connection was closed before the response began."""
        kept, self.fresh = not self.fresh, False
        try:
            client.send(request(self.path))
            response = client.response()
        except Exception:
            if kept and not client.stream.buffer:
                return False
            raise
        if (response.status, response.complete, response.body) != (200, True, self.body):
            self.wrong = repr(response)
            self._stop.set()
            return True
        self.count += 1
        return True
