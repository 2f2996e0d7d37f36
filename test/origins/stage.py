# SPDX-License-Identifier: Apache-2.0
"""What every scripted origin has: scripts by path, gates at which scripts and tests wait for each
other, and what has reached it."""

import threading

from harness.waiting import eventually


class Stage:
    """The origin keeps its `requests`, each with its `path`, under `_lock`. A path without a script
    has the default one."""

    def __init__(self, name, default):
        self.name = name
        self.default = default
        self.scripts = {}
        self.requests = []
        self.connections = []
        self.faults = []
        self._gates = {}
        self._lock = threading.Lock()

    def on(self, path, script):
        self.scripts[path] = script
        return self

    def gate(self, name):
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def open(self, name):
        self.gate(name).set()

    def await_gate(self, name, within=15.0):
        assert self.gate(name).wait(within), f"the origin never came to {name!r}"

    def seen(self, path=None):
        """Requests so far, only those to `path` if given."""
        with self._lock:
            return [r for r in self.requests if path is None or r.path == path]

    def request(self, path, within=10.0):
        """Waits for the one request to `path`; fails when there are several."""
        found = eventually(lambda: self.seen(path), f"the origin gets {path}", within)
        assert len(found) == 1, f"{len(found)} requests to {path}: {found}"
        return found[0]

    def ended(self, connection, within=10.0):
        """Waits for the end of a connection; returns how."""
        return eventually(lambda: connection.end, f"connection {connection.number} ends", within)
