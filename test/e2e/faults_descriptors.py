# SPDX-License-Identifier: Apache-2.0
"""Out of descriptors: idle connections make room, accepting pauses without turning in circles, and
with descriptors everything is as before."""

import os
import resource
import sys

from harness.case import bound
from harness.crowd import Crowd
from harness.fault import Fault
from harness.raw import request
from harness.waiting import eventually
from origins import scripts

FEW = [sys.executable, "-c", "import os, resource, sys; n = int(sys.argv[1]); "
       "resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)); os.execv(sys.argv[2], sys.argv[2:])"]


class Descriptors(Fault):
    def crowd(self, count, **options):
        return self.kept(Crowd(self.proxy.port, count, **options))

    def used(self):
        return len(os.listdir(f"/proc/{self.proxy.pid}/fd"))

    def holes(self):
        """Numbers below the highest one that are free."""
        numbers = os.listdir(f"/proc/{self.proxy.pid}/fd")
        return max(map(int, numbers)) + 1 - len(numbers)

    def plug(self):
        """Opens silent connections until there are no holes, and none comes by what still ends."""
        plugs, calm = [], [0]

        def plugged():
            calm[0] += 1
            if self.holes():
                plugs.append(self.crowd(1))
                calm[0] = 0
            return calm[0] > 10
        eventually(plugged, "the numbers are without a hole")
        return plugs

    def leave(self, count):
        """So many more descriptors may be opened, or as many more as there are holes."""
        self.limit = resource.prlimit(self.proxy.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.proxy.pid, resource.RLIMIT_NOFILE,
                         (self.used() + max(count, self.holes()), self.limit[1]))

    def relieve(self):
        resource.prlimit(self.proxy.pid, resource.RLIMIT_NOFILE, self.limit)

    def complaints(self):
        return [line for line in self.proxy.process.lines if "cannot accept" in line]

    def claim_answers(self, members, body):
        for member in members:
            self.assertTrue(member.received.endswith(body), member.received)

    def test_idle_connections_make_room(self):
        """Each newcomer is served, in place of one that was idle."""
        self.proxy = self.weir(self.origin())
        first = self.crowd(10).send(request("/first"))
        first.rounds(lambda m: None, 0.01, lambda: all(m.received for m in first.members))
        self.leave(10)
        second = self.crowd(60).send(request("/second"))
        second.rounds(lambda m: None, 0.02,
                      lambda: all(m.received for m in second.members))
        self.claim_answers(second.members, b"hello from origin\n")
        self.relieve()
        third = self.crowd(60).send(request("/third"))
        third.rounds(lambda m: None, 0.02, lambda: all(m.received for m in third.members))
        self.assertEqual(len(third.open()), 60)
        self.assertEqual(set(self.tally()), {""})
        self.assertLessEqual(len(self.complaints()), 2 * 2, "one in ten seconds and worker")

    def test_busy_connections_stay(self):
        """Nothing can make room: newcomers wait in the queue of the kernel until something ends."""
        origin = self.origin()
        origin.on("/held", scripts.hold("go"))
        self.proxy = self.weir(origin)
        self.client(self.proxy).get("/warm")
        self.leave(30)
        held = self.crowd(12).send(request("/held"))
        eventually(lambda: len(origin.seen("/held")) == 12, "all of them are served")
        late = self.crowd(60)
        eventually(self.complaints, "accepting has come to an end")
        lines = len(self.proxy.process.lines)
        late.send(request("/late", "Connection: close"))
        origin.open("go")
        for crowd in (held, late):
            crowd.rounds(lambda m: None, 0.02,
                         lambda crowd=crowd: all(m.received for m in crowd.members))
        self.claim_answers(held.members, b"late\n")
        told = [m for m in late.members if b"weir-cause: overload_connections\r\n" in m.received]
        answered = [m for m in late.members if m.received.endswith(b"hello from origin\n")]
        self.assertEqual(len(told) + len(answered), 60)
        eventually(lambda: self.count("overload_connections") == len(told), self.tally)
        self.assertLess(len(self.proxy.process.lines) - lines, 10)
        server, = self.proxy.status()["upstreams"][0]["servers"]
        self.assertTrue(server["up"], "what is wanting here is not the server's fault")
        self.relieve()
        self.assertEqual(self.client(self.proxy).get("/after").status, 200)

    def test_idle_server_connections_make_room(self):
        """Kept connections to one server give way to a request for another."""
        origin, other = self.origin(script=scripts.hold("go")), self.origin(name="other")
        self.proxy = self.weir(config=self.config(
            servers=origin, workers=1, upstream={"other": {"servers": [other.address]}},
            route=[{"match": {"path": "/other"}, "upstream": "other"},
                   {"match": {"path": "/**"}, "upstream": "app"}]))
        crowd = self.crowd(20).send(request("/", "Connection: close"))
        eventually(lambda: len(origin.seen()) == 20, "twenty requests at once")
        client = self.client(self.proxy)
        origin.open("go")
        crowd.read_to_ends()
        eventually(lambda: self.proxy.status()["upstreams"][0]["idle"] == 20, "twenty are kept")
        self.claim_quiet(1)
        fill = self.plug()
        self.leave(0)
        self.assertEqual(client.get("/other").body, b"hello from other\n")
        for crowd in fill:
            crowd.read_for(0.01)
            self.assertEqual(len(crowd.open()), 1)
        self.relieve()
        self.assertLess(self.proxy.status()["upstreams"][0]["idle"], 20)

    @bound(60)
    def test_few_from_the_start(self):
        good = self.origin(script=scripts.body(b"few"))
        self.proxy = self.weir(config=self.config(servers=good), launcher=[*FEW, "64"])
        for _ in range(3):
            crowd = self.crowd(40).send(request("/few", "Connection: close")).read_to_ends()
            told = [m for m in crowd.members if b"weir-cause: overload_connections" in m.received]
            answered = [m for m in crowd.members if m.received.endswith(b"few")]
            self.assertEqual(len(told) + len(answered), 40)
            self.assertGreaterEqual(len(answered), 8)
        self.assertLessEqual(len(self.complaints()), 6)
        self.claim_quiet(0)
        self.assertEqual(self.client(self.proxy).get("/after").body, b"few")

    def test_reload_without_descriptors(self):
        origin = self.origin()
        self.proxy = self.weir(origin)
        client = self.client(self.proxy)
        self.assertEqual(client.get().status, 200)
        self.plug()
        self.leave(0)
        self.proxy.process.signal(1)
        self.proxy.process.line("reload failed, the old configuration stays in force")
        self.assertEqual(client.get().status, 200)
        self.relieve()
        self.assertEqual(self.proxy.reload().returncode, 0)
        self.assertEqual(client.get().status, 200)
