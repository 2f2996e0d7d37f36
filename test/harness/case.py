# SPDX-License-Identifier: Apache-2.0
"""The base of every test here: starts Weir on one backend, keeps what must be ended, and shows
Weir's log when the test failed."""

import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

from origins.origin import Origin
from .process import Process
from .raw import Client
from .weir import Weir


def _mark(**marks):
    def apply(function):
        for name, value in marks.items():
            setattr(function, name, value)
        return function
    return apply


def bound(seconds):
    """The test may take that long (30 s otherwise)."""
    return _mark(bound=seconds)


def alone(function):
    """Loads the machine: runs with no other test beside it."""
    return _mark(alone=True)(function)


def full(function):
    """Only with --full."""
    return _mark(full=True)(function)


def once(function):
    """Does not depend on the backend."""
    return _mark(once=True)(function)


class Case(unittest.TestCase):
    weir_path = None
    io = "epoll"
    quick = True
    maxDiff = 4000
    rows = (0, 0)  # passed and failed, of a test that goes through a table
    sanitized = False  # Weir was built with a sanitizer
    unmeasured = 0  # claims about memory that were left out for that

    def setUp(self):
        self._stack = contextlib.ExitStack()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="t"))
        os.chmod(self.directory, 0o755)
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.weirs = []
        self.origins = []

    def tearDown(self):
        failed = any(error for _, error in self._outcome.result.failures
                     + self._outcome.result.errors)
        if failed:
            for weir in self.weirs:
                self._show(weir)
            for origin in self.origins:
                requests = origin.requests
                print(f"--- {origin.name}: {len(requests)} requests, the last {requests[-20:]} "
                      f"faults {origin.faults}")
            sys.stdout.flush()
        self._stack.close()

    @staticmethod
    def _show(weir):
        print(f"--- {weir.file}:\n{weir.file.read_text()}")
        if weir.process:
            print("--- weir said:")
            print("\n".join(weir.process.text().split("\n")[-100:]))
        if weir.log_path.exists():
            print("--- access log, last lines:")
            print("\n".join(weir.log_path.read_text().split("\n")[-12:]))

    # --- what a test starts ----------------------------------------------------------------------

    def kept(self, thing):
        """Ends `thing` with the test, by its end()."""
        self._stack.callback(thing.end)
        return thing

    def origin(self, *arguments, **options):
        origin = self.kept(Origin(*arguments, **options))
        self.origins.append(origin)
        return origin

    def process(self, *arguments, **options):
        return self.kept(Process(arguments, **options))

    def client(self, weir, index=None, **options):
        client = Client(weir.port if index is None else weir.ports[index], **options)
        self._stack.callback(client.close)
        return client

    def config(self, **settings):
        """A complete configuration: one listener, admin socket and access log in this test's
        directory, and what is given. `servers` (a list or an origin) makes the upstream "app" and,
        if no `route` is given, a route of everything to it."""
        servers = settings.pop("servers", None)
        config = {"workers": 2, "io": self.io, "admin": f"unix:{self.directory}/admin.sock",
                  "access_log": {"format": "json", "to": str(self.directory / "access.log")},
                  "listen": [{"address": "127.0.0.1:0"}]}
        if servers is not None:
            if not isinstance(servers, (list, tuple)):
                servers = [servers]
            addresses = [getattr(server, "address", server) for server in servers]
            upstream = dict(settings.pop("upstream", {}))
            app = {"servers": addresses, **upstream.pop("app", {})}
            config["upstream"] = {"app": app, **upstream}
            config["route"] = [{"match": {"path": "/**"}, "upstream": "app"}]
        config.update(settings)
        return {name: value for name, value in config.items() if value is not None}

    def weir(self, *servers, config=None, wait=True, launcher=(), **settings):
        """Starts Weir before these origins (or addresses), with settings as in config()."""
        if config is None:
            config = self.config(**({"servers": servers} if servers else {}), **settings)
        return self.start(config, wait=wait, launcher=launcher)

    def start(self, config, wait=True, launcher=()):
        weir = Weir(self.weir_path, self.directory, config, launcher)
        self.weirs.append(weir)
        self.kept(weir)
        return weir.start(wait)

    def proxied(self, script=None, **settings):
        """(origin, weir): one origin with that script for every path, Weir before it."""
        origin = self.origin(script=script)
        return origin, self.weir(origin, **settings)

    # --- tables ----------------------------------------------------------------------------------

    def count_rows(self, rows, failed):
        """For a test that goes through a table: each row counts as a case in the runner's sum."""
        self.rows = (self.rows[0] + rows - failed, self.rows[1] + failed)

    # --- claims ----------------------------------------------------------------------------------

    def claim_refused(self, response, status, cause):
        """A response that Weir made itself."""
        self.assertEqual((response.status, response.cause), (status, cause), response)

    def claim_growth(self, growth, allowed):
        """The process grew by less than `allowed` bytes. Nothing is claimed under a sanitizer,
        which keeps what is freed and surrounds what is not; the runner says in how many places."""
        if self.sanitized:
            self.unmeasured += 1
            return
        self.assertLess(growth, allowed, f"{growth / (1 << 20):.1f} MiB")
