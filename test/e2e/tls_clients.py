# SPDX-License-Identifier: Apache-2.0
"""HTTPS with clients that nobody here wrote: versions, resumption, ALPN, bulk both ways."""

import hashlib
import ssl

from harness.case import Case, bound
from harness.process import run, tool
from harness.raw import request
from harness.tls import Authority, TlsClient, trusting
from harness.waiting import eventually
from origins import scripts

BIG = 100 << 20


class Https(Case):
    def https(self, script=None, tls=None, **settings):
        """(origin, weir): a listener with TLS before an origin."""
        listen = [{"address": "127.0.0.1:0", "tls": tls or "self-signed"}]
        return self.proxied(script, listen=listen, **settings)

    def curl(self, weir, *arguments, path="/", **options):
        return run(tool("curl"), "-sS", "--max-time", "60", "-k", *arguments,
                   f"https://localhost:{weir.port}{path}", within=90, **options)

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()


class Versions(Https):
    def test_curl_by_version(self):
        _, weir = self.https()
        for version, maximum in (("1.2", "--tls-max"), ("1.3", "--tlsv1.3")):
            arguments = ["--tls-max", "1.2"] if version == "1.2" else ["--tlsv1.3"]
            for protocol in ("--http1.1", "--http2"):
                text = self.good(self.curl(weir, *arguments, protocol, "-w",
                                           "|%{http_version}"))
                expected = "1.1" if protocol == "--http1.1" else "2"
                self.assertEqual(text, f"hello from origin\n|{expected}", maximum)
        self.assertEqual({entry["tls"] for entry in weir.logged(4)}, {"TLSv1.2", "TLSv1.3"})
        metrics = weir.metrics()
        for version in ("1.2", "1.3"):
            key = ("weir_tls_handshakes_total", frozenset({("version", version)}))
            self.assertEqual(metrics[key], 2)

    def test_oldest_version_is_a_setting(self):
        authority = Authority(self.directory)
        cert, key = authority.issue("weir.test")
        _, weir = self.https(tls={"cert": cert, "key": key, "min_version": "1.3"})
        self.good(self.curl(weir, "--tlsv1.3"))
        done = self.curl(weir, "--tls-max", "1.2")
        self.assertEqual(done.returncode, 35, done.stderr.decode())
        entry = eventually(lambda: [e for e in weir.log() if e["cause"]], "a log line")[0]
        self.assertEqual((entry["cause"], entry["protocol"]), ("tls_handshake_failed", "TLS"))
        self.assertIn("protocol", entry["detail"])

    def test_wget(self):
        _, weir = self.https()
        done = run(tool("wget"), "-q", "-O", "-", "--no-check-certificate",
                   f"https://localhost:{weir.port}/")
        self.assertEqual((done.returncode, done.stdout), (0, b"hello from origin\n"))

    def test_node(self):
        _, weir = self.https()
        script = ("const https=require('https');const r=https.get({host:'localhost',port:%d,"
                  "rejectUnauthorized:false},a=>{let t='';a.on('data',d=>t+=d);a.on('end',()=>{"
                  "console.log(a.statusCode,t)})});r.on('error',e=>{console.log(e);"
                  "process.exit(1)})" % weir.port)
        done = run(tool("node"), "-e", script)
        self.assertEqual(done.stdout, b"200 hello from origin\n\n", done.stderr.decode())

    def test_alpn_is_what_was_allowed(self):
        authority = Authority(self.directory)
        cert, key = authority.issue("weir.test")
        _, weir = self.https(tls={"cert": cert, "key": key, "alpn": ["http/1.1"]})
        self.assertEqual(self.good(self.curl(weir, "--http2", "-o", "/dev/null", "-w",
                                             "%{http_version}")), "1.1")
        context = authority.context()
        context.set_alpn_protocols(["spdy/3"])
        with self.assertRaises(ssl.SSLError):  # RFC 7301 section 3.2
            TlsClient(weir.port, context)


class Resumption(Https):
    def resumed(self, *arguments):
        _, weir = self.https(workers=2)
        session = self.directory / "session"
        for number in range(3):
            options = ["-sess_in", session] if number else []
            done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}",
                       "-servername", "localhost", *arguments, *options, "-sess_out", session,
                       "-ign_eof", stdin=b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close"
                       b"\r\n\r\n")
            text = done.stdout.decode(errors="replace")
            self.assertIn("hello from origin", text)
            self.assertIn("Reused" if number else "New", text)
            self.assertIn("closed", text)  # with close_notify
        key = ("weir_tls_resumptions_total", frozenset())
        self.assertEqual(weir.metrics()[key], 2)

    def test_tls_12(self):
        self.resumed("-tls1_2")

    def test_tls_13(self):
        self.resumed("-tls1_3")

    def test_after_a_reload(self):
        origin, weir = self.https()
        context = trusting()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        first = TlsClient(weir.port, context)
        first.get()
        weir.reload(self.config(servers=origin, listen=weir.config["listen"],
                                timeouts={"client_idle": "61s"}))
        second = TlsClient(weir.port, context, session=first.sock.session)
        self.assertTrue(second.sock.session_reused)
        second.close()
        first.close()

    def test_renegotiation_is_refused(self):
        _, weir = self.https()
        done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}", "-tls1_2",
                   stdin=b"R\n")
        self.assertNotIn(b"verify return", done.stdout.split(b"RENEGOTIATING")[-1])


class Bulk(Https):
    @bound(120)
    def test_down(self):
        data = hashlib.sha256(b"x").digest() * (BIG // 32)
        _, weir = self.https(scripts.body(data))
        for protocol in ("--http1.1", "--http2"):
            done = self.curl(weir, protocol)
            self.assertEqual(done.returncode, 0, done.stderr.decode())
            self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())

    @bound(120)
    def test_up(self):
        data = hashlib.sha256(b"y").digest() * (BIG // 32)
        origin, weir = self.https(scripts.text("got it"))
        for path, arguments in (("/a", ["--tls-max", "1.2"]), ("/b", ["--http1.1"])):
            done = self.curl(weir, *arguments, "-H", "Expect:", "--data-binary", "@-", path=path,
                             stdin=data)
            self.assertEqual((done.returncode, done.stdout), (0, b"got it"), done.stderr.decode())
            self.assertTrue(origin.request(path).body == data)

    def test_pieces_of_each_size(self):
        _, weir = self.https(scripts.echo())
        client = self.kept_client(weir)
        for size in (1, 1369, 1370, 1371, 16383, 16384, 16385, 65536, 300_000):
            body = bytes(index * 7 & 255 for index in range(size))
            client.send(request("/", f"Content-Length: {size}", method="POST", body=body))
            self.assertTrue(client.response("POST").body == body, size)

    def test_slow_records(self):
        """A record that comes in pieces is a record."""
        _, weir = self.https(scripts.echo())
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.client(weir)
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="weir.test")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.send(outgoing.read())
                incoming.write(client.sock.recv(65536))
        tls.write(request("/", "Content-Length: 5", method="POST", body=b"hello"))
        for byte in outgoing.read():
            client.send(bytes([byte]))
        text = b""
        while b"hello" not in text:
            incoming.write(client.sock.recv(65536))
            try:
                while True:
                    text += tls.read()
            except ssl.SSLWantReadError:
                pass

    def kept_client(self, weir, **options):
        client = TlsClient(weir.port, **options)
        self._stack.callback(client.close)
        return client
