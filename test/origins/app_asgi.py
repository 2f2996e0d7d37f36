# SPDX-License-Identifier: Apache-2.0
"""The application of applications.py as ASGI, for uvicorn."""

import asyncio
import hashlib
import json
import pathlib
import urllib.parse

LINE = b"0123456789abcde\n"


async def pieces_of(receive):
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client left")
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def digest(receive):
    sha, size = hashlib.sha256(), 0
    async for data in pieces_of(receive):
        sha.update(data)
        size += len(data)
    return f"{size} {sha.hexdigest()}".encode()


def seen(scope):
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    return json.dumps({"method": scope["method"], "path": scope["path"],
                       "query": scope["query_string"].decode(), "headers": headers}).encode()


class Answer:
    def __init__(self, send):
        self._send = send

    async def head(self, status, *fields):
        headers = [(name.encode(), value.encode()) for name, value in fields]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, data=b"", more=True):
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def text(self, status, data, *fields):
        await self.head(status, ("Content-Length", str(len(data))), *fields)
        await self.piece(data, more=False)


async def gated(answer, gate):
    await answer.head(200)
    await answer.piece(b"first\n")
    await asyncio.to_thread(pathlib.Path(gate).read_bytes)
    await answer.piece(b"last\n", more=False)


async def endless(answer, receive, gate):
    """uvicorn drops what is sent to a client that left, and says so only to who receives."""
    async def leaves():
        while (await receive())["type"] != "http.disconnect":
            pass
    left = asyncio.create_task(leaves())
    await answer.head(200)
    while not left.done():
        await answer.piece(LINE * 4096)
        await asyncio.sleep(0)  # tidy: allow sleep because it gives the turn, and takes no time
    pathlib.Path(gate).touch()


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    answer = Answer(send)
    _, name, *rest = scope["path"].split("/")
    query = dict(urllib.parse.parse_qsl(scope["query_string"].decode()))
    match name:
        case "size":
            size = int(rest[0])
            await answer.text(200, (LINE * (size // 16 + 1))[:size])
        case "pieces":
            await answer.head(200)
            for _ in range(int(rest[0])):
                await answer.piece(LINE * 64)
            await answer.piece(more=False)
        case "echo":
            await answer.head(200)
            async for data in pieces_of(receive):
                await answer.piece(data)
            await answer.piece(more=False)
        case "digest":
            await answer.text(200, await digest(receive))
        case "seen":
            await answer.text(200, seen(scope))
        case "status":
            await answer.head(int(rest[0]))
            await answer.piece(more=False)
        case "cookies":
            await answer.text(200, b"two\n", ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"))
        case "unread":
            await answer.text(413, b"too much\n")
        case "gated":
            await gated(answer, query["gate"])
        case "endless":
            await endless(answer, receive, query["gate"])
        case _:
            await answer.text(404, b"nothing\n")
