# SPDX-License-Identifier: Apache-2.0
"""The interpreter of the conformance tables.

A row is (section, requirement, bytes in, what must be seen …). In a table of requests the bytes are
what a client sends; in a table of responses they are what the server answers. Each row is played
twice, its bytes sent whole and one by one. Whatever the row says, everything that Weir wrote to
either side is read by the letter (harness.strict), a connection that Weir keeps must carry another
request, and another client must be served."""

import collections
import re

from harness.case import Case
from harness.message import Broken, Malformed
from harness.raw import Client
from harness import strict
from origins import scripts

# What is longer is sent whole only; as are answers behind which there is more, since what comes
# when the next request has been sent cannot be told from its answer.
PIECES_MAX = 1000

Row = collections.namedtuple("Row", "section requirement steps sees")


class Seen:
    """What one row caused: `responses` at the client, complete requests `forwarded` to the server,
    whether the connection `ended`, and whether the server's connection was `reused` afterwards."""

    def __init__(self):
        self.responses = []
        self.forwarded = []
        self.partial = []
        self.ended = False
        self.broken = ""
        self.reused = False

    @property
    def response(self):
        assert self.responses, f"no response, connection ended: {self.ended} {self.broken}"
        return self.responses[-1]

    @property
    def request(self):
        assert len(self.forwarded) == 1, f"not one request forwarded: {self.forwarded}"
        return self.forwarded[0]


def claim(condition, text, *details):
    if not condition:
        raise AssertionError(f"{text}: {details}")


# --- options: how a row is played ----------------------------------------------------------------

class Option:
    """Changes how a row is played: `count` responses are expected to requests of `methods`, by a
    client of `version`; the server plays `script`; in a table of responses the client sends
    `request`; `then` the server keeps ("keep") or ends ("fin") its connection."""

    def __init__(self, **settings):
        self.settings = settings


def answered(data, then="keep"):
    """In a table of requests: the server's answer."""
    return Option(script=scripts.raw(data, then))


def played(script):
    return Option(script=script)


def asked(method="GET", *lines, target="/", version="1.1", host="weir.test", body=b""):
    """In a table of responses: the client's request."""
    fields = "".join(f"{line}\r\n" for line in ((f"Host: {host}", *lines) if host else lines))
    data = f"{method} {target} HTTP/{version}\r\n{fields}\r\n".encode() + body
    return Option(request=data, methods=[method], version=version)


def then(how):
    return Option(then=how)


def pipelined(*methods):
    """The bytes are several requests of these methods."""
    return Option(methods=list(methods))


# --- checks: what must be seen -------------------------------------------------------------------

def refused(status, *causes):
    """Weir answers itself, closes, and nothing complete reaches the server."""
    def check(seen):
        response = seen.response
        claim(response.status == status, f"status is not {status}", response)
        cause = response.fields.get("weir-cause")
        claim(cause in causes, f"cause is not {causes}", cause)
        claim(seen.ended and "close" in (response.fields.get("connection") or ""), "not closed")
        claim(not seen.forwarded, "reached the server", seen.forwarded)
    check.forwarded = 0
    return check


def answers(status, cause=None):
    """Weir answers itself without asking the server, and may keep the connection."""
    def check(seen):
        claim(seen.response.status == status, f"status is not {status}", seen.response)
        claim(seen.response.fields.get("weir-cause") == cause, "cause", seen.response.fields)
        claim(not seen.forwarded, "reached the server", seen.forwarded)
    return check


def bad_gateway(cause="upstream_bad_response"):
    """The server's answer is replaced by 502, and its connection never used again."""
    def check(seen):
        response = seen.response
        claim(response.status == 502, "status is not 502", response)
        claim(response.fields.get("weir-cause") == cause, f"cause is not {cause}", response.fields)
        claim(not seen.reused, "the server's connection was used again")
    return check


def _fields(fields, present, absent, what):
    for name, values in present.items():
        values = [values] if isinstance(values, str) else values
        claim(fields.all(name) == values, f"{what} {name} is not {values}", fields.all(name))
    for name in absent:
        claim(name not in fields, f"{what} {name} is there", fields.all(name))


def forwarded(fields=None, without=(), trailers=None, **attributes):
    """One request reached the server: with these fields (name: value or values), attributes
    (method, target, body, framing) and trailers."""
    def check(seen):
        request = seen.request
        for name, value in attributes.items():
            claim(getattr(request, name) == value, f"{name} is not {value}",
                  getattr(request, name))
        _fields(request.fields, fields or {}, without, "request field")
        if trailers is not None:
            claim(request.trailers == trailers, f"trailers are not {trailers}", request.trailers)
    return check


def contains(text):
    """The head of the forwarded request has these bytes."""
    return lambda seen: claim(text in seen.request.raw, f"no {text} in", seen.request.raw)


def lacks(text):
    return lambda seen: claim(text not in seen.request.raw, f"{text} is in", seen.request.raw)


def matches(name, pattern):
    """A field of the forwarded request, whole value."""
    def check(seen):
        value = ", ".join(seen.request.fields.all(name))
        claim(re.fullmatch(pattern, value), f"{name} is not {pattern}", value)
    return check


def got(status=200, fields=None, without=(), trailers=None, interim=None, **attributes):
    """The client's (last) response, likewise; `interim` are the statuses before it."""
    def check(seen):
        response = seen.response
        claim(response.status == status, f"status is not {status}", response)
        for name, value in attributes.items():
            claim(getattr(response, name) == value, f"{name} is not {value}",
                  getattr(response, name))
        _fields(response.fields, fields or {}, without, "response field")
        if trailers is not None:
            claim(response.trailers == trailers, f"trailers are not {trailers}", response.trailers)
        if interim is not None:
            seen_interim = [one.status for one in response.interim]
            claim(seen_interim == interim, f"interim are not {interim}", seen_interim)
    return check


def got_all(*statuses):
    """The statuses of all responses."""
    def check(seen):
        found = [one.status for one in seen.responses]
        claim(found == list(statuses), f"statuses are not {statuses}", found)
    return check


def targets(*wanted):
    """The targets of all complete requests at the server, in order."""
    def check(seen):
        found = [one.target for one in seen.forwarded]
        claim(found == list(wanted), f"targets are not {wanted}", found)
    return check


def closes(seen):
    claim(seen.ended, "the client's connection stays open")


def stays(seen):
    claim(not seen.ended, "the client's connection ends")


def server_kept(seen):
    claim(seen.reused, "the server's connection was not used again")


def server_dropped(seen):
    claim(not seen.reused, "the server's connection was used again")


def truncated(seen):
    """The client can see that the message is not whole."""
    claim(not seen.responses or not seen.response.complete, "looks whole", seen.responses)
    claim(seen.ended, "the client's connection stays open")


def either(*checks):
    """One of these."""
    def check(seen):
        texts = []
        for one in checks:
            try:
                return one(seen)
            except AssertionError as error:
                texts.append(str(error))
        raise AssertionError(" / ".join(texts))
    return check


# --- playing -------------------------------------------------------------------------------------

def play_rows(case, table, play):
    """Each row counts as a test. `play(row)` yields how it is going to be played, and plays it."""
    failures = []
    for row in table:
        row = Row(*row[:3], row[3:])
        how = ""
        try:
            for how in play(row):
                pass
        except (AssertionError, strict.Fault, Broken, Malformed, OSError) as error:
            failures.append(f"{row.section}: {row.requirement}\n"
                            f"    in, {how}: {repr(row.steps)[:300]}\n"
                            f"    {type(error).__name__}: {str(error)[:1500]}")
    case.count_rows(len(table), len(failures))
    if failures:
        case.fail("\n" + "\n".join(failures))


class Table(Case):
    """A class of tables: rows share one server and one Weir of one worker, so that a row would
    meet what the row before it left behind. `directions` of the rows: add_requests,
    add_responses."""

    settings = {}

    def setUp(self):
        super().setUp()
        self.server, self.front = self.proxied(workers=1, **self.settings)
        self.expected = collections.Counter()

    def play_all(self, table, direction):
        def play(row):
            yield "whole"
            self._play(row, direction)
            if len(row.steps) <= PIECES_MAX and server_dropped not in row.sees:
                yield "byte by byte"
                self._play(row, direction, 1)
        play_rows(self, table, play)

    def _play(self, row, direction, piece=None):
        settings = {"script": None, "methods": None, "version": "1.1", "then": "keep"}
        checks = []
        for one in row.sees:
            if isinstance(one, Option):
                settings.update(one.settings)
            else:
                checks.append(one)
        if direction == "responses":
            settings["script"] = scripts.raw(row.steps, settings["then"], piece)
            data = settings.get("request") or asked().settings["request"]
            piece = None
        else:
            data = row.steps
        if settings["methods"] is None:
            settings["methods"] = [data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1")]
        if b" HTTP/1.0\r\n" in data:
            settings["version"] = "1.0"
        seen = self._exchange(data, settings, piece or len(data))
        for check in checks:
            check(seen)

    def _exchange(self, data, settings, piece):
        before = {c.number: len(c.received) for c in self.server.connections}
        self.server.default = settings["script"] or scripts.text("served\n")
        seen = Seen()
        client = Client(self.front.port, timeout=8.0, record=True)
        try:
            for at in range(0, len(data), piece):
                if not client.try_send(data[at:at + piece]):
                    break
            self._read(client, settings, seen)
            received = self._received(before)
            self.server.default = scripts.text("probe\n")
            if not seen.ended:
                self._probe(client, settings)
            with Client(self.front.port, timeout=8.0) as other:
                response = other.get("/other-client")
                claim(response.status == 200 and response.body == b"probe\n",
                      "another client's request is disturbed", response, response.body)
        finally:
            client.close()
        self._take_requests(received, seen)
        return seen

    @staticmethod
    def _read(client, settings, seen):
        """Reads all responses, and the connection's end if it was announced."""
        closing = False
        for method in settings["methods"]:
            try:
                response = client.response(method)
            except Broken as broken:
                seen.ended, seen.broken = True, broken.how
                break
            options = (response.fields.get("connection") or "").lower()
            closing = "close" in options or not response.complete or response.status == 101
            if response.version == "HTTP/1.0" and "keep-alive" not in options:
                closing = True
            if closing:
                break
        data = bytes(client.stream.received)
        if closing:
            seen.ended = True
            if response.status != 101:
                claim(client.closed(), "announced the end, and sent more", client.stream.buffer)
                data = bytes(client.stream.received)
        seen.responses = strict.responses(data, settings["methods"], settings["version"])

    @staticmethod
    def _probe(client, settings):
        """The connection carries another request, and its answer is not something else."""
        response = client.get("/same-client", "Connection: close")
        claim(response.status == 200 and response.body == b"probe\n",
              "the next request on the connection is disturbed", response, response.body)
        claim(client.closed(), "bytes behind the last response")

    def _received(self, before):
        """{connection number: (old size, new bytes)} of what came to the server since."""
        new = {}
        for connection in list(self.server.connections):
            data, old = connection.received, before.get(connection.number, 0)
            if len(data) > old:
                new[connection.number] = (old, data[old:])
        return new

    def _take_requests(self, received, seen):
        after = {c.number: len(c.received) for c in self.server.connections}
        for number, (old, data) in received.items():
            for message in strict.requests(data):
                (seen.forwarded if message.complete else seen.partial).append(message)
            seen.reused = seen.reused or after[number] > old + len(data)
