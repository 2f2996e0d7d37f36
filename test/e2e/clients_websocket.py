# SPDX-License-Identifier: Apache-2.0
"""WebSocket by the `websockets` library on both sides: messages of all sizes, control frames, and
how connections end."""

import asyncio
import json
import os
import pathlib
import random
import signal
import sys

import websockets

from harness.case import Case, bound

SERVER = pathlib.Path(__file__).resolve().parent.parent / "origins" / "websocket_echo.py"


class WebSocketCase(Case):
    def setUp(self):
        super().setUp()
        self.server = self.process(sys.executable, SERVER)
        self.backend = self.server.line(r"port (\d+)")[1]

    def connect(self, weir, path="/chat", **options):
        return websockets.connect(f"ws://127.0.0.1:{weir.port}{path}", max_size=2**26,
                                  ping_interval=None, **options)

    def talk(self, conversation, within=20, **options):
        """Runs the conversation on one connection, to its end; returns Weir."""
        weir = self.weir(f"127.0.0.1:{self.backend}")

        async def session():
            async with self.connect(weir, **options) as socket:
                await asyncio.wait_for(conversation(socket), within)
        asyncio.run(session())
        return weir


class Messages(WebSocketCase):
    def test_text(self):
        async def conversation(socket):
            for text in ("one", "zwei", "三", ""):
                await socket.send(text)
                assert await socket.recv() == text
        weir = self.talk(conversation)
        entry = weir.logged_one("/chat")
        self.assertEqual((entry["status"], entry["cause"]), (101, ""))

    def test_binary_messages_of_1_mib(self):
        async def conversation(socket):
            for _ in range(10):
                data = os.urandom(1 << 20)
                await socket.send(data)
                assert await socket.recv() == data
        weir = self.talk(conversation)
        entry = weir.logged_one("/chat")
        self.assertGreater(entry["bytes_sent"], 10 << 20)

    def test_every_length_of_a_frame(self):
        """Around the bounds of the short, the 16 bit and the 64 bit length."""
        sizes = (0, 1, 125, 126, 127, 65535, 65536, 65537)

        async def conversation(socket):
            for size in sizes:
                data = os.urandom(size)
                await socket.send(data)
                assert await socket.recv() == data, size
        self.talk(conversation, compression=None)

    @bound(60)
    def test_fragmented_messages(self):
        """Of 1 byte, of 32 MiB in 2,000 pieces, and with a ping among the fragments."""
        dice = random.Random(9)
        fragments = [dice.randbytes(dice.choice((0, 1, 100, 1000, 65_536))) for _ in range(2000)]

        async def conversation(socket):
            await socket.send(list("letter by letter"))
            assert await socket.recv() == "letter by letter"
            await socket.send(fragments)
            assert await socket.recv() == b"".join(fragments)

            async def with_a_ping():
                yield "first,"
                await (await socket.ping(b"between"))
                yield "second"
            await socket.send(with_a_ping())
            assert await socket.recv() == "first,second"
            await socket.send("split 300")
            assert await socket.recv() == "".join(f"fragment {n};" for n in range(300))
        weir = self.talk(conversation, 50, compression=None)
        size = sum(map(len, fragments))
        entry = weir.logged_one("/chat")
        self.assertGreater(min(entry["bytes_sent"], entry["bytes_received"]), size)

    def test_many_small_messages(self):
        async def conversation(socket):
            for number in range(5000):
                await socket.send(str(number))
            for number in range(5000):
                assert await socket.recv() == str(number)
        self.talk(conversation)

    def test_pings_and_pongs_of_both_sides(self):
        async def conversation(socket):
            for size in (0, 1, 125):
                await (await socket.ping(os.urandom(size)))
            await socket.send("ping")
            assert await socket.recv() == "pong"
        self.talk(conversation)

    @bound(60)
    def test_200_at_once(self):
        weir = self.weir(f"127.0.0.1:{self.backend}")

        async def one(number):
            dice = random.Random(number)
            async with self.connect(weir, f"/{number}") as socket:
                for _ in range(5):
                    data = dice.randbytes(dice.choice((1, 300, 40_000)))
                    await socket.send(data)
                    assert await socket.recv() == data

        async def session():
            await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(200))), 50)
        asyncio.run(session())
        log = weir.logged(200)
        self.assertEqual(sorted((e["path"], e["status"], e["cause"]) for e in log),
                         sorted((f"/{number}", 101, "") for number in range(200)))


class Handshake(WebSocketCase):
    def test_what_the_server_is_told(self):
        async def conversation(socket):
            assert socket.subprotocol == "weir.v1"
            await socket.send("headers")
            path, fields = json.loads(await socket.recv())
            fields = {name.lower(): value for name, value in fields}
            assert path == "/chat?room=%20a&b", path
            expected = {"upgrade": "websocket", "connection": "upgrade", "origin": "http://weir.test",
                        "sec-websocket-version": "13", "sec-websocket-protocol": "other, weir.v1",
                        "authorization": "Basic YTpi", "x-forwarded-for": "127.0.0.1"}
            seen = {name: fields[name] for name in expected}
            seen["connection"] = seen["connection"].lower()
            assert seen == expected, seen
            assert len(fields["sec-websocket-key"]) == 24
        self.talk(conversation, path="/chat?room=%20a&b", origin="http://weir.test",
                  subprotocols=["other", "weir.v1"],
                  extra_headers={"Authorization": "Basic YTpi"})

    def test_refused(self):
        weir = self.weir(f"127.0.0.1:{self.backend}")

        async def session():
            async with self.connect(weir, "/refused"):
                raise AssertionError("connected")
        with self.assertRaises(websockets.InvalidStatusCode) as raised:
            asyncio.run(session())
        self.assertEqual(raised.exception.status_code, 403)
        entry = weir.logged_one("/refused")
        self.assertEqual((entry["status"], entry["cause"], entry["bytes_sent"]), (403, "", 9))

    def test_server_away(self):
        weir = self.weir(f"127.0.0.1:{self.backend}")
        self.server.signal(signal.SIGKILL)
        self.server.wait()

        async def session():
            async with self.connect(weir):
                raise AssertionError("connected")
        with self.assertRaises(websockets.InvalidStatusCode) as raised:
            asyncio.run(session())
        self.assertEqual(raised.exception.status_code, 502)
        self.assertEqual(weir.logged_one("/chat")["cause"], "upstream_refused")


class Ends(WebSocketCase):
    CODES = (1000, 1001, 1008, 1011, 3000, 4999)

    def test_codes_of_the_server(self):
        weir = self.weir(f"127.0.0.1:{self.backend}")

        async def session(code):
            async with self.connect(weir, f"/{code}") as socket:
                await socket.send(f"close {code}")
                await asyncio.wait_for(socket.wait_closed(), 15)
                return socket.close_code, socket.close_reason
        for code in self.CODES:
            self.assertEqual(asyncio.run(session(code)), (code, "as asked"))
            self.server.line(f"^closed {code}$")
            self.assertEqual(weir.logged_one(f"/{code}")["cause"], "")

    def test_codes_of_the_client(self):
        weir = self.weir(f"127.0.0.1:{self.backend}")

        async def session(code):
            async with self.connect(weir, f"/{code}") as socket:
                await socket.send("something")
                await socket.close(code, "enough")
        for code in self.CODES:
            asyncio.run(session(code))
            self.server.line(f"^closed {code}$")
            self.assertEqual(weir.logged_one(f"/{code}")["cause"], "")

    def test_too_large_a_message_for_the_client(self):
        weir = self.weir(f"127.0.0.1:{self.backend}")

        async def session():
            url = f"ws://127.0.0.1:{weir.port}/"
            async with websockets.connect(url, max_size=1000, compression=None) as socket:
                await socket.send("x" * 2000)
                await asyncio.wait_for(socket.wait_closed(), 15)
        asyncio.run(session())
        self.server.line("^closed 1009$")

    def test_server_that_dies(self):
        async def conversation(socket):
            await socket.send("here")
            assert await socket.recv() == "here"
            self.server.signal(signal.SIGKILL)
            await socket.wait_closed()
            assert socket.close_code == 1006, socket.close_code
        self.talk(conversation).logged_one("/chat")

    def test_client_that_vanishes(self):
        async def conversation(socket):
            await socket.send("here")
            assert await socket.recv() == "here"
            socket.transport.abort()
        weir = self.talk(conversation)
        self.server.line("^closed 1006$")
        weir.logged_one("/chat")
