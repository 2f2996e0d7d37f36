# SPDX-License-Identifier: Apache-2.0
"""Clients that vanish, stall or cut their uploads; pooled connections that turn out dead."""

from harness.case import Case
from harness.raw import request
from harness.waiting import eventually
from origins import scripts


class Vanishing(Case):
    def check_cancelled(self, leave):
        """The client leaves while the origin works: the origin sees its connection end soon."""
        origin, weir = self.proxied(scripts.until_gone)
        client = self.client(weir).send(request("/long"))
        origin.await_gate("arrived")
        leave(client)
        origin.await_gate("gone")
        entry = weir.logged_one("/long")
        self.assertEqual(entry["cause"], "client_closed")
        self.assertIn(entry["status"], (0, 499), "nothing was answered")

    def test_close_before_the_response(self):
        self.check_cancelled(lambda client: client.close())

    def test_reset_before_the_response(self):
        self.check_cancelled(lambda client: client.reset())

    def in_body(self, leave):
        origin, weir = self.proxied(scripts.endless)
        client = self.client(weir).send(request("/long"))
        self.assertEqual(client.head().status, 200)
        client.stream.exactly(100_000)
        leave(client)
        origin.await_gate("gone")
        entry = weir.logged_one("/long")
        self.assertEqual((entry["cause"], entry["status"]), ("client_closed", 200))
        self.assertGreaterEqual(entry["bytes_sent"], 100_000)

    def test_close_in_the_response(self):
        self.in_body(lambda client: client.close())

    def test_reset_in_the_response(self):
        self.in_body(lambda client: client.reset())

    def check_cut_upload(self, head, part, leave):
        """The origin must never take the part for the whole."""
        origin, weir = self.proxied(scripts.echo())
        client = self.client(weir).send(head + part)
        seen = origin.request("/up")
        eventually(lambda: len(seen.connection.received) > len(seen.raw_head), "part of the body")
        leave(client)
        origin.ended(seen.connection)
        self.assertFalse(seen.complete)
        self.assertIn(weir.logged_one("/up")["cause"], ("client_body_truncated", "client_closed"))
        self.assertEqual(len(origin.seen()), 1)

    LENGTH = request("/up", "Content-Length: 1000", method="POST")
    CHUNKED = request("/up", "Transfer-Encoding: chunked", method="POST")

    def test_upload_by_length_is_cut(self):
        self.check_cut_upload(self.LENGTH, b"part", lambda client: client.close())

    def test_upload_by_length_is_reset(self):
        self.check_cut_upload(self.LENGTH, b"part", lambda client: client.reset())

    def test_chunked_upload_is_cut(self):
        self.check_cut_upload(self.CHUNKED, b"4\r\npart\r\n", lambda client: client.close())

    def test_chunked_upload_is_half_closed_too_soon(self):
        self.check_cut_upload(self.CHUNKED, b"4\r\npart\r\n", lambda client: client.finish())

    def test_half_close_in_the_head(self):
        origin, weir = self.proxied()
        client = self.client(weir).send(b"GET / HTTP/1.1\r\nHost: a").finish()
        self.assertIn(client.stream.to_end()[:12], (b"", b"HTTP/1.1 400"))
        self.assertEqual(origin.seen(), [])

    def test_bad_chunk_in_the_middle_of_an_upload(self):
        origin, weir = self.proxied(scripts.echo())
        client = self.client(weir).send(self.CHUNKED + b"4\r\npart\r\n")
        seen = origin.request("/up")
        client.send(b"nonsense\r\n")
        self.claim_refused(client.response("POST"), 400, "bad_chunk")
        self.assertTrue(client.closed())
        origin.ended(seen.connection)
        self.assertFalse(seen.complete)

    def test_next_client_is_served(self):
        origin, weir = self.proxied(workers=1)
        origin.on("/long", scripts.until_gone)
        client = self.client(weir).send(request("/long"))
        origin.await_gate("arrived")
        client.reset()
        origin.await_gate("gone")
        self.assertEqual(self.client(weir).get("/next").body, b"hello from origin\n")


class Stalling(Case):
    def test_head_never_ends(self):
        _, weir = self.proxied(timeouts={"client_head": "300ms"})
        client = self.client(weir).send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        self.claim_refused(client.response(), 408, "client_head_timeout")
        self.assertTrue(client.closed())

    def test_head_that_trickles_is_bounded_in_total(self):
        _, weir = self.proxied(timeouts={"client_head": "500ms"})
        client = self.client(weir).send(b"GET / HTTP/1.1\r\n")

        def answered():
            client.try_send(b"X: y\r\n")
            client.sock.settimeout(0.01)
            try:
                return client.stream.fill() or True
            except TimeoutError:
                return False
        eventually(answered, "an answer in spite of the trickle")
        self.assertIn(b"408", bytes(client.stream.buffer[:20]))

    def test_body_stalls(self):
        origin, weir = self.proxied(timeouts={"client_body": "300ms"})
        client = self.client(weir).send(request("/", "Content-Length: 10", method="POST") + b"abc")
        self.claim_refused(client.response("POST"), 408, "client_body_timeout")
        self.assertTrue(client.closed())
        seen = origin.request("/")
        origin.ended(seen.connection)
        self.assertFalse(seen.complete)

    def test_slow_but_moving_body_is_not_cut(self):
        origin, weir = self.proxied(timeouts={"client_body": "700ms"})
        client = self.client(weir).send(request("/", "Content-Length: 10", method="POST"))
        for number in range(10):
            origin.gate(f"never{number}").wait(0.15)
            client.send(b"x")
        self.assertEqual(client.response("POST").status, 200)

    def test_client_that_does_not_read(self):
        origin, weir = self.proxied(scripts.endless, timeouts={"client_write": "300ms"})
        self.client(weir).send(request("/long"))
        origin.await_gate("gone")
        self.assertEqual(weir.logged_one("/long")["cause"], "client_write_timeout")

    def test_slow_but_moving_reader_is_not_cut(self):
        """The kernel may report room only after a third of a large send buffer has left, long after
        the bound; the bytes that leave it all the time are no stall."""
        origin, weir = self.proxied(scripts.endless, timeouts={"client_write": "2s"})
        client = self.client(weir, receive_buffer=65536).send(request("/long"))
        self.assertEqual(client.head().status, 200)
        for number in range(80):
            origin.gate(f"never{number}").wait(0.1)
            client.stream.exactly(20_000)
        self.assertEqual(weir.log(), [], "the exchange goes on")

    def test_idle_connection_is_closed_silently(self):
        _, weir = self.proxied(timeouts={"client_idle": "200ms", "client_head": "200ms"})
        self.assertTrue(self.client(weir).closed(), "no 408 on a connection that never asked")


class Retry(Case):
    def dead_pooled(self, then):
        """A script that answers the first request of a connection and dies at the second."""
        def script(x):
            x.body()
            if x.request.path == "/first" or then is None:
                scripts.text("good\n")(x)
            elif len(x.connection.requests) > 1:
                scripts.end(x, then)
            else:
                scripts.text("fresh\n")(x)
        return script

    def test_get_is_retried_once_on_a_fresh_connection(self):
        for then in ("fin", "rst"):
            with self.subTest(then=then):
                origin, weir = self.proxied(self.dead_pooled(then), workers=1)
                client = self.client(weir)
                self.assertEqual(client.get("/first").body, b"good\n")
                self.assertEqual(client.get("/again" + then).body, b"fresh\n")
                self.assertEqual(len(origin.seen("/again" + then)), 2)
                self.assertEqual(weir.logged_one("/again" + then)["retries"], 1)
                weir.end()

    def test_post_is_not_retried_after_bytes_were_sent(self):
        origin, weir = self.proxied(self.dead_pooled("fin"), workers=1)
        client = self.client(weir)
        self.assertEqual(client.get("/first").status, 200)
        client.send(request("/again", method="POST", body=b"once"))
        self.claim_refused(client.response("POST"), 502, "upstream_closed")
        self.assertEqual(len(origin.seen("/again")), 1)

    def test_get_is_not_retried_twice(self):
        def script(x):
            x.body()
            if x.request.path == "/first":
                scripts.text("good\n")(x)
            else:
                x.close()
        origin, weir = self.proxied(script, workers=1)
        client = self.client(weir)
        self.assertEqual(client.get("/first").status, 200)
        self.claim_refused(client.get("/again"), 502, "upstream_closed")
        self.assertEqual(len(origin.seen("/again")), 2)

    def test_get_on_a_fresh_connection_is_not_retried(self):
        origin, weir = self.proxied(scripts.die("fin"))
        self.claim_refused(self.client(weir).get("/x"), 502, "upstream_closed")
        self.assertEqual(len(origin.seen("/x")), 1)

    def test_nothing_is_retried_after_the_response_began(self):
        def script(x):
            x.body()
            if x.request.path == "/first":
                scripts.text("good\n")(x)
            else:
                scripts.die("fin", scripts.head(200, "Content-Length: 10") + b"abc")(x)
        origin, weir = self.proxied(script, workers=1)
        client = self.client(weir)
        client.get("/first")
        self.assertFalse(client.get("/again").complete)
        self.assertEqual(len(origin.seen("/again")), 1)

    def test_restarted_origin_is_not_noticed(self):
        """All pooled connections are closed while idle: even a POST goes to a fresh one."""
        origin, weir = self.proxied(workers=1)
        client = self.client(weir)
        for method in ("GET", "POST", "GET", "POST"):
            client.send(request("/" + method, method=method, body=b"x"))
            self.assertEqual(client.response(method).status, 200)
            origin.drop_connections()
        self.assertEqual(len(origin.connections), 4)
