# SPDX-License-Identifier: Apache-2.0
"""Behaviours for the scripted origin: each function returns a script, a function of an Exchange."""

import json

from harness.message import Broken, chunk, chunked


def head(status=200, *lines, reason="Some Reason", version="1.1"):
    """The bytes of a response head."""
    first = f"HTTP/{version} {status} {reason}"
    return "\r\n".join((first, *lines)).encode("latin-1") + b"\r\n\r\n"


def text(body, status=200, *lines):
    """Answers by length, after the whole request was read."""
    data = body.encode() if isinstance(body, str) else body

    def script(x):
        x.body()
        shown = b"" if x.request.method == "HEAD" else data
        x.send(head(status, f"Content-Length: {len(data)}", *lines) + shown)
        if not x.keep:
            x.close()
    return script


def report(x):
    """Answers with what the request looked like, as JSON."""
    body = x.body()
    request = x.request
    seen = {"method": request.method, "target": request.target, "fields": request.fields,
            "framing": request.framing, "length": len(body), "trailers": request.trailers}
    text(json.dumps(seen))(x)


def echo(framing="length", size=None, version="1.1", trailers=()):
    """Answers with the request's body, framed by "length", "chunked" or "close"."""
    def script(x):
        send_body(x, x.body(), framing, size, version, trailers)
    return script


def body(data, framing="length", size=None, version="1.1", trailers=(), lines=()):
    """Answers with `data`, framed likewise."""
    def script(x):
        x.body()
        send_body(x, data, framing, size, version, trailers, lines)
    return script


def send_body(x, data, framing, size, version, trailers, lines=()):
    if framing == "length":
        x.send(head(200, f"Content-Length: {len(data)}", *lines, version=version) + data)
    elif framing == "chunked":
        extra = [f"Trailer: {', '.join(name for name, _ in trailers)}"] if trailers else []
        x.send(head(200, "Transfer-Encoding: chunked", *extra, *lines))
        x.send(chunked(data, size, trailers))
    else:
        x.send(head(200, *lines, version=version) + data)
        x.close()
    if version == "1.0":
        x.close()


def raw(data, then="keep", piece=None):
    """Reads the request, sends exactly `data`, whole or in pieces of that size, then keeps the
    connection, or ends it by "fin" or "rst"."""
    def script(x):
        x.body()
        for at in range(0, len(data), piece or len(data) or 1):
            x.send(data[at:at + (piece or len(data))])
        end(x, then)
    return script


def end(x, then):
    if then == "fin":
        x.close()
    elif then == "rst":
        x.reset()


def die(then, before=b"", gate=None):
    """Sends `before`, waits for the gate if there is one, and ends the connection. The gate lets
    the test see `before` arrive first: a reset may overtake bytes that were not read yet."""
    def script(x):
        x.body()
        if before:
            x.send(before)
        if gate:
            x.wait(gate)
        end(x, then)
    return script


def early(status=413, *lines, close=True):
    """Answers without reading the body. Then closes, once the peer is gone, or reads on."""
    def script(x):
        x.send(head(status, "Content-Length: 5", *(("Connection: close",) if close else ()), *lines)
               + b"early")
        if close:
            x.peer_gone()
            x.close()
    return script


def interim(*heads, then=None):
    """Sends interim heads, then the final response."""
    def script(x):
        for data in heads:
            x.send(data)
        (then or text("final\n"))(x)
    return script


def hold(gate, then=None):
    """Tells the test "arrived:GATE", waits for the gate, then answers."""
    def script(x):
        x.body()
        x.reached("arrived:" + gate)
        x.wait(gate)
        (then or text("late\n"))(x)
    return script


def halves(first, second, gate):
    """A chunked response: `first`, then `second` once the gate is open."""
    def script(x):
        x.body()
        x.send(head(200, "Transfer-Encoding: chunked") + chunk(first))
        x.wait(gate)
        x.send(chunk(second) + b"0\r\n\r\n")
    return script


def until_gone(x):
    """Reads the request, tells the test, answers nothing and waits for the peer to go away."""
    x.body()
    x.reached("arrived")
    x.peer_gone()
    x.reached("gone")
    x.close()


def endless(x):
    """A chunked body that never ends."""
    x.body()
    x.send(head(200, "Transfer-Encoding: chunked"))
    data = chunk(b"x" * 65536)
    try:
        while True:
            x.send(data)
    except OSError:
        x.reached("gone")
        raise


def upgrade(protocol, echoed=True):
    """Accepts an Upgrade, then echoes bytes until the peer's end. A tunnel that is cut is reset:
    raw bytes have no other sign that they are not all."""
    def script(x):
        x.send(head(101, "Connection: Upgrade", f"Upgrade: {protocol}"))
        stream = x.connection.stream
        while True:
            data = stream.take(len(stream.buffer))
            if data and echoed:
                x.send(data)
            try:
                if not stream.fill():
                    break
            except Broken:
                break
        x.reached("tunnel closed")
        x.close()
    return script
