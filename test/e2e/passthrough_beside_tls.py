# SPDX-License-Identifier: Apache-2.0
"""One port where TLS ends for some names and passes through for others: each client gets the
certificate and the server of its own name, whatever the others do beside it."""

import hashlib
import ssl

from harness.case import Case, bound
from harness.process import run, tool
from harness.raw import request
from harness.tls import Authority, TlsClient, trusting
from origins import scripts
from origins.tls import NginxTls

ENDED, PASSED = "ended.test", "passed.test"
BIG = hashlib.shake_256(b"beside").digest(8 << 20)


class Beside(Case):
    def setUp(self):
        super().setUp()
        self.nginx = self.kept(NginxTls(self.directory, PASSED))
        self.authority = Authority(self.directory)
        self.cert, self.key = self.authority.issue(ENDED)
        self.backend = self.origin(script=scripts.report)
        self.trust = self.directory / "both.pem"
        self.trust.write_text(self.authority.ca.read_text() + self.nginx.pem.read_text())

    def settings(self, passed=True, **more):
        listener = {"address": "127.0.0.1:0", "tls": {"cert": self.cert, "key": self.key}}
        if passed:
            listener["passthrough"] = [{"sni": PASSED, "upstream": "passed"}]
        return self.config(listen=[listener], servers=self.backend, **more,
                           upstream={"passed": {"servers": [self.nginx.address]}})

    def curl(self, weir, *arguments):
        """Certificates are verified, of each name that of its own authority only."""
        names = [f"{name}:{weir.port}:127.0.0.1" for name in (ENDED, PASSED)]
        done = run(tool("curl"), "-sS", "--cacert", self.trust, "--resolve", names[0], "--resolve",
                   names[1], *arguments)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def connect(self, weir, name, context=None):
        client = TlsClient(weir.port, context or ssl.create_default_context(cafile=self.trust),
                           name)
        self._stack.callback(client.close)
        return client

    @bound(60)
    def test_curl_to_both_at_once(self):
        """60 requests of one curl, on connections of HTTP/2 and HTTP/1.1 to both names."""
        weir = self.start(self.settings())
        for version, spoken in (("--http2", "HTTP/2.0"), ("--http1.1", "HTTP/1.1")):
            shown = self.curl(weir, version, "--parallel", "--parallel-immediate",
                              "--parallel-max", "60",
                              f"https://{ENDED}:{weir.port}/[1-30]",
                              f"https://{PASSED}:{weir.port}/who?[1-30]").decode()
            self.assertEqual(shown.count(f"{PASSED} {spoken} 127.0.0.1"), 30, shown)
            self.assertEqual(shown.count('"method": "GET"'), 30, shown)
        self.assertEqual(sorted(int(r.path[1:]) for r in self.backend.seen()),
                         sorted([*range(1, 31)] * 2))
        self.assertEqual({r.fields.get("host") for r in self.backend.seen()},
                         {f"{ENDED}:{weir.port}"})
        entries = weir.logged(62)
        self.assertEqual({(e["host"], e["upstream"], e["protocol"], e["cause"]) for e in entries},
                         {(f"{ENDED}:{weir.port}", "app", "HTTP/2", ""),
                          (f"{ENDED}:{weir.port}", "app", "HTTP/1.1", ""),
                          (PASSED, "passed", "TCP", "")})

    @bound(60)
    def test_downloads_side_by_side(self):
        (self.directory / "big").write_bytes(BIG)
        self.backend.on("/big", scripts.body(BIG, "chunked", 60_000))
        weir = self.start(self.settings())
        targets = [self.directory / "got0", self.directory / "got1"]
        self.curl(weir, "--parallel", "--parallel-immediate", "-o", targets[0],
                  f"https://{ENDED}:{weir.port}/big", "-o", targets[1],
                  f"https://{PASSED}:{weir.port}/big")
        for target in targets:
            self.assertEqual(hashlib.sha256(target.read_bytes()).digest(),
                             hashlib.sha256(BIG).digest(), target.name)

    def test_first_messages_byte_by_byte_in_turns(self):
        weir = self.start(self.settings())
        clients = []
        for name in (ENDED, PASSED) * 3:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.create_default_context(cafile=self.trust)
            tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
            self.assertRaises(ssl.SSLWantReadError, tls.do_handshake)
            clients.append((name, tls, incoming, outgoing, outgoing.read(), self.client(weir)))
        for at in range(max(len(hello) for *_, hello, _ in clients)):
            for *_, hello, client in clients:
                client.send(hello[at:at + 1])

        def turn(act, incoming, outgoing, client):
            while True:
                try:
                    return act()
                except ssl.SSLWantReadError:
                    client.send(outgoing.read())
                    incoming.write(client.sock.recv(65536))
        for name, tls, incoming, outgoing, _, client in reversed(clients):
            turn(tls.do_handshake, incoming, outgoing, client)
            tls.write(request("/who", "Connection: close", host=name))
            client.send(outgoing.read())
            data = turn(lambda tls=tls: tls.read(), incoming, outgoing, client)
            self.assertTrue(data.startswith(b"HTTP/1.1 200 "), (name, data))

    def test_who_names_nobody_known_is_ended(self):
        """As on a listener without passthrough: the first certificate, or a hint at https."""
        weir = self.start(self.settings())
        for name in ("other.test", None):
            client = self.connect(weir, name, trusting())
            self.assertEqual(client.get("/x", host=ENDED).status, 200, name)
        response = self.client(weir).get()
        self.assertEqual(response.status, 400)
        self.assertIn(b"https://", response.body)
        self.assertEqual(response.fields.get("weir-cause"), "tls_plain_http")
        self.assertEqual([e["bytes_sent"] for e in weir.logged(3) if e["status"] == 400],
                         [len(response.body)])
        self.assertEqual(weir.status()["causes"], {"tls_plain_http": 1})

    def test_a_passed_name_is_not_had_on_an_ended_connection(self):
        """A browser shares connections among the names of a certificate: it is sent on its way."""
        self.cert, self.key = self.authority.issue(ENDED, "*.test")
        weir = self.start(self.settings())
        for name in (ENDED, "other.test", None):
            client = self.connect(weir, name, trusting())
            refused = client.get("/x", host=PASSED)
            self.assertEqual((refused.status, refused.fields.get("weir-cause")),
                             (421, "misdirected_request"), name)
            self.assertEqual(client.get("/x", host=f"{ENDED}:{weir.port}").status, 200, name)
        self.assertEqual(self.connect(weir, PASSED).get("/who").status, 200)

    def test_reload_moves_a_name(self):
        """Who is connected stays where he is, who comes gets what is in force."""
        weir = self.start(self.settings())
        passed, ended = self.connect(weir, PASSED), self.connect(weir, ENDED)

        def claim_held():
            self.assertEqual(passed.get("/who").body, f"{PASSED} HTTP/1.1 127.0.0.1".encode())
            self.assertEqual(ended.get("/x", host=ENDED).status, 200)
        claim_held()
        for turn in range(4):
            config = self.settings(bool(turn % 2))
            if not turn % 2:
                del config["upstream"]["passed"]
            self.assertEqual(weir.reload(config).returncode, 0)
            claim_held()
            new = self.connect(weir, PASSED, trusting())
            who = new.get("/who", host=PASSED if turn % 2 else ENDED).body
            self.assertEqual(who.startswith(PASSED.encode()), bool(turn % 2), who)
        self.assertEqual(weir.status()["total"]["connections_active"], 6)
