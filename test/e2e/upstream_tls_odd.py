# SPDX-License-Identifier: Apache-2.0
"""TLS servers that break off, stall, or do what few do; and clients that leave meanwhile."""

import json
import pathlib
import signal
import socket
import threading

from e2e.tcp import Server
from e2e.upstream_tls_trust import Towards
from harness.process import run, tool
from harness.raw import request
from harness.tls import Authority
from harness.waiting import eventually
from origins import scripts
from origins.nginx import Nginx
from origins.tls_origin import TlsH2Origin, server_context

HTTP2 = {"protocol": "http2"}
FAILED = "upstream_tls_failed"


def await_hello(sock):
    """Reads a record, which is the ClientHello."""
    head = sock.recv(5, socket.MSG_WAITALL)
    if head[:2] != b"\x16\x03":
        raise ConnectionError("no ClientHello")
    sock.recv(int.from_bytes(head[3:], "big"), socket.MSG_WAITALL)


def to_end(sock):
    while sock.recv(65536):
        pass


class Odd(Towards):
    def plain(self, serve):
        """The address of a server of plain sockets."""
        self.server = self.kept(Server(serve))
        return "https://" + self.server.address

    def dead_ends(self):
        """(what it is, serve(socket)), each a server with which no handshake succeeds."""
        def say(data, hello=True):
            def serve(sock):
                if hello:
                    await_hello(sock)
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                to_end(sock)
            return serve

        def reset(sock):
            await_hello(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return [
            ("plain HTTP", say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")),
            ("speaks first", say(b"220 mail.test ESMTP\r\n", hello=False)),
            ("closes at once", lambda sock: None),
            ("closes behind the hello", await_hello),
            ("resets", reset),
            ("half a record", say(b"\x16\x03\x03\x00\x50\x02\x00")),
            ("garbage", say(bytes(range(256)) * 20)),
            ("garbage in a record", say(b"\x16\x03\x03\x01\x00" + b"\x5a" * 256)),
            ("record that is too long", say(b"\x16\x03\x03\xff\xff" + b"\2" * 65535)),
            ("message without an end", say(b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff" + bytes(16380)
                                           + (b"\x16\x03\x03\x40\x00" + bytes(16384)) * 20)),
            ("empty records", say(b"\x16\x03\x03\x00\x00" * 2000)),
            ("data before the handshake", say(b"\x17\x03\x03\x00\x10" + bytes(16))),
            ("alert", say(b"\x15\x03\x03\x00\x02\x02\x28")),
            ("close_notify", say(b"\x15\x03\x03\x00\x02\x01\x00")),
            ("warnings", say(b"\x15\x03\x03\x00\x02\x01\x70" * 500)),
            ("our hello", lambda sock: sock.sendall(sock.recv(65536))),
        ]


class Handshakes(Odd):
    def test_dead_ends(self):
        """Each is named, and another server answers in its place."""
        good = self.tls_origin(script=scripts.text("good"))
        upstream, route = {}, []
        rows = self.dead_ends()
        tls = {"ca": self.authority.ca}
        for number, (_, serve) in enumerate(rows):
            bad = self.plain(serve)
            for path, servers in ((f"/{number}", [bad]), (f"/both/{number}", [bad, good.address])):
                upstream[f"u{path.replace('/', '-')}"] = {"servers": servers, "tls": tls}
                route.append({"match": {"path": path}, "upstream": f"u{path.replace('/', '-')}"})
        weir = self.weir(upstream=upstream, route=route, workers=1)
        failed = 0
        for number, (what, _) in enumerate(rows):
            with self.subTest(what):
                response = self.client(weir).get(f"/{number}")
                wrong = (response.status, response.cause) != (502, FAILED)
                bodies = {self.client(weir).get(f"/both/{number}", method=method).body
                          for method in ("GET", "POST")}
                failed += wrong or bodies != {b"good"}
                self.assertFalse(wrong, response)
                self.assertTrue(weir.logged_one(f"/{number}")["detail"])
                self.assertEqual(bodies, {b"good"})
        self.count_rows(len(rows), failed)
        self.assertFalse([e for e in weir.log() if e["path"].startswith("/both") and e["cause"]])

    def test_detail_of_plain_http(self):
        serve = dict(self.dead_ends())["plain HTTP"]
        self.claim_bad(self.before(self.plain(serve)), "does not speak TLS", FAILED)

    def test_detail_of_an_alert(self):
        def serve(sock):
            await_hello(sock)
            sock.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        self.claim_bad(self.before(self.plain(serve)), "handshake failure", FAILED)

    def test_tls_to_a_plain_upstream(self):
        """The other mistake: http to a server that wants TLS."""
        origin = self.tls_origin()
        weir = self.weir(origin.plain_address, workers=1)
        self.assertEqual(self.client(weir).get("/x").status, 502)
        self.assertIn("wrong version number" if "VERSION" in str(origin.failed) else "http request",
                      str(origin.failed[0]).lower().replace("_", " "))

    def silent(self, data=b""):
        def serve(sock):
            self.accepted += 1
            await_hello(sock)
            self.arrived.set()
            sock.sendall(data)
            to_end(sock)
            return "left"
        self.arrived, self.accepted = threading.Event(), 0
        return self.plain(serve)

    def claim_left(self):
        eventually(lambda: len(self.server.ends) == self.accepted, "the server's connections end")

    def test_silent(self):
        for data in (b"", b"\x16\x03\x03\x00\x50\x02\x00"):
            with self.subTest(data):
                weir = self.before(self.silent(data), app={"connect_timeout": "150ms"})
                self.claim_bad(weir, "in the TLS handshake", "upstream_connect_timeout",
                               status=504)
                self.claim_left()

    def test_dripping(self):
        """The bound is a total: a byte now and then does not extend it."""
        def serve(sock):
            await_hello(sock)
            over = threading.Event()
            for byte in b"\x16\x03\x03\x40\x00" + bytes(16384):
                sock.sendall(bytes([byte]))
                over.wait(0.02)
        weir = self.before(self.plain(serve), app={"connect_timeout": "200ms"})
        self.claim_bad(weir, "in the TLS handshake", "upstream_connect_timeout",
                               status=504)
        eventually(lambda: self.server.ends, "the server's connection ends")

    def test_silent_one_is_skipped(self):
        good = self.tls_origin(script=scripts.text("good"))
        weir = self.before(self.silent(), good, app={"connect_timeout": "150ms"})
        for _ in range(6):
            self.assertEqual(self.client(weir).get().body, b"good")

    def test_bad_certificate_is_skipped(self):
        bad, good = self.tls_origin(self.issue("bad.test")), self.tls_origin(
            script=scripts.text("good"))
        weir = self.before(bad, good)
        client = self.client(weir)
        for number in range(10):
            client.send(request(f"/{number}", method="POST", body=b"x"))
            self.assertEqual(client.response("POST").body, b"good")
        self.assertEqual(bad.seen(), [])
        self.assertLessEqual(sum(entry["retries"] for entry in weir.logged(10)), 2)

    def test_http2_is_not_offered(self):
        """The server knows nothing of ALPN."""
        origin = self.tls_origin()
        self.claim_bad(self.before(origin, app=HTTP2), "ALPN h2", FAILED)
        self.assertEqual(origin.seen(), [])

    def test_http1_is_not_agreed_on(self):
        """That is no reason to fail: HTTP/1.1 needs no ALPN."""
        origin = self.tls_origin(alpn=["spdy/3"])
        self.claim_good(self.before(origin))

    def test_client_that_leaves(self):
        """Its connection ends at once, and others are served."""
        good = self.origin(script=scripts.text("good"))
        for app in ({}, HTTP2):
            with self.subTest(app):
                weir = self.before(self.silent(), app={"connect_timeout": "60s", **app},
                                   more={"good": {"servers": [good.address]}},
                                   route=[{"match": {"path": "/good"}, "upstream": "good"},
                                          {"upstream": "app"}])
                client = self.client(weir).send(request("/left"))
                self.assertTrue(self.arrived.wait(10))
                self.claim_good(weir, "/good")
                client.reset()
                self.assertEqual(weir.logged_one("/left")["cause"], "client_closed")
                self.claim_left()
                self.claim_good(weir, "/good")
                eventually(lambda weir=weir: weir.status()["total"]["requests_active"] == 0,
                           "nothing is left")

    def test_hundreds_that_leave(self):
        weir = self.before(self.silent(), app={"connect_timeout": "60s"})
        for _ in range(5):
            clients = [self.client(weir).send(request("/left")) for _ in range(50)]
            eventually(lambda: weir.status()["total"]["requests_active"] == 50, "all wait")
            for client in clients:
                client.reset()
            eventually(lambda: weir.status()["total"]["requests_active"] == 0, "none does")
        self.claim_left()

    def test_one_that_waits_with_another_that_leaves(self):
        """Requests that wait for one connection of HTTP/2, of which the first is given up."""
        origin = self.kept(TlsH2Origin(server_context(*self.issue(), alpn=["h2"]),
                                       lambda x: x.text("good")))
        origin.before_handshake = "shake"
        weir = self.before(origin, app=HTTP2)
        first = self.client(weir).send(request("/first"))
        origin.await_gate("arrived:shake")
        second = self.client(weir).send(request("/second"))
        eventually(lambda: weir.status()["total"]["requests_active"] == 2, "both wait")
        first.reset()
        self.assertEqual(weir.logged_one("/first")["cause"], "client_closed")
        origin.open("shake")
        self.assertEqual(second.response().body, b"good")

    def test_long_flight(self):
        """A chain of 25 certificates, most of no use, and a list of all authorities there are."""
        cert, key = self.issue(kind="rsa")
        chain = self.directory / "chain.pem"
        others = [Authority(self.directory, f"CA {n}").ca.read_text() for n in range(24)]
        chain.write_text(pathlib.Path(cert).read_text() + "".join(others))
        for version in ("1.2", "1.3"):
            nginx = self.kept(Nginx(self.directory, f"""
                ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv{version};
                ssl_client_certificate /etc/ssl/certs/ca-certificates.crt;
                ssl_verify_depth 2; ssl_verify_client optional;""", options=" ssl"))
            self.assertEqual(len(self.claim_good(self.before("https://" + nginx.address),
                                                 "/small").body), 1023)
            nginx.end()

    def test_another_hello_is_asked_for(self):
        """The server takes none of the keys that the first has (HelloRetryRequest)."""
        cert, key = self.issue()
        nginx = self.kept(Nginx(self.directory, f"""
            ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
            ssl_ecdh_curve secp384r1; location = /c {{ return 200 "$ssl_curves"; }}""",
                                options=" ssl"))
        weir = self.before("https://" + nginx.address, app={"requests_max": 1})
        for _ in range(3):
            self.claim_good(weir, "/small")
        self.assertEqual(self.count(weir, "tls_resumptions"), 2)

    def test_a_handshake_for_each_request(self):
        """Under load, most of them resumed."""
        cert, key = self.issue()
        nginx = self.kept(Nginx(self.directory, f"ssl_certificate {cert}; "
                                f"ssl_certificate_key {key};", options=" ssl"))
        weir = self.before("https://" + nginx.address, app={"requests_max": 1}, workers=2)
        done = run(tool("h2load"), "--h1", "-n", "1500", "-c", "20", weir.url("/small"))
        self.assertIn(b"1500 succeeded, 0 failed", done.stdout, done.stdout.decode())
        self.assertEqual(self.count(weir, "tls_handshakes"), 1500)
        self.assertGreater(self.count(weir, "tls_resumptions"), 1200)

    def test_status_says_what_is_wrong(self):
        weir = self.before(self.tls_origin(self.issue("bad.test")))
        self.claim_bad(weir, "IP address mismatch")
        self.assertIn("upstream_tls_certificate", json.dumps(weir.status()["upstreams"]))

    def test_end_of_the_drain(self):
        weir = self.before(self.silent(), app={"connect_timeout": "60s"},
                           timeouts={"drain": "100ms"})
        client = self.client(weir).send(request("/waits"))
        self.assertTrue(self.arrived.wait(10))
        weir.process.signal(signal.SIGTERM)
        self.assertEqual(weir.process.wait(10), 0)
        self.assertEqual(weir.logged_one("/waits")["cause"], "cancelled")
        client.close()

    def test_reload_meanwhile(self):
        """The handshake goes on as it began."""
        origin = self.tls_origin()
        origin.before_handshake = "shake"
        weir = self.before(origin)
        client = self.client(weir).send(request("/x"))
        origin.await_gate("arrived:shake")
        self.assertEqual(weir.reload().returncode, 0)
        origin.open("shake")
        self.assertEqual(client.response().status, 200)

    def test_server_is_removed_meanwhile(self):
        origin, other = self.tls_origin(), self.tls_origin(script=scripts.text("other"))
        origin.before_handshake = "shake"
        weir = self.before(origin)
        client = self.client(weir).send(request("/x"))
        origin.await_gate("arrived:shake")
        self.assertEqual(weir.reload(self.config(servers=other, workers=1, upstream={
            "app": {"tls": {"ca": self.authority.ca}}})).returncode, 0)
        origin.open("shake")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(self.client(weir).get().body, b"other")
