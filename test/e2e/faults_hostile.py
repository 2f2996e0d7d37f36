# SPDX-License-Identifier: Apache-2.0
"""Clients by the hundred that stall, trickle, lie or leave: bounded memory, a clear end for each,
and a well-behaved client beside them that sees nothing of it."""

import socket
import threading

from harness.case import bound
from harness.crowd import Crowd
from harness.fault import MIB, Fault
from harness.message import reset
from harness.raw import request
from harness.waiting import eventually
from origins import scripts

HELLO = bytes.fromhex("16030100f8010000f40303") + bytes(range(200))


class Heads(Fault):
    def crowd(self, count, **options):
        return self.kept(Crowd(self.proxy.port, count, **options))

    @bound(60)
    def test_heads_byte_by_byte(self):
        origin = self.origin()
        self.before(origin, timeouts={"client_head": "2s"})
        crowd = self.crowd(300)
        crowd.drip(request("/slow", "X-Long: " + "x" * 1000), 0.1, lambda: not crowd.open())
        for member in crowd.members:
            self.assertTrue(member.received.startswith(b"HTTP/1.1 408 "), member.received)
        self.claim_causes("client_head_timeout", 300)
        self.claim_bounded_memory(256 * MIB, 300)
        self.claim_unharmed()
        self.claim_quiet()
        self.assertEqual(origin.seen(), [])

    def test_clients_that_say_nothing(self):
        self.before(self.origin(), timeouts={"client_head": "500ms"})
        crowd = self.crowd(300).read_to_ends()
        self.assertEqual({bytes(member.received) for member in crowd.members}, {b""})
        self.assertEqual(self.entries(), [])
        self.claim_bounded_memory(0, 300)
        self.claim_unharmed()
        self.claim_quiet()

    def test_tls_to_a_plain_port(self):
        self.before(self.origin())
        crowd = self.crowd(100).send(HELLO).read_to_ends()
        for member in crowd.members:
            self.assertTrue(member.received.startswith(b"HTTP/1.1 400 "), member.received)
            self.assertIn(b"weir-cause: tls_to_plain_port\r\n", member.received)
        self.claim_causes("tls_to_plain_port", 100)
        self.claim_unharmed()
        self.claim_quiet()

    def test_slow_heads_up_to_the_limit_of_connections(self):
        """The places are taken until the slow ones are timed out; whoever comes meanwhile is told
        so, who is there stays, and then there is room again."""
        self.proxy = self.weir(self.origin(), limits={"connections": 100},
                               timeouts={"client_head": "2s"})
        crowd = self.crowd(100)
        crowd.drip(request("/slow", "X-Long: " + "x" * 1000), 0.05,
                   lambda: all(member.sent >= 3 for member in crowd.members))
        late = self.crowd(20).send(request("/late")).read_to_ends()
        for member in late.members:
            self.assertTrue(member.received.startswith(b"HTTP/1.1 503 "), member.received)
            self.assertIn(b"weir-cause: overload_connections\r\n", member.received)
        self.claim_causes("overload_connections", 20)
        self.assertEqual(self.proxy.status()["total"]["connections_refused"], 20)
        crowd.read_to_ends()
        self.claim_causes("client_head_timeout", 100)
        self.claim_quiet(0)
        self.assertEqual(self.client(self.proxy).get("/after").status, 200)


class Bodies(Fault):
    def crowd(self, count, **options):
        return self.kept(Crowd(self.proxy.port, count, **options))

    @bound(60)
    def test_uploads_that_stall_and_that_trickle(self):
        origin = self.origin(script=scripts.echo())
        self.before(origin, timeouts={"client_body": "1s"})
        stall = request("/stall", "Content-Length: 10", method="POST") + b"abc"
        stalling = self.crowd(100).send(stall)
        head = request("/trickle", "Content-Length: 20", method="POST")
        trickling = self.crowd(100).send(head)
        body = b"-" * len(head) + b"0123456789abcdefghij"
        trickling.drip(body, 0.2, lambda: all(
            member.received.endswith(body[-20:]) for member in trickling.members))
        self.assertEqual(len(trickling.open()), 100)
        stalling.read_to_ends()
        for member in stalling.members:
            self.assertTrue(member.received.startswith(b"HTTP/1.1 408 "), member.received)
        self.claim_causes("client_body_timeout", 100)
        self.assertEqual([r for r in origin.seen("/stall") if r.complete], [])
        self.claim_bounded_memory(256 * MIB, 200)
        self.claim_unharmed()
        trickling.end()
        self.claim_quiet()


class Origins(Fault):
    """Servers that never come to an end."""

    def endless(self, first, piece, cause, status, **settings):
        def script(x):
            x.body()
            x.send(first)
            while True:
                x.send(piece)
        origin = self.origin(script=script)
        self.before(origin, workers=1, **settings)
        client = self.client(self.proxy).send(request("/endless", "Connection: close"))
        received = []
        reader = threading.Thread(target=lambda: received.append(client.stream.to_end()))
        reader.start()
        self.steady.proceeds(30)
        reader.join(20)
        last = received[0][-1000:]
        if status:
            self.assertIn(b"HTTP/1.1 %d " % status, last)
            self.assertIn(cause.encode(), last)
        else:
            self.assertFalse(last.endswith(b"0\r\n\r\n"), last)
        self.claim_causes(cause, 1)
        self.claim_bounded_memory(256 * MIB, 2)
        self.claim_unharmed()

    def test_head_without_an_end(self):
        self.endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 100,
                     "upstream_head_too_large", 502)

    def test_interim_heads_without_an_end(self):
        self.endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 5000, "upstream_head_timeout", 504,
                     timeouts={"upstream_head": "2s"})

    def test_trailers_without_an_end(self):
        self.endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
                     b"X-More: and more\r\n" * 100, "upstream_bad_chunk", None)

    def test_chunk_extensions_without_an_end(self):
        self.endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", b";more=more" * 100,
                     "upstream_bad_chunk", None)

    def test_many_chunk_extensions(self):
        self.endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                     (b"1" + b";more=more" * 100 + b"\r\na\r\n") * 100, "upstream_bad_chunk", None)


class Storms(Fault):
    def crowd(self, count, **options):
        return self.kept(Crowd(self.proxy.port, count, **options))

    def test_resets(self):
        """Connections that are reset at once, in the head, and while the origin works."""
        origin = self.origin()
        self.before(origin)
        for data in (b"", b"GET / HT", request("/storm"), request("/storm") * 3):
            crowd = self.crowd(200).send(data)
            for member in crowd.members:
                reset(member.sock)
        self.claim_unharmed()
        self.claim_quiet()

    def test_churn(self):
        self.before(self.origin())
        for _ in range(5):
            crowd = self.crowd(200).send(request("/churn", "Connection: close")).read_to_ends()
            for member in crowd.members:
                self.assertTrue(member.received.endswith(b"hello from origin\n"), member.received)
        eventually(lambda: len(self.entries()) == 1000, "a line for each")
        self.assertEqual(self.tally(), {"": 1000})
        self.claim_unharmed()
        self.claim_quiet()

    def test_half_closed_clients(self):
        """Who has said all is answered; who has not is told; who waits for too much is let go."""
        origin = self.origin()
        origin.on("/never", scripts.until_gone)
        self.before(origin, timeouts={"client_half_close": "500ms"})
        whole = self.crowd(100).send(request("/whole", "Connection: close"))
        part = self.crowd(100).send(b"GET / HTTP/1.1\r\nHos")
        waits = self.crowd(50).send(request("/never"))
        for crowd in (whole, part, waits):
            for member in crowd.members:
                member.sock.shutdown(socket.SHUT_WR)
        for crowd in (whole, part, waits):
            crowd.read_to_ends()
        for member in whole.members:
            self.assertTrue(member.received.endswith(b"hello from origin\n"), member.received)
        self.claim_causes("client_closed", 50)
        self.claim_unharmed()
        self.claim_quiet()

    def test_refused_requests_that_go_on(self):
        """What is sent behind a refusal is read and dropped, and takes no turn from the others."""
        self.before(self.origin(), workers=1)
        crowd = self.crowd(8).send(b"BAD\r\n\r\n")
        data = b"x" * (1 << 20)
        before = self.steady.count
        crowd.rounds(lambda member: member.send(data), 0.001,
                     lambda: self.steady.count >= before + 50 or not crowd.open())
        self.claim_causes("bad_request_line", 8)
        self.claim_unharmed()
        crowd.end()
        self.claim_quiet()
