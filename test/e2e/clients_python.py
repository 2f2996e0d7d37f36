# SPDX-License-Identifier: Apache-2.0
"""Requests by Python's http.client, httpx and aiohttp, whole and streamed both ways."""

import asyncio
import http.client
import random

import aiohttp
import httpx

from harness.case import Case, bound
from origins import scripts
from origins.origin import digest

BODY = bytes(range(256)) * 1031
LARGE = random.Random(6).randbytes(3_000_017)


def parts(size=50_021):
    return (LARGE[at:at + size] for at in range(0, len(LARGE), size))


class HttpClient(Case):
    def connect(self, weir):
        connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=20)
        self._stack.callback(connection.close)
        return connection

    def test_session_of_methods(self):
        origin, weir = self.proxied(scripts.echo("chunked", 1000), workers=1)
        connection = self.connect(weir)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            body = BODY if method in ("POST", "PUT", "PATCH") else None
            connection.request(method, "/" + method, body)
            response = connection.getresponse()
            self.assertEqual((response.status, digest(response.read())), (200, digest(body or b"")))
        connection.request("HEAD", "/HEAD")
        self.assertEqual(connection.getresponse().read(), b"")
        self.assertEqual([r.method for r in origin.seen()],
                         ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
        self.assertEqual(len(origin.connections), 1)

    def test_chunked_upload_from_a_generator(self):
        origin, weir = self.proxied(scripts.echo())
        connection = self.connect(weir)
        connection.request("POST", "/up", parts(), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(digest(connection.getresponse().read()), digest(LARGE))
        self.assertEqual(digest(origin.request("/up").body), digest(LARGE))

    def test_slow_reader_in_small_pieces(self):
        _, weir = self.proxied(scripts.body(BODY, "chunked", 333))
        connection = self.connect(weir)
        connection.request("GET", "/")
        response = connection.getresponse()
        got = bytearray()
        while data := response.read(501):
            got += data
        self.assertEqual(digest(got), digest(BODY))

    def test_cut_download_raises(self):
        """Whatever the framing, http.client tells its user that the body is not whole."""
        for start in (scripts.head(200, "Content-Length: 5000") + b"part",
                      scripts.head(200, "Transfer-Encoding: chunked") + b"4\r\npart\r\n"):
            _, weir = self.proxied(scripts.die("fin", start))
            connection = self.connect(weir)
            connection.request("GET", "/")
            with self.assertRaises(http.client.IncompleteRead) as raised:
                connection.getresponse().read()
            self.assertEqual(raised.exception.partial, b"part")
            weir.end()

    def test_own_tunnel_is_refused(self):
        """Weir is no forward proxy."""
        origin, weir = self.proxied()
        connection = self.connect(weir)
        connection.set_tunnel("weir.test", 443)
        with self.assertRaisesRegex(OSError, "Tunnel connection failed"):
            connection.request("GET", "/")
        self.assertEqual(origin.seen(), [])


class Httpx(Case):
    def test_session_of_methods(self):
        origin, weir = self.proxied(scripts.report)
        with httpx.Client(base_url=weir.url(""), timeout=20, trust_env=False) as client:
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                content = BODY if method in ("POST", "PUT", "PATCH") else None
                seen = client.request(method, f"/{method}?q=1", content=content).json()
                self.assertEqual(seen["method"], method)
                self.assertEqual(seen["length"], len(content or b""))
            self.assertEqual(client.head("/HEAD").status_code, 200)
        self.assertEqual(len(origin.seen()), 7)

    def test_streamed_upload_and_download(self):
        origin, weir = self.proxied(scripts.echo("chunked", 4096))
        with httpx.Client(timeout=20, trust_env=False) as client:
            with client.stream("POST", weir.url("/up"), content=parts()) as response:
                got = b"".join(response.iter_raw())
        self.assertEqual(digest(got), digest(LARGE))
        self.assertEqual(digest(origin.request("/up").body), digest(LARGE))

    def test_redirects_of_the_origin_pass(self):
        origin, weir = self.proxied()
        origin.on("/old", scripts.text("", 302, "Location: /new"))
        with httpx.Client(timeout=20, trust_env=False, follow_redirects=True) as client:
            self.assertEqual(client.get(weir.url("/old")).text, "hello from origin\n")
        origin.request("/new")

    def test_first_piece_comes_before_the_last_is_made(self):
        for first in (b"f", b"first" * 2000):
            origin, weir = self.proxied(scripts.halves(first, b"last", "more"))
            with httpx.Client(timeout=20, trust_env=False) as client:
                with client.stream("GET", weir.url()) as response:
                    pieces = response.iter_raw()
                    got = b""
                    while len(got) < len(first):
                        got += next(pieces)
                    self.assertEqual(got, first)
                    origin.open("more")
                    self.assertEqual(b"".join(pieces), b"last")
            weir.end()


class AsyncHttpx(Case):
    def run_with(self, conversation, **options):
        async def session():
            async with httpx.AsyncClient(timeout=20, trust_env=False, **options) as client:
                await asyncio.wait_for(conversation(client), 25)
        asyncio.run(session())

    @bound(60)
    def test_200_at_once(self):
        origin, weir = self.proxied(scripts.echo("chunked", 700))

        async def one(client, number):
            data = LARGE[number:number * 301]
            response = await client.post(weir.url(f"/{number}"), content=data)
            assert (response.status_code, response.content) == (200, data), number

        async def conversation(client):
            await asyncio.gather(*(one(client, number) for number in range(200)))
        self.run_with(conversation, limits=httpx.Limits(max_connections=50))
        self.assertEqual(sorted(int(r.path[1:]) for r in origin.seen()), list(range(200)))

    def test_streams_at_once(self):
        origin, weir = self.proxied(scripts.echo("chunked", 50_000))

        async def content():
            for data in parts():
                yield data

        async def one(client, number):
            async with client.stream("PUT", weir.url(f"/{number}"), content=content()) as response:
                got = b"".join([data async for data in response.aiter_raw()])
            assert digest(got) == digest(LARGE), number

        async def conversation(client):
            await asyncio.gather(*(one(client, number) for number in range(10)))
        self.run_with(conversation)
        self.assertEqual({digest(request.body) for request in origin.seen()}, {digest(LARGE)})

    def test_abandoned_stream_reaches_the_origin(self):
        origin, weir = self.proxied(scripts.endless)

        async def conversation(client):
            async with client.stream("GET", weir.url("/long")) as response:
                async for _ in response.aiter_raw():
                    break
        self.run_with(conversation)
        origin.await_gate("gone")
        self.assertEqual(weir.logged_one("/long")["cause"], "client_closed")

    def test_cancelled_while_the_origin_thinks(self):
        origin, weir = self.proxied(scripts.until_gone)

        async def conversation(client):
            task = asyncio.create_task(client.get(weir.url("/slow")))
            await asyncio.to_thread(origin.await_gate, "arrived")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.run_with(conversation)
        origin.await_gate("gone")
        self.assertEqual(weir.logged_one("/slow")["cause"], "client_closed")


class Aiohttp(Case):
    """aiohttp as the client."""

    def run_with(self, conversation):
        async def session():
            async with aiohttp.ClientSession() as client:
                await asyncio.wait_for(conversation(client), 25)
        asyncio.run(session())

    @bound(60)
    def test_100_at_once_that_wait_for_100(self):
        origin, weir = self.proxied(scripts.echo("chunked", 999))

        async def content(number):
            for data in (LARGE[:number], b"", LARGE[number:40_000]):
                yield data

        async def one(client, number):
            async with client.post(weir.url(f"/{number}"), data=content(number),
                                   expect100=True) as response:
                assert digest(await response.read()) == digest(LARGE[:40_000]), number

        async def conversation(client):
            await asyncio.gather(*(one(client, number) for number in range(100)))
        self.run_with(conversation)
        self.assertEqual({(r.framing, r.fields.get("expect")) for r in origin.seen()},
                         {("chunked", "100-continue")})
        self.assertEqual({e["cause"] for e in weir.logged(100)}, {""})

    def test_chunks_as_they_come(self):
        origin, weir = self.proxied(scripts.halves(b"first", b"last", "more"))

        async def conversation(client):
            async with client.get(weir.url()) as response:
                assert await response.content.readany() == b"first"
                origin.open("more")
                assert await response.content.read() == b"last"
        self.run_with(conversation)

    def test_cut_answer_raises(self):
        for start in (scripts.head(200, "Content-Length: 5000") + b"part",
                      scripts.head(200, "Transfer-Encoding: chunked") + b"4\r\npart\r\n"):
            _, weir = self.proxied(scripts.die("fin", start))

            async def conversation(client, weir=weir):
                async with client.get(weir.url()) as response:
                    with self.assertRaises(aiohttp.ClientPayloadError):
                        await response.read()
            self.run_with(conversation)
            weir.end()
