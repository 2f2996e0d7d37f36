# SPDX-License-Identifier: Apache-2.0
"""Smuggling past routes and rules: Host against absolute-form, doubles of names, upgrades, answers
that come early, requests behind refused ones. Here /smuggled is a path, and internal.test a host,
that Weir's routes keep from the origin."""

from harness.raw import Client
from origins.naive import Habits

from .messages import CHUNKED, SECRET, get, post
from .smuggling import VICTIMS, Attacks

LF = rb"\r?\n"
ANY = rb"\r\n|\n|\r"


def attack(*lines, **settings):
    return get(*lines, target=settings.pop("target", "/attack"), **settings)


# A request behind one that is refused, or that becomes no tunnel, goes by the routes or nowhere.
BEHIND = [
    ("after an error", f"{name}", attack(*lines, **settings) + SECRET, habits)
    for name, lines, settings, habits in (
        ("a malformed field", ["X A: b"], {}, Habits()),
        ("a field without colon", ["X-A"], {}, Habits()),
        ("a missing Host", [], {"host": None}, Habits()),
        ("two Hosts", ["Host: b"], {}, Habits()),
        ("a bad length", ["Content-Length: x"], {}, Habits(unread=("GET",))),
        ("an unknown expectation", ["Expect: x"], {}, Habits()),
        ("another version", [], {"version": "HTTP/2.0"}, Habits()),
        ("a field that is too large", ["X: " + "a" * 40_000], {}, Habits()),
        ("a target that is too long", [], {"target": "/attack?" + "a" * 20_000}, Habits()),
        ("CONNECT", [], {"method": "CONNECT", "target": "/attack"}, Habits()),
        ("CONNECT with a body", [f"Content-Length: {len(SECRET)}"], {"method": "CONNECT"},
         Habits(unread=("CONNECT",))),
        ("TRACE with a body", [f"Content-Length: {len(SECRET)}"], {"method": "TRACE"},
         Habits(unread=("TRACE",))),
        ("a line without colon ends the head", ["X-A"], {}, Habits(stops_at_colonless=True)),
        ("a head of bare LF", ["X: a\n\nGET /smuggled HTTP/1.1\nHost: weir.test\n"], {},
         Habits(line_ends=LF)),
        ("a head of bare CR", ["X: a\r\rGET /smuggled HTTP/1.1\rHost: weir.test\r"], {},
         Habits(line_ends=ANY)),
        ("a value with CR CR LF", ["X: a\r\r\nGET /smuggled HTTP/1.1\r\nHost: weir.test\r"], {},
         Habits(line_ends=ANY)),
    )
]
UPGRADES = [
    ("upgrade", name, attack("Connection: Upgrade", *lines) + SECRET, Habits())
    for name, lines in (
        ("WebSocket that the origin does not take",
         ["Upgrade: websocket", "Sec-WebSocket-Version: 777", "Sec-WebSocket-Key: x"]),
        ("WebSocket of several words", ["Upgrade: websocket, x"]),
        ("two fields", ["Upgrade: websocket", "Upgrade: x"]),
        ("h2c", ["Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]),
        ("h2c in capitals", ["Upgrade: H2C"]),
        ("h2c among others", ["Upgrade: websocket, h2c"]),
        ("h2c by its option only", ["HTTP2-Settings: AAMAAABk"]),
        ("TLS", ["Upgrade: TLS/1.0"]),
        ("HTTP/2.0", ["Upgrade: HTTP/2.0"]),
    )
]

# (trick, bytes, where the origin looks for the host): it must not believe in internal.test.
HOSTS = [
    ("absolute-form against Host", attack(target="http://weir.test/attack", host="internal.test"),
     Habits(host_from="host")),
    ("Host against absolute-form", attack(target="http://internal.test/attack"), Habits()),
    ("two Hosts, the last counts", attack("Host: internal.test"), Habits(takes="last")),
    ("two Hosts, the first counts", attack("Host: weir.test", host="internal.test"), Habits()),
    ("a space before the colon", attack("Host : internal.test"),
     Habits(takes="last", name=str.strip)),
    ("a leading space", attack(" Host: internal.test"), Habits(takes="last", name=str.strip)),
    ("a fold", attack("X: a\r\n Host: internal.test"), Habits(takes="last", name=str.strip)),
    ("a bare LF", attack("X: a\nHost: internal.test"), Habits(takes="last", line_ends=LF)),
    ("a bare CR", attack("X: a\rHost: internal.test"), Habits(takes="last", line_ends=ANY)),
    ("a NUL behind the name", attack("Host\0: internal.test"),
     Habits(takes="last", name=lambda name: name.strip("\0"))),
    ("a space before the first field",
     b"GET /attack HTTP/1.1\r\n Host: internal.test\r\nHost: weir.test\r\n\r\n",
     Habits(name=str.strip)),
    ("user information", attack(host="weir.test:80@internal.test"),
     Habits(host=lambda host: host.split("@")[-1])),
    ("user information in absolute-form",
     attack(target="http://weir.test@internal.test/attack"),
     Habits(host=lambda host: host.split("@")[-1])),
    ("a path", attack(host="internal.test/.weir.test"),
     Habits(host=lambda host: host.split("/")[0])),
    ("a question mark", attack(host="internal.test?weir.test"),
     Habits(host=lambda host: host.split("?")[0])),
    ("a fragment", attack(host="internal.test#weir.test"),
     Habits(host=lambda host: host.split("#")[0])),
    ("a backslash", attack(host="internal.test\\.weir.test"),
     Habits(host=lambda host: host.split("\\")[0])),
    ("white space", attack(host="internal.test weir.test"), Habits(host=lambda h: h.split()[0])),
    ("a comma", attack(host="internal.test, weir.test"),
     Habits(host=lambda host: host.split(",")[0])),
    ("a NUL", attack(host="internal.test\0.weir.test"),
     Habits(host=lambda host: host.split("\0")[0])),
    ("a port that is none", attack(host="internal.test:80.weir.test"),
     Habits(host=lambda host: host.split(":")[0])),
    ("capitals", attack(host="INTERNAL.Test"), Habits(host=str.lower)),
    ("a dot behind", attack(host="internal.test."), Habits(host=lambda host: host.rstrip("."))),
    ("a port", attack(host="internal.test:8080"), Habits(host=lambda host: host.split(":")[0])),
    ("an empty port", attack(host="internal.test:"), Habits(host=lambda host: host.strip(":"))),
    ("the usual port", attack(host="internal.test:80"),
     Habits(host=lambda host: host.split(":")[0])),
    ("an escape", attack(host="internal%2etest"),
     Habits(host=lambda host: host.lower().replace("%2e", "."))),
    ("another escape", attack(host="%69nternal.test"),
     Habits(host=lambda host: host.replace("%69", "i"))),
    ("in HTTP/1.0", attack(host="internal.test", version="HTTP/1.0"), Habits()),
    ("in HTTP/1.0, twice", attack("Host: internal.test", version="HTTP/1.0"),
     Habits(takes="last")),
    ("in a trailer", post(CHUNKED, target="/attack",
                          body=b"0\r\nHost: internal.test\r\n\r\n"),
     Habits(takes="last", merges_trailers=True)),
]


def dashed(name):
    return name.replace("_", "-").replace(".", "-")


# (trick, lines, field, what the origin must take it for: None is absent)
_TRAILER = "5\r\nhello\r\n0\r\n{}\r\n\r\n"
NAMES = [
    (f"{line!r}", attack(line), name, value, Habits(takes=takes, name=dashed))
    for takes in ("first", "last") for line, name, value in (
        ("X_Forwarded_For: 6.6.6.6", "x-forwarded-for", "127.0.0.1"),
        ("X-Forwarded_For: 6.6.6.6", "x-forwarded-for", "127.0.0.1"),
        ("x.forwarded.for: 6.6.6.6", "x-forwarded-for", "127.0.0.1"),
        ("X-Forwarded-For: 6.6.6.6", "x-forwarded-for", "127.0.0.1"),
        ("X_Forwarded_Proto: https", "x-forwarded-proto", "http"),
        ("X_Forwarded_Host: 6.6.6.6", "x-forwarded-host", "weir.test"),
        ("X-User: root", "x-user", "nobody"), ("X_User: root", "x-user", "nobody"),
        ("X.User: root", "x-user", "nobody"), ("x_USER: root", "x-user", "nobody"),
        ("X-Admin: 1", "x-admin", None), ("X_Admin: 1", "x-admin", None),
        ("X.Admin: 1", "x-admin", None),
        ("Connection: X-User\r\nX-User: root", "x-user", "nobody"),
        ("Connection: X_User\r\nX_User: root", "x-user", "nobody"),
        ("Connection: X-Forwarded-For", "x-forwarded-for", "127.0.0.1"),
        ("Connection: X-Forwarded-Proto, X-Forwarded-Host", "x-forwarded-host", "weir.test"),
    )
]
NAMES += [
    (f"{line!r} in the trailers",
     post(CHUNKED, target="/attack", body=_TRAILER.format(line)), name, value,
     Habits(takes="last", name=dashed, merges_trailers=True))
    for line, name, value in (
        ("X-Forwarded-For: 6.6.6.6", "x-forwarded-for", "127.0.0.1"),
        ("X_Forwarded_For: 6.6.6.6", "x-forwarded-for", "127.0.0.1"),
        ("X-User: root", "x-user", "nobody"), ("X_User: root", "x-user", "nobody"),
        ("X-Admin: 1", "x-admin", None), ("X_Admin: 1", "x-admin", None),
        ("Authorization: Basic eDp5", "authorization", None),
    )
]


class SmugglingRoutes(Attacks):
    def setUp(self):
        self.settings = {"route": [
            {"match": {"path": "/smuggled"}, "respond": 403},
            {"match": {"host": "internal.test"}, "respond": 403},
            {"match": {"path": "/**"}, "upstream": "app",
             "request_headers": {"set": {"X-User": "nobody"}, "remove": ["X-Admin"]}},
        ]}
        super().setUp()

    def test_behind(self):
        self.play_all(BEHIND)

    def test_upgrades(self):
        self.play_all(UPGRADES)

    def through(self, data):
        """Sends the bytes through Weir, then a victim's request, and returns what the origin
        believed before it."""
        self.server.forget()
        with Client(self.front.port, timeout=8.0) as client:
            client.try_send(data)
            client.response(data.split(b" ")[0].decode())
        with Client(self.front.port, timeout=8.0) as victim:
            answer = victim.get(VICTIMS[0])
            assert answer.body == VICTIMS[0].encode(), answer
        self.server.drop_connections()
        return [one for one in self.server.believed if one.target not in VICTIMS]

    def directly(self, data):
        self.server.forget()
        with Client(self.server.port, timeout=8.0) as client:
            client.try_send(data)
            client.finish()
            client.stream.to_end()
        self.server.drop_connections()
        return list(self.server.believed)

    def play(self, table, judge):
        failures = []
        for trick, data, *more, habits in table:
            self.server.habits = habits
            try:
                judge(data, *more)
            except (AssertionError, OSError) as error:
                failures.append(f"{trick}\n    in: {data[:300]!r}\n    {error}")
        self.count_rows(len(table), len(failures))
        if failures:
            self.fail("\n" + "\n".join(failures))

    def test_hosts(self):
        def judge(data):
            bitten = self.directly(data)
            assert "internal.test" in [one.host for one in bitten], f"not fooled: {bitten}"
            believed = [one.host for one in self.through(data)]
            assert "internal.test" not in believed, f"the origin believes in {believed}"
        self.play(HOSTS, judge)

    def test_names(self):
        def judge(data, name, value):
            bitten = self.directly(data)
            assert self.server.value(bitten[0], name) != value, "the origin is not fooled"
            believed = self.through(data)
            assert len(believed) == 1, believed
            taken = self.server.value(believed[0], name)
            assert taken == value, f"the origin takes {name} for {taken!r}"
        self.play(NAMES, judge)
