# SPDX-License-Identifier: Apache-2.0
"""The application of applications.py with aiohttp's server. Prints its port."""

import asyncio
import hashlib
import pathlib
import socket

from aiohttp import web

LINE = b"0123456789abcde\n"
routes = web.RouteTableDef()


async def streamed(request, pieces):
    response = web.StreamResponse()
    await response.prepare(request)
    async for data in pieces:
        await response.write(data)
    await response.write_eof()
    return response


@routes.get("/size/{size}")
async def by_size(request):
    size = int(request.match_info["size"])
    return web.Response(body=(LINE * (size // 16 + 1))[:size])


@routes.get("/pieces/{count}")
async def by_pieces(request):
    async def pieces():
        for _ in range(int(request.match_info["count"])):
            yield LINE * 64
    return await streamed(request, pieces())


@routes.post("/echo")
async def echo(request):
    return await streamed(request, request.content.iter_any())


@routes.post("/digest")
async def digest(request):
    sha, size = hashlib.sha256(), 0
    async for data in request.content.iter_any():
        sha.update(data)
        size += len(data)
    return web.Response(text=f"{size} {sha.hexdigest()}")


@routes.route("*", "/seen")
async def seen(request):
    headers = {name.lower(): value for name, value in request.headers.items()}
    return web.json_response({"method": request.method, "path": request.path,
                              "query": request.rel_url.raw_query_string, "headers": headers})


@routes.get("/status/{status}")
async def status(request):
    return web.Response(status=int(request.match_info["status"]))


@routes.get("/cookies")
async def cookies(_):
    response = web.Response(body=b"two\n")
    response.headers.add("Set-Cookie", "a=1; Path=/")
    response.headers.add("Set-Cookie", "b=2")
    return response


@routes.post("/unread")
async def unread(_):
    return web.Response(status=413, body=b"too much\n")


@routes.get("/gated")
async def gated(request):
    async def pieces():
        yield b"first\n"
        await asyncio.to_thread(pathlib.Path(request.query["gate"]).read_bytes)
        yield b"last\n"
    return await streamed(request, pieces())


@routes.get("/endless")
async def endless(request):
    async def pieces():
        while True:
            yield LINE * 4096
    try:
        return await streamed(request, pieces())
    finally:
        pathlib.Path(request.query["gate"]).touch()


@routes.get("/{path:.*}")
async def missing(_):
    return web.Response(status=404, body=b"nothing\n")


async def main():
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application)
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, sock).start()
    print("port", sock.getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
