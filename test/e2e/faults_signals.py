# SPDX-License-Identifier: Apache-2.0
"""Servers and clients that are stopped, go on, or are killed."""

import hashlib
import signal

from harness.apart import PATIENT, SHORT, ApartFault, await_stopped
from harness.case import bound
from harness.crowd import Crowd
from harness.fault import MIB
from harness.message import Broken
from harness.process import tool
from harness.raw import request
from harness.waiting import eventually
from origins.apart import BLOCK, BLOCKS


class Server(ApartFault):
    def crowd(self, count, path="/", *lines):
        return self.kept(Crowd(self.proxy.port, count)).send(request(path, *lines))

    @bound(60)
    def test_full_backlog(self):
        """Some connections wait in the kernel's queue, others are not even accepted by it."""
        self.prepare(backlog=4)
        self.stop()
        crowd = self.crowd(40, "/x", "Connection: close").read_to_ends()
        for member in crowd.members:
            self.assertTrue(member.received.startswith(b"HTTP/1.1 504 "), member.received)
        eventually(lambda: len(self.entries()) == 40, self.tally)
        causes = self.tally()
        self.assertEqual(set(causes), {"upstream_connect_timeout", "upstream_head_timeout"})
        for cause, count in causes.items():
            self.assertEqual(self.count(cause), count)
        self.claim_unharmed()
        self.go_on()
        self.claim_served()
        self.claim_quiet()

    @bound(60)
    def test_full_backlog_for_a_while(self):
        self.prepare(PATIENT, backlog=4)
        self.stop()
        crowd = self.crowd(40, "/x", "Connection: close")
        self.claim_unharmed()
        self.go_on()
        crowd.read_to_ends()
        for member in crowd.members:
            self.assertTrue(member.received.endswith(b"apart\n"), member.received)
        eventually(lambda: self.tally() == {"": 40}, self.tally)

    def test_killed_in_its_responses(self):
        self.prepare({**SHORT, "client_write": "30s"})  # one client is read at a time
        self.fill_pool(3)
        clients = [self.client(self.proxy).send(request("/endless")) for _ in range(10)]
        for client in clients:
            self.assertEqual(client.head().status, 200)
            client.stream.exactly(100_000)
        self.apart.signal(signal.SIGKILL)
        for client in clients:
            with self.assertRaises(Broken):
                client.stream.until(b"\r\n0\r\n\r\n")
        self.claim_causes("upstream_truncated", 10)
        eventually(lambda: self.upstream()["idle"] == 0, "idle connections are noticed to be dead")
        self.claim_refused(self.client(self.proxy).get("/down"), 502, "upstream_refused")
        self.claim_unharmed()
        self.apart, _ = self.start_apart(port=self.apart_port)
        self.claim_served()
        self.claim_quiet()

    def test_killed_before_its_responses(self):
        self.prepare(PATIENT)
        clients = [self.client(self.proxy).send(request("/never")) for _ in range(10)]
        for _ in clients:
            self.apart.line("request /never")
        eventually(lambda: self.apart.text().count("request /never") == 10, "all have arrived")
        self.apart.signal(signal.SIGKILL)
        for client in clients:
            response = client.response()
            self.assertEqual(response.status, 502)
            self.assertIn(response.cause, ("upstream_closed", "upstream_reset"))
        eventually(lambda: len(self.entries()) == 10, self.tally)
        self.claim_unharmed()

    def test_killed_in_an_upload(self):
        self.prepare(PATIENT)
        client = self.client(self.proxy)
        client.send(request("/upload", "Content-Length: 1000000000", method="POST"))
        client.send(b"u" * MIB)
        self.apart.line("request /upload")
        self.apart.signal(signal.SIGKILL)
        response = client.response("POST")
        self.assertEqual(response.status, 502)
        self.assertIn(response.cause, ("upstream_closed", "upstream_reset"))
        self.claim_unharmed()

    def test_killed_in_a_tunnel(self):
        self.prepare(PATIENT)
        client = self.client(self.proxy)
        client.send(request("/tunnel", "Connection: Upgrade", "Upgrade: echo/1"))
        self.assertEqual(client.response().status, 101)
        self.assertEqual(client.send(b"there?").stream.exactly(6), b"there?")
        self.apart.signal(signal.SIGKILL)
        self.assertTrue(client.closed())
        self.claim_unharmed()
        client.close()
        self.claim_quiet()


class Client(ApartFault):
    def curl(self, path, *options):
        """curl, stopped in the middle of a download, its windows full."""
        curl = self.process(tool("curl"), "-sS", "-o", self.directory / "out", *options,
                            self.proxy.url(path))
        out = self.directory / "out"
        eventually(lambda: out.exists() and out.stat().st_size > 0, "it has begun")
        curl.signal(signal.SIGSTOP)
        await_stopped(curl.pid)
        return curl, out

    def test_stopped_for_too_long(self):
        self.prepare()
        curl, _ = self.curl("/endless")
        self.claim_causes("client_write_timeout", 1)
        self.apart.line("request /endless")
        self.claim_unharmed()
        curl.signal(signal.SIGCONT)
        self.assertIn(curl.wait(), (18, 56), "curl knows that it has not all")
        self.claim_quiet()

    def test_stopped_for_a_while(self):
        self.prepare(PATIENT)
        curl, out = self.curl("/download", "--limit-rate", "20M")
        self.claim_unharmed()
        curl.signal(signal.SIGCONT)
        self.assertEqual(curl.wait(), 0)
        self.assertEqual(hashlib.sha256(out.read_bytes()).digest(),
                         hashlib.sha256(BLOCK * BLOCKS).digest())
        eventually(lambda: self.tally() == {"": 1}, self.tally)
