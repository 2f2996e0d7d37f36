# SPDX-License-Identifier: Apache-2.0
"""An origin that dies at each phase: the right cause, a visible outcome, no reuse of its
connection."""

from harness.case import Case
from harness.message import Broken, chunk
from harness.process import run, tool
from harness.raw import request
from origins import scripts

LENGTH = scripts.head(200, "Content-Length: 1000")
CHUNKED = scripts.head(200, "Transfer-Encoding: chunked")


class Dying(Case):
    def before_head(self, script, cause, status=502):
        """The client gets an answer of Weir's, on a connection that lives on."""
        origin, weir = self.proxied(workers=1)
        origin.on("/dies", script)
        client = self.client(weir)
        self.assertEqual(client.get("/before").status, 200)
        client.send(request("/dies", method="POST", body=b"abc"))
        self.claim_refused(client.response("POST"), status, cause)
        self.after(weir, client, origin, "/dies", cause, status)

    def after(self, weir, client, origin, path, cause, status):
        entry = weir.logged_one(path)
        self.assertEqual((entry["cause"], entry["status"]), (cause, status))
        self.assertEqual(client.get("/after").status, 200)
        died = origin.seen(path)[0].connection
        self.assertNotEqual(origin.request("/after").connection, died)
        self.assertEqual(died.requests[-1].path, path, "nothing was sent on it afterwards")

    def test_fin_before_head(self):
        self.before_head(scripts.die("fin"), "upstream_closed")

    def test_rst_before_head(self):
        self.before_head(scripts.die("rst"), "upstream_reset")

    def test_fin_in_the_head(self):
        self.before_head(scripts.die("fin", b"HTTP/1.1 200 OK\r\nContent-Le"), "upstream_closed")

    def test_fin_in_the_first_byte(self):
        self.before_head(scripts.die("fin", b"H"), "upstream_closed")

    def test_fin_one_byte_before_the_end_of_the_head(self):
        self.before_head(scripts.die("fin", LENGTH[:-1]), "upstream_closed")

    def test_rst_in_the_head(self):
        self.before_head(scripts.die("rst", b"HTTP/1.1 200 OK\r\nContent-Le"), "upstream_reset")

    def test_fin_after_interim(self):
        origin, weir = self.proxied()
        origin.on("/dies", scripts.die("fin", scripts.head(103)))
        client = self.client(weir).send(request("/dies"))
        response = client.response()
        self.assertEqual([r.status for r in response.interim], [103])
        self.claim_refused(response, 502, "upstream_closed")

    def in_body(self, start, then, sent, cause="upstream_truncated"):
        """`start` reaches the client, then the origin dies: the message is broken, not short."""
        origin, weir = self.proxied(workers=1)
        origin.on("/dies", scripts.die(then, start, gate="die"))
        client = self.client(weir).send(request("/dies"))
        response = client.head()
        while sent not in client.stream.buffer:
            self.assertTrue(client.stream.fill(), "the start of the body passes at once")
        origin.open("die")
        self.assertFalse(client.body(response).complete, response)
        entry = weir.logged_one("/dies")
        self.assertEqual((entry["cause"], entry["status"]), (cause, 200))
        fresh = self.client(weir)
        self.after(weir, fresh, origin, "/dies", cause, 200)

    def test_fin_in_body_by_length(self):
        self.in_body(LENGTH + b"part", "fin", b"part")

    def test_rst_in_body_by_length(self):
        self.in_body(LENGTH + b"part", "rst", b"part")

    def test_fin_one_byte_short(self):
        self.in_body(LENGTH + b"x" * 999, "fin", b"x" * 999)

    def test_fin_between_chunks(self):
        self.in_body(CHUNKED + chunk(b"part"), "fin", b"part")

    def test_rst_between_chunks(self):
        self.in_body(CHUNKED + chunk(b"part"), "rst", b"part")

    def test_fin_in_a_chunk(self):
        self.in_body(CHUNKED + b"100\r\npart", "fin", b"part")

    def test_fin_before_the_last_chunks_end(self):
        self.in_body(CHUNKED + chunk(b"part") + b"0\r\n", "fin", b"part")

    def test_fin_in_the_trailers(self):
        self.in_body(CHUNKED + chunk(b"part") + b"0\r\nX-A: b\r\n", "fin", b"part")

    def test_rst_of_a_close_delimited_body(self):
        """FIN is the end of such a body; RST is not."""
        self.in_body(scripts.head(200) + b"part", "rst", b"part")

    def test_bad_chunk_in_the_middle(self):
        def script(x):
            x.send(CHUNKED + chunk(b"part"))
            x.wait("go on")
            x.send(b"nonsense\r\n")
            x.peer_gone()
            x.reached("gone")
            x.close()
        origin, weir = self.proxied(workers=1)
        origin.on("/dies", script)
        client = self.client(weir).send(request("/dies"))
        response = client.head()
        client.stream.until(b"part")
        origin.open("go on")
        with self.assertRaises(Broken):
            client.stream.until(b"0\r\n\r\n")
        origin.await_gate("gone")
        self.after(weir, self.client(weir), origin, "/dies", "upstream_bad_chunk", response.status)

    def test_http10_client_of_a_chunked_body_sees_a_reset(self):
        """Close-delimited on the client's side: only a reset can say that it is not whole."""
        origin, weir = self.proxied()
        origin.on("/dies", scripts.die("fin", CHUNKED + chunk(b"part"), gate="die"))
        client = self.client(weir).send(request("/dies", version="1.0"))
        client.head()
        client.stream.until(b"part")
        origin.open("die")
        with self.assertRaises(Broken):
            client.stream.to_end()


class Curl(Case):
    def code(self, script, *arguments):
        _, weir = self.proxied(script)
        return run(tool("curl"), "-sS", "--max-time", "20", "-o", "/dev/null", *arguments,
                   weir.url("/")).returncode

    def test_length_is_exit_18_or_56(self):
        self.assertIn(self.code(scripts.die("fin", LENGTH + b"part")), (18, 56))

    def test_chunked_is_exit_18_or_56(self):
        self.assertIn(self.code(scripts.die("fin", CHUNKED + chunk(b"part"))), (18, 56))

    def test_http10_is_an_error_too(self):
        self.assertIn(self.code(scripts.die("fin", CHUNKED + chunk(b"part")), "--http1.0"),
                      (18, 52, 56))


class Slow(Case):
    def test_no_head(self):
        origin, weir = self.proxied(scripts.until_gone, timeouts={"upstream_head": "200ms"})
        self.claim_refused(self.client(weir).get("/t"), 504, "upstream_head_timeout")
        origin.await_gate("gone")
        self.assertEqual(weir.logged_one("/t")["cause"], "upstream_head_timeout")

    def test_upstreams_own_head_timeout(self):
        _, weir = self.proxied(scripts.until_gone, upstream={"app": {"head_timeout": "200ms"}})
        self.claim_refused(self.client(weir).get(), 504, "upstream_head_timeout")

    def test_stalled_body(self):
        def script(x):
            x.send(LENGTH + b"part")
            x.peer_gone()
            x.reached("gone")
            x.close()
        origin, weir = self.proxied(script, timeouts={"upstream_body": "200ms"})
        response = self.client(weir).get("/t")
        self.assertFalse(response.complete, response)
        origin.await_gate("gone")
        self.assertEqual(weir.logged_one("/t")["cause"], "upstream_body_timeout")

    def test_origin_that_does_not_read(self):
        def script(x):
            x.wait("never")
        origin, weir = self.proxied(script, timeouts={"upstream_write": "300ms"})
        client = self.client(weir)
        client.send(request("/t", "Content-Length: 1000000000", method="POST"))
        client.sock.settimeout(15)
        try:
            while True:
                client.sock.send(b"x" * 65536)
        except (ConnectionError, TimeoutError) as error:
            self.assertNotIsInstance(error, TimeoutError)
        self.assertEqual(weir.logged_one("/t")["cause"], "upstream_write_timeout")

    def test_slow_but_moving_body_is_not_cut(self):
        """Ten pieces, each within the bound, together far beyond it."""
        def script(x):
            x.send(scripts.head(200, "Content-Length: 10"))
            for n in range(10):
                x.origin.gate(f"never{n}").wait(0.15)
                x.send(b"x")
        _, weir = self.proxied(script, timeouts={"upstream_body": "700ms"})
        self.assertEqual(self.client(weir).get().body, b"x" * 10)
