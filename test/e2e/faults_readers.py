# SPDX-License-Identifier: Apache-2.0
"""Peers by the hundred that read nothing or next to nothing: what is kept for them is bounded, and
when it is all that there is, they have to go."""

import hashlib

from harness.case import alone, bound
from harness.crowd import Crowd
from harness.fault import KIB, MIB, Fault
from harness.message import chunked
from harness.namespace import own_network
from harness.raw import request
from harness.waiting import eventually
from origins import scripts
from origins.nginx import Nginx


class Readers(Fault):
    """In a network of the test's own the kernel holds little of what is sent. Where there can be
    none it takes larger bodies to fill it, and fewer clients do."""

    def setUp(self):
        super().setUp()
        small = own_network(tcp_wmem="4096 16384 65536", tcp_rmem="4096 16384 65536")
        self.size = 2 * MIB if small else 8 * MIB
        self.clients = 400 if small else 80
        self.budget = 4 * MIB if small else 1 * MIB
        self.memory = {"memory": f"{self.budget // MIB}MiB"}

    def crowd(self, count, **options):
        return self.kept(Crowd(self.proxy.port, count, **options))

    def claim_shed(self):
        """Some had to go, for that reason and no other, and nobody else noticed."""
        eventually(lambda: self.count("overload_memory") >= 8, "some are shed", 30)
        self.claim_unharmed()
        self.claim_bounded_memory(self.budget, self.clients)
        eventually(lambda: set(self.tally()) == {"overload_memory"}, self.tally)
        self.proxy.process.line("the memory for buffers is used up: closing")

    @alone
    @bound(60)
    def test_clients_that_do_not_read(self):
        """Long before their time is over they hold all the memory that there is for buffers."""
        origin = self.origin(script=scripts.body(b"r" * self.size, "chunked", 65536))
        self.before(origin, limits=self.memory, timeouts={"client_write": "1h"})
        crowd = self.crowd(self.clients, receive_buffer=4096).send(request("/large"))
        self.claim_shed()
        crowd.end()
        self.claim_quiet()
        self.assertLessEqual(set(self.tally()), {"overload_memory", "client_closed"})
        eventually(lambda: len(self.entries()) == self.clients, self.tally)
        self.assertEqual(len(self.client(self.proxy).get("/after").body), self.size)

    @alone
    @bound(60)
    def test_server_that_does_not_read(self):
        """The same with uploads. What was shed is told so."""
        origin = self.origin(script=scripts.echo())
        origin.on("/up", lambda x: x.wait("go"))
        self.before(origin, limits=self.memory, timeouts={"upstream_write": "1h"})
        crowd = self.crowd(self.clients)
        data = (request("/up", "Transfer-Encoding: chunked", method="POST")
                + chunked(b"u" * self.size, 65536))
        crowd.rounds(lambda member: member.send(data[member.sent:member.sent + 262144]), 0.05,
                     lambda: self.count("overload_memory") >= 8, 40)
        self.claim_shed()
        eventually(lambda: crowd.read_for(0.05) or any(
            b"weir-cause: overload_memory\r\n" in m.received for m in crowd.members), "one is told")
        crowd.end()
        origin.open("go")
        self.claim_quiet()
        client = self.client(self.proxy).send(request("/after", method="POST", body=b"a" * 100_000))
        self.assertEqual(len(client.response("POST").body), 100_000)

    @bound(60)
    def test_more_requests_than_memory(self):
        """Heads of requests that wait for their servers fill the memory; whoever comes then is told
        so, and what is under way is answered."""
        origin = self.origin(script=scripts.hold("go"))
        self.proxy = self.weir(origin, workers=1, limits={"memory": "1MiB"},
                               timeouts={"client_head": "1s", "upstream_head": "3s"})
        crowd = self.crowd(500).send(request("/held", "Connection: close"))
        crowd.rounds(lambda member: None, 0.05,
                     lambda: self.count("overload_memory") >= 50, 20)
        origin.open("go")
        crowd.read_to_ends()
        for member in crowd.members:
            self.assertRegex(bytes(member.received), rb"^HTTP/1.1 (200|503) ")
        answered = [member for member in crowd.members if member.received.endswith(b"late\n")]
        self.assertGreater(len(answered), 100)
        eventually(lambda: self.tally().get("overload_memory") == 500 - len(answered), self.tally)
        self.claim_quiet(0)
        self.assertEqual(self.client(self.proxy).get("/after").status, 200)

    def test_what_is_not_read_is_not_kept(self):
        """The kernel holds nothing of a response whose client was given up."""
        count = self.clients // 4
        origin = self.origin(script=scripts.body(b"r" * self.size))
        self.before(origin, timeouts={"client_write": "1s"})
        crowd = self.crowd(count, receive_buffer=4096).send(request("/large"))
        self.claim_causes("client_write_timeout", count)
        self.claim_quiet()
        eventually(lambda: not unsent(self.proxy.port), lambda: unsent(self.proxy.port))
        self.claim_unharmed()
        self.assertEqual({member.end for member in crowd.read_to_ends().members}, {"reset"})

    @bound(60)
    def test_pipelines_that_nobody_reads(self):
        """Thousands of requests ahead: no more of them are begun than there is room for answers."""
        origin = self.origin(script=scripts.text("p" * 4000))
        self.before(origin, limits={"memory": "8MiB"}, timeouts={"client_write": "2s"})
        crowd = self.crowd(20, receive_buffer=4096)
        data = request("/piped") * 3000
        crowd.rounds(lambda member: member.send(data[member.sent:member.sent + 8192]), 0.02,
                     lambda: not crowd.open(), reading=False)
        self.claim_causes("client_write_timeout", 20)
        self.assertLess(len(origin.seen()), 20 * 3000)
        self.claim_bounded_memory(8 * MIB, 20)
        self.claim_unharmed()
        self.claim_quiet()

    @alone
    @bound(60)
    def test_a_thousand_that_sip(self):
        """A byte now and then, then all the rest: every byte of it."""
        count = 1000 if self.clients == 400 else 100
        body = hashlib.shake_256(b"sip").digest(self.size // 8)
        (self.directory / "file").write_bytes(body)
        backend = self.kept(Nginx(self.directory))
        self.before(backend.address, limits={"memory": "128MiB"})
        crowd = self.crowd(count, receive_buffer=4096).send(request("/file"))
        crowd.rounds(lambda member: member.read(1), 0.2,
                     lambda: min(len(member.received) for member in crowd.members) >= 10,
                     reading=False)
        self.claim_unharmed()
        self.claim_bounded_memory(128 * MIB, count)
        crowd.rounds(lambda member: None, 0.1, lambda: all(
            len(member.received) > len(body) for member in crowd.members), 30)
        for member in crowd.members:
            self.assertTrue(member.received.endswith(b"\r\n\r\n" + body))
        eventually(lambda: self.tally() == {"": count}, self.tally)
        crowd.end()
        self.claim_quiet()
        self.assertLess(self.proxy.status()["total"]["buffer_bytes"], 64 * KIB)


def unsent(port):
    """Connections of that local port with bytes in their send queue."""
    with open("/proc/thread-self/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    return [row[1:5] for row in rows
            if row[1].endswith(f":{port:04X}") and not row[4].startswith("00000000:")]
