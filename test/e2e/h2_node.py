# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by Node's http2 module: streams beside each other, uploads, trailers, resets, and
exchanges of the shape of gRPC."""

from harness.case import bound
from origins import applications, scripts
from origins.origin import digest

from .clients_node import COMMON, NodeCase, block, piecewise

PRELUDE = COMMON + """
  import http2 from 'node:http2';
  const session = http2.connect(url);
  session.on('stream', () => say('pushed'));
  const ask = async (path, fields = {}, body = undefined) => {
    const stream = session.request({':path': path, ...fields}, {endStream: body === undefined});
    const got = {interim: []};
    stream.on('headers', (head) => got.interim.push([head[':status'], head.link]));
    stream.on('trailers', (trailers) => got.trailers = {...trailers});
    const answered = once(stream, 'response');
    if (body !== undefined) stream.end(body);
    [got.head] = await answered;
    got.body = await all(stream);
    got.code = stream.rstCode;
    return got;
  };
"""


class Node(NodeCase):
    def command(self, program, *arguments):
        command = super().command("", *arguments)
        command[3] = PRELUDE + program + "\n  session.close();\n"
        return command

    def test_get(self):
        _, weir = self.proxied(scripts.text("über\n", 200, "X-One: 1", "Set-Cookie: a=1",
                                            "Set-Cookie: b=2"))
        got = self.node("""
          const {head, body} = await ask('/a?b');
          say([head[':status'], head['x-one'], head['set-cookie'], body.toString()]);
        """, weir.url())
        self.assertEqual(got, [[200, "1", ["a=1", "b=2"], "über\n"]])

    @bound(60)
    def test_100_streams_at_once(self):
        origin, weir = self.proxied(scripts.echo("chunked", 700), workers=1)
        got = self.node("""
          const one = async (n) => {
            const body = 'x'.repeat(n * 1001) + n;
            const got = await ask(`/${n}`, {':method': 'POST'}, body);
            return got.body.toString() === body && got.code === 0;
          };
          const answers = await Promise.all(Array.from({length: 100}, (_, n) => one(n)));
          say(answers.every((ok) => ok));
        """, weir.url())
        self.assertEqual(got, [True])
        self.assertEqual(sorted(int(r.path[1:]) for r in origin.seen()), list(range(100)))

    def test_more_streams_than_are_allowed(self):
        """Node keeps those above SETTINGS_MAX_CONCURRENT_STREAMS until there is room."""
        origin, weir = self.proxied()
        got = self.node("""
          const answers = await Promise.all(Array.from({length: 500}, (_, n) => ask(`/${n}`)));
          say(answers.every(({head}) => head[':status'] === 200));
        """, weir.url())
        self.assertEqual(got, [True])
        self.assertEqual(len(origin.seen()), 500)

    def test_upload_in_turns(self):
        """Each piece comes back before the next one is sent: nothing waits for more bytes."""
        _, weir = self.proxied(piecewise)
        got = self.node("""
          const stream = session.request({':path': '/', ':method': 'POST'});
          const sizes = [];
          let next = 0, want = 'piece 0', got = '';
          stream.write(want);
          for await (const piece of stream) {
            got += piece;
            if (got !== want) continue;
            sizes.push(got.length);
            got = '';
            if (++next == 40) { stream.end(); want = ''; continue; }
            stream.write(want = `piece ${next}` + '.'.repeat(next * 997));
          }
          say(sizes);
        """, weir.url())
        self.assertEqual(got, [[len(f"piece {n}") + n * 997 for n in range(40)]])
        self.assertEqual(weir.logged_one("/")["cause"], "")

    @bound(60)
    def test_large_both_ways(self):
        _, weir = self.proxied(scripts.echo("chunked", 30_000))
        got = self.node("""
          const data = block(8_000_000);
          const {body, code} = await ask('/', {':method': 'PUT'}, data);
          say([hash(body) === hash(data), code]);
        """, weir.url())
        self.assertEqual(got, [[True, 0]])

    @bound(60)
    def test_four_downloads_at_once(self):
        """20 MB each, on one connection."""
        data = block(20_000_000)
        origin, weir = self.proxied(scripts.body(data))
        origin.on("/chunked", scripts.body(data, "chunked", 77_777))
        got = self.node("""
          const paths = ['/a', '/chunked', '/c', '/chunked'];
          const answers = await Promise.all(paths.map((path) => ask(path)));
          say(answers.map(({body}) => hash(body)));
        """, weir.url())
        self.assertEqual(got, [[digest(data)] * 4])

    def test_early_hints(self):
        backend = self.kept(applications.node(self.directory))
        weir = self.weir(backend.address)
        got = self.node("""
          const {interim, head, body} = await ask('/hints');
          say([interim, head[':status'], body.toString()]);
        """, weir.url())
        self.assertEqual(got, [[
            [[103, "</style.css>; rel=preload; as=style, </x.js>; rel=preload"]], 200, "hinted\n"]])

    def test_trailers_both_ways(self):
        backend = self.kept(applications.node(self.directory))
        weir = self.weir(backend.address)
        data = block(500_000)
        got = self.node("""
          const stream = session.request({':path': '/trailers', ':method': 'POST', te: 'trailers'},
                                         {waitForTrailers: true});
          stream.on('wantTrailers', () => stream.sendTrailers({'x-sent': 'by the client'}));
          let trailers;
          stream.on('trailers', (fields) => trailers = fields);
          stream.end(block(500_000));
          const body = await all(stream);
          say([hash(body), trailers['x-sha256'], trailers['x-received']]);
        """, weir.url())
        self.assertEqual(got, [[digest(data), digest(data), "by the client"]])

    def test_abort(self):
        origin, weir = self.proxied(scripts.endless)
        origin.on("/slow", scripts.until_gone)
        origin.on("/other", scripts.text("alive\n"))
        got = self.node("""
          const slow = session.request({':path': '/slow'});
          slow.on('error', () => {});
          const endless = session.request({':path': '/endless'});
          endless.on('error', () => {});
          await once(endless, 'data');
          slow.close(http2.constants.NGHTTP2_CANCEL);
          endless.close(http2.constants.NGHTTP2_CANCEL);
          say((await ask('/other')).body.toString());
        """, weir.url())
        self.assertEqual(got, ["alive\n"])
        origin.await_gate("gone")
        for path in ("/slow", "/endless"):
            self.assertEqual(weir.logged_one(path)["cause"], "client_closed")

    def test_cut_body_is_an_error_and_the_others_live(self):
        origin, weir = self.proxied()
        origin.on("/length", scripts.die("fin", scripts.head(200, "Content-Length: 99") + b"part"))
        origin.on("/chunked", scripts.die("fin", scripts.head(
            200, "Transfer-Encoding: chunked") + b"4\r\npart\r\n"))
        got = self.node("""
          const cut = (path) => ask(path).then(() => 'whole', (error) => error.code);
          say(await Promise.all([cut('/length'), cut('/chunked'), cut('/good')]));
          say((await ask('/good')).body.toString());
        """, weir.url())
        self.assertEqual(got, [["ERR_HTTP2_STREAM_ERROR", "ERR_HTTP2_STREAM_ERROR", "whole"],
                               "hello from origin\n"])

    def test_ping_and_settings(self):
        _, weir = self.proxied()
        got = self.node("""
          await once(session, 'remoteSettings');
          const {maxConcurrentStreams, enableConnectProtocol, enablePush} = session.remoteSettings;
          say([maxConcurrentStreams >= 100, enableConnectProtocol]);
          const answer = await new Promise((done) => session.ping(Buffer.from('12345678'),
                                           (error, _, payload) => done(payload.toString())));
          say(answer);
          await new Promise((done) => session.settings(
              {initialWindowSize: 1000, maxFrameSize: 20000}, done));
          say((await ask('/')).body.toString());
        """, weir.url())
        self.assertEqual(got, [[True, True], "12345678", "hello from origin\n"])

    def test_long_heads_and_cookies(self):
        origin, weir = self.proxied(scripts.report)
        got = self.node("""
          const fields = {cookie: ['a=1', 'b=2', 'c=3']};
          for (let n = 0; n < 60; ++n) fields[`x-n${n}`] = `value ${n} `.repeat(30).trim();
          const {body} = await ask('/', fields);
          const seen = JSON.parse(body).fields;
          say(seen.filter(([name]) => /^cookie$/i.test(name)));
          say(seen.filter(([name]) => /^x-n/i.test(name)).length);
        """, weir.url())
        self.assertEqual([[name.lower(), value] for name, value in got[0]],
                         [["cookie", "a=1; b=2; c=3"]])
        self.assertEqual(got[1], 60)


class Grpc(Node):
    """Exchanges as gRPC has them, with HTTP/1 behind."""

    FIELDS = "{':method': 'POST', 'content-type': 'application/grpc', te: 'trailers'}"

    def test_unary(self):
        answer = scripts.head(200, "Content-Type: application/grpc", "Transfer-Encoding: chunked",
                              "Trailer: grpc-status") + (
            b"7\r\n\0\0\0\0\2hi\r\n0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n")
        origin, weir = self.proxied(scripts.raw(answer))
        got = self.node(f"""
          const message = Buffer.from([0, 0, 0, 0, 2, 104, 105]);
          const {{head, body, trailers}} = await ask('/pkg.Service/Method', {self.FIELDS}, message);
          say([head['content-type'], body.toString('hex'), trailers['grpc-status'],
               trailers['grpc-message']]);
        """, weir.url())
        self.assertEqual(got, [["application/grpc", "00000000026869", "0", "fine"]])
        self.assertEqual(origin.request("/pkg.Service/Method").body, b"\0\0\0\0\2hi")

    def test_trailers_only(self):
        """An error of gRPC's own: all in the head, and no body."""
        _, weir = self.proxied(scripts.raw(scripts.head(
            200, "Content-Type: application/grpc", "Content-Length: 0", "grpc-status: 12",
            "grpc-message: unimplemented")))
        got = self.node(f"""
          const {{head, body}} = await ask('/x', {self.FIELDS}, Buffer.alloc(0));
          say([head[':status'], head['grpc-status'], body.length]);
        """, weir.url())
        self.assertEqual(got, [[200, "12", 0]])

    def test_what_weir_says_is_a_status_of_grpc(self):
        """No server: a gRPC client gets 200 with UNAVAILABLE, not 502 with text."""
        weir = self.weir("127.0.0.1:1")
        got = self.node(f"""
          const {{head}} = await ask('/x', {self.FIELDS}, Buffer.alloc(0));
          say([head[':status'], head['grpc-status'], head['content-type']]);
        """, weir.url())
        self.assertEqual(got, [[200, "14", "application/grpc"]])
