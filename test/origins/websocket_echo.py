# SPDX-License-Identifier: Apache-2.0
"""A WebSocket server by the `websockets` library: echoes messages; the text "close N" closes with
code N. Prints its port."""

import asyncio

import websockets


async def echo(socket):
    async for message in socket:
        if isinstance(message, str) and message.startswith("close "):
            await socket.close(int(message.split()[1]), "as asked")
            return
        await socket.send(message)


async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=2**24, ping_interval=None) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
