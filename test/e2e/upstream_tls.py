# SPDX-License-Identifier: Apache-2.0
"""TLS to servers that nobody here wrote: nginx, Node, openssl, Python, gRPC, nghttpd, Redis; and
what goes over it: bodies, trailers, WebSocket, events, TCP."""

import asyncio
import functools
import http.server
import json
import os
import sys
import threading

import grpc
import websockets

from e2e import grpc_calls
from e2e.applications import open_gate
from e2e.h2_upstream import MIB, block
from e2e.upstream_tls_trust import Towards
from harness.case import bound
from harness.message import chunk, chunked
from harness.process import run, tool
from harness.raw import request
from harness.tls import Authority, TlsClient
from harness.waiting import eventually
from origins import applications
from origins.applications import LINE, Application
from origins.databases import Redis
from origins.grpc_server import SIZE_MAX, Server
from origins.h2_servers import Nghttpd, Node
from origins.nginx import Nginx
from origins.origin import digest
from origins.tls import OpensslServer
from origins.tls_origin import server_context

HTTP2 = {"protocol": "http2"}
WHO = 'location = /who { return 200 "$ssl_protocol $ssl_cipher $connection $proxy_protocol_addr"; }'


class Servers(Towards):
    def nginx(self, files, settings="", options=" ssl"):
        return self.kept(Nginx(self.directory, f"ssl_certificate {files[0]}; "
                               f"ssl_certificate_key {files[1]}; {settings} {WHO}",
                               options=options))

    def https(self, server):
        return f"https://{server.address}"

    def claim_logged_good(self, weir, count):
        self.assertEqual({e["cause"] for e in weir.logged(count)}, {""})


class ByNginx(Servers):
    def claim_served(self, version, kind):
        """A file, over one connection that is kept."""
        data = block(4 * MIB) + os.urandom(1000)
        (self.directory / "file").write_bytes(data)
        nginx = self.nginx(self.issue(kind=kind), f"ssl_protocols TLSv{version};")
        weir = self.before(self.https(nginx))
        client = self.client(weir)
        seen = set()
        for _ in range(3):
            response = client.get("/file")
            self.assertEqual((response.framing, digest(response.body)), ("length", digest(data)))
            seen.add(client.get("/who").body.decode().strip())
        self.assertEqual(len(seen), 1, "one connection")
        protocol, cipher = seen.pop().split()[:2]
        self.assertEqual(protocol, f"TLSv{version}")
        if version == "1.2":
            self.assertIn("ECDSA" if kind == "ec" else "RSA", cipher)
        self.assertEqual((self.count(weir, "tls_handshakes"), self.count(weir, "reuses")), (1, 5))
        self.claim_logged_good(weir, 6)

    def test_tls_12_rsa(self):
        self.claim_served("1.2", "rsa")

    def test_tls_12_ecdsa(self):
        self.claim_served("1.2", "ec")

    def test_tls_13_rsa(self):
        self.claim_served("1.3", "rsa")

    def test_tls_13_ecdsa(self):
        self.claim_served("1.3", "ec")

    def test_ciphers(self):
        """Each that Weir may agree on with a server, by bodies of many records."""
        data = block(MIB)
        (self.directory / "file").write_bytes(data)
        files = self.issue(kind="rsa")
        for settings in ("ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {};",
                         "ssl_protocols TLSv1.2; ssl_ciphers {};"):
            for cipher in ({"1.3": ("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256",
                                    "TLS_AES_256_GCM_SHA384"),
                            "1.2": ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305",
                                    "ECDHE-RSA-AES256-GCM-SHA384")}[settings[18:21]]):
                with self.subTest(cipher):
                    nginx = self.nginx(files, settings.format(cipher))
                    weir = self.before(self.https(nginx))
                    self.assertEqual(digest(self.claim_good(weir, "/file").body), digest(data))
                    self.assertIn(cipher, self.claim_good(weir, "/who").body.decode())
                    nginx.end()

    def test_server_that_is_too_old(self):
        for settings, tls in (("ssl_protocols TLSv1.2;", {"min_version": "1.3"}),
                              ("ssl_protocols TLSv1.2; ssl_ciphers AES128-SHA;", {})):
            with self.subTest(settings):
                nginx = self.nginx(self.issue(kind="rsa"), settings)
                weir = self.before(self.https(nginx), tls={"ca": self.authority.ca, **tls})
                self.claim_bad(weir, "alert", "upstream_tls_failed")
                nginx.end()

    def test_proxy_header_before_tls(self):
        """Each client is told of on a connection of its own."""
        nginx = self.nginx(self.issue(), options=" ssl proxy_protocol")
        for version in ("v1", "v2"):
            with self.subTest(version):
                weir = self.before(self.https(nginx), app={"proxy_protocol": version},
                                   listen=[{"address": "127.0.0.1:0"}])
                seen = [self.client(weir).get("/who").body.decode().split() for _ in range(2)]
                self.assertEqual([s[3] for s in seen], ["127.0.0.1"] * 2)
                self.assertNotEqual(seen[0][2], seen[1][2])
                self.assertEqual(self.count(weir, "tls_resumptions"), 1)

    def test_http2_by_alpn(self):
        """Many requests at once on one connection; nginx wants HTTP/2 to be agreed on."""
        data = block(3 * MIB)
        (self.directory / "file").write_bytes(data)
        nginx = self.nginx(self.issue(), options=" ssl http2")
        weir = self.before(self.https(nginx), app=HTTP2)
        clients = [self.client(weir).send(request("/file")) for _ in range(8)]
        for client in clients:
            self.assertEqual(digest(client.response().body), digest(data))
        seen = {self.client(weir).get("/who").body for _ in range(4)}
        self.assertEqual(len(seen), 1, seen)
        self.assertEqual(self.count(weir, "tls_handshakes"), 1)

    def test_plain_h2_load(self):
        """h2load over TLS before, TLS and HTTP/2 behind."""
        nginx = self.nginx(self.issue(), options=" ssl http2")
        weir = self.before(self.https(nginx), app=HTTP2,
                           listen=[{"address": "127.0.0.1:0", "tls": "self-signed"}])
        done = run(tool("h2load"), "-n", "2000", "-c", "10", "-m", "10",
                   f"https://127.0.0.1:{weir.port}/small")
        self.assertIn(b"2000 succeeded, 0 failed", done.stdout, done.stdout.decode())


class ByNode(Servers):
    def node(self, **settings):
        server = self.kept(Application(tool("node"), "app_node.js", *self.issue()))
        return self.before(self.https(server), **settings)

    def test_bodies(self):
        weir = self.node()
        client = self.client(weir)
        data = os.urandom(3 * MIB + 17)
        for path in ("/digest", "/echo"):
            for framed in (request(path, method="POST", body=data),
                           request(path, "Transfer-Encoding: chunked", method="POST")
                           + chunked(data, 50_000)):
                client.send(framed)
                got = client.response("POST")
                expected = data if path == "/echo" else f"{len(data)} {digest(data)}".encode()
                self.assertTrue(got.complete and got.body == expected, (path, got))
        got = client.get(f"/size/{4 * MIB}")
        self.assertEqual((got.framing, digest(got.body)), ("length", digest(LINE * (MIB // 4))))
        got = client.get("/pieces/2000")
        self.assertEqual((got.framing, len(got.body), got.complete), ("chunked", 2_048_000, True))
        self.claim_logged_good(weir, 6)

    def test_trailers_and_hints(self):
        client = self.client(self.node())
        client.send(request("/trailers", "Transfer-Encoding: chunked", "Trailer: X-Sent",
                            "TE: trailers", method="POST")
                    + chunked(b"data", trailers=[("X-Sent", "yes")]))
        got = client.response("POST")
        self.assertEqual(dict(got.trailers), {"X-Sha256": digest(b"data"), "X-Received": "yes"})
        got = client.get("/hints")
        self.assertEqual([i.status for i in got.interim], [103])

    def test_events(self):
        """What is sent arrives, though nothing follows."""
        gate = self.directory / "gate"
        os.mkfifo(gate)
        client = self.client(self.node()).send(request(f"/gated?gate={gate}"))
        client.head()
        self.assertEqual(client.stream.until(b"first\n\r\n"), b"6\r\nfirst\n\r\n")
        open_gate(gate)
        self.assertEqual(client.stream.until(b"0\r\n\r\n"), b"5\r\nlast\n\r\n0\r\n\r\n")

    def test_upgrade(self):
        client = self.client(self.node())
        self.assertEqual(client.get("/x", "Connection: Upgrade", "Upgrade: echo").status, 101)
        data = os.urandom(MIB)
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        self.assertTrue(client.stream.exactly(len(data)) == data)
        sender.join()

    def test_expect_continue(self):
        client = self.client(self.node())
        client.send(request("/digest", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        self.assertEqual(client.head().status, 100)
        client.send(b"hello")
        self.assertEqual(client.response("POST").body, f"5 {digest(b'hello')}".encode())

    def test_client_that_leaves_ends_the_response(self):
        gate = self.directory / "left"
        weir = self.node()
        client = self.client(weir).send(request(f"/endless?gate={gate}"))
        client.head()
        client.stream.exactly(100_000)
        client.close()
        eventually(gate.exists, "the server learns of it")
        self.assertEqual(weir.logged_one("/endless")["cause"], "client_closed")


class ByHttp2(Servers):
    def node(self, **settings):
        server = self.kept(Node(*self.issue()))
        return self.before(self.https(server), app=HTTP2, **settings)

    def test_node(self):
        weir = self.node()
        client = self.client(weir)
        data = block(4 * MIB)
        client.send(request("/report", method="POST", body=data))
        seen = json.loads(client.response("POST").body)
        self.assertEqual((seen["size"], seen["sha256"]), (len(data), digest(data)))
        self.assertEqual((seen["fields"][":scheme"], seen["fields"][":authority"]),
                         ("https", "weir.test"))
        got = client.get(f"/bulk/{4 * MIB}")
        self.assertEqual((got.complete, got.body), (True, b"weir" * MIB))
        self.assertEqual(client.get("/trailers", "TE: trailers").trailers,
                         [("x-sum", "abc"), ("x-more", "def")])
        self.assertEqual([i.status for i in client.get("/hints").interim], [103])
        self.claim_logged_good(weir, 4)
        self.assertEqual(self.count(weir, "tls_handshakes"), 1)

    def test_echo_while_it_is_sent(self):
        client = self.client(self.node())
        client.send(request("/echo", "Transfer-Encoding: chunked", method="POST"))
        head = None
        for number in range(10):
            piece = b"piece %d." % number
            client.send(chunk(piece))
            head = head or client.head()
            line = client.stream.until(b"\r\n")
            self.assertEqual(client.stream.exactly(int(line, 16) + 2), piece + b"\r\n")
        client.send(b"0\r\n\r\n")
        self.assertEqual(client.stream.until(b"\r\n\r\n"), b"0\r\n\r\n")

    @bound(60)
    def test_nghttpd(self):
        data = block(16 * MIB)
        (self.directory / "large").write_bytes(data)
        weir = self.before(self.https(self.kept(Nghttpd(self.directory, files=self.issue()))),
                           app=HTTP2)
        for version in ("--http1.1", "--http2-prior-knowledge"):
            for arguments in ([], ["-T", self.directory / "large"]):
                to = self.directory / "got"
                done = run(tool("curl"), "-sS", version, *arguments, "-o", to, weir.url("/large"))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(digest(to.read_bytes()), digest(data))
        self.claim_logged_good(weir, 4)

    def test_server_that_has_only_http1(self):
        weir = self.before(self.https(self.nginx(self.issue())), app=HTTP2)
        self.claim_bad(weir, "application protocol", "upstream_tls_failed")

    def test_server_that_would_speak_http2(self):
        """With HTTP/1.1 that is what is agreed on."""
        nginx = self.nginx(self.issue(), 'location = /p { return 200 "$server_protocol '
                           '$ssl_alpn_protocol"; }', options=" ssl http2")
        weir = self.before(self.https(nginx))
        self.assertEqual(self.claim_good(weir, "/p").body, b"HTTP/1.1 http/1.1")


class Grpc(grpc_calls.KindsOverTls):
    """TLS on both sides."""

    def started(self, **settings):
        self.authority = Authority(self.directory)
        files = self.authority.issue("weir.test")
        self.server = self.kept(Server(*self.authority.issue("grpc.test")))
        self.front = self.weir(
            f"https://{self.server.address}", **settings,
            upstream={"app": {**HTTP2, "tls": {"ca": self.authority.ca, "name": "grpc.test"}}},
            listen=[{"address": "127.0.0.1:0", "tls": {"cert": files[0], "key": files[1]}}])
        self.channel = self.channel_to(self.front)
        return self.front

    def test_server_that_is_not_believed(self):
        self.authority = Authority(self.directory)
        server = self.kept(Server(*self.authority.issue("other.test")))
        front = self.weir(f"https://{server.address}", upstream={
            "app": {**HTTP2, "tls": {"ca": self.authority.ca, "name": "grpc.test"}}})
        channel = self.closed_behind(
            grpc.insecure_channel(f"127.0.0.1:{front.port}", options=SIZE_MAX))
        said = self.claim_fails(grpc.StatusCode.UNAVAILABLE, lambda: channel.unary_unary(
            "/test.Plain/Echo")(b"x", timeout=20))
        self.assertTrue(said.startswith("upstream_tls_certificate: "), said)


class Others(Servers):
    def test_openssl(self):
        """It answers until it closes, and is its own authority."""
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version):
                server = self.kept(OpensslServer(self.directory, "server.test", version))
                weir = self.before(self.https(server),
                                   tls={"ca": server.pem, "name": "server.test"})
                response = self.claim_good(weir)
                self.assertIn(version[1:].replace("tls", "TLSv").replace("_", ".").encode(),
                              response.body)
                server.end()

    def test_python(self):
        """HTTP/1.0, by the standard library."""
        data = os.urandom(2 * MIB)
        (self.directory / "file").write_bytes(data)

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=self.directory))
        server.socket = server_context(*self.issue()).wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        weir = self.before(f"https://127.0.0.1:{server.server_port}")
        for number in range(3):
            self.assertEqual(digest(self.client(weir).get("/file").body), digest(data), number)
        self.assertEqual(self.client(weir).get("/nothing").status, 404)
        self.assertEqual({e["cause"] for e in weir.logged(4)}, {""})

    def test_websocket(self):
        server = self.process(sys.executable, applications.HERE / "websocket_echo.py",
                              *self.issue())
        port = server.line(r"port (\d+)")[1]
        weir = self.before(f"https://127.0.0.1:{port}")

        async def session():
            async with websockets.connect(f"ws://127.0.0.1:{weir.port}/chat", max_size=2**26,
                                          ping_interval=None) as socket:
                for message in ("one", "三", os.urandom(3 * MIB), ""):
                    await socket.send(message)
                    assert await asyncio.wait_for(socket.recv(), 20) == message
                await socket.send("ping")
                assert await asyncio.wait_for(socket.recv(), 20) == "pong"
                await socket.send("close 4001")
                await asyncio.wait_for(socket.wait_closed(), 20)
                assert socket.close_code == 4001
        asyncio.run(session())
        entry = weir.logged_one("/chat")
        self.assertEqual((entry["status"], entry["cause"]), (101, ""))


class Tcp(Servers):
    LISTEN = [{"address": "127.0.0.1:0", "tcp": {"upstream": "app"}}]

    def test_redis(self):
        """Bytes of the client's that are plain, over TLS to the server."""
        files = self.issue()
        server = self.kept(Redis(self.directory, files))
        weir = self.before(self.https(server), route=None, listen=self.LISTEN)
        data = os.urandom(5 * MIB)
        for words, stdin, out in ((("-x", "set", "k"), data, b"OK\n"),
                                  (("get", "k"), b"", data + b"\n"),
                                  (("incrby", "n", "41"), b"", b"41\n")):
            done = run(tool("redis-cli"), "-p", weir.port, *words, stdin=stdin)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout == out, words)
        self.assertEqual(self.count(weir, "tls_handshakes"), 3)

    def scripted(self, act, **settings):
        """(origin, weir): the origin does act(end of TLS) in place of HTTP."""
        origin = self.tls_origin()
        origin._one = lambda connection: act(connection.sock)
        return origin, self.before(origin, route=None, listen=self.LISTEN, **settings)

    def test_directions_end_alone(self):
        """The client's end is said to the server by close_notify, and the other way round."""
        def act(end):
            data = b""
            while piece := end.recv(65536):
                data += piece
            end.sendall(b"all of " + data)
        _, weir = self.scripted(act)
        client = self.client(weir).send(b"this").finish()
        self.assertEqual(client.stream.to_end(), b"all of this")
        self.assertEqual(weir.logged(1)[0]["cause"], "")

    def test_server_that_speaks_first_and_ends_first(self):
        def act(end):
            end.sendall(b"220 ready\r\n")
            end.finish()
            end.recv(5)
            self.opened.set()
        self.opened = threading.Event()
        _, weir = self.scripted(act)
        client = self.client(weir)
        self.assertEqual(client.stream.to_end(), b"220 ready\r\n")
        client.send(b"later")
        self.assertTrue(self.opened.wait(10), "the client's direction is open")

    def test_end_that_is_a_cut(self):
        """Without close_notify the client does not see an end, but a reset."""
        def act(end):
            end.sendall(b"part")
            end.recv(2)
            end.cut()
        _, weir = self.scripted(act)
        client = self.client(weir)
        self.assertEqual(client.stream.exactly(4), b"part")
        client.send(b"go")
        with self.assertRaises(Exception) as raised:
            client.stream.to_end()
        self.assertEqual(getattr(raised.exception, "how", None), "reset")
        self.assertNotEqual(weir.logged(1)[0]["cause"], "")

    def test_no_protocol_of_http_is_offered(self):
        """Whatever is spoken there, it is not for Weir to name it: a server that knows only other
        protocols would end the handshake (RFC 7301 section 3.2)."""
        def act(end):
            end.sendall(b"hello")
        origin, weir = self.scripted(act)
        origin.context.set_alpn_protocols(["imap", "http/1.1"])
        self.assertEqual(self.client(weir).stream.to_end(), b"hello")
        self.assertEqual(origin.alpn, [None])

    def test_server_that_is_not_believed(self):
        origin = self.tls_origin(self.issue("other.test"))
        weir = self.before(origin, route=None, listen=self.LISTEN)
        client = self.client(weir).send(b"secret")
        self.assertTrue(client.closed())
        entry = weir.logged(1)[0]
        self.assertEqual((entry["cause"], entry["detail"]),
                         ("upstream_tls_certificate", "IP address mismatch"))

    def test_tls_on_both_sides(self):
        def act(end):
            while piece := end.recv(65536):
                end.sendall(piece)
        files = self.issue("weir.test")
        origin = self.tls_origin()
        origin._one = lambda connection: act(connection.sock)
        weir = self.before(origin, route=None, listen=[
            {**self.LISTEN[0], "tls": {"cert": files[0], "key": files[1]}}])
        client = TlsClient(weir.port, self.authority.context())
        self._stack.callback(client.close)
        data = os.urandom(MIB)
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        self.assertTrue(client.stream.exactly(len(data)) == data)
        sender.join()
        client.close()
