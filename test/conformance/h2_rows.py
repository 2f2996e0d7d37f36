# SPDX-License-Identifier: Apache-2.0
"""The interpreter of the tables for HTTP/2.

A row is (section, requirement, what is sent, what must be seen …). What is sent follows preface and
SETTINGS, and is bytes, a function of the client that returns bytes or nothing, or a list of both.
Each row is played twice, its bytes sent whole and one by one. Whatever the row says, all that Weir
writes is read by the letter (harness.h2_reader, harness.strict), a connection that Weir keeps must
carry another request, and another client must be served."""

from harness import h2, strict
from harness.case import Case
from harness.h2_client import Client as H2Client
from harness.raw import Client
from harness.waiting import eventually
from origins import scripts

from .rows import play_rows

PIECES_MAX = 1000  # what is longer is sent whole only
PROBE = "/same-connection"
OTHER = "/other-client"
PROBE_STREAM = (1 << 31) - 1


class Option:
    """Changes how a row is played: `settings` are the client's, `method` that of its requests, the
    server plays `script`; without a `handshake` the row sends even the preface."""

    def __init__(self, **options):
        self.options = options


def played(script):
    return Option(script=script)


def answered(data, then="keep"):
    """The server's answer."""
    return Option(script=scripts.raw(data, then))


def sets(*pairs):
    """The client's first SETTINGS."""
    return Option(settings=pairs)


def method(name):
    return Option(method=name)


BARE = Option(handshake=False)
# nghttp2 of Debian 12 counts each read of a part of a CONTINUATION frame's head as one such frame,
# and takes 8 of them.
COARSE = Option(piece=9)
HUNGRY = Option(feed=False)  # the client gives no window back, and asks nothing more


class Seen:
    """What one row caused: the client with all that came to it, and the requests that came to the
    server."""

    def __init__(self, client):
        self.client = client
        self.forwarded = []
        self.partial = []
        self.probed = False  # the connection has carried another request
        self.may_end = False  # a check has seen that it had to end, or might

    def stream(self, number):
        found = self.client.streams.get(number)
        claim(found, f"no stream {number}", self.client.said())
        return found

    def said(self):
        return f"{self.client.end}, {self.client.said()}"


def claim(condition, text, *details):
    if not condition:
        raise AssertionError(f"{text}: {' '.join(map(str, details))}")


# --- checks: what must be seen. `ready` says when it can be looked at -----------------------------

def check(ready):
    def apply(function):
        function.ready = ready
        return function
    return apply


def over(stream=1):
    """That stream or the connection has ended."""
    def ready(client):
        found = client.streams.get(stream)
        return client.end or found and found.ended
    return ready


def ended(client):
    return client.end


def connection_error(*codes, silent=False):
    """GOAWAY with one of these codes, and the end of the connection. `silent`: or only its end."""
    @check(ended)
    def seen_error(seen):
        claim(seen.client.end, "the connection goes on", seen.said())
        seen.may_end = True
        goaway = seen.client.goaway
        if silent and goaway is None:
            return
        claim(goaway, "no GOAWAY", seen.said())
        claim(goaway[1] in codes, f"GOAWAY is not {[h2.code_name(c) for c in codes]}", seen.said())
    return seen_error


def stream_error(*codes, stream=1):
    """RST_STREAM with one of these codes, and no more than that."""
    @check(over(stream))
    def seen_error(seen):
        found = seen.stream(stream)
        claim(found.reset in codes, f"not reset by {[h2.code_name(c) for c in codes]}", seen.said())
        claim(not seen.client.goaway, "GOAWAY", seen.said())
    return seen_error


def error(*codes, stream=1):
    """A stream error; RFC 9113 section 5.4.1: or a connection error in its place."""
    return either(stream_error(*codes, stream=stream), connection_error(*codes))


def malformed(stream=1):
    """RFC 9113 section 8.1.1: a stream error, or first a refusal; the server gets nothing whole."""
    @check(over(stream))
    def seen_malformed(seen):
        found = seen.stream(stream)
        refused = found.complete and found.status in (400, 421, 431, 501)
        claim(refused or found.reset == h2.PROTOCOL_ERROR, "neither refused nor reset", seen.said())
        claim(not seen.client.goaway, "GOAWAY", seen.said())
        claim(not seen.forwarded, "reached the server", seen.forwarded)
    return seen_malformed


def malformed_late(body):
    """Malformed by what comes behind the length that was said: a server may have got that much, and
    even have answered before it came."""
    @check(over(1))
    def seen_malformed(seen):
        found = seen.stream(1)
        refused = found.reset == h2.PROTOCOL_ERROR or found.complete and found.status == 400
        claim(refused or found.reset == h2.NO_ERROR and found.status == 200,
              "neither refused nor reset", seen.said())
        claim(not seen.client.goaway, "GOAWAY", seen.said())
        claim(all(request.body == body for request in seen.forwarded), "more reached the server",
              seen.forwarded)
    return seen_malformed


def refused(status, *causes, stream=1):
    """Weir answers itself; the server gets nothing whole."""
    @check(over(stream))
    def seen_refusal(seen):
        found = seen.stream(stream)
        claim(found.complete and found.status == status, f"not {status}", seen.said())
        claim(not causes or found.cause in causes, f"cause is not {causes}", found.cause)
        claim(not seen.forwarded, "reached the server", seen.forwarded)
    return seen_refusal


def bad_gateway(stream=1):
    return refused_anyway(502, stream)


def refused_anyway(status, stream=1):
    """That status, whatever the server has got."""
    @check(over(stream))
    def seen_refusal(seen):
        found = seen.stream(stream)
        claim(found.complete and found.status == status, f"not {status}", seen.said())
    return seen_refusal


def cut(stream=1):
    """The client can see that the response is not whole."""
    @check(over(stream))
    def seen_cut(seen):
        found = seen.stream(stream)
        claim(found.reset is not None and not found.complete, "looks whole", seen.said())
        claim(found.reset != h2.NO_ERROR, "reset without an error", seen.said())
        claim(not seen.client.goaway, "GOAWAY", seen.said())
    return seen_cut


def _fields(fields, present, absent, what):
    for name, values in present.items():
        values = [values] if isinstance(values, str) else values
        claim(fields.all(name) == values, f"{what} {name} is not {values}", fields.all(name))
    for name in absent:
        claim(name not in fields, f"{what} {name} is there", fields.all(name))


def got(status=200, fields=None, without=(), body=None, trailers=None, interim=None, stream=1):
    """A whole response on that stream."""
    @check(over(stream))
    def seen_response(seen):
        found = seen.stream(stream)
        claim(found.complete and found.status == status, f"not a whole {status}", seen.said())
        _fields(found.fields, fields or {}, without, "response field")
        claim(body is None or found.body == body, f"body is not {body}", bytes(found.body))
        claim(trailers is None or (found.trailers or []) == trailers,
              f"trailers are not {trailers}", found.trailers)
        statuses = [one.status for one in found.interim]
        claim(interim is None or statuses == interim, f"interim are not {interim}", statuses)
    return seen_response


@check(lambda client: True)
def goes_on(seen):
    """Nothing happens to the connection."""
    claim(seen.probed and not seen.client.goaway, "the connection is disturbed", seen.said())


@check(lambda client: True)
def may_end(seen):
    """The connection may end without an error."""
    goaway = seen.client.goaway
    claim(goaway is None or goaway[1] == h2.NO_ERROR, "GOAWAY", seen.said())
    seen.may_end = True


def forwarded(fields=None, without=(), trailers=None, on=1, **attributes):
    """One request reached the server: with these fields (name: value or values), attributes
    (method, target, body, framing) and trailers. `on`: its stream."""
    @check(over(on))
    def seen_request(seen):
        claim(len(seen.forwarded) == 1, "not one request forwarded", seen.forwarded, seen.said())
        request = seen.forwarded[0]
        for name, value in attributes.items():
            claim(getattr(request, name) == value, f"{name} is not {value}",
                  getattr(request, name))
        _fields(request.fields, fields or {}, without, "request field")
        claim(trailers is None or request.trailers == trailers, f"trailers are not {trailers}",
              request.trailers)
    return seen_request


def count(number):
    """So many whole requests reached the server; it is known when as many streams are over."""
    @check(lambda client: sum(bool(one.ended) for one in client.streams.values()) >= number)
    def seen_count(seen):
        claim(len(seen.forwarded) == number, f"not {number} forwarded", seen.forwarded)
    return seen_count


def either(*checks):
    """One of these."""
    @check(lambda client: any(one.ready(client) for one in checks))
    def seen_either(seen):
        texts = []
        for one in checks:
            try:
                return one(seen)
            except AssertionError as error:
                texts.append(str(error))
        raise AssertionError(" / ".join(texts))
    return seen_either


# --- steps ---------------------------------------------------------------------------------------

def settled(client):
    """All that was sent before was looked at."""
    client.settle()


def finished(stream=1):
    """Waits for the end of that stream."""
    def step(client):
        client.until(lambda: over(stream)(client), f"the end of stream {stream}")
    return step


def account(client, data, name):
    """Streams that HEADERS in these bytes open, and what DATA in them use of the windows."""
    at = data.find(h2.PREFACE) + len(h2.PREFACE) if h2.PREFACE in data else 0
    while len(data) - at >= 9:
        size, kind = int.from_bytes(data[at:at + 3], "big"), data[at + 3]
        number = int.from_bytes(data[at + 5:at + 9], "big") & (1 << 31) - 1
        if kind == h2.HEADERS and number % 2 and number not in client.streams:
            client.expect(number, name)
        if kind == h2.DATA:
            client.credit -= size
            if number in client.streams:
                client.streams[number].credit -= size
        at += 9 + size


def quiet(connection):
    """Nothing of an earlier row is still on its way to the server."""
    return connection.end or not connection.stream.buffer and all(
        request.complete for request in connection.requests)


def other_port(front):
    return front.port


# --- playing -------------------------------------------------------------------------------------

class H2Table(Case):
    """A class of tables: rows share one server and one Weir of one worker, so that a row would meet
    what the row before it left behind."""

    settings = {}

    def setUp(self):
        super().setUp()
        self.server = self.origin()
        self.front = self.before(self.server)

    def before(self, server):
        return self.weir(server, workers=1, **self.settings)

    def play_all(self, table):
        def play(row):
            yield "whole"
            if self._play(row, pieces=False):
                yield "byte by byte"
                self._play(row, pieces=True)
        play_rows(self, table, play)

    def _play(self, row, pieces):
        """Returns whether it should be played in pieces, too."""
        options = {"script": None, "settings": (), "method": "GET", "handshake": True,
                   "feed": True, "piece": 1}
        checks = []
        for one in row.sees:
            if isinstance(one, Option):
                options.update(one.options)
            else:
                checks.append(one)
        eventually(self._idle, "all of the row before has arrived")
        before = {c.number: len(c.received) for c in self.server.connections}
        self.server.default = options["script"] or scripts.text("served\n")
        client = H2Client(self.front.port, timeout=8.0, feed=options["feed"])
        seen = Seen(client)
        try:
            if options["handshake"]:
                client.start(*options["settings"])
            longest = self._send(client, row.steps, options["method"],
                                 options["piece"] if pieces else None)
            self._await(client, checks)
            self.server.default = scripts.text("probe\n")
            self._probe(seen)
        finally:
            client.close()
        self._take_requests(before, seen)
        for one in checks:
            one(seen)
        claim(seen.probed or seen.may_end, "the connection ends", seen.said())
        return 0 < longest <= PIECES_MAX

    def _idle(self):
        """Weir has no request under way, and the server has seen the end of all that it closed."""
        connections = list(self.server.connections)
        upstream, = self.front.status()["upstreams"]
        kept = sum(connection.end is None for connection in connections)
        return (all(map(quiet, connections)) and upstream["active"] == 0 and
                upstream["connects"] <= len(connections) and upstream["idle"] == kept)

    @staticmethod
    def _send(client, steps, name, piece):
        """The size of the longest bytes in it."""
        longest = 0
        for step in steps if isinstance(steps, (list, tuple)) else [steps]:
            data = step if isinstance(step, bytes) else step(client)
            data = data or b""
            account(client, data, name)
            longest = max(longest, len(data))
            for at in range(0, len(data), piece or len(data) or 1):
                if not client.try_send(data[at:at + (piece or len(data))]):
                    break
        return longest

    @staticmethod
    def _await(client, checks):
        while not client.end and not all(one.ready(client) for one in checks):
            client.read()
        if client.goaway and client.goaway[1] != h2.NO_ERROR:
            client.to_end()

    def _probe(self, seen):
        """The connection carries another request, and another client is served."""
        client = seen.client
        if not client.feed:
            seen.may_end = True  # it is of no use any more
        elif not client.end and client.settle() and not client.goaway:
            stream = client.get(PROBE_STREAM, path=PROBE)
            claim((stream.status, bytes(stream.body), stream.complete) == (200, b"probe\n", True),
                  "the next request is disturbed", seen.said())
            seen.probed = True
        with Client(other_port(self.front), timeout=8.0) as other:
            response = other.get(OTHER)
            claim(response.status == 200 and response.body == b"probe\n",
                  "another client's request is disturbed", response, response.body)

    def _take_requests(self, before, seen):
        for connection in list(self.server.connections):
            data = connection.received[before.get(connection.number, 0):]
            for message in strict.requests(data):
                if getattr(message, "target", None) not in (PROBE, OTHER):
                    (seen.forwarded if message.complete else seen.partial).append(message)
