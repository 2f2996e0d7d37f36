# SPDX-License-Identifier: Apache-2.0
"""1xx responses, Expect: 100-continue, and answers that come before the upload has ended."""

from harness.case import Case
from harness.process import run, tool
from harness.raw import request
from origins import scripts

BIG = b"upload" * 200_000


class Expect(Case):
    def test_curl_with_a_big_upload(self):
        origin, weir = self.proxied(scripts.echo())
        done = run(tool("curl"), "-sS", "--max-time", "20", "--expect100-timeout", "20",
                   "-H", "Expect: 100-continue", "--data-binary", "@-", weir.url(), stdin=BIG)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(done.stdout, BIG)
        self.assertEqual(origin.request("/").body, BIG)

    def refused(self, status):
        origin, weir = self.proxied(scripts.early(status))
        done = run(tool("curl"), "-sS", "--max-time", "20", "--expect100-timeout", "20", "-w",
                   "%{http_code} %{size_upload}", "-H", "Expect: 100-continue", "--data-binary",
                   "@-", weir.url(), stdin=BIG)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(done.stdout.decode(), f"early{status} 0")
        self.assertNotIn(b"upload", origin.bytes())

    def test_origin_answers_417_at_once(self):
        self.refused(417)

    def test_origin_answers_413_at_once(self):
        self.refused(413)

    def test_one_100_only(self):
        _, weir = self.proxied(scripts.echo())
        client = self.client(weir)
        client.send(request("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
        self.assertEqual(client.head().status, 100)
        response = client.send(b"abc").response("POST")
        self.assertEqual((response.interim, response.body), ([], b"abc"))

    def test_origin_without_100(self):
        """An origin that waits for the body and never says 100 must get it all the same once the
        client sends it unasked."""
        def script(x):
            x._continued = True
            scripts.echo()(x)
        _, weir = self.proxied(script)
        client = self.client(weir)
        client.send(request("/", "Expect: 100-continue", "Content-Length: 3", method="POST"))
        client.send(b"abc")
        self.assertEqual(client.response("POST").body, b"abc")

    def test_unknown_expectation(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        client.send(request("/", "Expect: miracles", method="POST", body=b"abc"))
        self.claim_refused(client.response(), 417, "expectation_failed")
        self.assertEqual(origin.seen(), [])


class Interim(Case):
    def test_103_passes(self):
        hint = scripts.head(103, "Link: </a.css>; rel=preload", reason="Early Hints")
        _, weir = self.proxied(scripts.interim(hint, hint))
        response = self.client(weir).get()
        self.assertEqual([r.status for r in response.interim], [103, 103])
        self.assertEqual(response.interim[0].fields.get("link"), "</a.css>; rel=preload")
        self.assertEqual(response.body, b"final\n")

    def test_103_arrives_before_the_response(self):
        hint = scripts.head(103, "Link: </a.css>")
        origin = self.origin(script=scripts.interim(hint, then=scripts.hold("go")))
        weir = self.weir(origin)
        client = self.client(weir).send(request())
        self.assertEqual(client.head().status, 103)
        origin.open("go")
        self.assertEqual(client.response().body, b"late\n")

    def test_102_and_unknown_1xx_pass(self):
        _, weir = self.proxied(scripts.interim(scripts.head(102), scripts.head(177, "X-A: b")))
        self.assertEqual([r.status for r in self.client(weir).get().interim], [102, 177])

    def test_http10_client_sees_none(self):
        _, weir = self.proxied(scripts.interim(scripts.head(103, "Link: </a.css>")))
        response = self.client(weir).send(request(version="1.0")).response()
        self.assertEqual(response.interim, [])
        self.assertEqual(response.body, b"final\n")

    def test_connection_is_reused_after_interim(self):
        origin, weir = self.proxied(scripts.interim(scripts.head(103)), workers=1)
        client = self.client(weir)
        for _ in range(3):
            self.assertEqual(len(client.get().interim), 1)
        self.assertEqual(len(origin.connections), 1)

    def test_unasked_101_is_a_bad_response(self):
        _, weir = self.proxied(scripts.raw(scripts.head(101, "Upgrade: x", "Connection: Upgrade")))
        self.claim_refused(self.client(weir).get(), 502, "upstream_bad_response")


class Early(Case):
    def test_response_while_the_client_uploads(self):
        """The origin answers at the first bytes and reads on: the exchange may end well."""
        def script(x):
            x.connection.stream.exactly(10)
            x.send(scripts.head(200, "Content-Length: 5") + b"early")
            x.connection.stream.exactly(90)
            x.request.complete = True
        origin, weir = self.proxied(script)
        client = self.client(weir)
        client.send(request("/", "Content-Length: 100", method="POST") + b"x" * 10)
        self.assertEqual(client.response("POST").body, b"early")
        client.try_send(b"x" * 90)
        self.assertEqual(len(origin.seen()), 1)

    def test_origin_refuses_and_closes(self):
        """413 and close in the middle of a large upload: the client must see the 413."""
        _, weir = self.proxied(scripts.early(413))
        client = self.client(weir)
        client.send(request("/", "Content-Length: 100000000", method="POST"))
        client.try_send(b"x" * 200_000)
        response = client.response("POST")
        self.assertEqual((response.status, response.body), (413, b"early"))

    def test_curl_sees_the_early_answer(self):
        _, weir = self.proxied(scripts.early(401))
        done = run(tool("curl"), "-sS", "--max-time", "20", "-H", "Expect:", "-w", "%{http_code}",
                   "-T", "-", weir.url(), stdin=BIG * 20)
        self.assertTrue(done.stdout.startswith(b"early401"), (done.stdout, done.stderr))

    def test_response_before_the_upload_begins(self):
        _, weir = self.proxied(scripts.early(403))
        client = self.client(weir)
        client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
        self.assertEqual(client.response("POST").status, 403)

    def test_cut_upload_is_never_taken_for_whole(self):
        """After an early answer Weir must not end the origin's request as if it were complete, and
        what the client sends later must not become a request of its own."""
        origin, weir = self.proxied()
        origin.on("/up", scripts.early(403, close=False))
        client = self.client(weir)
        client.send(request("/up", "Transfer-Encoding: chunked", method="POST") + b"5\r\nabcde\r\n")
        self.assertEqual(client.response("POST").status, 403)
        client.try_send(b"10\r\nGET /evil HTTP/1\r\n")
        client.close()
        self.assertIn(origin.ended(origin.seen("/up")[0].connection), ("eof", "reset"))
        self.assertFalse(origin.seen("/up")[0].complete)
        self.assertEqual(origin.seen("/evil"), [])
