# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by Python's httpx and by the h2 library, both of which share no code with nghttp2."""

import asyncio
import socket

import h2.config
import h2.connection
import h2.events
import httpx

from harness.case import Case, bound
from origins import scripts
from origins.origin import digest

BODY = bytes(range(256)) * 2000


class Httpx(Case):
    def client(self, weir, **options):
        client = httpx.Client(http1=False, http2=True, base_url=weir.url(),
                              timeout=20, trust_env=False, **options)
        self._stack.callback(client.close)
        return client

    def test_get(self):
        _, weir = self.proxied(scripts.body(BODY))
        response = self.client(weir).get("/")
        self.assertEqual((response.http_version, response.status_code), ("HTTP/2", 200))
        self.assertEqual(digest(response.content), digest(BODY))

    def test_post_and_head(self):
        origin, weir = self.proxied(scripts.echo("chunked", 1000))
        client = self.client(weir)
        self.assertEqual(digest(client.post("/p", content=BODY).content), digest(BODY))
        origin.on("/h", scripts.text("hidden"))
        response = client.head("/h")
        self.assertEqual((response.headers["content-length"], response.content), ("6", b""))

    def test_streamed_upload(self):
        origin, weir = self.proxied(scripts.echo())
        response = self.client(weir).put("/up", content=iter([BODY] * 5))
        self.assertEqual(digest(response.content), digest(BODY * 5))
        self.assertEqual(origin.request("/up").framing, "chunked")

    def test_connection_is_kept(self):
        origin, weir = self.proxied(workers=1)
        client = self.client(weir)
        for number in range(100):
            self.assertEqual(client.get(f"/{number}").text, "hello from origin\n")
        self.assertEqual(weir.status()["total"]["connections_active"], 1)

    def test_cut_body(self):
        for start in (scripts.head(200, "Content-Length: 5000") + b"part",
                      scripts.head(200, "Transfer-Encoding: chunked") + b"4\r\npart\r\n"):
            _, weir = self.proxied(scripts.die("fin", start))
            with self.assertRaises(httpx.RemoteProtocolError):
                self.client(weir).get("/")
            weir.end()

    @bound(60)
    def test_100_at_once(self):
        origin, weir = self.proxied(scripts.echo("chunked", 999))

        async def session():
            async with httpx.AsyncClient(http1=False, http2=True, timeout=20,
                                         trust_env=False) as client:
                async def one(number):
                    body = b"%d " % number * number * 100
                    response = await client.post(weir.url(f"/{number}"), content=body)
                    return response.content == body
                return await asyncio.gather(*[one(number) for number in range(100)])
        self.assertEqual(asyncio.run(session()), [True] * 100)
        self.assertEqual(len(origin.seen()), 100)


class Hyper(Case):
    """The h2 library as it is, which is strict about what servers send."""

    def talk(self, weir, requests, bodies=None):
        """{stream: (fields, body, trailers, error code)} of requests sent together."""
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        with socket.create_connection(("127.0.0.1", weir.port), 20) as sock:
            connection.initiate_connection()
            results = {}
            for number, fields in enumerate(requests):
                stream = 2 * number + 1
                body = bodies[number] if bodies else None
                connection.send_headers(stream, fields, end_stream=body is None)
                if body is not None:
                    connection.send_data(stream, body, end_stream=True)
                results[stream] = [None, b"", None, None]
            sock.sendall(connection.data_to_send())
            left = len(results)
            while left:
                data = sock.recv(65536)
                assert data, "the connection ended"
                for event in connection.receive_data(data):
                    left -= self.take(connection, event, results)
                sock.sendall(connection.data_to_send())
        return results

    @staticmethod
    def take(connection, event, results):
        """The number of streams that end with it."""
        if isinstance(event, h2.events.ResponseReceived):
            results[event.stream_id][0] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            results[event.stream_id][1] += event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            results[event.stream_id][2] = dict(event.headers)
        elif isinstance(event, h2.events.StreamReset):
            results[event.stream_id][3] = event.error_code
            return 1
        elif isinstance(event, h2.events.StreamEnded):
            return 1
        return 0

    def fields(self, path, method="GET", *more):
        return [(":method", method), (":path", path), (":scheme", "http"),
                (":authority", "weir.test"), *more]

    def test_requests_of_all_kinds(self):
        origin, weir = self.proxied(scripts.echo("chunked", 100, trailers=[("X-Sum", "1")]))
        origin.on("/cut", scripts.die("fin", scripts.head(200, "Content-Length: 9") + b"part"))
        origin.on("/none", scripts.raw(scripts.head(204)))
        origin.on("/hints", scripts.interim(scripts.head(103, "Link: </a>")))
        paths = ["/a", "/cut", "/none", "/hints"]
        got = self.talk(weir, [self.fields(path, "POST") for path in paths],
                        [b"body" * 1000, b"", b"", b""])
        self.assertEqual((got[1][0][":status"], got[1][1], got[1][2]),
                         ("200", b"body" * 1000, {"x-sum": "1"}))
        self.assertIsNotNone(got[3][3])
        self.assertEqual((got[5][0][":status"], got[5][1]), ("204", b""))
        self.assertEqual((got[7][0][":status"], got[7][1]), ("200", b"final\n"))

    def test_100_requests_in_one_write(self):
        origin, weir = self.proxied()
        got = self.talk(weir, [self.fields(f"/{number}") for number in range(100)])
        self.assertEqual({body for _, body, _, _ in got.values()}, {b"hello from origin\n"})
        self.assertEqual(len(origin.seen()), 100)
