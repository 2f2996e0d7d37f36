# SPDX-License-Identifier: Apache-2.0
"""The known floods of HTTP/2, one by one: what costs the client little and does nothing ends the
connection with ENHANCE_YOUR_CALM and a cause, after a bounded number of frames; a well-behaved
client beside it sees nothing of it, and memory stays below a bound that is stated."""

import select

from harness import h2
from harness.case import bound
from harness.fault import MIB, Fault
from harness.h2_client import Client
from origins import scripts

CALM = (h2.ENHANCE_YOUR_CALM,)
ENDLESS = (h2.ENHANCE_YOUR_CALM, h2.INTERNAL_ERROR, h2.PROTOCOL_ERROR)
BURST = 100  # frames in one write


class FloodCase(Fault):
    # What one connection may hold, whatever it does (base/limits.h): 1 MiB of what clients have
    # sent, a receive and an output of 64 KiB, heads of 32 KiB for 128 streams, and their exchanges.
    ONE = 6 * MIB + 128 * Fault.CONNECTION
    IDLE = 3 * MIB  # what a flood of frames may leave

    def attacker(self, *pairs, **options):
        client = Client(self.proxy.port, **options)
        self._stack.callback(client.close)
        return client.start(*pairs)

    def pour(self, client, make, most, reading=True):
        """Sends make(0), make(1) … until the connection ends, `most` of them at most. What comes is
        read meanwhile."""
        for number in range(0, most, BURST):
            data = b"".join(make(one) for one in range(number, min(most, number + BURST)))
            if client.goaway or client.end or not client.try_send(data):
                break
            while reading and not client.end and select.select([client.sock], [], [], 0)[0]:
                client.read()

    def claim_ended(self, client, *codes):
        """By the server, with one of these codes."""
        self.assertFalse(not client.goaway and client.settle(), "all of it was taken")
        client.to_end()
        self.assertIsNotNone(client.goaway, client.said())
        self.assertIn(client.goaway[1], codes or CALM, client.said())

    def claim_cause(self):
        """Counted; what nghttp2 ends by itself counts as a broken rule."""
        causes = self.proxy.status()["causes"]
        self.assertTrue(causes.get("h2_flood") or causes.get("h2_protocol_error"), causes)

    def claim_growth_below(self, allowed):
        self.claim_growth(self.proxy.memory("VmHWM") - self.memory_before, allowed)

    def claim_calm(self, client, *codes):
        """All of it, for a flood that is ended."""
        self.claim_ended(client, *codes)
        self.claim_cause()
        self.claim_growth_below(self.IDLE)
        self.claim_unharmed()
        self.claim_quiet()

class Resets(FloodCase):
    def test_rapid_reset(self):
        """CVE-2023-44487."""
        def make(number):
            stream = 2 * number + 1
            return h2.get(stream) + h2.rst_stream(stream)
        origin = self.origin()
        self.before(origin)
        client = self.watch(self.attacker())
        self.pour(client, make, 50_000)
        self.claim_calm(client)
        self.assertLess(len(origin.seen()), 4000)

    def watch(self, client):
        """Streams of a flood: whatever comes on them."""
        class Any(dict):
            def get(self, number, default=None):
                return self[number] if number in self else client.expect(number)
        client.streams = Any()
        return client

    def test_rapid_reset_of_requests_under_way(self):
        """Each reset waits until its request has reached the server."""
        origin = self.origin(script=scripts.until_gone)
        self.before(origin)
        client = self.attacker()
        for number in range(1, 6001, 2):
            if client.end:
                break
            if not client.try_send(h2.get(number) + h2.rst_stream(number)):
                break
            client.expect(number).quiet = True
            if number % 20 == 1 and not client.settle():
                break
        self.claim_calm(client)

    def made_to_reset(self, *frames):
        """CVE-2025-8671: the client makes the server reset its streams. `frames` of a stream."""
        def make(number):
            stream = 2 * number + 1
            return b"".join(one(stream) for one in frames)
        origin = self.origin()
        self.before(origin)
        client = self.watch(self.attacker())
        self.pour(client, make, 50_000)
        self.claim_ended(client, h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.STREAM_CLOSED,
                         h2.FRAME_SIZE_ERROR)
        self.claim_growth_below(self.ONE + self.BASE)
        self.claim_unharmed()
        self.claim_quiet()
        self.assertLess(len(origin.seen()), 4000)

    def test_made_to_reset_by_window_update_of_0(self):
        self.made_to_reset(h2.get, lambda stream: h2.window_update(stream, 0))

    def test_made_to_reset_by_a_window_too_large(self):
        self.made_to_reset(h2.get, lambda stream: h2.window_update(stream, 0x7fffffff))

    def test_made_to_reset_by_data_behind_the_end(self):
        self.made_to_reset(h2.get, lambda stream: h2.data(stream, b"x"))

    def test_made_to_reset_by_headers_behind_the_end(self):
        self.made_to_reset(h2.get, h2.get)

    def test_made_to_reset_by_priority_of_4_bytes(self):
        self.made_to_reset(h2.get, lambda stream: h2.frame(h2.PRIORITY, 0, stream, bytes(4)))

    def test_made_to_reset_by_a_wrong_length(self):
        self.made_to_reset(lambda stream: h2.post(stream, ("content-length", "1")),
                           lambda stream: h2.data(stream, b"too much", True))

    def test_made_to_reset_by_trailers(self):
        self.made_to_reset(h2.post, lambda stream: h2.headers(
            stream, h2.block((":path", "/")), True))

    def test_malformed_requests(self):
        self.made_to_reset(lambda stream: h2.get(stream, ("X-Upper", "1")))

    def test_refused_streams(self):
        """Above SETTINGS_MAX_CONCURRENT_STREAMS, again and again."""
        origin = self.origin(script=scripts.until_gone)
        self.before(origin)
        client = self.watch(self.attacker())
        self.pour(client, lambda number: h2.get(2 * number + 1), 50_000)
        self.claim_ended(client, h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR)
        self.claim_growth_below(self.ONE + self.BASE)
        self.claim_unharmed()
        self.claim_quiet()
        self.assertLess(len(origin.seen()), 1000)


class Frames(FloodCase):
    """Frames that do nothing, a hundred thousand of them."""

    def idle(self, one, most=100_000, *pairs, reading=True, begin=b"", codes=CALM):
        self.before(self.origin(script=scripts.until_gone))
        client = self.attacker(*pairs)
        if begin:
            client.expect(1)
            client.send(begin)
        self.pour(client, lambda number: one, most, reading)
        self.claim_calm(client, *codes)

    def test_ping(self):
        self.idle(h2.ping())

    def test_ping_whose_answers_are_not_read(self):
        self.idle(h2.ping(), 2_000_000, reading=False)

    def test_settings(self):
        self.idle(h2.settings())

    def test_settings_whose_answers_are_not_read(self):
        self.idle(h2.settings((h2.HEADER_TABLE_SIZE, 4096)), 2_000_000, reading=False)

    def test_settings_that_change_the_windows(self):
        self.idle(h2.settings((h2.INITIAL_WINDOW_SIZE, 1)) + h2.settings(
            (h2.INITIAL_WINDOW_SIZE, 100_000)), begin=h2.post(1))

    def test_empty_data(self):
        """CVE-2019-9518."""
        self.idle(h2.data(1), begin=h2.post(1))

    def test_data_of_nothing_but_padding(self):
        self.idle(h2.data(1, b"", padding=0), begin=h2.post(1))

    def test_priority(self):
        """CVE-2019-9513, the resource loop."""
        self.idle(h2.priority(1, 3) + h2.priority(3, 1, exclusive=True), begin=h2.get(1))

    def test_priority_of_idle_streams(self):
        self.before(self.origin())
        client = self.attacker()
        self.pour(client, lambda number: h2.priority(2 * number + 1, 0), 100_000)
        self.claim_calm(client)

    def test_priority_update(self):
        self.before(self.origin())
        client = self.attacker()
        self.pour(client, lambda number: h2.priority_update(2 * number + 1, "u=1"), 100_000)
        self.claim_calm(client, h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR)

    def test_window_updates_of_1(self):
        self.idle(h2.window_update(0, 1))

    def test_window_updates_of_1_on_a_stream(self):
        self.idle(h2.window_update(1, 1), begin=h2.get(1))

    def ignored(self, one):
        """It costs nothing and is ignored, or it ends the connection."""
        self.before(self.origin())
        client = self.attacker()
        self.pour(client, lambda number: one, 100_000)
        client.settle()
        self.claim_growth_below(self.IDLE)
        self.claim_unharmed()

    def test_unknown_frames(self):
        self.ignored(h2.frame(0x77, 0, 0, b"x" * 100))

    def test_answers_to_ping_that_nobody_sent(self):
        self.ignored(h2.ping(ack=True))

    def test_reset_of_a_closed_stream(self):
        self.idle(h2.rst_stream(1), begin=h2.post(1) + h2.rst_stream(1),
                  codes=(h2.ENHANCE_YOUR_CALM, h2.INTERNAL_ERROR))

    def test_goaway(self):
        self.before(self.origin())
        client = self.attacker()
        client.open(1, method="POST", end_stream=False)
        self.pour(client, lambda number: h2.goaway(), 100_000)
        client.to_end()
        self.claim_growth_below(self.ONE + self.BASE)
        self.claim_unharmed()
        self.claim_quiet()


class Heads(FloodCase):
    """Header blocks without an end, and those that grow when they are decoded."""

    def endless(self, make, most, begin=None, codes=CALM):
        self.before(self.origin())
        client = self.attacker()
        client.expect(1)
        client.send(begin or h2.headers(1, h2.request(), True, end_headers=False))
        self.pour(client, make, most)
        self.claim_ended(client, *codes)
        self.claim_growth_below(self.ONE + self.BASE)
        self.claim_unharmed()
        self.claim_quiet()

    def test_continuation(self):
        """CVE-2024-27316."""
        block = h2.block(("x-more", "v" * 1000)) * 15
        self.endless(lambda number: h2.continuation(1, block, end_headers=False), 20_000,
                     codes=ENDLESS)

    def test_continuation_of_nothing(self):
        self.endless(lambda number: h2.continuation(1, b"", end_headers=False), 100_000,
                     codes=ENDLESS)

    def test_continuation_of_one_field(self):
        self.endless(lambda number: h2.continuation(1, h2.block(("a", "b")), end_headers=False),
                     100_000, codes=ENDLESS)

    def test_continuation_of_trailers(self):
        self.endless(lambda number: h2.continuation(1, h2.block(("a", "b")), end_headers=False),
                     100_000, begin=h2.post(1) + h2.headers(1, h2.block(("a", "b")), True,
                                                            end_headers=False),
                     codes=ENDLESS)

    def bomb(self, block, streams, *pairs, seed=b"", connections=1, allowed=None):
        """Streams whose heads are `block`; what they cost in memory, and in the end refused."""
        self.before(self.origin())
        clients = []
        for _ in range(connections):
            client = self.attacker(*pairs, feed=False)
            for number in range(1, 2 * streams, 2):
                if client.end:
                    break
                client.expect(number)
                frames = split(number, h2.request() + (seed if number == 1 else b"") + block)
                if not client.try_send(frames):
                    break
            if not client.end:
                client.settle()
            clients.append(client)
        self.claim_growth_below(allowed or connections * self.ONE + self.BASE)
        self.claim_unharmed()
        return clients

    def claim_refused_heads(self, clients, status=431):
        for client in clients:
            done = [s for s in client.streams.values() if s.head or s.reset is not None]
            self.assertTrue(done or client.goaway, client.said())
            wrong = [s for s in done if s.head and s.status != status]
            self.assertEqual(wrong, [])

    def test_hpack_bomb(self):
        """CVE-2016-6581: a field as large as the table, and 16,000 bytes that name it: 64 MB."""
        seed = h2.incremental("x", "v" * 4000)
        clients = self.bomb(h2.indexed(62) * 16_000, 100, seed=seed)
        self.claim_refused_heads(clients)

    def test_http2_bomb(self):
        """CVE-2026-49975: small fields named by one byte each, and a window of 0 that keeps
        whatever was made of them. What a connection holds is bounded whatever it sends."""
        seed = h2.incremental("a", "")
        clients = self.bomb(h2.indexed(62) * 16_000, 120, (h2.INITIAL_WINDOW_SIZE, 0), seed=seed,
                            connections=10)
        self.claim_refused_heads(clients)
        for client in clients:
            client.close()
        self.claim_quiet()

    def test_http2_bomb_within_the_limits(self):
        """Heads that are just not too large, of 7 bytes each: the field of 4,000 bytes that they
        name is decoded for every stream, and a window of 0 holds all of it."""
        seed = h2.incremental("x", "v" * 4000)
        clients = self.bomb(h2.indexed(62) * 7, 120, (h2.INITIAL_WINDOW_SIZE, 0), seed=seed,
                            connections=5)
        for client in clients:
            client.until(lambda: all(s.head for s in client.streams.values()), "all heads")
        self.claim_growth_below(5 * self.ONE + self.BASE)
        self.claim_unharmed()

    def test_http2_bomb_of_cookies(self):
        """The same by crumbs of cookies, which Apache did not count."""
        seed = h2.incremental("cookie", "")
        clients = self.bomb(h2.indexed(62) * 16_000, 120, (h2.INITIAL_WINDOW_SIZE, 0), seed=seed,
                            connections=10)
        self.claim_refused_heads(clients)

    def test_thousands_of_crumbs(self):
        clients = self.bomb(h2.block(*[("cookie", f"n{n}=1") for n in range(5000)]), 20)
        self.claim_refused_heads(clients)

    def test_heads_as_large_as_allowed_are_held(self):
        """120 requests with heads of 30,000 bytes whose answers are not taken. A connection holds
        512 KiB of heads, which are answered, and refuses the others."""
        clients = self.bomb(h2.block(("x-large", "v" * 30_000)), 120, (h2.INITIAL_WINDOW_SIZE, 0),
                            connections=5)
        for client in clients:
            client.until(lambda: all(s.head for s in client.streams.values()), "all heads")
            answers = [s.status for s in client.streams.values()]
            self.assertEqual(answers.count(200), 512 * 1024 // 30_100)
            self.assertEqual(set(answers), {200, 503})
        self.claim_growth_below(5 * self.ONE + self.BASE)


def split(stream, block):
    """HEADERS and the CONTINUATION frames that are needed."""
    out = h2.headers(stream, block[:h2.FRAME_MAX], True, end_headers=len(block) <= h2.FRAME_MAX)
    for at in range(h2.FRAME_MAX, len(block), h2.FRAME_MAX):
        rest = block[at:at + h2.FRAME_MAX]
        out += h2.continuation(stream, rest, at + h2.FRAME_MAX >= len(block))
    return out


class Readers(FloodCase):
    """Clients that take nothing, or next to nothing."""

    def hold(self, size, connections, streams, *pairs, **settings):
        origin = self.origin(script=scripts.body(b"x" * size))
        self.before(origin, **settings)
        clients = []
        for _ in range(connections):
            client = self.attacker(*pairs, feed=False)
            for number in range(1, 2 * streams, 2):
                client.open(number)
            clients.append(client)
        for client in clients:
            client.until(lambda: all(s.head for s in client.streams.values()), "all heads")
        return clients

    @bound(60)
    def test_windows_of_0(self):
        """1,000 responses of 1 MiB of which nothing is taken: memory is the budget's, and after
        timeouts.client_write they are gone."""
        clients = self.hold(MIB, 10, 100, (h2.INITIAL_WINDOW_SIZE, 0),
                            limits={"memory": "32MiB"}, timeouts={"client_write": "2s"})
        self.steady.proceeds(5)
        for client in clients:
            client.until(lambda: client.end or all(s.ended for s in client.streams.values()),
                         "the streams end")
            self.assertEqual([s for s in client.streams.values() if s.complete], [])
        self.claim_growth_below(32 * MIB + 10 * self.ONE + self.BASE)
        self.claim_unharmed()
        for client in clients:
            client.close()
        self.claim_quiet()

    @bound(60)
    def test_windows_that_drip(self):
        """A byte now and then for each of 100 streams holds them; what is held is bounded."""
        clients = self.hold(MIB, 4, 100, (h2.INITIAL_WINDOW_SIZE, 1),
                            limits={"memory": "16MiB"})
        for _ in range(20):
            for client in clients:
                for number in client.streams:
                    client.streams[number].window += 1
                client.try_send(b"".join(h2.window_update(n, 1) for n in client.streams))
                if not client.end:
                    client.settle()
        self.claim_growth_below(16 * MIB + 4 * self.ONE + self.BASE)
        self.claim_unharmed()
        for client in clients:
            client.close()
        self.claim_quiet()

    @bound(60)
    def test_a_client_that_reads_nothing_at_all(self):
        """It asks and asks; what Weir would say has no place, so nothing more is taken."""
        self.before(self.origin(script=scripts.body(b"x" * 10_000)),
                    timeouts={"client_write": "2s"})
        client = self.attacker(receive_buffer=4096)
        self.pour(client, lambda number: h2.get(2 * number + 1), 1_000_000, reading=False)
        self.claim_growth_below(self.ONE + self.BASE)
        self.claim_unharmed()
        client.close()
        self.claim_quiet()


class Unfinished(FloodCase):
    """What is begun and never finished."""

    @bound(60)
    def test_bodies_that_never_come(self):
        origin = self.origin(script=scripts.until_gone)
        self.before(origin, timeouts={"client_body": "1s"})
        clients = [self.attacker() for _ in range(5)]
        for client in clients:
            for number in range(1, 200, 2):
                client.open(number, method="POST", end_stream=False)
        for client in clients:
            client.until(lambda: client.end or all(s.ended for s in client.streams.values()),
                         "the streams end")
        self.claim_causes("client_body_timeout", 500)
        self.claim_growth_below(5 * self.ONE + self.BASE)
        self.claim_unharmed()
        for client in clients:
            client.close()
        self.claim_quiet()

    def test_heads_that_never_end(self):
        self.before(self.origin(), timeouts={"client_head": "1s"})
        clients = [self.attacker() for _ in range(50)]
        for client in clients:
            client.expect(1)
            client.send(h2.headers(1, h2.request(), True, end_headers=False))
        for client in clients:
            client.to_end()
        self.claim_growth_below(50 * 256 * 1024 + self.BASE)
        self.claim_unharmed()
        self.claim_quiet()

    def test_frames_that_never_end(self):
        self.before(self.origin(), timeouts={"client_head": "1s", "client_idle": "1s"})
        clients = [self.attacker() for _ in range(50)]
        for client in clients:
            client.send(h2.get(1)[:11])
        for client in clients:
            client.to_end()
        self.claim_unharmed()
        self.claim_quiet()

    def test_prefaces_alone(self):
        self.before(self.origin(), timeouts={"client_head": "1s", "client_idle": "1s"})
        clients = [Client(self.proxy.port) for _ in range(100)]
        for number, client in enumerate(clients):
            self._stack.callback(client.close)
            client.send(h2.PREFACE[:number % 25])
        for client in clients:
            try:
                client.to_end()
            except Exception as error:  # an answer of HTTP/1 to half a preface is an answer
                self.assertNotIsInstance(error, AssertionError)
        self.claim_growth_below(self.BASE)
        self.claim_unharmed()
        self.claim_quiet()

    @bound(60)
    def test_uploads_that_nobody_reads(self):
        """100 streams of as much as the windows take, before a server that does not read."""
        def script(x):
            x.wait("never")
        origin = self.origin(script=script)
        self.before(origin, limits={"memory": "32MiB"}, timeouts={"upstream_write": "2s"})
        client = self.attacker()
        for number in range(1, 200, 2):
            stream = client.open(number, method="POST", end_stream=False)
            size = min(stream.credit, client.credit, h2.FRAME_MAX)
            if size > 0:
                client.write(stream, b"x" * size)
        self.assertTrue(client.settle())
        self.claim_growth_below(self.ONE + self.BASE + 100 * 256 * 1024)
        self.claim_unharmed()
        client.close()
        origin.open("never")
        self.claim_quiet()
