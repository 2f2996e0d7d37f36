# SPDX-License-Identifier: Apache-2.0
"""Interim responses, Expect, and upgrades."""

from origins import scripts

from .messages import CHUNKED, END, chunks, get, ok, post, reply, sized
from .rows import (Table, answered, asked, bad_gateway, closes, either, forwarded, got, played,
                   refused, server_dropped, server_kept, stays)

CONTINUE = reply(status=100, reason="Continue")
HINTS = reply("Link: </a>", status=103, reason="Early Hints")

INTERIM = [
    ("9110 15.2", "103 is forwarded, with its fields", HINTS + ok(),
     got(body=b"hello", interim=[103]), server_kept,
     lambda seen: same(seen.response.interim[0].fields.get("link"), "</a>")),
    ("9110 15.2", "several are, in order", HINTS + reply(status=102) + HINTS + ok(),
     got(interim=[103, 102, 103], body=b"hello"), server_kept),
    ("9110 15.2", "an unknown one is", reply(status=199) + ok(), got(interim=[199])),
    ("9110 15.2.1", "100 that nobody asked for is forwarded or dropped", CONTINUE + ok(),
     either(got(interim=[100], body=b"hello"), got(interim=[], body=b"hello")), server_kept),
    ("9110 15.2", "not to a client of 1.0", HINTS + CONTINUE + ok(), asked(version="1.0"),
     got(interim=[], body=b"hello")),
    ("9110 8.6", "an interim response with Content-Length is no message to trust",
     reply("Content-Length: 5", status=103) + ok(), either(bad_gateway(), server_dropped)),
    ("9112 6.1", "nor is one with chunked", reply(CHUNKED, status=103) + ok(),
     either(bad_gateway(), server_dropped)),
    ("9112 6.3", "what stands in the body of one is not the answer",
     reply("Content-Length: 41", status=103) + ok(body=b"wrong") + ok(), bad_gateway()),
    ("9110 7.6.1", "Connection of an interim response stays here",
     reply("Connection: X-A", "X-A: 1", "Keep-Alive: 5", status=103) + ok(),
     got(interim=[103]), lambda seen: same(list(seen.response.interim[0].fields), [])),
    ("9110 15.2", "interim before HEAD's answer", HINTS + reply("Content-Length: 5"),
     asked("HEAD"), got(interim=[103], body=b"")),
    ("9110 15.2", "interim before 204", HINTS + reply(status=204), got(204, interim=[103])),
    ("9110 15.2", "a malformed interim response is 502", reply("X A: b", status=103) + ok(),
     bad_gateway()),
    ("9110 15.2", "one of 1.0 is refused or dropped",
     reply(status=103, version="HTTP/1.0") + ok(), either(bad_gateway(), got(interim=[]),
                                                          got(interim=[103]))),
    ("9110 15.2.2", "101 that nobody asked for is 502",
     reply("Connection: Upgrade", "Upgrade: chat", status=101), bad_gateway()),
]

EXPECT = [
    ("9110 10.1.1", "Expect passes with a body", sized(b"hello", "Expect: 100-continue"),
     forwarded({"expect": "100-continue"}, body=b"hello"), got(interim=[100]), stays),
    ("9110 10.1.1", "its value has no case", sized(b"hello", "Expect: 100-Continue"),
     forwarded(body=b"hello"), got(interim=[100])),
    ("9110 10.1.1", "with a chunked body",
     chunks(b"5\r\nhello\r\n" + END, "Expect: 100-continue"),
     forwarded({"expect": "100-continue"}, body=b"hello"), stays),
    ("9110 10.1.1", "without a body it is dropped", get("Expect: 100-continue"),
     forwarded(without=["expect"]), got(interim=[]), stays),
    ("9110 10.1.1", "with a body of 0 bytes, too", sized(b"", "Expect: 100-continue"),
     forwarded(without=["expect"]), stays),
    ("9110 10.1.1", "another expectation is 417", sized(b"hello", "Expect: teapot"),
     refused(417, "expectation_failed")),
    ("9110 10.1.1", "100-continue and another is 417",
     sized(b"hello", "Expect: 100-continue, teapot"), refused(417, "expectation_failed")),
    ("9110 10.1.1", "another in a second field is 417",
     sized(b"hello", "Expect: 100-continue", "Expect: teapot"),
     refused(417, "expectation_failed")),
    ("9110 10.1.1", "a word before it is 417", sized(b"hello", "Expect: y 100-continue"),
     refused(417, "expectation_failed")),
    ("9110 10.1.1", "a parameter is 417", sized(b"hello", "Expect: 100-continue;q=1"),
     refused(417, "expectation_failed")),
    ("9110 10.1.1", "an empty one is 417 or ignored", sized(b"hello", "Expect:"),
     either(refused(417, "expectation_failed"), forwarded(without=["expect"]))),
    ("9110 10.1.1", "without a body another is 417, too", get("Expect: teapot"),
     refused(417, "expectation_failed")),
    ("9110 10.1.1", "a final answer without 100 ends the connection: the body may come or not",
     post("Expect: 100-continue", "Content-Length: 5"), played(scripts.early(403)), got(403),
     closes),
    ("9110 7.6.1", "Connection: Expect does not hide it",
     sized(b"hello", "Expect: 100-continue", "Connection: Expect"), forwarded(body=b"hello")),
]


def same(found, wanted):
    assert found == wanted, (found, wanted)


def upgrade(*lines, protocol="chat", **settings):
    return get("Connection: Upgrade", f"Upgrade: {protocol}", *lines, **settings)


def switched(*lines, status=101, **settings):
    return reply(*lines, status=status, **settings)


AGREED = switched("Connection: Upgrade", "Upgrade: chat")

UPGRADE = [
    ("9110 7.8", "an upgrade that both name passes", upgrade(), answered(AGREED),
     lambda seen: same(seen.response.status, 101),
     lambda seen: same(seen.partial[0].fields.get("upgrade") if seen.partial else
                       seen.forwarded[0].fields.get("upgrade"), "chat")),
    ("9110 7.8", "a server may go on without it", upgrade(), answered(ok()),
     got(body=b"hello"), forwarded({"upgrade": "chat", "connection": "Upgrade"}), stays,
     server_kept),
    ("9110 7.8", "a server that refuses stays in HTTP", upgrade(), answered(ok(status=400)),
     got(400, body=b"hello"), stays, server_kept),
    ("9110 15.5.22", "426 keeps the connection in HTTP", upgrade(), answered(ok(status=426)),
     got(426), stays),
    ("9110 7.8", "h2c is not offered to the server", upgrade("HTTP2-Settings: AAMAAABk",
                                                           protocol="h2c"),
     answered(ok()), forwarded(without=["upgrade", "http2-settings"])),
    ("9110 7.8", "in any case", upgrade(protocol="H2C"), answered(ok()),
     forwarded(without=["upgrade"])),
    ("9110 7.8", "nor among others", upgrade(protocol="chat, h2c"), answered(ok()),
     forwarded(without=["upgrade"])),
    ("9110 7.8", "nor in a second field", upgrade("Upgrade: h2c"), answered(ok()),
     forwarded(without=["upgrade"])),
    ("9110 7.8", "nor with a version", upgrade(protocol="h2c/1"), answered(ok()),
     forwarded(without=["upgrade"])),
    ("9110 7.8", "nor HTTP itself", upgrade(protocol="HTTP/2.0"), answered(ok()),
     forwarded(without=["upgrade"])),
    ("9110 7.8", "a 101 without Upgrade is 502", upgrade(), answered(switched()), bad_gateway()),
    ("9110 7.8", "a 101 without its option is 502", upgrade(), answered(switched("Upgrade: chat")),
     bad_gateway()),
    ("9110 7.8", "a 101 to what was not offered is 502", upgrade(),
     answered(switched("Connection: Upgrade", "Upgrade: other")), bad_gateway()),
    ("9110 7.8", "a 101 to h2c is 502", upgrade(),
     answered(switched("Connection: Upgrade", "Upgrade: h2c")), bad_gateway()),
    ("9110 7.8", "a 101 of 1.0 is 502", upgrade(),
     answered(switched("Connection: Upgrade", "Upgrade: chat", version="HTTP/1.0")),
     bad_gateway()),
    ("9110 7.8", "a 101 to h2c that the client asked for is 502", upgrade(protocol="h2c"),
     answered(switched("Connection: Upgrade", "Upgrade: h2c")), bad_gateway()),
    ("9110 7.8", "the protocol's case is the client's affair", upgrade(protocol="WebSocket"),
     answered(switched("Connection: upgrade", "Upgrade: websocket")),
     lambda seen: same(seen.response.status, 101)),
    ("9110 7.8", "one of several that were offered", upgrade(protocol="chat/2, chat/1"),
     answered(switched("Connection: upgrade", "Upgrade: chat/1")),
     lambda seen: same(seen.response.status, 101)),
    ("9110 7.8", "an Upgrade without its option is no offer: 101 is 502", get("Upgrade: chat"),
     answered(AGREED), bad_gateway()),
    ("9110 7.8", "with a body that was sent, the upgrade passes",
     post("Connection: Upgrade", "Upgrade: chat", "Content-Length: 5", body=b"hello"),
     answered(AGREED), lambda seen: same(seen.response.status, 101)),
    ("6455 4.1", "fields of WebSocket pass",
     upgrade("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Protocol: a, b", protocol="websocket"),
     answered(ok(status=400)),
     forwarded({"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13",
                "sec-websocket-protocol": "a, b"})),
]


def early_switch(x):
    """Switches before the request's body has come."""
    x.send(AGREED)
    x.peer_gone()
    x.close()


UPGRADE += [
    ("9110 7.8", "a 101 before the request is complete is 502",
     post("Connection: Upgrade", "Upgrade: chat", "Content-Length: 100000", body=b"hello"),
     played(early_switch), bad_gateway(), closes),
    ("9110 7.8", "before a chunked one is complete, too",
     post("Connection: Upgrade", "Upgrade: chat", CHUNKED, body=b"5\r\nhello\r\n"),
     played(early_switch), bad_gateway(), closes),
]


class Interim(Table):
    def test_interim(self):
        self.play_all(INTERIM, "responses")

    def test_expect(self):
        self.play_all(EXPECT, "requests")

    def test_upgrade(self):
        self.play_all(UPGRADE, "requests")
