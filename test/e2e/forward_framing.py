# SPDX-License-Identifier: Apache-2.0
"""Message bodies: every framing, both directions, HTTP/1.0 and 1.1 on either side."""

from harness.case import Case
from harness.message import chunked
from harness.raw import request
from origins import scripts
from origins.origin import digest

SIZES = (0, 1, 4095, 4096, 4097, 65536, 1_000_003)


def pattern(size):
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


class Responses(Case):
    def check(self, framing, client_version, origin_version="1.1", chunk_size=None):
        origin = self.origin()
        weir = self.weir(origin)
        for size in SIZES:
            path = f"/{size}"
            origin.on(path, scripts.body(pattern(size), framing, chunk_size, origin_version))
            with self.subTest(size=size):
                client = self.client(weir)
                response = client.send(request(path, version=client_version)).response()
                self.assertTrue(response.complete, response)
                self.assertEqual(response.status, 200)
                self.assertEqual(digest(response.body), digest(pattern(size)))
                if client_version == "1.0":
                    self.assertNotEqual(response.framing, "chunked")
                    self.assertTrue(client.closed())

    def test_length(self):
        self.check("length", "1.1")

    def test_length_to_http10(self):
        self.check("length", "1.0")

    def test_length_from_http10(self):
        self.check("length", "1.1", "1.0")

    def test_chunked(self):
        self.check("chunked", "1.1", chunk_size=5000)

    def test_chunked_in_one_chunk(self):
        self.check("chunked", "1.1")

    def test_chunked_to_http10(self):
        self.check("chunked", "1.0", chunk_size=5000)

    def test_close(self):
        self.check("close", "1.1")

    def test_close_to_http10(self):
        self.check("close", "1.0")

    def test_close_from_http10(self):
        self.check("close", "1.1", "1.0")

    def test_tiny_chunks(self):
        body = pattern(20_000)
        _, weir = self.proxied(scripts.body(body, "chunked", 1))
        self.assertEqual(digest(self.client(weir).get().body), digest(body))

    def test_close_delimited_keeps_the_clients_connection(self):
        """The client speaks 1.1: the end can be a last chunk, so its connection lives on."""
        _, weir = self.proxied(scripts.body(b"until close", "close"))
        client = self.client(weir)
        for _ in range(3):
            response = client.get()
            self.assertEqual((response.framing, response.body), ("chunked", b"until close"))

    def test_chunk_extensions_from_the_origin(self):
        data = scripts.head(200, "Transfer-Encoding: chunked") + b"3;a=b;c\r\none\r\n0;last\r\n\r\n"
        _, weir = self.proxied(scripts.raw(data))
        self.assertEqual(self.client(weir).get().body, b"one")

    def test_trailers(self):
        trailers = (("X-Sum", "abc"), ("X-Other", "d"))
        _, weir = self.proxied(scripts.body(b"body", "chunked", 2, trailers=trailers))
        response = self.client(weir).get("/", "TE: trailers", "Connection: TE")
        self.assertEqual(response.body, b"body")
        self.assertEqual(response.trailers.get("x-sum"), "abc")
        self.assertEqual(response.trailers.get("x-other"), "d")

    def test_trailers_to_http10_vanish(self):
        _, weir = self.proxied(scripts.body(b"body", "chunked", 2, trailers=(("X-Sum", "abc"),)))
        response = self.client(weir).send(request(version="1.0")).response()
        self.assertEqual(response.body, b"body")
        self.assertNotIn("x-sum", response.fields)

    def test_head_of_a_response_cut_in_every_place(self):
        data = scripts.head(200, "Content-Length: 2", "X-A: b")
        origin = self.origin()
        weir = self.weir(origin)
        client = self.client(weir)
        for cut in range(1, len(data)):
            def script(x, cut=cut):
                x.send(data[:cut])
                x.wait(f"rest{cut}")
                x.send(data[cut:] + b"ok")
            origin.on(f"/{cut}", script)
            client.send(request(f"/{cut}"))
            origin.request(f"/{cut}")
            origin.open(f"rest{cut}")
            self.assertEqual(client.response().body, b"ok")


class WithoutBody(Case):
    def test_204(self):
        _, weir = self.proxied(scripts.raw(scripts.head(204)))
        client = self.client(weir)
        for _ in range(2):
            response = client.get()
            self.assertEqual((response.status, response.body), (204, b""))
            self.assertNotIn("transfer-encoding", response.fields)

    def test_304_with_content_length(self):
        _, weir = self.proxied(scripts.raw(scripts.head(304, "Content-Length: 999", 'ETag: "x"')))
        client = self.client(weir)
        for _ in range(2):
            response = client.get()
            self.assertEqual(response.status, 304)
            self.assertEqual(response.fields.get("etag"), '"x"')

    def test_head_with_content_length(self):
        origin, weir = self.proxied(scripts.text("some text"))
        client = self.client(weir)
        for _ in range(2):
            response = client.get(method="HEAD")
            self.assertEqual((response.status, response.fields.get("content-length")), (200, "9"))
        self.assertEqual(len(origin.connections), 1)

    def test_head_of_a_chunked_response(self):
        _, weir = self.proxied(scripts.raw(scripts.head(200, "Transfer-Encoding: chunked")))
        client = self.client(weir)
        for _ in range(2):
            self.assertEqual(client.get(method="HEAD").status, 200)

    def test_head_without_any_length(self):
        _, weir = self.proxied(scripts.raw(scripts.head(200)))
        client = self.client(weir)
        for _ in range(2):
            self.assertEqual(client.get(method="HEAD").status, 200)

    def test_length_zero(self):
        _, weir = self.proxied(scripts.raw(scripts.head(200, "Content-Length: 0")))
        client = self.client(weir)
        for _ in range(2):
            self.assertEqual(client.get().body, b"")


class Requests(Case):
    def check(self, make, framings):
        origin = self.origin(script=scripts.echo("chunked", 8192))
        weir = self.weir(origin)
        for size in SIZES:
            with self.subTest(size=size):
                body = pattern(size)
                client = self.client(weir)
                response = client.send(make(f"/{size}", body)).response("POST")
                self.assertEqual(digest(response.body), digest(body))
                seen = origin.request(f"/{size}")
                self.assertEqual(digest(seen.body), digest(body))
                self.assertIn(seen.framing, framings)

    def test_length(self):
        self.check(lambda path, body: request(path, method="POST", body=body), ["length"])

    def test_length_from_http10(self):
        self.check(lambda path, body: request(path, method="POST", body=body, version="1.0"),
                   ["length"])

    def test_chunked(self):
        def make(path, body):
            return (request(path, "Transfer-Encoding: chunked", method="POST")
                    + chunked(body, 3000))
        self.check(make, ["chunked", "length"])  # a proxy that has all of it may do either

    def test_chunked_in_tiny_chunks_with_extensions(self):
        body = b"".join(b"1;x=%d\r\n%c\r\n" % (n, 97 + n % 26) for n in range(500)) + b"0\r\n\r\n"
        origin, weir = self.proxied(scripts.report)
        client = self.client(weir)
        client.send(request("/", "Transfer-Encoding: chunked", method="POST") + body)
        self.assertEqual(client.response().status, 200)
        self.assertEqual(origin.request("/").body, bytes(97 + n % 26 for n in range(500)))

    def test_chunk_extensions_are_bounded_in_total(self):
        """No limit on bodies counts them, so they could be sent for ever."""
        origin, weir = self.proxied()
        client = self.client(weir)
        client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
        client.try_send((b"1;" + b"x" * 500 + b"\r\na\r\n") * 1000)
        self.claim_refused(client.response("POST"), 400, "bad_chunk")
        self.assertFalse(origin.request("/").complete)

    def test_trailers(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        client.send(request("/", "Transfer-Encoding: chunked", "Trailer: X-Sum", method="POST")
                    + chunked(b"abcdef", 4, [("X-Sum", "123")]))
        self.assertEqual(client.response().status, 200)
        seen = origin.request("/")
        self.assertEqual((seen.body, seen.trailers.get("x-sum")), (b"abcdef", "123"))

    def test_get_with_a_body(self):
        origin, weir = self.proxied()
        self.client(weir).send(request("/", body=b"unusual")).response()
        self.assertEqual(origin.request("/").body, b"unusual")

    def test_post_without_a_body(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        self.assertEqual(client.send(request("/", method="POST", body=b"")).response().status, 200)
        self.assertEqual(origin.request("/").fields.get("content-length"), "0")

    def test_byte_by_byte(self):
        origin, weir = self.proxied()
        data = request("/x", "Transfer-Encoding: chunked", method="POST") + chunked(b"abcd", 2)
        client = self.client(weir)
        for at in range(len(data)):
            client.send(data[at:at + 1])
        self.assertEqual(client.response().status, 200)
        self.assertEqual(origin.request("/x").body, b"abcd")

    def test_bodies_meet_in_both_directions(self):
        """The origin answers while it reads: neither side may wait for the other."""
        def script(x):
            x.send(scripts.head(200, "Transfer-Encoding: chunked"))
            for data in x.connection.stream.pieces(int(x.request.fields.get("content-length"))):
                x.send(b"%x\r\n" % len(data) + data + b"\r\n")
            x.request.complete = True
            x.send(b"0\r\n\r\n")
        _, weir = self.proxied(script)
        client = self.client(weir)
        client.send(request("/", "Content-Length: 40000", method="POST"))
        head = client.head()
        self.assertEqual(head.status, 200)
        for _ in range(400):
            client.send(b"y" * 100)
            got = 0
            while got < 100:
                size = int(client.stream.until(b"\r\n"), 16)
                client.stream.exactly(size + 2)
                got += size
        self.assertEqual(client.stream.exactly(5), b"0\r\n\r\n")
