# SPDX-License-Identifier: Apache-2.0
"""Builders of the bytes in the tables' rows."""


def raw(text):
    return text.encode("latin-1") if isinstance(text, str) else text


def get(*lines, target="/", version="HTTP/1.1", host="weir.test", method="GET", body=b"",
        line=None):
    """A request. `line` replaces the whole request line, `host` None leaves Host out."""
    first = raw(f"{method} {target} {version}" if line is None else line)
    head = [first]
    if host is not None:
        head.append(b"Host: " + raw(host))
    head.extend(raw(one) for one in lines)
    return b"\r\n".join(head) + b"\r\n\r\n" + raw(body)


def post(*lines, body=b"", **settings):
    return get(*lines, method=settings.pop("method", "POST"), body=body, **settings)


def sized(body=b"hello", *lines, **settings):
    """A POST with Content-Length."""
    return post(f"Content-Length: {len(body)}", *lines, body=body, **settings)


CHUNKED = "Transfer-Encoding: chunked"
END = b"0\r\n\r\n"


def chunks(body=b"5\r\nhello\r\n" + END, *lines, **settings):
    """A POST with that chunked body."""
    return post(CHUNKED, *lines, body=body, **settings)


def reply(*lines, status=200, reason="OK", version="HTTP/1.1", body=b"", line=None):
    """A response, framed by nothing but what `lines` say."""
    first = raw(line) if line is not None else raw(f"{version} {status} {reason}")
    return b"\r\n".join([first, *(raw(one) for one in lines)]) + b"\r\n\r\n" + raw(body)


def ok(*lines, body=b"hello", **settings):
    """A response with Content-Length."""
    return reply(f"Content-Length: {len(body)}", *lines, body=body, **settings)


SECRET = b"GET /smuggled HTTP/1.1\r\nHost: weir.test\r\n\r\n"
