# SPDX-License-Identifier: Apache-2.0
"""Faults of a server that is a process of its own (origins/apart.py)."""

import pathlib
import signal
import sys

from .fault import Fault
from .raw import Client, request
from .waiting import eventually

APART = pathlib.Path(__file__).resolve().parent.parent / "origins" / "apart.py"
SHORT = {"upstream_connect": "400ms", "upstream_head": "800ms", "upstream_body": "800ms",
         "upstream_write": "800ms", "client_body": "800ms", "client_write": "800ms",
         "client_idle": "800ms", "client_head": "800ms", "tunnel_idle": "800ms"}
PATIENT = {name: "30s" for name in SHORT}


class ApartFault(Fault):
    apart = None

    def start_apart(self, backlog=64, port=0):
        """(process, the host that it listens on)."""
        return self.process(sys.executable, APART, "127.0.0.1", backlog, port), "127.0.0.1"

    def listens(self):
        return [{"address": "127.0.0.1:0"}]

    def prepare(self, timeouts=None, backlog=64, **settings):
        """Starts it, Weir before it, and the well-behaved client."""
        self.apart, host = self.start_apart(backlog)
        self.apart_port = int(self.apart.line(r"port (\d+)")[1])
        settings.setdefault("listen", self.listens())
        return self.before(f"{host}:{self.apart_port}", timeouts=timeouts or SHORT, **settings)

    def tearDown(self):
        if self.apart is not None and self.apart.running():
            self.go_on()
        super().tearDown()

    def stop(self):
        self.apart.signal(signal.SIGSTOP)
        await_stopped(self.apart.pid)

    def go_on(self):
        self.apart.signal(signal.SIGCONT)

    def claim_served(self):
        """A new request, as soon as the server may be tried again."""
        def served():
            with Client(self.proxy.port) as client:
                return client.get("/after").status == 200
        eventually(served, "requests are served again", 20)

    def fill_pool(self, count):
        """So many idle connections to the server."""
        self.stop()
        clients = [self.client(self.proxy).send(request("/pool")) for _ in range(count)]
        eventually(lambda: self.proxy.status()["total"]["requests_active"] >= count, "all of them")
        self.go_on()
        for client in clients:
            self.assertEqual(client.response().status, 200)
            client.close()
        eventually(lambda: self.upstream()["idle"] == count, lambda: self.upstream())

    def upstream(self):
        return next(u for u in self.proxy.status()["upstreams"] if u["name"] == "app")


def await_stopped(pid):
    state = pathlib.Path(f"/proc/{pid}/stat")
    eventually(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", "it stops")
