# SPDX-License-Identifier: Apache-2.0
"""The application of applications.py as WSGI, for gunicorn; run by itself it serves with wsgiref,
which answers by HTTP/1.0 and does not read what the application left unread."""

import hashlib
import json
import pathlib
import socketserver
import urllib.parse
import wsgiref.simple_server

LINE = b"0123456789abcde\n"


def pieces_of(stream, environ):
    """The request's body: to its end where the server ends it, else by its length."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    if environ.get("wsgi.input_terminated"):
        left = 1 << 62
    while left and (data := stream.read(min(left, 65536))):
        left -= len(data)
        yield data


def gated(gate):
    yield b"first\n"
    with open(gate, "rb") as fifo:
        fifo.read()
    yield b"last\n"


def endless(gate):
    try:
        while True:
            yield LINE * 4096
    finally:
        pathlib.Path(gate).touch()


def seen(environ):
    headers = {name[5:].replace("_", "-").lower(): value
               for name, value in environ.items() if name.startswith("HTTP_")}
    return json.dumps({"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"],
                       "query": environ["QUERY_STRING"], "headers": headers}).encode()


def digest(pieces):
    sha, size = hashlib.sha256(), 0
    for data in pieces:
        sha.update(data)
        size += len(data)
    return f"{size} {sha.hexdigest()}".encode()


def application(environ, start_response):
    def answer(status, body, *fields):
        start_response(status, [("Content-Type", "text/plain"), *fields])
        return body

    def text(status, data, *fields):
        shown = [] if environ["REQUEST_METHOD"] == "HEAD" else [data]  # gunicorn sends what it gets
        return answer(status, shown, ("Content-Length", str(len(data))), *fields)

    _, name, *rest = environ["PATH_INFO"].split("/")
    query = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))
    body = pieces_of(environ["wsgi.input"], environ)
    match name:
        case "size":
            return text("200 OK", (LINE * (int(rest[0]) // 16 + 1))[:int(rest[0])])
        case "pieces":
            return answer("200 OK", (LINE * 64 for _ in range(int(rest[0]))))
        case "echo":
            return answer("200 OK", body)
        case "digest":
            return text("200 OK", digest(body))
        case "seen":
            return text("200 OK", seen(environ))
        case "status":
            start_response(f"{rest[0]} Reason", [])
            return []
        case "cookies":
            return text("200 OK", b"two\n", ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"))
        case "unread":
            return text("413 Too Much", b"too much\n")
        case "gated":
            return answer("200 OK", gated(query["gate"]))
        case "endless":
            return answer("200 OK", endless(query["gate"]))
    return text("404 Not Found", b"nothing\n")


class Threads(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    with wsgiref.simple_server.make_server("127.0.0.1", 0, application, Threads) as server:
        print("port", server.server_port, flush=True)
        server.serve_forever()
