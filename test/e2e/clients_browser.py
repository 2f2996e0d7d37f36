# SPDX-License-Identifier: Apache-2.0
"""Chromium: pages of many parts, fetch, streams in both directions, EventSource, WebSocket."""

import gzip
import hashlib
import pathlib
import random
import signal
import sys

from harness.browser import Browser
from harness.case import Case, bound
from harness.waiting import eventually
from origins import scripts
from origins.origin import digest

WEBSOCKET = pathlib.Path(__file__).resolve().parent.parent / "origins" / "websocket_echo.py"
LARGE = random.Random(8).randbytes(3_000_001)

HASH = """
  const hash = async (data) => Array.from(
      new Uint8Array(await crypto.subtle.digest('SHA-256', data)),
      (byte) => byte.toString(16).padStart(2, '0')).join('');
"""


def html(text, *lines):
    return scripts.text("<!doctype html><link rel=icon href=data:,>" + text, 200,
                        "Content-Type: text/html", *lines)


class BrowserCase(Case):
    def browse(self, origin, **settings):
        """(weir, browser), the browser showing "/" through Weir."""
        if "/" not in origin.scripts:
            origin.on("/", html("<title>ready</title>"))
        weir = self.weir(origin, **settings)
        browser = self.kept(Browser(self.directory))
        browser.open(weir.url("/"))
        return weir, browser


class Site(BrowserCase):
    """A page with scripts, style sheets and images, COUNT of each, framed in three ways."""

    COUNT = 40

    def site(self):
        origin = self.origin()
        parts = []
        for n in range(self.COUNT):
            parts.append(f'<script src="/{n}.js"></script>')
            parts.append(f'<link rel=stylesheet href="/{n}.css"><p id="p{n}">')
            parts.append(f'<img src="/{n}.svg">')
            framing = ("length", "chunked", "close")[n % 3]
            script = f"/*{'x' * n * 997}*/ (window.ran ??= []).push({n});".encode()
            style = f"#p{n} {{ width: {n + 100}px }}".encode()
            image = f'<svg xmlns="http://www.w3.org/2000/svg" width="{n + 1}" height="9"/>'.encode()
            caches = ("Cache-Control: no-cache", f'ETag: "{n}"')
            origin.on(f"/{n}.js", scripts.body(gzip.compress(script), framing, 700, lines=(
                "Content-Type: text/javascript", "Content-Encoding: gzip", *caches)))
            origin.on(f"/{n}.css", self.validated(n, style, framing, caches))
            origin.on(f"/{n}.svg", scripts.body(image, framing, 11, lines=(
                "Content-Type: image/svg+xml", "Cache-Control: no-store")))
        origin.on("/", html("".join(parts), "Set-Cookie: session=one; Path=/; HttpOnly",
                            "Set-Cookie: theme=dark; Path=/"))
        return origin

    @staticmethod
    def validated(number, style, framing, caches):
        def script(x):
            x.body()
            if x.request.fields.get("if-none-match") == f'"{number}"':
                x.send(scripts.head(304, *caches))
            else:
                scripts.send_body(x, style, framing, 7, "1.1", (),
                                  ("Content-Type: text/css", *caches))
        return script

    SEEN = """
      return {
        ran: window.ran,
        widths: Array.from(document.querySelectorAll('p'), (p) => getComputedStyle(p).width),
        images: Array.from(document.images, (image) => image.naturalWidth),
        cookie: document.cookie,
      };
    """

    def shown(self):
        """SEEN of a page that is whole."""
        return {"ran": list(range(self.COUNT)),
                "widths": [f"{n + 100}px" for n in range(self.COUNT)],
                "images": [n + 1 for n in range(self.COUNT)], "cookie": "theme=dark"}

    def paths(self):
        return ["/", *(f"/{n}.{kind}" for n in range(self.COUNT) for kind in ("js", "css", "svg"))]


class Page(Site):
    @bound(90)
    def test_page_of_120_parts(self):
        origin = self.site()
        weir, browser = self.browse(origin)
        shown = self.shown()
        self.assertEqual(browser.run(self.SEEN), shown)
        self.assertEqual(sorted(r.path for r in origin.seen()), sorted(self.paths()))
        cookies = {r.fields.get("cookie") for r in origin.seen() if r.path != "/"}
        self.assertEqual(cookies, {"session=one; theme=dark"})

        browser.run("window.ran = []; location.reload()")
        eventually(lambda: browser.run("return document.readyState") == "complete"
                   and len(origin.seen("/")) == 2, "the page again", 20)
        eventually(lambda: browser.run(self.SEEN) == shown, lambda: browser.run(self.SEEN))
        log = weir.logged(2 * (1 + 3 * self.COUNT))
        self.assertEqual(len(log), 2 * (1 + 3 * self.COUNT))
        self.assertEqual({e["cause"] for e in log}, {""})
        answers = [(e["path"].split(".")[-1], e["status"]) for e in log]
        self.assertEqual({answer: answers.count(answer) for answer in answers},
                         {("/", 200): 2, ("js", 200): 2 * self.COUNT, ("svg", 200): 2 * self.COUNT,
                          ("css", 200): self.COUNT, ("css", 304): self.COUNT})


class Fetch(BrowserCase):
    @bound(90)
    def test_bytes_both_ways(self):
        origin = self.origin(script=scripts.echo("chunked", 50_000))
        for framing in ("length", "chunked", "close"):
            origin.on("/" + framing, scripts.body(LARGE, framing, 9973))
        weir, browser = self.browse(origin)
        for framing in ("length", "chunked", "close"):
            with self.subTest(download=framing):
                got = browser.run(HASH + """
                  const response = await fetch(args[0]);
                  return [response.status, await hash(await response.arrayBuffer())];
                """, "/" + framing)
                self.assertEqual(got, [200, digest(LARGE)])
        with self.subTest("a blob"):
            got = browser.run(HASH + """
              const data = new Uint8Array(5_000_000).map((_, n) => (n * n) >> 3);
              const response = await fetch('/blob', {method: 'PUT', body: new Blob([data])});
              return [await hash(data), await hash(await response.arrayBuffer())];
            """)
            data = bytes((n * n) >> 3 & 255 for n in range(5_000_000))
            self.assertEqual(got, [digest(data)] * 2)
            self.assertEqual(digest(origin.request("/blob").body), digest(data))
        with self.subTest("a form with a file"):
            got = browser.run("""
              const form = new FormData();
              form.append('name', 'Wehr');
              form.append('file', new Blob(['x'.repeat(100_000)]), 'name of file.txt');
              return (await (await fetch('/form', {method: 'POST', body: form})).text()).length;
            """)
            seen = origin.request("/form")
            self.assertEqual(got, len(seen.body))
            self.assertIn(b'filename="name of file.txt"', seen.body)
        with self.subTest("a hundred at once"):
            got = browser.run("""
              const one = (n) => fetch('/' + n, {method: 'POST', body: 'n' + n});
              return Promise.all(Array.from({length: 100}, async (_, n) => (await one(n)).text()));
            """)
            self.assertEqual(got, [f"n{n}" for n in range(100)])
        self.assertEqual({e["cause"] for e in weir.logged(106)}, {""})

    @bound(90)
    def test_streams_piece_by_piece(self):
        """The page gets each piece before the origin makes the next one."""
        count = 20

        def script(x):
            x.body()
            x.send(scripts.head(200, "Transfer-Encoding: chunked"))
            for number in range(count):
                x.wait(f"piece {number}")
                data = b"%d," % number * (1 + 100 * number)
                x.send(b"%x\r\n%s\r\n" % (len(data), data))
            x.wait("end")
            x.send(b"0\r\n\r\n")
        origin = self.origin().on("/stream", script)
        _, browser = self.browse(origin)
        browser.run("""
          const response = await fetch('/stream');
          window.text = '';
          window.state = 'reading';
          (async () => {
            const decoder = new TextDecoder();
            for (const reader = response.body.getReader();;) {
              const {done, value} = await reader.read();
              if (done) break;
              window.text += decoder.decode(value, {stream: true});
            }
            window.state = 'done';
          })();
        """)
        expected = ""
        for number in range(count):
            origin.open(f"piece {number}")
            expected += f"{number}," * (1 + 100 * number)
            eventually(lambda: browser.run("return window.text.length") == len(expected),
                       f"piece {number} in the page")
        self.assertEqual(browser.run("return [window.text, window.state]"), [expected, "reading"])
        origin.open("end")
        eventually(lambda: browser.run("return window.state") == "done", "the end of the stream")

    @bound(90)
    def test_failures_are_seen(self):
        """Abort reaches the origin; a body that is cut is an error in the page."""
        origin = self.origin().on("/slow", scripts.until_gone).on("/endless", scripts.endless)
        origin.on("/cut", scripts.die("fin", scripts.head(200, "Content-Length: 9") + b"part"))
        origin.on("/torn", scripts.die(
            "fin", scripts.head(200, "Transfer-Encoding: chunked") + b"4\r\npart\r\n"))
        weir, browser = self.browse(origin)
        browser.run("""
          window.controllers = [new AbortController(), new AbortController()];
          window.failed = [];
          const failed = (error) => window.failed.push(error.name);
          fetch('/slow', {signal: controllers[0].signal}).catch(failed);
          const response = await fetch('/endless', {signal: controllers[1].signal});
          response.body.getReader().read();
        """)
        origin.await_gate("arrived")
        browser.run("for (const one of window.controllers) one.abort()")
        origin.await_gate("gone")
        eventually(lambda: browser.run("return window.failed") == ["AbortError"], "AbortError")
        for path, status in (("/slow", (0, 499)), ("/endless", (200,))):
            entry = weir.logged_one(path)
            self.assertEqual(entry["cause"], "client_closed")
            self.assertIn(entry["status"], status)
        for path in ("/cut", "/torn"):
            said = browser.run("""
              const response = await fetch(args[0]);
              try { return await response.text(); } catch (error) { return error.name; }
            """, path)
            self.assertEqual(said, "TypeError", path)
        self.assertEqual(browser.run("return (await fetch('/missing')).text()"),
                         "hello from origin\n")


class Events(BrowserCase):
    @bound(90)
    def test_event_source_reconnects(self):
        """The origin dies after some events; the browser goes on from the last it has seen."""
        def events(first, count, gate):
            def script(x):
                x.body()
                x.send(scripts.head(200, "Content-Type: text/event-stream",
                                    "Cache-Control: no-store", "Transfer-Encoding: chunked"))
                x.wait(f"{gate}: open")
                for number in range(first, first + count):
                    data = f"retry: 50\nid: {number}\ndata: event {number}\n\n".encode()
                    x.send(b"%x\r\n%s\r\n" % (len(data), data))
                x.wait(gate)
                x.reset()
            return script

        origin = self.origin().on("/events", events(1, 3, "die"))
        weir, browser = self.browse(origin)
        browser.run("""
          window.events = [];
          const source = window.source = new EventSource('/events');
          source.onmessage = (event) => window.events.push([event.lastEventId, event.data]);
          await new Promise((resolve) => source.onopen = resolve);
        """)  # the head alone came through: nothing waits for the first event

        def has(last):
            expected = [[str(n), f"event {n}"] for n in range(1, last + 1)]
            eventually(lambda: len(browser.run("return window.events")) >= last, "events", 20)
            self.assertEqual(browser.run("return window.events"), expected)
        origin.open("die: open")
        origin.open("die again: open")
        has(3)
        self.assertIsNone(origin.request("/events").fields.get("last-event-id"))
        origin.on("/events", events(4, 2, "die again"))
        origin.open("die")
        has(5)
        self.assertEqual([r.fields.get("last-event-id") for r in origin.seen("/events")],
                         [None, "3"])
        origin.stop()
        origin.open("die again")
        eventually(lambda: browser.run("return window.source.readyState") == 2,
                   "the browser gives up after 502")
        self.assertEqual(len(browser.run("return window.events")), 5)
        self.assertEqual(sorted((e["status"], e["cause"]) for e in weir.logged(4)),
                         [(200, ""), (200, "upstream_truncated"), (200, "upstream_truncated"),
                          (502, "upstream_refused")])


class WebSocket(BrowserCase):
    @bound(90)
    def test_messages_and_ends(self):
        server = self.process(sys.executable, WEBSOCKET)
        origin = self.origin()
        address = "127.0.0.1:" + server.line(r"port (\d+)")[1]
        config = self.config(servers=origin, upstream={"chat": {"servers": [address]}})
        config["route"].append({"match": {"path": "/chat"}, "upstream": "chat"})
        origin.on("/", html("<title>ready</title>"))
        weir = self.start(config)
        browser = self.kept(Browser(self.directory))
        browser.open(weir.url("/"))
        got = browser.run(HASH + """
          const socket = new WebSocket(`ws://${location.host}/chat`);
          socket.binaryType = 'arraybuffer';
          window.socket = socket;
          await new Promise((resolve, reject) => {
            socket.onopen = resolve;
            socket.onerror = reject;
          });
          const texts = ['one', 'zwei', '三', 'x'.repeat(1_000_000), ''];
          const data = new Uint8Array(3_000_000).map((_, n) => (n * 7) >> 2);
          const got = [];
          const all = new Promise((resolve) => socket.onmessage = (event) => {
            got.push(event.data);
            if (got.length == texts.length + 1) resolve();
          });
          for (const text of texts) socket.send(text);
          socket.send(data);
          await all;
          const same = texts.every((text, n) => got[n] === text);
          return [same, await hash(got.at(-1)), socket.extensions.split(';')[0]];
        """)
        data = bytes((n * 7) >> 2 & 255 for n in range(3_000_000))
        self.assertEqual(got, [True, hashlib.sha256(data).hexdigest(), "permessage-deflate"])
        closed = """
          const closed = new Promise((resolve) => window.socket.onclose =
              (event) => resolve([event.code, event.reason, event.wasClean]));
          window.socket.send('close 4321');
          return closed;
        """
        self.assertEqual(browser.run(closed), [4321, "as asked", True])
        browser.run("""
          window.socket = new WebSocket(`ws://${location.host}/chat`);
          await new Promise((resolve) => window.socket.onopen = resolve);
          window.socket.onclose = (event) => window.ended = [event.code, event.wasClean];
        """)
        server.signal(signal.SIGKILL)
        eventually(lambda: browser.run("return window.ended"), "the end in the page")
        self.assertEqual(browser.run("return window.ended"), [1006, False])
        self.assertEqual([e["status"] for e in weir.logged(3) if e["path"] == "/chat"], [101, 101])
