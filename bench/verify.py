# SPDX-License-Identifier: Apache-2.0
"""Every proxy does the same work: what the origin sends arrives, what the client sends arrives, and
the same fields are added. A comparison with one that does less would be worth nothing."""

import http.client
import os
import socket
import ssl
import subprocess
import zlib

SIZES = (0, 1, 1024, 65536, 1048576, 5_000_000)
UPLOADS = (1, 16384, 3_000_000)
FIELD = ("X-Field-7", "a value, with  spaces; and=signs")
# What every proxy adds to a request, by the beginning of the line.
PROTO = b"x-forwarded-proto: http"
ADDED = (b"x-forwarded-for: 127.0.0.1", PROTO, b"via: ")
# And those that can be told to.
ADDED_MORE = (b"x-forwarded-host: bench.test", b"x-request-id: ")
OF_CLIENTS = ("host", "user-agent", "accept", "accept-encoding")
TIMEOUT_S = 20


class Mismatch(Exception):
    """A proxy did not do what the others do."""


def trusting():
    """Who is asked is known: nobody is verified."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def ask_h2(port, path, method, body):
    """As ask(), by curl, for HTTP/2."""
    command = ["curl", "-sk", "--http2", "-m", str(TIMEOUT_S), "-X", method, "-w",
               "\n%{http_code} %{http_version}", "-H", "Host: bench.test", "-H", ": ".join(FIELD),
               f"https://127.0.0.1:{port}{path}"]
    if body is not None:
        command[1:1] = ["--data-binary", "@-"]
    done = subprocess.run(command, input=body, capture_output=True, check=False)
    answer, _, end = done.stdout.rpartition(b"\n")
    claim(done.returncode == 0 and end.endswith(b" 2"),
          f"{method} {path}: curl {done.returncode}, {end}")
    return int(end.split()[0]), answer


def ask(port, path, method="GET", body=None, front="plain"):
    """(status, body) of one request; `front` is as in Scenario."""
    if front == "h2":
        return ask_h2(port, path, method, body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S) \
        if front == "plain" else http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S,
                                                             context=trusting())
    try:
        connection.request(method, path, body, {"Host": "bench.test", FIELD[0]: FIELD[1]})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Mismatch(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()


def seen(origin_port):
    """(requests, connections, TLS handshakes) that have reached the origin."""
    return tuple(map(int, ask(origin_port, "/seen")[1].split()))


def claim(condition, text):
    if not condition:
        raise Mismatch(text)


def bodies(port, origin_port, paths, front="plain"):
    for path in paths:
        status, body = ask(port, path, front=front)
        size = int(path.split("/")[2])
        expected = ask(origin_port, f"/hash/{size}")[1].decode().strip()
        claim(status == 200 and len(body) == size and f"{zlib.crc32(body):08x}" == expected,
              f"GET {path} did not arrive as it was sent (status {status}, {len(body)} bytes)")


def uploads(port, front):
    for size in UPLOADS:
        body = os.urandom(size)
        status, answer = ask(port, "/sink", "POST", body, front)
        claim((status, answer.decode().split()) == (200, [str(size), f"{zlib.crc32(body):08x}"]),
              f"POST of {size} bytes did not arrive as it was sent ({status}, {answer[:80]})")


def request_head(port, scenario, added):
    """What the origin gets of a request. Returns the names of the fields that were added."""
    _, head = ask(port, "/echo?a=b%20c", front=scenario.front)
    lines = head.split(b"\r\n")
    fields = {line.lower() for line in lines[1:] if line}
    version = b"2" if scenario.back in ("h2", "h2c") else b"1.1"
    claim(lines[0] == b"GET /echo?a=b%20c HTTP/" + version, f"the origin got {lines[0]}")
    if scenario.front != "plain":
        added = [PROTO + b"s" if line == PROTO else line for line in added]
    for wanted in (b"host: bench.test", ": ".join(FIELD).lower().encode(), *added):
        claim(any(line.startswith(wanted) for line in fields),
              f"the origin did not get {wanted.decode()}:\n{head.decode()}")
    names = {line.split(b":")[0].decode() for line in fields}
    return sorted(names - {*OF_CLIENTS, FIELD[0].lower()})


def one_request_each(port, origin_port, front):
    """Nothing is answered from a cache, nothing is asked twice."""
    before = seen(origin_port)[0]
    for _ in range(5):
        ask(port, "/bytes/1024", front=front)
    claim(seen(origin_port)[0] - before == 5, "5 requests were not 5 at the origin")


def resumes(port):
    """A ticket is taken."""
    context, session = trusting(), None
    context.set_alpn_protocols(["http/1.1"])
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as plain, \
                context.wrap_socket(plain, session=session) as connection:
            connection.sendall(b"GET /bytes/1 HTTP/1.1\r\nHost: bench.test\r\n"
                               b"Connection: close\r\n\r\n")
            while connection.recv(65536):
                pass
            resumed, session = connection.session_reused, connection.session
    claim(resumed, "a ticket was not taken")


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
        bodies(port, origin_port, [f"/bytes/{size}" for size in SIZES] + ["/chunked/100000/1024"],
               scenario.front)
        uploads(port, scenario.front)
        one_request_each(port, origin_port, scenario.front)
        claim((seen(origin_port)[2] > 0) == (scenario.back in ("tls", "h2")),
              f"{seen(origin_port)[2]} TLS handshakes with the origin")
        if scenario.handshake == "resumed":
            resumes(port)
        if added is not None:
            return request_head(port, scenario, added)
    return []
