# SPDX-License-Identifier: Apache-2.0
"""TLS that Weir does not end: connections go to an upstream by the name that the client wants, and
every byte of them passes."""

import hashlib
import random
import re
import ssl
import threading

from e2e.proxy_protocol import LOCAL, v1, v2_ip
from e2e.tcp import BLOCK, Server, echo
from harness.case import Case, bound
from harness.process import run, tool
from origins.tls import NginxTls, OpensslServer, certificate


def vector(size, content):
    return len(content).to_bytes(size, "big") + content


def client_hello(*names, protocols=(), more=b""):
    """The message, without records."""
    extensions = b""
    for name in names:
        extensions += b"\0\0" + vector(2, vector(2, b"\0" + vector(2, name.encode())))
    if protocols:
        names = b"".join(vector(1, protocol.encode()) for protocol in protocols)
        extensions += b"\0\x10" + vector(2, vector(2, names))
    extensions += b"\0\x15" + vector(2, more)
    body = (b"\3\3" + bytes(range(32)) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0")
            + vector(2, extensions))
    return b"\1" + vector(3, body)


def records(message, size=16384):
    parts = [message[at:at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\3\1" + vector(2, part) for part in parts)


class Passthrough(Case):
    def through(self, entries, tcp=None, listen=None, **settings):
        """Weir before these: entries is [(sni, upstream's address, more)]."""
        listener = {"address": "127.0.0.1:0", "passthrough": [], **(listen or {})}
        upstreams = settings.pop("upstream", {})
        for number, (sni, address, *more) in enumerate(entries):
            entry = {"upstream": f"u{number}", **(more[0] if more else {})}
            if sni is not None:
                entry["sni"] = sni
            listener["passthrough"].append(entry)
            upstreams.setdefault(f"u{number}", {})["servers"] = [address]
        if tcp is not None:
            listener["tcp"] = {"upstream": "rest"}
            upstreams["rest"] = {"servers": [tcp]}
        return self.start(self.config(listen=[listener], upstream=upstreams, route=None,
                                      **settings))

    def echo(self, prefix=b""):
        """A server that says who it is, and then what it got."""
        def serve(sock):
            sock.sendall(prefix)
            echo(sock)
        return self.kept(Server(serve))

    def claim_closed(self, weir, cause, data=b"", host="", answer=b""):
        client = self.client(weir).send(data)
        self.assertEqual(client.stream.to_end() if answer else client.closed() and b"", answer)
        entry = weir.logged(1)[0]
        self.assertEqual((entry["cause"], entry["host"], entry["upstream"]), (cause, host, ""))
        counted = [value for (_, labels), value in weir.metrics().items()
                   if ("cause", cause) in labels]
        self.assertEqual(counted, [1])

    # --- by name ----------------------------------------------------------------------------------

    def test_openssl_to_two_servers_by_name(self):
        servers = [self.kept(OpensslServer(self.directory, name)) for name in ("a.test", "b.test")]
        weir = self.through([("a.test", servers[0].address), ("*.test", servers[1].address)])
        for name, subject in (("a.test", "a.test"), ("b.test", "b.test"), ("A.Test", "a.test")):
            for version in ("-tls1_2", "-tls1_3"):
                done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}",
                           "-servername", name, version, stdin=b"")
                found = re.search(r"subject=CN = (\S+)", done.stdout.decode())
                self.assertEqual(found and found[1], subject, done.stderr)
        hosts = [(entry["host"], entry["upstream"], entry["cause"]) for entry in weir.logged(6)]
        self.assertEqual(sorted(set(hosts)), [("a.test", "u0", ""), ("b.test", "u1", "")])

    def test_curl_verifies_the_servers_own_certificate(self):
        nginx = self.kept(NginxTls(self.directory, "www.test"))
        weir = self.through([("www.test", nginx.address)])
        for option, protocol in (("--http2", "HTTP/2.0"), ("--http1.1", "HTTP/1.1")):
            done = run(tool("curl"), "-sS", option, "--cacert", nginx.pem, "--resolve",
                       f"www.test:{weir.port}:127.0.0.1", f"https://www.test:{weir.port}/who")
            self.assertEqual(done.stdout.decode(), f"www.test {protocol} 127.0.0.1", done.stderr)

    def test_by_protocol(self):
        servers = [self.kept(OpensslServer(self.directory, name, "-alpn", "h2,http/1.1,acme-tls/1"))
                   for name in ("one.test", "two.test", "any.test")]
        weir = self.through([("x.test", servers[0].address),
                             ("x.test", servers[1].address, {"alpn": ["h2", "h3"]}),
                             (None, servers[2].address, {"alpn": "acme-tls/1"})])
        for name, alpn, subject in (("x.test", "http/1.1", "one.test"),
                                    ("x.test", "http/1.1,h2", "two.test"),
                                    ("y.test", "acme-tls/1", "any.test")):
            done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}",
                       "-servername", name, "-alpn", alpn, stdin=b"")
            self.assertIn(f"subject=CN = {subject}", done.stdout.decode(), done.stderr)

    def test_unknown_name_is_told_so(self):
        server = self.echo()
        weir = self.through([("a.test", server.address), ("*.b.test", server.address)])
        done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}",
                   "-servername", "b.test", stdin=b"")
        self.assertIn("unrecognized name", done.stderr.decode())
        entry = weir.logged(1)[0]
        self.assertEqual((entry["cause"], entry["host"]), ("passthrough_unmatched", "b.test"))
        self.assertEqual(server.ends, [])

    def test_a_wildcard_is_one_label(self):
        weir = self.through([("*.test", self.echo().address)])
        self.claim_closed(weir, "passthrough_unmatched", records(client_hello("a.b.test")),
                          "a.b.test", b"\x15\3\3\0\2\2\x70")

    # --- the rest ---------------------------------------------------------------------------------

    def test_everything_else_goes_to_tcp(self):
        known, rest = self.echo(b"known"), self.echo(b"rest ")
        weir = self.through([("a.test", known.address)], tcp=rest.address)
        for data, who in ((records(client_hello("a.test")), b"known"),
                          (records(client_hello("b.test")), b"rest "),
                          (records(client_hello()), b"rest "),
                          (b"GET / HTTP/1.1\r\n\r\n", b"rest "),
                          (b"\x16\3\1\0\0", b"rest "),
                          (records(client_hello("a.test") + b"x"), b"rest "),
                          (b"\0", b"rest ")):
            with self.client(weir) as client:
                self.assertEqual(client.send(data).stream.exactly(5 + len(data)), who + data)

    def test_no_name_without_tcp(self):
        weir = self.through([("a.test", self.echo().address)])
        self.claim_closed(weir, "passthrough_unmatched", records(client_hello()), "",
                          b"\x15\3\3\0\2\2\x70")

    def test_http_without_tcp(self):
        weir = self.through([("a.test", self.echo().address)])
        self.claim_closed(weir, "client_hello_missing", b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")

    def test_two_names_are_none(self):
        weir = self.through([("a.test", self.echo().address)])
        self.claim_closed(weir, "client_hello_missing", records(client_hello("a.test", "b.test")))

    def test_silence(self):
        """Also where the rest goes somewhere: the listener has to see a name first."""
        server = self.echo(b"220 hello\r\n")
        weir = self.through([("a.test", server.address)], tcp=server.address,
                            timeouts={"client_head": "300ms"})
        self.claim_closed(weir, "client_hello_timeout")
        self.assertEqual(server.ends, [])

    def test_half_a_hello(self):
        weir = self.through([("a.test", self.echo().address)], timeouts={"client_head": "300ms"})
        self.claim_closed(weir, "client_hello_timeout", records(client_hello("a.test"))[:-1])

    def test_too_large(self):
        weir = self.through([("a.test", self.echo().address)])
        self.claim_closed(weir, "client_hello_missing",
                          records(client_hello("a.test", more=bytes(16_400)), 8_000))

    def test_refused_server(self):
        server = self.echo()
        server.end()
        weir = self.through([("a.test", server.address)])
        client = self.client(weir).send(records(client_hello("a.test")))
        self.assertTrue(client.closed())
        entry = weir.logged(1)[0]
        self.assertEqual((entry["cause"], entry["host"], entry["upstream"]),
                         ("upstream_refused", "a.test", "u0"))

    # --- exactly ----------------------------------------------------------------------------------

    def test_every_byte_passes_however_it_comes(self):
        weir = self.through([("a.test", self.echo().address)])
        message = client_hello("a.test", protocols=["h2"], more=bytes(700))
        for data in (records(message), records(message, 100), records(message, 1)[:4000]):
            behind = b"early data" * 3 if len(data) < 4000 else records(message, 1)[4000:] + b"x"
            for pieces in ([data + behind], [data, behind],
                           [bytes([byte]) for byte in data + behind][:2000] +
                           [(data + behind)[2000:]]):
                with self.client(weir) as client:
                    for piece in pieces:
                        client.send(piece)
                    self.assertEqual(client.stream.exactly(len(data + behind)), data + behind)

    def test_large_hello(self):
        weir = self.through([("a.test", self.echo().address)])
        data = records(client_hello("a.test", more=random.Random(1).randbytes(16_000)), 5_000)
        client = self.client(weir)
        for at in range(0, len(data), 1500):
            client.send(data[at:at + 1500])
        self.assertEqual(client.stream.exactly(len(data)), data)

    def test_half_close_behind_the_hello(self):
        def serve(sock):
            size = 0
            while data := sock.recv(65536):
                size += len(data)
            sock.sendall(str(size).encode())
        server = self.kept(Server(serve))
        weir = self.through([("a.test", server.address)])
        data = records(client_hello("a.test"))
        client = self.client(weir).send(data).finish()
        self.assertEqual(int(client.stream.to_end()), len(data))

    @bound(60)
    def test_16_mib_each_way(self):
        """Through TLS between Python's own client and server, which check every record."""
        pem, key = certificate(self.directory, "a.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)

        def serve(sock):
            with context.wrap_socket(sock, server_side=True) as tls:
                while data := tls.recv(65536):
                    tls.sendall(data)
        weir = self.through([("a.test", self.kept(Server(serve)).address)])
        trust = ssl.create_default_context(cafile=pem)
        client = self.client(weir, timeout=50)
        with trust.wrap_socket(client.sock, server_hostname="a.test") as tls:
            # One object must not be used by two threads at once: a block there, and back.
            digest = hashlib.sha256()
            for _ in range(16):
                sender = threading.Thread(target=tls.sendall, args=(BLOCK,), daemon=True)
                sender.start()
                size = 0
                while size < len(BLOCK):
                    data = tls.recv(65536)
                    digest.update(data)
                    size += len(data)
                sender.join()
        self.assertEqual(digest.digest(), hashlib.sha256(BLOCK * 16).digest())

    def test_many_at_once(self):
        servers = {f"{n}.test": self.echo(b"%d|" % n) for n in range(5)}
        weir = self.through([(name, server.address) for name, server in servers.items()])
        clients = [self.client(weir) for _ in range(100)]
        for number, client in enumerate(clients):
            client.send(records(client_hello(f"{number % 5}.test"))[:50])
        for number, client in enumerate(clients):
            data = records(client_hello(f"{number % 5}.test"))
            client.send(data[50:])
            self.assertEqual(client.stream.exactly(2 + len(data)), b"%d|" % (number % 5) + data)

    # --- with the rest of Weir --------------------------------------------------------------------

    def test_reload_changes_where_names_go(self):
        one, two = self.echo(b"1"), self.echo(b"2")
        weir = self.through([("a.test", one.address)])
        data = records(client_hello("a.test"))
        held = self.client(weir).send(data[:20])
        early = self.client(weir).send(data)
        self.assertEqual(early.stream.exactly(1 + len(data)), b"1" + data)
        config = dict(weir.config)
        config["upstream"] = {"u0": {"servers": [two.address]}}
        self.assertEqual(weir.reload(config).returncode, 0)
        late = self.client(weir).send(data)
        self.assertEqual(late.stream.exactly(1 + len(data)), b"2" + data)
        self.assertEqual(early.send(b"x").stream.exactly(1), b"x")
        self.assertEqual(held.send(data[20:]).stream.exactly(1 + len(data))[1:], data)

    def test_reload_that_drops_the_listener(self):
        server = self.echo()
        weir = self.through([("a.test", server.address)])
        data = records(client_hello("a.test"))
        held = self.client(weir).send(data[:20])
        origin = self.origin()
        self.assertEqual(weir.reload(self.config(servers=origin)).returncode, 0)
        self.assertEqual(held.send(data[20:]).stream.exactly(len(data)), data)

    def test_proxy_headers_in_and_out(self):
        def serve(sock):
            echo(sock)
        server = self.kept(Server(serve))
        weir = self.through([("a.test", server.address)], listen={"proxy_protocol": LOCAL},
                            upstream={"u0": {"proxy_protocol": "v2"}})
        data = records(client_hello("a.test"))
        for pieces in ([v1() + data], [v1(), data], [v1()[:9], v1()[9:] + data[:9], data[9:]]):
            client = self.client(weir)
            for piece in pieces:
                client.send(piece)
            self.assertEqual(client.stream.exactly(28 + len(data)), v2_ip() + data)
            client.close()
        self.assertEqual([(e["client"], e["host"]) for e in weir.logged(3)],
                         [("192.0.2.7", "a.test")] * 3)

    def test_nginx_learns_the_client(self):
        nginx = self.kept(NginxTls(self.directory, "www.test", " proxy_protocol",
                                   "$proxy_protocol_addr"))
        weir = self.through([("www.test", nginx.address)],
                            upstream={"u0": {"proxy_protocol": "v1"}})
        done = run(tool("curl"), "-sS", "--interface", "127.0.0.9", "--cacert", nginx.pem,
                   "--resolve", f"www.test:{weir.port}:127.0.0.1",
                   f"https://www.test:{weir.port}/who")
        self.assertEqual(done.stdout.decode(), "www.test HTTP/2.0 127.0.0.9", done.stderr)

    def test_combined_log(self):
        weir = self.through([("a.test", self.echo().address)],
                            access_log={"format": "combined",
                                        "to": str(self.directory / "access.log")})
        client = self.client(weir).send(b"nonsense")
        self.assertTrue(client.closed())
        weir.terminate()
        self.assertIn("127.0.0.1 - - ", weir.log_path.read_text())
