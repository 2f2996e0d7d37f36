# SPDX-License-Identifier: Apache-2.0
"""A WebSocket server by the `websockets` library. It echoes messages, and obeys these:

    close N     closes with code N
    split N     answers with N fragments of one message
    ping        pings, and answers "pong" when the pong has come
    headers     answers with the handshake's request as JSON

/refused is answered 403. With the files of a certificate and its key it speaks TLS. Prints its
port, and the code of each connection that ends."""

import asyncio
import http
import json
import ssl
import sys

import websockets


async def echo(socket):
    try:
        async for message in socket:
            word, _, rest = message.partition(" ") if isinstance(message, str) else ("", "", "")
            if word == "close":
                await socket.close(int(rest), "as asked")
            elif word == "split":
                await socket.send([f"fragment {number};" for number in range(int(rest))])
            elif word == "ping":
                await (await socket.ping(b"are you there"))
                await socket.send("pong")
            elif word == "headers":
                fields = list(socket.request_headers.raw_items())
                await socket.send(json.dumps([socket.path, fields]))
            else:
                await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    print("closed", socket.close_code, flush=True)


async def refuse(path, _):
    return (http.HTTPStatus.FORBIDDEN, [], b"not here\n") if path == "/refused" else None


def tls():
    if not sys.argv[1:]:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    return context


async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=2**26, ping_interval=None,
                                subprotocols=["weir.v2", "weir.v1"], process_request=refuse,
                                max_queue=None, ssl=tls()) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
