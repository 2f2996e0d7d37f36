# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 servers that break off, stall, or send what they may not."""

import hyperframe.frame

from harness.case import Case, bound
from harness.process import run, tool
from harness.raw import request
from origins import scripts
from origins.h2_origin import CODES, H2Origin

HTTP2 = {"protocol": "http2"}


class Scripted(Case):
    def tearDown(self):
        faults = [fault for origin in self.origins for fault in origin.faults]
        super().tearDown()
        self.assertEqual(faults, [])

    def h2_origin(self, *arguments, **options):
        origin = self.kept(H2Origin(*arguments, **options))
        self.origins.append(origin)
        return origin

    def before(self, *origins, **settings):
        app = {**HTTP2, **settings.pop("app", {})}
        return self.weir(*origins, upstream={"app": app}, workers=1, **settings)

    def scripted(self, script, **settings):
        origin = self.h2_origin(script)
        return origin, self.before(origin, **settings)

    def claim_others_live(self, weir, connections=1):
        """Another request on the same connection is answered."""
        self.origins[0].on("/other", lambda x: x.text("fine"))
        self.assertEqual(self.client(weir).get("/other").body, b"fine")
        self.assertEqual(len(self.origins[0].connections), connections)


class Broken(Scripted):
    def claim_broken_body(self, script, cause, **settings):
        """Neither an HTTP/1 nor an HTTP/2 client takes what came for the whole."""
        origin, weir = self.scripted(script, **settings)
        response = self.client(weir).get("/one")
        self.assertEqual((response.status, response.complete), (200, False), response)
        self.assertEqual(weir.logged_one("/one")["cause"], cause)
        done = run(tool("curl"), "-sS", "--http2-prior-knowledge", weir.url("/two"))
        self.assertEqual(done.returncode, 92, done)  # CURLE_HTTP2_STREAM
        self.assertEqual(weir.logged_one("/two")["cause"], cause)
        return origin, weir

    def test_reset_in_a_body(self):
        def script(x):
            x.head(200)
            x.data(b"part")
            x.reset()
        _, weir = self.claim_broken_body(script, "upstream_truncated")
        self.claim_others_live(weir)

    def test_reset_in_a_body_of_known_length(self):
        def script(x):
            x.head(200, ("content-length", "100"))
            x.data(b"part")
            x.reset(CODES.NO_ERROR)
        _, weir = self.claim_broken_body(script, "upstream_truncated")
        self.claim_others_live(weir)

    def test_body_shorter_than_it_said(self):
        def script(x):
            x.head(200, ("content-length", "100"))
            x.data(b"part", end=True)
        _, weir = self.claim_broken_body(script, "upstream_bad_response")
        self.claim_others_live(weir)

    def test_body_longer_than_it_said(self):
        def script(x):
            x.head(200, ("content-length", "3"))
            x.wait("go")
            x.data(b"parts")
        origin, weir = self.scripted(script)
        client = self.client(weir).send(request("/long"))
        head = client.head()
        origin.open("go")
        self.assertFalse(client.body(head).complete)
        self.assertEqual(weir.logged_one("/long")["cause"], "upstream_bad_response")
        self.claim_others_live(weir)

    def test_connection_reset_in_a_body(self):
        def script(x):
            x.head(200)
            x.data(b"part")
            x.die()
        self.claim_broken_body(script, "upstream_truncated")

    def test_stops_in_a_body(self):
        def script(x):
            x.head(200)
            x.data(b"part")
            x.await_reset()
            x.reached("reset")
        origin, weir = self.claim_broken_body(script, "upstream_body_timeout",
                                              timeouts={"upstream_body": "200ms"})
        origin.await_gate("reset")
        self.claim_others_live(weir)

    def test_complete_and_gone(self):
        """What was complete when the connection ended is given to a client that reads slowly."""
        def script(x):
            x.text(b"x" * 60_000)
            x.leave()
        _, weir = self.scripted(script)
        for number in range(5):
            response = self.client(weir).get(f"/{number}")
            self.assertEqual((response.complete, len(response.body)), (True, 60_000), response)


class Silent(Scripted):
    def test_no_head(self):
        _, weir = self.scripted(lambda x: x.await_reset(), timeouts={"upstream_head": "200ms"})
        self.claim_refused(self.client(weir).get("/x"), 504, "upstream_head_timeout")
        self.claim_others_live(weir)
        self.assertEqual(self.origins[0].request("/x").code, CODES.CANCEL)

    def test_not_even_settings(self):
        origin = self.h2_origin(lambda x: x.await_reset(), greet=False)
        weir = self.before(origin, timeouts={"upstream_head": "200ms"})
        self.claim_refused(self.client(weir).get("/x"), 504, "upstream_head_timeout")

    def test_takes_no_request_body(self):
        origin = self.h2_origin(lambda x: x.await_reset(), credit=False)
        weir = self.before(origin, timeouts={"upstream_write": "200ms"})
        client = self.client(weir).send(request("/x", method="POST", body=b"x" * 200_000))
        self.claim_refused(client.response("POST"), 504, "upstream_write_timeout")
        self.claim_others_live(weir)

    def test_window_of_nothing(self):
        origin = self.h2_origin(lambda x: x.await_reset(), settings={"INITIAL_WINDOW_SIZE": 0})
        origin.on("/first", lambda x: x.head(204, end=True))
        weir = self.before(origin, timeouts={"upstream_write": "200ms"})
        self.client(weir).get("/first")  # the window is known from now on
        client = self.client(weir).send(request("/x", method="POST", body=b"x"))
        self.claim_refused(client.response("POST"), 504, "upstream_write_timeout")


class Malformed(Scripted):
    def claim_malformed(self, *fields, status=200, end=True):
        _, weir = self.scripted(lambda x: x.head(status, *fields, end=end))
        self.claim_refused(self.client(weir).get("/x"), 502, "upstream_bad_response")
        self.assertEqual(len(self.origins[0].seen("/x")), 1)
        self.claim_others_live(weir)

    def test_no_status(self):
        self.claim_malformed(("x-some", "field"), status=None)

    def test_status_that_is_none(self):
        self.claim_malformed(status="abc")

    def test_status_below_100(self):
        self.claim_malformed(status="099")

    def test_switching_protocols(self):
        self.claim_malformed(status=101, end=False)

    def test_upper_case(self):
        self.claim_malformed(("X-Upper", "case"))

    def test_connection_specific(self):
        for name, value in (("connection", "close"), ("transfer-encoding", "chunked"),
                            ("keep-alive", "5"), ("upgrade", "h2c")):
            with self.subTest(name):
                origin = self.h2_origin(
                    lambda x, pair=(name, value): x.head(200, pair, end=True))
                weir = self.before(origin)
                self.claim_refused(self.client(weir).get("/x"), 502, "upstream_bad_response")
                weir.end()

    def test_line_break_in_a_value(self):
        self.claim_malformed(("x-some", "a\r\nb: c"))

    def test_two_lengths(self):
        self.claim_malformed(("content-length", "0"), ("content-length", "5"))

    def test_interim_that_ends(self):
        def script(x):
            frame = hyperframe.frame.HeadersFrame(x.request.stream,
                                                  data=x.fields((":status", "103")))
            frame.flags.add("END_HEADERS")
            frame.flags.add("END_STREAM")
            x.frame(frame)
        _, weir = self.scripted(script)
        self.claim_refused(self.client(weir).get("/x"), 502, "upstream_bad_response")
        self.claim_others_live(weir)

    def test_too_many_fields(self):
        _, weir = self.scripted(lambda x: x.head(200, *[("x-a", "b")] * 300, end=True))
        self.claim_refused(self.client(weir).get("/x"), 502, "upstream_head_too_large")
        self.claim_others_live(weir)

    def test_large_head(self):
        value = "x" * 1000
        _, weir = self.scripted(
            lambda x: x.head(200, *[(f"x-{n}", value) for n in range(90)], end=True))
        self.claim_refused(self.client(weir).get("/x"), 502, "upstream_head_too_large")
        self.claim_others_live(weir)

    def test_bad_frame(self):
        """An error of the connection ends it, with GOAWAY; the next request has a new one."""
        def script(x):
            frame = hyperframe.frame.WindowUpdateFrame(0, window_increment=1)
            frame.stream_id = 0
            x.raw(b"\0\0\4\x08\0\0\0\0\0\0\0\0\0")  # WINDOW_UPDATE by nothing
        origin, weir = self.scripted(script)
        self.claim_refused(self.client(weir).get("/x"), 502, "upstream_bad_response")
        origin.ended(origin.connections[0])
        self.assertEqual(origin.connections[0].goaway, CODES.PROTOCOL_ERROR)
        self.claim_others_live(weir, connections=2)

    def test_not_http2(self):
        """A server of HTTP/1."""
        origin = self.origin(script=scripts.text("hello\n"))
        weir = self.before(origin)
        response = self.client(weir).get("/x")
        self.assertEqual(response.status, 502)
        self.assertIn(response.cause, ("upstream_bad_response", "upstream_closed"))

    def test_http1_answer(self):
        _, weir = self.scripted(lambda x: None)
        origin = self.h2_origin(lambda x: x.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), greet=False)
        weir = self.before(origin)
        self.claim_refused(self.client(weir).get("/x"), 502, "upstream_bad_response")

    def test_push(self):
        def script(x):
            block = x.fields((":method", "GET"), (":path", "/p"), (":scheme", "http"),
                             (":authority", "a"))
            frame = hyperframe.frame.PushPromiseFrame(x.request.stream, promised_stream_id=2,
                                                      data=block)
            frame.flags.add("END_HEADERS")
            x.frame(frame)
        _, weir = self.scripted(script)
        self.claim_refused(self.client(weir).get("/x"), 502, "upstream_bad_response")


class Early(Scripted):
    def upload(self, weir, path="/up"):
        client = self.client(weir)
        return client.send(request(path, "Content-Length: 1000000", method="POST") + b"x" * 1000)

    def test_refused_upload(self):
        """RFC 9113 section 8.1: answers and wants no more of the request."""
        def script(x):
            x.text("too large", 413)
            x.reset(CODES.NO_ERROR)
        _, weir = self.scripted(script)
        response = self.upload(weir).response("POST")
        self.assertEqual((response.status, response.body), (413, b"too large"))
        self.assertEqual(weir.logged_one("/up")["cause"], "")
        self.claim_others_live(weir)

    def test_early_success(self):
        """With 200 and RST_STREAM(NO_ERROR): RFC 9113 section 8.1."""
        def script(x):
            x.text("enough")
            x.reset(CODES.NO_ERROR)
        _, weir = self.scripted(script)
        client = self.upload(weir)
        response = client.response("POST")
        self.assertEqual((response.status, response.body), (200, b"enough"))
        client.try_send(b"x" * 999_000)
        self.assertEqual(weir.logged_one("/up")["cause"], "")
        self.claim_others_live(weir)

    def test_early_answer_and_all_is_read(self):
        """The server answers at once and takes the rest."""
        def script(x):
            x.text("first")
            x.body()
            x.reached("all")
        origin, weir = self.scripted(script)
        client = self.client(weir).send(request("/up", "Content-Length: 400000", method="POST"))
        self.assertEqual(client.response("POST").body, b"first")
        client.send(b"x" * 400_000)
        origin.await_gate("all")
        self.assertEqual(len(origin.request("/up").body), 400_000)
        self.assertEqual(weir.logged_one("/up")["cause"], "")


class Interim(Scripted):
    def test_many(self):
        """Heads that come in one piece with the response are all passed on, up to a bound."""
        def script(x):
            x.body()
            with x.connection.news:
                for number in range(5):
                    x.connection.h2.send_headers(
                        x.request.stream, [(":status", "103"), ("link", f"<{number}>")])
                x.text("done")
        _, weir = self.scripted(script)
        response = self.client(weir).get("/x")
        self.assertEqual([i.fields.get("link") for i in response.interim],
                         [f"<{n}>" for n in range(5)])
        self.assertEqual(response.body, b"done")

    def test_flood(self):
        def script(x):
            with x.connection.news:
                for _ in range(2000):
                    x.connection.h2.send_headers(x.request.stream, [(":status", "103")])
                x.text("done")
        _, weir = self.scripted(script)
        client = self.client(weir)
        self.assertEqual(client.get("/x").body, b"done")


class Floods(Scripted):
    """A server that sends what does nothing loses its connection; Weir and its memory stay."""

    def flooded(self, data, **settings):
        def script(x):
            for _ in range(50):
                x.raw(data * 1000)
            x.await_reset()
        origin, weir = self.scripted(script, **settings)
        response = self.client(weir).get("/x")
        self.assertEqual((response.status, response.cause), (502, "upstream_bad_response"))
        origin.ended(origin.connections[0])
        self.claim_others_live(weir, connections=2)

    def test_pings(self):
        self.flooded(b"\0\0\x08\6\0\0\0\0\0" + b"pingpong")

    def test_settings(self):
        self.flooded(b"\0\0\0\4\0\0\0\0\0")

    def test_cancelled_requests_are_no_flood(self):
        """Of clients that leave the server's connection knows nothing."""
        origin, weir = self.scripted(lambda x: x.await_reset())
        origin.on("/held", lambda x: (x.wait("go"), x.text("held")))
        held = self.client(weir).send(request("/held"))
        origin.request("/held")
        for number in range(1200):
            client = self.client(weir).send(request(f"/{number}"))
            client.stream.sock.shutdown(1)
            client.reset()
        weir.logged(1200, within=25)
        origin.open("go")
        self.assertEqual(held.response().body, b"held")
        self.assertEqual(len({r.connection.number for r in origin.seen("/held")}), 1)
