# SPDX-License-Identifier: Apache-2.0
"""TLS connections with servers, once they are made: how they end in bodies and while they are kept,
damaged records, and what TLS itself says in between."""

from e2e.upstream_tls_trust import Towards
from harness.message import chunk
from harness.process import run, tool
from harness.raw import request
from harness.waiting import eventually
from origins import scripts
from origins.origin import digest
from origins.tls_origin import TlsH2Origin, server_context

HTTP2 = {"protocol": "http2"}
MIB = 1 << 20
PART = b"part of it " * 1000
LENGTH = scripts.head(200, f"Content-Length: {len(PART) + 10}") + PART
CHUNKED = scripts.head(200, "Transfer-Encoding: chunked") + chunk(PART)
CLOSE = scripts.head(200, "Connection: close") + PART
VERSIONS = ("1.2", "1.3")


def ending(data, how):
    """Sends `data`, and once the test has seen it ends as `how` says."""
    def script(x):
        x.body()
        x.send(data)
        x.wait("end")
        if how == "notify":
            x.connection.sock.finish()
        elif how == "cut":
            x.connection.sock.cut()
        else:
            x.reset()
        x.close()
    return script


class Bodies(Towards):
    def claim_ends(self, data, how, whole):
        """For each version and each kind of client."""
        for version in VERSIONS:
            origin = self.tls_origin(script=ending(data, how), version=version)
            weir = self.before(origin)
            client = self.client(weir).send(request("/one"))
            head = client.head()
            origin.open("end")
            response = client.body(head)
            self.assertEqual(response.complete, whole, (version, response))
            self.assertTrue(whole or response.how)
            self.assertIn(PART, response.body)
            cause = weir.logged_one("/one")["cause"]
            self.assertEqual(cause, "" if whole else "upstream_truncated", version)
            done = run(tool("curl"), "-sS", "--http2-prior-knowledge", weir.url("/two"))
            self.assertEqual(done.returncode, 0 if whole else 92, done.stderr)
            ended = {origin.ended(connection) for connection in origin.connections}
            self.assertNotIn("handshake", ended)
            client.close()  # for which Weir would wait at its end

    def test_length_notify(self):
        self.claim_ends(LENGTH, "notify", False)

    def test_length_cut(self):
        self.claim_ends(LENGTH, "cut", False)

    def test_length_reset(self):
        self.claim_ends(LENGTH, "reset", False)

    def test_chunked_notify(self):
        self.claim_ends(CHUNKED, "notify", False)

    def test_chunked_cut(self):
        self.claim_ends(CHUNKED, "cut", False)

    def test_until_close_notify(self):
        self.claim_ends(CLOSE, "notify", True)

    def test_until_close_cut(self):
        """Whoever is between could have cut it: it is not taken for the whole."""
        self.claim_ends(CLOSE, "cut", False)

    def test_until_close_reset(self):
        self.claim_ends(CLOSE, "reset", False)

    def test_whole_and_cut(self):
        """The length was reached: nothing is missing, and nothing is wrong."""
        for end in ("cut", "reset", "notify"):
            with self.subTest(end):
                data = scripts.head(200, f"Content-Length: {len(PART)}") + PART
                self.claim_ends(data, end, True)
                self.claim_ends(CHUNKED + b"0\r\n\r\n", end, True)

    def test_clients_of_http_10(self):
        """To whom the end of the connection is the end of the body: a cut is none."""
        for data, how, whole in ((CLOSE, "notify", True), (CLOSE, "cut", False),
                                 (CHUNKED, "notify", False), (LENGTH, "notify", False),
                                 (CHUNKED + b"0\r\n\r\n", "cut", True)):
            with self.subTest((data[:60], how)):
                origin = self.tls_origin(script=ending(data, how))
                weir = self.before(origin)
                client = self.client(weir).send(request("/x", version="1.0"))
                head = client.head()
                origin.open("end")
                response = client.body(head)
                self.assertEqual(response.complete, whole, response)
                if not whole and response.framing == "close":
                    self.assertEqual(response.how, "reset")

    def test_odd_records(self):
        """By openssl: padded, and of no more than 512 bytes."""
        data = digest(b"x").encode() * 40_000
        (self.directory / "file").write_bytes(data)
        cert, key = self.issue()
        for options in (["-tls1_3", "-record_padding", "4096"],
                        ["-tls1_3", "-max_send_frag", "512"],
                        ["-tls1_2", "-max_send_frag", "512"]):
            with self.subTest(options):
                server = self.process(tool("openssl"), "s_server", "-accept", "127.0.0.1:0",
                                      "-cert", cert, "-key", key, "-WWW", *options,
                                      cwd=self.directory)
                address = server.line(r"^ACCEPT (127\.0\.0\.1:\d+)")[1]
                weir = self.before("https://" + address)
                self.assertEqual(digest(self.claim_good(weir, "/file").body), digest(data))
                server.end()

    def test_damaged_record(self):
        """Neither its content nor what follows is passed on."""
        def script(x):
            x.body()
            x.send(scripts.head(200, f"Content-Length: {3 * len(PART)}") + PART)
            x.wait("damage")
            x.connection.sock.spoil = lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:]
            x.send(b"?" * len(PART))
            x.send(b"!" * len(PART))
        for version in VERSIONS:
            with self.subTest(version):
                origin = self.tls_origin(script=script, version=version)
                weir = self.before(origin)
                client = self.client(weir).send(request("/x"))
                head = client.head()
                origin.open("damage")
                response = client.body(head)
                self.assertEqual((response.complete, response.body), (False, PART))
                self.assertEqual(weir.logged_one("/x")["cause"], "upstream_truncated")

    def test_damaged_head(self):
        def script(x):
            x.body()
            x.connection.sock.spoil = lambda data: data[:-1] + bytes([data[-1] ^ 1])
            x.send(LENGTH)
        origin = self.tls_origin(script=script)
        weir = self.before(origin)
        self.assertEqual(self.client(weir).get("/x").status, 502)
        self.assertEqual(len(origin.seen("/x")), 1, "it may have been done")
        logged = weir.logged_one("/x")
        self.assertEqual((logged["cause"], logged["detail"]),
                         ("upstream_tls_failed", "a damaged record"))

    def test_plain_text_in_between(self):
        """Something below TLS has added bytes."""
        def script(x):
            x.body()
            x.send(CHUNKED)
            x.wait("go")
            x.connection.sock.plain.sendall(b"5\r\nbogus\r\n")
            x.send(chunk(b"more") + b"0\r\n\r\n")
        origin = self.tls_origin(script=script)
        weir = self.before(origin)
        client = self.client(weir).send(request("/x"))
        head = client.head()
        origin.open("go")
        response = client.body(head)
        self.assertEqual((response.complete, response.body), (False, PART))

    def test_byte_by_byte(self):
        """Handshake and response, one byte in each segment."""
        for version in VERSIONS:
            with self.subTest(version):
                origin = self.tls_origin(script=scripts.echo("chunked", 100), version=version,
                                         piece=1)
                weir = self.before(origin)
                client = self.client(weir)
                for _ in range(2):
                    client.send(request("/x", method="POST", body=PART[:5000]))
                    self.assertEqual(client.response("POST").body, PART[:5000])
                self.assertEqual(len(origin.connections), 1)

    def test_early_answer_to_an_upload(self):
        """The server answers, says that it is done, and reads no further."""
        def script(x):
            x.send(scripts.head(413, "Content-Length: 5", "Connection: close") + b"early")
            x.connection.sock.finish()
            x.peer_gone()
            x.close()
        origin = self.tls_origin(script=script)
        client = self.client(self.before(origin))
        client.send(request("/up", f"Content-Length: {20 * MIB}", method="POST"))
        client.try_send(b"x" * MIB)
        response = client.response("POST")
        self.assertEqual((response.status, response.body), (413, b"early"))

    def test_server_that_does_not_read(self):
        origin = self.tls_origin(script=lambda x: x.wait("never"))
        weir = self.before(origin, timeouts={"upstream_write": "200ms"})
        client = self.client(weir)
        client.send(request("/up", f"Content-Length: {64 * MIB}", method="POST"))
        for _ in range(64):
            if not client.try_send(b"x" * MIB):
                break
        self.assertEqual(weir.logged_one("/up")["cause"], "upstream_write_timeout")
        origin.open("never")


class Messages(Towards):
    """What a server may say of TLS while HTTP goes on."""

    BODY = b"0123456789abcdef" * 4096

    def interrupted(self, act, **context):
        """A body of 4 MiB, with act(end) before each piece; it and an upload come whole."""
        def script(x):
            up = x.body()
            x.send(scripts.head(200, f"Content-Length: {64 * len(self.BODY)}",
                                f"X-Up: {digest(up)}"))
            for _ in range(64):
                act(x.connection.sock)
                x.send(self.BODY)
        origin = self.tls_origin(script=script, **context)
        weir = self.before(origin)
        client = self.client(weir)
        for path in ("/1", "/2"):
            client.send(request(path, method="POST", body=PART * 100))
            response = client.response("POST")
            self.assertTrue(response.complete, response)
            self.assertEqual(digest(response.body), digest(self.BODY * 64))
            self.assertEqual(response.fields.get("x-up"), digest(PART * 100))
        self.assertEqual(len(origin.connections), 1)
        return origin, weir

    def test_tickets(self):
        origin, weir = self.interrupted(lambda end: end.send_ticket(), version="1.3")
        self.assertEqual({e["cause"] for e in weir.logged(2)}, {""})
        origin.drop_connections()
        eventually(lambda: self.client(weir).get("/3").status == 200, "the next connection")

    def test_many_tickets(self):
        origin = self.tls_origin(version="1.3", tickets=20)
        weir = self.before(origin, app={"requests_max": 1})
        for _ in range(3):
            self.claim_good(weir)
        self.assertEqual(origin.resumed, [False, True, True])

    def test_key_updates(self):
        self.interrupted(lambda end: end.update_keys(False), version="1.3")

    def test_key_updates_that_want_an_answer(self):
        self.interrupted(lambda end: end.update_keys(True), version="1.3")

    def test_key_updates_and_tickets(self):
        def act(end):
            end.update_keys(True)
            end.send_ticket()
            end.update_keys(False)
        self.interrupted(act, version="1.3")

    def test_key_updates_in_an_upload(self):
        """The server wants new keys of Weir while it reads."""
        def script(x):
            stream, size = x.connection.stream, int(x.request.fields.get("content-length"))
            parts = []
            for _ in range(0, size, MIB // 4):  # of more, and nothing else, Weir has enough
                x.connection.sock.update_keys(True)
                parts.append(stream.exactly(MIB // 4))
            x.request.complete = True
            scripts.text(digest(b"".join(parts)))(x)
        origin = self.tls_origin(script=script, version="1.3")
        client = self.client(self.before(origin))
        data = self.BODY * 64
        for _ in range(2):
            client.send(request("/up", method="POST", body=data))
            self.assertEqual(client.response("POST").body.decode(), digest(data))
        self.assertEqual(origin.faults, [])

    def test_key_update_of_an_idle_connection(self):
        origin = self.tls_origin(version="1.3")
        weir = self.before(origin)
        for _ in range(3):
            self.claim_good(weir)
            origin.connections[0].sock.update_keys(True)
            origin.connections[0].sock.send_ticket()
        self.claim_good(weir)

    def test_by_openssl(self):
        """Key updates by openssl s_server, whose keyboard this is."""
        cert, key = self.issue()
        server = self.process(tool("stdbuf"), "-oL", tool("openssl"), "s_server", "-accept",
                              "127.0.0.1:0", "-cert", cert, "-key", key, stdin=-1)
        type_in = server.child.stdin
        weir = self.before("https://" + server.line(r"^ACCEPT (127\.0\.0\.1:\d+)")[1])
        client = self.client(weir).send(request("/x"))
        server.line(r"^GET /x HTTP/1\.1")

        def typed(text):
            type_in.write(text)
            type_in.flush()
        line = b"x" * 999 + b"\n"
        typed(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
        head = client.head()
        for round_ in range(8):
            typed(line * 50)
            self.assertEqual(client.stream.exactly(50_000), line * 50)
            said = len(server.lines)
            typed(b"K\n" if round_ % 2 else b"k\n")
            server.line("SSL_do_handshake -> 1", after=said)
        self.assertEqual(head.status, 200)
        self.assertEqual(weir.logged_one("/x")["cause"], "")

    def test_renegotiation_is_asked_for(self):
        """TLS 1.2: HelloRequest. A client may ignore it (RFC 5246 section 7.4.1.1)."""
        asked = []

        def act(end):
            if len(asked) < 4:
                asked.append(end)
                end.ask_renegotiation()
        self.interrupted(act, version="1.2")
        self.assertEqual(len(asked), 4)


class Idle(Towards):
    """Connections that are kept."""

    def claim_replaced(self, end, **context):
        """A kept connection that the server ends by end(TlsEnd) costs nobody a request."""
        origin = self.tls_origin(**context)
        weir = self.before(origin)
        client = self.client(weir)
        for number in range(1, 4):
            client.send(request("/x", method="POST", body=b"x"))
            self.assertEqual(client.response("POST").status, 200)
            self.assertEqual(len(origin.connections), number)
            end(origin.connections[-1].sock)
            eventually(lambda: weir.metrics()[
                "weir_upstream_connections_idle", frozenset({("upstream", "app")})] == 0,
                "it is not kept")
        self.assertEqual({e["cause"] for e in weir.logged(3)}, {""})

    def test_closed(self):
        for version in VERSIONS:
            self.claim_replaced(lambda end: end.finish(), version=version)

    def test_only_close_notify(self):
        """Without the end of TCP."""
        for version in VERSIONS:
            self.claim_replaced(lambda end: end.notify(), version=version)

    def test_cut(self):
        for version in VERSIONS:
            self.claim_replaced(lambda end: end.cut(), version=version)

    def test_unasked_data(self):
        for version in VERSIONS:
            self.claim_replaced(lambda end: end.sendall(b"HTTP/1.1 408 Timeout\r\n\r\n"),
                                version=version)

    def test_garbage(self):
        self.claim_replaced(lambda end: end.plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32)))

    def test_dies_when_asked_again(self):
        """As over TCP: what can be repeated is, on a new connection."""
        def script(x):
            if x.connection.requests[0] is x.request:
                return scripts.text("fine")(x)
            x.connection.sock.cut()
            return x.close()
        origin = self.tls_origin(script=script)
        weir = self.before(origin)
        client = self.client(weir)
        self.assertEqual(client.get("/1").body, b"fine")
        self.assertEqual(client.get("/2").body, b"fine")
        self.assertEqual(weir.logged_one("/2")["retries"], 1)


class Http2(Towards):
    def before_h2(self, script, **settings):
        origin = self.kept(TlsH2Origin(server_context(*self.issue(), alpn=["h2"]), script))
        self.origins.append(origin)
        return origin, self.before(origin, app=HTTP2, **settings)

    def claim_cut(self, end):
        def script(x):
            x.head(200)
            x.data(PART)
            x.origin.await_gate("end")
            end(x.connection.sock)
        origin, weir = self.before_h2(script)
        client = self.client(weir).send(request("/x"))
        head = client.head()
        origin.open("end")
        response = client.body(head)
        self.assertEqual((response.complete, response.body), (False, PART))
        self.assertEqual(weir.logged_one("/x")["cause"], "upstream_truncated")
        origin.on("/y", lambda x: x.text("again"))
        self.assertEqual(self.client(weir).get("/y").body, b"again")

    def test_cut(self):
        self.claim_cut(lambda end: end.cut())

    def test_closed(self):
        self.claim_cut(lambda end: end.finish())

    def test_key_updates(self):
        def script(x):
            x.head(200)
            for _ in range(32):
                with x.connection.news:
                    x.connection.sock.update_keys(True)
                x.data(PART)
            x.data(b"", end=True)
        origin, weir = self.before_h2(script)
        clients = [self.client(weir).send(request(f"/{n}")) for n in range(6)]
        for client in clients:
            self.assertEqual(client.response().body, PART * 32)
        self.assertEqual(len(origin.connections), 1)

    def test_others_live_beside_one_that_is_not_believed(self):
        origin, weir = self.before_h2(lambda x: x.text("good"))
        bad = self.kept(TlsH2Origin(server_context(*self.issue("bad.test"), alpn=["h2"]),
                                    lambda x: x.text("bad")))
        weir = self.before(origin, bad, app=HTTP2)
        steady = [self.client(weir).send(request(f"/{n}")) for n in range(20)]
        self.assertEqual({client.response().body for client in steady}, {b"good"})
        self.assertEqual(bad.seen(), [])
