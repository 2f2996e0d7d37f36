# SPDX-License-Identifier: Apache-2.0
"""Every proxy does the same work: what the origin sends arrives, what the client sends arrives, and
the same fields are added. A comparison with one that does less would be worth nothing."""

import http.client
import os
import socket
import zlib

SIZES = (0, 1, 1024, 65536, 1048576, 5_000_000)
UPLOADS = (1, 16384, 3_000_000)
FIELD = ("X-Field-7", "a value, with  spaces; and=signs")
# What every proxy adds to a request, by the beginning of the line.
ADDED = (b"x-forwarded-for: 127.0.0.1", b"x-forwarded-proto: http", b"via: ")
# And those that can be told to.
ADDED_MORE = (b"x-forwarded-host: bench.test", b"x-request-id: ")
TIMEOUT_S = 20


class Mismatch(Exception):
    """A proxy did not do what the others do."""


def ask(port, path, method="GET", body=None):
    """(status, body) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, {"Host": "bench.test", FIELD[0]: FIELD[1]})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Mismatch(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()


def seen(origin_port):
    """(requests, connections) that have reached the origin."""
    return tuple(map(int, ask(origin_port, "/seen")[1].split()))


def claim(condition, text):
    if not condition:
        raise Mismatch(text)


def bodies(port, origin_port, paths):
    for path in paths:
        status, body = ask(port, path)
        size = int(path.split("/")[2])
        expected = ask(origin_port, f"/hash/{size}")[1].decode().strip()
        claim(status == 200 and len(body) == size and f"{zlib.crc32(body):08x}" == expected,
              f"GET {path} did not arrive as it was sent (status {status}, {len(body)} bytes)")


def uploads(port):
    for size in UPLOADS:
        body = os.urandom(size)
        status, answer = ask(port, "/sink", "POST", body)
        claim((status, answer.decode().split()) == (200, [str(size), f"{zlib.crc32(body):08x}"]),
              f"POST of {size} bytes did not arrive as it was sent ({status}, {answer[:80]})")


def request_head(port, added):
    """What the origin gets of a request. Returns the names of the fields that were added."""
    _, head = ask(port, "/echo?a=b%20c")
    lines = head.split(b"\r\n")
    fields = {line.lower() for line in lines[1:] if line}
    claim(lines[0] == b"GET /echo?a=b%20c HTTP/1.1", f"the origin got {lines[0]}")
    for wanted in (b"host: bench.test", ": ".join(FIELD).lower().encode(), *added):
        claim(any(line.startswith(wanted) for line in fields),
              f"the origin did not get {wanted.decode()}:\n{head.decode()}")
    names = {line.split(b":")[0].decode() for line in fields}
    return sorted(names - {"host", "accept-encoding", FIELD[0].lower()})


def one_request_each(port, origin_port):
    """Nothing is answered from a cache, nothing is asked twice."""
    before = seen(origin_port)[0]
    for _ in range(5):
        ask(port, "/bytes/1024")
    claim(seen(origin_port)[0] - before == 5, "5 requests were not 5 at the origin")


def exchange(port, sent):
    """Sends bytes, receives all until the end."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(sent)
        while piece := connection.recv(1 << 20):
            got += piece
    return got


def response_size(origin_port, path, size):
    """Bytes of the whole response, when the connection is kept."""
    with socket.create_connection(("127.0.0.1", origin_port), TIMEOUT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += connection.recv(65536)
        return got.index(b"\r\n\r\n") + 4 + size


def same_bytes(port, origin_port):
    """In TCP mode nothing at all changes."""
    for size in (1024, 1048576):
        sent = f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        claim(exchange(port, sent) == exchange(origin_port, sent),
              f"{size} bytes did not pass unchanged")


def websocket_echo(port):
    payload, mask = os.urandom(100), os.urandom(4)
    frame = bytes([0x82, 0x80 | 100]) + mask + bytes(
        byte ^ mask[i % 4] for i, byte in enumerate(payload))
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(b"GET /websocket HTTP/1.1\r\nHost: bench.test\r\nUpgrade: websocket\r\n"
                           b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        stream = connection.makefile("rb")
        head = []
        while (line := stream.readline().strip()):
            head.append(line.lower())
        claim(head and b" 101 " in head[0], f"no 101 but {head}")
        connection.sendall(frame)
        claim(stream.read(102) == bytes([0x82, 100]) + payload, "the echo is another message")


def proxy(port, origin_port, scenario, added=ADDED + ADDED_MORE):
    """Raises Mismatch if the proxy at `port` does not do all of the scenario's work, which is
    to add the fields `added` (None: it is a floor). Returns the names of those that it does add,
    where that was looked at."""
    if scenario.mode == "tcp":
        same_bytes(port, origin_port)
    elif scenario.mode == "websocket":
        websocket_echo(port)
    elif scenario.routes:
        bodies(port, origin_port, [scenario.path.format(n=n)
                                   for n in (0, scenario.routes // 2, scenario.routes - 1)])
    else:
        bodies(port, origin_port, [f"/bytes/{size}" for size in SIZES] + ["/chunked/100000/1024"])
        uploads(port)
        one_request_each(port, origin_port)
        if added is not None:
            return request_head(port, added)
    return []
