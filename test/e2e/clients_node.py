# SPDX-License-Identifier: Apache-2.0
"""Requests by Node: its fetch, and its http module with an agent that keeps connections."""

import json

from harness.case import Case, bound
from harness.process import run, tool
from origins import applications, scripts
from origins.origin import digest

# What each script begins with: its arguments, how it says what it saw, and bodies.
COMMON = """
  import crypto from 'node:crypto';
  import {once} from 'node:events';
  const [url, ...args] = process.argv.slice(1);
  const say = (value) => console.log(JSON.stringify(value));
  const hash = (data) => crypto.createHash('sha256').update(data).digest('hex');
  const block = (size) => Buffer.from(Array.from({length: size}, (_, n) => (n * n) >> 4));
  const all = async (stream) => {
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    return Buffer.concat(pieces);
  };
"""

PRELUDE = COMMON + """
  import http from 'node:http';
"""


def block(size):
    return bytes((n * n) >> 4 & 255 for n in range(size))


def piecewise(x):
    """Sends back each piece of a chunked upload before it reads the next."""
    x.send(scripts.head(200, "Transfer-Encoding: chunked"))
    stream = x.connection.stream
    while size := int(stream.until(b"\r\n"), 16):
        data = stream.exactly(size)
        stream.exactly(2)
        x.send(b"%x\r\n%s\r\n" % (len(data), data))
    stream.exactly(2)
    x.request.complete = True
    x.send(b"0\r\n\r\n")


class NodeCase(Case):
    def command(self, program, *arguments):
        return [tool("node"), "--input-type=module", "-e", PRELUDE + program, *arguments]

    def node(self, program, *arguments):
        """What the program says, one value for each line of JSON."""
        done = run(*self.command(program, *arguments))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return [json.loads(line) for line in done.stdout.splitlines()]


class Fetch(NodeCase):
    SIMPLE = """
      const response = await fetch(url, JSON.parse(args[0] ?? '{}'));
      say([response.status, await response.text()]);
    """

    def test_get(self):
        _, weir = self.proxied(scripts.text("über\n"))
        self.assertEqual(self.node(self.SIMPLE, weir.url()), [[200, "über\n"]])

    def test_post(self):
        origin, weir = self.proxied(scripts.echo("chunked", 3))
        seen = self.node(self.SIMPLE, weir.url("/p"),
                         json.dumps({"method": "POST", "body": "one two three"}))
        self.assertEqual(seen, [[200, "one two three"]])
        self.assertEqual(origin.request("/p").body, b"one two three")

    def test_status_without_body(self):
        _, weir = self.proxied(scripts.raw(scripts.head(204)))
        self.assertEqual(self.node(self.SIMPLE, weir.url()), [[204, ""]])

    def test_first_piece_comes_before_the_last_is_made(self):
        origin, weir = self.proxied(scripts.halves(b"first", b"last", "more"))
        client = self.process(*self.command("""
          const response = await fetch(url);
          const decoder = new TextDecoder();
          for await (const piece of response.body) say(decoder.decode(piece));
        """, weir.url()))
        client.line('^"first"$')
        origin.open("more")
        self.assertEqual(client.wait(), 0)
        self.assertEqual(client.lines, ['"first"', '"last"'])

    def test_streamed_upload(self):
        origin, weir = self.proxied(scripts.echo("chunked", 10_000))
        got = self.node("""
          const data = block(2_000_000);
          const body = new ReadableStream({
            at: 0,
            pull(controller) {
              if (this.at >= data.length) return controller.close();
              controller.enqueue(data.subarray(this.at, this.at += 30_011));
            },
          });
          const response = await fetch(url, {method: 'POST', body, duplex: 'half'});
          say(hash(Buffer.from(await response.arrayBuffer())));
        """, weir.url("/up"))
        data = block(2_000_000)
        self.assertEqual(got, [digest(data)])
        seen = origin.request("/up")
        self.assertEqual((seen.framing, digest(seen.body)), ("chunked", digest(data)))

    @bound(60)
    def test_200_at_once(self):
        origin, weir = self.proxied(scripts.echo("chunked", 700))
        got = self.node("""
          const one = async (n) => {
            const body = 'x'.repeat(n * 101) + n;
            const response = await fetch(`${url}${n}`, {method: 'POST', body});
            return (await response.text()) === body;
          };
          say((await Promise.all(Array.from({length: 200}, (_, n) => one(n)))).every((ok) => ok));
        """, weir.url("/"))
        self.assertEqual(got, [True])
        self.assertEqual(sorted(int(r.path[1:]) for r in origin.seen()), list(range(200)))

    def test_abort(self):
        origin, weir = self.proxied(scripts.endless)
        origin.on("/slow", scripts.until_gone)
        got = self.node("""
          const controller = new AbortController();
          const {signal} = controller;
          const slow = fetch(`${url}slow`, {signal}).catch((error) => say(error.name));
          const response = await fetch(`${url}endless`, {signal});
          await response.body.getReader().read();
          controller.abort();
          await slow;
        """, weir.url("/"))
        self.assertEqual(got, ["AbortError"])
        origin.await_gate("gone")
        for path in ("/slow", "/endless"):
            self.assertEqual(weir.logged_one(path)["cause"], "client_closed")

    def test_cut_body_is_an_error(self):
        for start in (scripts.head(200, "Content-Length: 5000") + b"part",
                      scripts.head(200, "Transfer-Encoding: chunked") + b"4\r\npart\r\n"):
            _, weir = self.proxied(scripts.die("fin", start))
            got = self.node("""
              const response = await fetch(url);
              say(await response.text().catch((error) => error.name));
            """, weir.url())
            self.assertEqual(got, ["TypeError"])
            weir.end()


class Http(NodeCase):
    def test_agent_keeps_its_connections(self):
        """200 requests over 4 connections, none of them broken in between."""
        origin, weir = self.proxied(scripts.echo("chunked", 99), workers=1)
        got = self.node("""
          const agent = new http.Agent({keepAlive: true, maxSockets: 4});
          const ports = new Set();
          const one = async (n) => {
            const request = http.request(`${url}${n}`, {agent, method: 'POST'});
            request.end(`body ${n}`);
            const [response] = await once(request, 'response');
            ports.add(response.socket.localPort);
            return (await all(response)).toString() === `body ${n}`;
          };
          const answers = await Promise.all(Array.from({length: 200}, (_, n) => one(n)));
          say([answers.every((ok) => ok), ports.size]);
          agent.destroy();
        """, weir.url("/"))
        self.assertEqual(got, [[True, 4]])
        self.assertEqual(len(origin.seen()), 200)
        self.assertLessEqual(len(origin.connections), 4)

    def test_upload_in_turns(self):
        """Each piece comes back before the next one is sent: nothing waits for more bytes."""
        _, weir = self.proxied(piecewise)
        got = self.node("""
          const request = http.request(url, {method: 'POST'});
          request.write('piece 0');
          const [response] = await once(request, 'response');
          const sizes = [];
          let next = 0, want = 'piece 0', got = '';
          for await (const piece of response) {
            got += piece;
            if (got !== want) continue;
            sizes.push(got.length);
            got = '';
            if (++next == 40) { request.end(); want = ''; continue; }
            request.write(want = `piece ${next}` + '.'.repeat(next * 997));
          }
          say(sizes);
        """, weir.url())
        sizes = [len(f"piece {n}") + n * 997 for n in range(40)]
        self.assertEqual(got, [sizes])
        entry = weir.logged_one("/")
        self.assertEqual((entry["bytes_sent"], entry["bytes_received"], entry["cause"]),
                         (sum(sizes), sum(sizes), ""))

    def test_expect_continue(self):
        origin, weir = self.proxied(scripts.echo())
        got = self.node("""
          const request = http.request(url, {method: 'PUT', headers: {Expect: '100-continue'}});
          request.flushHeaders();
          await once(request, 'continue');
          say('continue');
          request.end(block(100_000));
          const [response] = await once(request, 'response');
          say(hash(await all(response)));
        """, weir.url())
        self.assertEqual(got, ["continue", digest(block(100_000))])
        self.assertEqual(origin.request("/").fields.get("expect"), "100-continue")

    def test_destroyed_upload(self):
        """The origin never takes the part for the whole."""
        origin, weir = self.proxied(scripts.echo())
        self.node("""
          const request = http.request(url, {method: 'POST'});
          request.on('error', () => {});
          await new Promise((resolve) => request.write(block(300_000), resolve));
          request.destroy();
        """, weir.url("/up"))
        seen = origin.request("/up")
        origin.ended(seen.connection)
        self.assertFalse(seen.complete)
        self.assertIn(weir.logged_one("/up")["cause"], ("client_body_truncated", "client_closed"))

    def test_many_headers_and_raw_names(self):
        """Case and order of the fields stay as they were written."""
        origin, weir = self.proxied(scripts.text("", 200, "X-Two: 1", "x-ONE: a", "X-Two: 2"))
        got = self.node("""
          const headers = {'x-UPPER': 'Ünïcode'};
          for (let n = 0; n < 60; ++n) headers[`X-N${n}`] = `value ${n}`;
          const request = http.request(url, {headers}).end();
          const [response] = await once(request, 'response');
          response.resume();
          say(response.rawHeaders.filter((_, n, all) => /^x-(one|two)$/i.test(all[n - n % 2])));
        """, weir.url())
        self.assertEqual(got, [["X-Two", "1", "x-ONE", "a", "X-Two", "2"]])
        fields = origin.request("/").fields
        self.assertEqual([name for name, _ in fields if name.startswith("X-N")],
                         [f"X-N{n}" for n in range(60)])
        self.assertEqual(fields.get("x-UPPER").encode("latin-1"), "Ünïcode".encode("latin-1"))


class NodeToNode(NodeCase):
    """Node on both sides: what only it speaks well."""

    def setUp(self):
        super().setUp()
        self.backend = self.kept(applications.node(self.directory))
        self.proxy = self.weir(self.backend.address)

    def test_early_hints(self):
        got = self.node("""
          const request = http.get(url);
          request.on('information', ({statusCode, headers}) => say([statusCode, headers.link]));
          const [response] = await once(request, 'response');
          say([response.statusCode, (await all(response)).toString()]);
        """, self.proxy.url("/hints"))
        self.assertEqual(got, [[103, "</style.css>; rel=preload; as=style, </x.js>; rel=preload"],
                               [200, "hinted\n"]])

    def test_trailers_both_ways(self):
        data = block(500_000)
        got = self.node("""
          const headers = {TE: 'trailers', Connection: 'TE', Trailer: 'X-Sent'};
          const request = http.request(url, {method: 'POST', headers});
          request.addTrailers({'X-Sent': 'by the client'});
          request.end(block(500_000));
          const [response] = await once(request, 'response');
          const body = await all(response);
          say([hash(body), response.trailers['x-sha256'], response.trailers['x-received']]);
        """, self.proxy.url("/trailers"))
        self.assertEqual(got, [[digest(data), digest(data), "by the client"]])

    def test_upgrade(self):
        got = self.node("""
          const request = http.get(url, {headers: {Connection: 'Upgrade', Upgrade: 'echo'}});
          const [response, socket, head] = await once(request, 'upgrade');
          socket.end(block(700_000));
          const body = Buffer.concat([head, await all(socket)]);
          say([response.statusCode, response.headers.upgrade, hash(body)]);
        """, self.proxy.url("/any"))
        self.assertEqual(got, [[101, "echo", digest(block(700_000))]])
        self.assertEqual(self.proxy.logged_one("/any")["cause"], "")

    @bound(60)
    def test_50_streams_through_both(self):
        got = self.node("""
          const data = block(200_000);
          const one = async () => {
            const request = http.request(url, {method: 'POST', agent: false});
            for (let at = 0; at < data.length; at += 7001)
              if (!request.write(data.subarray(at, at + 7001))) await once(request, 'drain');
            request.end();
            const [response] = await once(request, 'response');
            return hash(await all(response));
          };
          const answers = await Promise.all(Array.from({length: 50}, one));
          say([...new Set(answers)]);
        """, self.proxy.url("/echo"))
        self.assertEqual(got, [[digest(block(200_000))]])
        self.assertEqual({e["cause"] for e in self.proxy.logged(50)}, {""})
