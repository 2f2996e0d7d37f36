# SPDX-License-Identifier: Apache-2.0
"""Chromium over TLS, where it speaks HTTP/2: a page of many parts, fetch both ways, EventSource and
WebSocket (RFC 8441), all of them streams of one connection; two names on one; a reload."""

import pathlib
import random
import sys

from harness.browser import Browser, trusting
from harness.case import bound
from harness.tls import Authority
from harness.waiting import eventually
from origins import scripts
from origins.origin import digest

from .clients_browser import HASH, Site, html

WEBSOCKET = pathlib.Path(__file__).resolve().parent.parent / "origins" / "websocket_echo.py"
LARGE = random.Random(9).randbytes(8_000_003)

OPEN_SOCKET = """
  const socket = window.socket = new WebSocket(`wss://${location.host}/chat`);
  socket.binaryType = 'arraybuffer';
  window.got = [];
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error('no WebSocket'));
  });
  socket.onmessage = (event) => window.got.push(event.data);
"""


def pieces_up(x):
    """Tells the test of each piece of an upload, then answers with the hash of them all."""
    stream, data = x.connection.stream, b""
    while size := int(stream.until(b"\r\n"), 16):
        data += stream.exactly(size)
        stream.exactly(2)
        if data.endswith(b"."):
            x.reached(f"up {data.count(b'.')}")
    stream.exactly(2)
    x.request.body, x.request.complete = data, True
    scripts.text(digest(data))(x)


def events(first, gates, end):
    """An event as each gate opens, from this number on; reset when the last one does."""
    def script(x):
        x.body()
        x.send(scripts.head(200, "Content-Type: text/event-stream", "Cache-Control: no-store",
                            "Transfer-Encoding: chunked"))
        for number in range(first, first + gates):
            x.wait(f"event {number}")
            data = f"retry: 50\nid: {number}\ndata: event {number}\n\n".encode()
            x.send(b"%x\r\n%s\r\n" % (len(data), data))
        x.wait(end)
        x.reset()
    return script


class Https(Site):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.directory)

    def settings(self, certificate, origin, **more):
        """WebSockets go to a server of their own, which speaks HTTP/1.1."""
        config = self.config(
            servers=origin, upstream={"chat": {"servers": [self.chat]}}, **more,
            listen=[{"address": "127.0.0.1:0", "tls": dict(zip(("cert", "key"), certificate))}])
        config["route"].append({"match": {"path": "/chat"}, "upstream": "chat"})
        return config

    def browse_https(self, origin, *names):
        """The browser shows the page of the first name; `front` is Weir."""
        self.server = self.process(sys.executable, WEBSOCKET)
        self.chat = "127.0.0.1:" + self.server.line(r"port (\d+)")[1]
        certificate = self.authority.issue(*names)
        self.front = self.start(self.settings(certificate, origin))
        self.browser = self.kept(Browser(
            self.directory, *trusting(self.authority.pin(certificate[0]), *names)))
        self.browser.open(f"https://{names[0]}:{self.front.port}/")

    def one_connection(self):
        """Waits until there is one only, as a browser opens more at first, on the chance that it
        needs them; how many there were so far."""
        def count(name):
            return self.front.metrics()[f"weir_connections_{name}", frozenset()]
        eventually(lambda: count("active") == 1, lambda: f"one connection, not {count('active')}")
        return count("accepted_total")

    def claim_kept(self, connections):
        """The one connection is still that one, and all was asked in HTTP/2."""
        self.assertEqual(self.one_connection(), connections)
        self.assertEqual({(e["protocol"], e["tls"]) for e in self.front.log()},
                         {("HTTP/2", "TLSv1.3")})

    def claim_echoes(self):
        """Text, and 1 MiB of bytes that nothing compresses."""
        got = self.browser.run(HASH + """
          const data = new Uint8Array(1 << 20);
          for (let at = 0; at < data.length; at += 65536)
            crypto.getRandomValues(data.subarray(at, at + 65536));
          const texts = ['one', '三', '', 'x'.repeat(100_000)];
          window.got = [];
          for (const text of texts) window.socket.send(text);
          window.socket.send(data);
          const whole = () => window.got.length > texts.length;
          while (!whole()) await new Promise((next) =>
              window.socket.addEventListener('message', next, {once: true}));
          return [texts.every((text, n) => window.got[n] === text), await hash(window.got.at(-1)),
                  await hash(data), window.got.length];
        """)
        self.assertEqual(got, [True, got[2], got[2], 5])

    # --- the parts of the first test ------------------------------------------------------------

    def page(self, origin):
        self.assertEqual(self.browser.run(self.SEEN), self.shown())
        self.assertEqual(sorted(r.path for r in origin.seen()), sorted(self.paths()))

    def download(self, origin):
        for framing in ("length", "chunked", "close"):
            origin.on("/large", scripts.body(LARGE, framing, 50_001))
            got = self.browser.run(HASH + """
              const response = await fetch('/large');
              const pieces = [];
              for (const reader = response.body.getReader();;) {
                const {done, value} = await reader.read();
                if (done) break;
                pieces.push(value);
              }
              return [pieces.length > 1, await hash(await new Blob(pieces).arrayBuffer())];
            """)
            self.assertEqual(got, [True, digest(LARGE)], framing)

    def upload(self, origin):
        got = self.browser.run(HASH + """
          const data = new Uint8Array(6_000_000).map((_, n) => (n * n) >> 3);
          const response = await fetch('/echo', {method: 'POST', body: new Blob([data])});
          return [await hash(data), await hash(await response.arrayBuffer())];
        """)
        sent = digest(origin.request("/echo").body)
        self.assertEqual((got, len(origin.request("/echo").body)), ([sent, sent], 6_000_000))

    def upload_in_pieces(self, origin):
        """A stream as the body, which browsers have with HTTP/2 only: each piece is at the server
        before the page makes the next one."""
        origin.on("/pieces", pieces_up)
        self.browser.run("""
          const body = new ReadableStream({start(controller) { window.up = controller; }});
          window.answer = fetch('/pieces', {method: 'POST', body, duplex: 'half'})
              .then((response) => response.text());
        """)
        data = b""
        for number in range(1, 11):
            text = "x" * (number * 9000) + "."
            self.browser.run("window.up.enqueue(new TextEncoder().encode(args[0]))", text)
            origin.await_gate(f"up {number}")
            data += text.encode()
        got = self.browser.run("window.up.close(); return window.answer")
        self.assertEqual(got, digest(data))

    def failures(self, origin):
        """A stream that is aborted or cut, and the others live."""
        origin.on("/slow", scripts.until_gone)
        origin.on("/cut", scripts.die("fin", scripts.head(200, "Content-Length: 9") + b"part"))
        self.browser.run("""
          window.controller = new AbortController();
          window.slow = fetch('/slow', {signal: controller.signal}).catch((error) => error.name);
        """)
        origin.await_gate("arrived")
        self.assertEqual(self.browser.run("window.controller.abort(); return window.slow"),
                         "AbortError")
        origin.await_gate("gone")
        self.assertEqual(self.browser.run("""
          // Where all of it has come when the browser looks, there is no response at all.
          return fetch('/cut').then((response) => response.text()).catch((error) => error.name);
        """), "TypeError")
        self.assertEqual([self.front.logged_one(path)["cause"] for path in ("/slow", "/cut")],
                         ["client_closed", "upstream_truncated"])

    def event_source(self, origin):
        """Each event is in the page before the server makes the next one; when it dies, the
        browser goes on behind the last that it has seen."""
        origin.on("/events", events(1, 3, "die"))
        self.browser.run("""
          window.events = [];
          const source = window.source = new EventSource('/events');
          source.onmessage = (event) => window.events.push([event.lastEventId, event.data]);
          await new Promise((resolve) => source.onopen = resolve);
        """)
        for number in range(1, 6):
            if number == 4:
                origin.on("/events", events(4, 2, "never"))
                origin.open("die")
            origin.open(f"event {number}")
            expected = [[str(n), f"event {n}"] for n in range(1, number + 1)]
            eventually(lambda: len(self.browser.run("return window.events")) >= number, "an event")
            self.assertEqual(self.browser.run("return window.events"), expected)
        self.assertEqual([r.fields.get("last-event-id") for r in origin.seen("/events")],
                         [None, "3"])

    def websocket(self, _):
        self.browser.run(OPEN_SOCKET)
        self.claim_echoes()
        self.assertEqual(self.browser.run("""
          const closed = new Promise((resolve) => window.socket.onclose =
              (event) => resolve([event.code, event.reason, event.wasClean]));
          window.socket.send('close 4321');
          return closed;
        """), [4321, "as asked", True])
        entry = self.front.logged_one("/chat")
        self.assertEqual((entry["protocol"], entry["upstream"], entry["cause"]),
                         ("HTTP/2", "chat", ""))
        self.assertGreater(min(entry["bytes_sent"], entry["bytes_received"]), 1 << 20)

    @bound(120)
    def test_all_on_one_connection(self):
        origin = self.site()
        origin.on("/echo", scripts.echo("chunked", 50_000))
        self.browse_https(origin, "weir.test")
        connections = self.one_connection()
        for part in (self.page, self.download, self.upload, self.upload_in_pieces, self.failures,
                     self.event_source, self.websocket):
            with self.subTest(part.__name__):
                part(origin)
        self.claim_kept(connections)

    # --- more than one name, more than one configuration ------------------------------------------

    @bound(90)
    def test_two_names_and_a_reload(self):
        """Two names of one site and certificate share a connection. It and what is open on it
        outlive a reload that changes the routes and the certificate."""
        origin = self.origin().on("/", html("<title>ready</title>"))
        origin.on("/slow", scripts.halves(b"before, ", b"behind", "go"))
        self.browse_https(origin, "one.weir.test", "two.weir.test")
        origin.on("/other", scripts.text(
            "other\n", 200, f"Access-Control-Allow-Origin: https://one.weir.test:{self.front.port}",
            "Access-Control-Allow-Credentials: true"))
        other = f"https://two.weir.test:{self.front.port}/other"
        # Only names of one site, and requests with cookies, share a connection in a browser.
        ask = "return (await fetch(args[0], {credentials: 'include'})).text()"
        self.assertEqual(self.browser.run(ask, other), "other\n")
        connections = self.one_connection()
        self.assertEqual(origin.request("/other").fields.get("host"),
                         f"two.weir.test:{self.front.port}")
        self.browser.run(OPEN_SOCKET + """
          const response = await fetch('/slow');
          window.slow = response.text();
        """)
        new = self.authority.issue("one.weir.test", "two.weir.test", file="new")
        config = self.settings(new, origin)
        config["route"].append({"match": {"path": "/new"}, "respond": {"status": 200,
                                                                       "body": "new"}})
        self.assertEqual(self.front.reload(config).returncode, 0)
        self.claim_echoes()
        self.assertEqual([self.browser.run(ask, path) for path in ("/new", other)],
                         ["new", "other\n"])
        origin.open("go")
        self.assertEqual(self.browser.run("return window.slow"), "before, behind")
        self.browser.run("window.socket.close()")
        self.server.line("^closed 1005$")
        self.assertEqual(self.front.logged_one("/chat")["cause"], "")
        self.claim_kept(connections)
