# SPDX-License-Identifier: Apache-2.0
"""Certificates: by name, of both kinds, of clients, wrong ones, and their renewal."""

import hashlib
import json
import os
import shutil
import socket
import ssl
import threading

from harness import toml
from harness.case import Case, bound
from harness.message import Broken
from harness.process import run, tool
from harness.tls import Authority, TlsClient, trusting
from harness.waiting import eventually
from origins import scripts

# In TLS 1.3 a client learns of a refusal after its own handshake.
REFUSED = (ssl.SSLError, ConnectionError, Broken)


class Certificates(Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.directory)

    def tls(self, *certificates, **settings):
        return {"certificates": [{"cert": cert, "key": key} for cert, key in certificates],
                **settings}

    def listening(self, tls, **settings):
        return self.weir(self.origin(script=settings.pop("script", None)),
                         listen=[{"address": "127.0.0.1:0", "tls": tls}], **settings)

    def shown(self, weir, name, *arguments):
        """The subject that openssl sees for this name."""
        server = ["-servername", name] if name else ["-noservername"]
        done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}", *server,
                   *arguments, stdin=b"")
        text = done.stdout.decode(errors="replace")
        return next((line.split("CN = ")[1] for line in text.split("\n")
                     if line.startswith("subject=")), None)

    def connect(self, weir, context=None, name="weir.test"):
        client = TlsClient(weir.port, context or self.authority.context(), name)
        self._stack.callback(client.close)
        return client


class Names(Certificates):
    def test_by_server_name(self):
        weir = self.listening(self.tls(
            self.authority.issue("weir.test"), self.authority.issue("one.test", "www.one.test"),
            self.authority.issue("*.two.test")))
        for name, subject in (("weir.test", "weir.test"), ("one.test", "one.test"),
                              ("WWW.One.Test", "one.test"), ("a.two.test", "*.two.test"),
                              ("two.test", "weir.test"), ("a.b.two.test", "weir.test"),
                              ("unknown.test", "weir.test"), (None, "weir.test")):
            self.assertEqual(self.shown(weir, name), subject, name)
        self.assertEqual(self.connect(weir, name="a.two.test").get(host="a.two.test").status, 200)

    def test_both_kinds_for_one_name(self):
        ec = self.authority.issue("weir.test", file="ec")
        rsa = self.authority.issue("weir.test", file="rsa", kind="rsa")
        weir = self.listening(self.tls(ec, rsa))
        for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
            context = self.authority.context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(cipher)
            client = self.connect(weir, context)
            self.assertEqual(client.get().status, 200)
            self.assertEqual(client.sock.cipher()[0], cipher)
        self.assertIsNotNone(self.shown(weir, "weir.test", "-sigalgs", "rsa_pss_rsae_sha256"))
        self.assertIsNotNone(self.shown(weir, "weir.test", "-sigalgs", "ECDSA+SHA256"))

    def test_host_and_server_name_agree(self):
        weir = self.listening(self.tls(self.authority.issue("weir.test", "*.weir.test"),
                                       self.authority.issue("other.test")))
        client = self.connect(weir)
        self.assertEqual(client.get(host="weir.test").status, 200)
        self.assertEqual(client.get(host="a.weir.test:443").status, 200, "the same certificate")
        self.claim_refused(client.get(host="other.test"), 421, "misdirected_request")
        nameless = TlsClient(weir.port, trusting(), name=None)
        self.assertEqual(nameless.get(host="other.test").status, 200)
        nameless.close()

    def test_intermediate_certificates_are_sent(self):
        cert, key = self.authority.issue("weir.test")
        full = self.directory / "full.pem"
        full.write_text(open(cert, encoding="ascii").read() + self.authority.ca.read_text())
        weir = self.listening({"cert": str(full), "key": key})
        done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}",
                   "-showcerts", stdin=b"")
        self.assertEqual(done.stdout.count(b"BEGIN CERTIFICATE"), 2)

    def test_one_file(self):
        cert, key = self.authority.issue("weir.test")
        both = self.directory / "both.pem"
        both.write_text(open(cert, encoding="ascii").read() + open(key, encoding="ascii").read())
        weir = self.listening({"cert": str(both)})
        self.assertEqual(self.connect(weir).get().status, 200)

    def test_ocsp_response_is_stapled(self):
        cert, key = self.authority.issue("weir.test")
        serial = run(tool("openssl"), "x509", "-in", cert, "-noout", "-serial").stdout.decode()
        serial = serial.strip().split("=")[1]
        index = self.directory / "ocsp.index"
        index.write_text(f"V\t350101000000Z\t\t{serial}\tunknown\t/CN=weir.test\n")
        done = run(tool("openssl"), "ocsp", "-index", index, "-CA", self.authority.ca, "-rsigner",
                   self.authority.ca, "-rkey", self.authority.key, "-issuer", self.authority.ca,
                   "-cert", cert, "-respout", cert + ".ocsp", "-ndays", "2", within=60)
        self.assertTrue(os.path.exists(cert + ".ocsp"), done.stderr.decode())
        weir = self.listening({"cert": cert, "key": key})
        done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}", "-status",
                   "-servername", "weir.test", stdin=b"")
        self.assertIn(b"OCSP Response Status: successful", done.stdout)


class Wrong(Certificates):
    def said(self, text, *certificates):
        """What `weir check` says about them; exit code."""
        config = self.config(route=[{"match": {"path": "/**"}, "respond": 200}], listen=[
            {"address": "127.0.0.1:0", "tls": self.tls(*certificates)}])
        file = self.directory / "check.toml"
        file.write_text(toml.dumps(config))
        done = run(self.weir_path, "check", file)
        self.assertIn(text, done.stderr.decode())
        return done.returncode

    def test_what_check_says(self):
        good, key = self.authority.issue("weir.test")
        _, other = self.authority.issue("other.test")
        text = self.directory / "text"
        text.write_text("nothing\n")
        locked = self.directory / "locked.key"
        run(tool("openssl"), "pkey", "-in", key, "-aes128", "-passout", "pass:x", "-out", locked)
        self.assertEqual(self.said("No such file", ("/nowhere.pem", key)), 1)
        self.assertEqual(self.said("No such file", (good, "/nowhere.key")), 1)
        self.assertEqual(self.said("no certificate in PEM", (str(text), key)), 1)
        self.assertEqual(self.said("no private key in PEM", (good, str(text))), 1)
        self.assertEqual(self.said("does not belong to", (good, other)), 1)
        self.assertEqual(self.said("pass phrase", (good, str(locked))), 1)
        self.assertEqual(self.said("good", (good, key)), 0)
        old = self.authority.issue("old.test", days="-1")
        self.assertEqual(self.said("has expired", old), 0, "it is used all the same")
        nameless = self.authority.issue(file="nameless", subject="/CN=x")
        self.assertEqual(self.said("no subject alternative name", nameless), 0)

    def test_bad_one_breaks_only_its_names(self):
        good = self.authority.issue("weir.test")
        bad, _ = self.authority.issue("bad.test")
        weir = self.listening(self.tls((bad, good[1]), good))
        weir.process.line("does not belong to")
        self.assertEqual(self.connect(weir).get().status, 200)

    def test_listener_without_any_breaks_only_itself(self):
        weir = self.weir(self.origin(), listen=[
            {"address": "127.0.0.1:0", "tls": self.tls(("/nowhere.pem", "/nowhere.key"))},
            {"address": "127.0.0.1:0"}])
        self.assertEqual(self.client(weir, 1).get().status, 200)
        with self.assertRaises(REFUSED):
            TlsClient(weir.ports[0])
        eventually(lambda: weir.status()["causes"].get("tls_no_certificate"), "the cause")

    def test_client_that_does_not_trust_it(self):
        weir = self.listening(self.tls(self.authority.issue("weir.test")))
        stranger = Authority(self.directory, "Another CA")
        with self.assertRaises(ssl.SSLCertVerificationError):
            TlsClient(weir.port, stranger.context())
        entry = weir.logged(1)[0]
        self.assertEqual(entry["cause"], "tls_certificate_rejected")


class Clients(Certificates):
    def mutual(self, how, **more):
        return self.listening({**self.tls(self.authority.issue("weir.test"), client_auth=how,
                                          client_ca=str(self.authority.ca)), **more},
                              script=scripts.report)

    def fields(self, client, *lines):
        return {name.lower(): value for name, value
                in json.loads(client.get("/", *lines).body)["fields"]}

    def test_required(self):
        weir = self.mutual("required")
        mine = self.authority.issue("alice", subject="/O=Example/CN=alice")
        fields = self.fields(self.connect(weir, self.authority.context(mine)),
                             "X-Client-Cert-Subject: CN=root")
        self.assertEqual(fields["x-client-cert-subject"], "CN=alice,O=Example")
        self.assertEqual(fields["x-client-cert-issuer"], "CN=Test CA")
        der = ssl.PEM_cert_to_DER_cert(open(mine[0], encoding="ascii").read().strip())
        self.assertEqual(fields["x-client-cert-fingerprint"], hashlib.sha256(der).hexdigest())
        stranger = Authority(self.directory, "Another CA").issue("mallory")
        for context in (self.authority.context(), self.authority.context(stranger)):
            with self.assertRaises(REFUSED):
                TlsClient(weir.port, context).get()
        entries = eventually(lambda: [e for e in weir.log() if e["cause"]][1:], "the causes")
        self.assertEqual({entry["cause"] for entry in entries}, {"tls_client_certificate"})

    def test_optional(self):
        weir = self.mutual("optional")
        fields = self.fields(self.connect(weir), "X-Client-Cert-Subject: CN=root",
                             "x-client-cert-fingerprint: 00")
        self.assertFalse([name for name in fields if name.startswith("x-client-cert")], fields)
        mine = self.authority.issue("alice")
        fields = self.fields(self.connect(weir, self.authority.context(mine)))
        self.assertEqual(fields["x-client-cert-subject"], "CN=alice")

    def test_resumed_sessions_know_it(self):
        weir = self.mutual("required")
        context = self.authority.context(self.authority.issue("alice"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        first = self.connect(weir, context)
        first.get()
        second = TlsClient(weir.port, context, session=first.sock.session)
        self.assertTrue(second.sock.session_reused)
        self.assertEqual(self.fields(second)["x-client-cert-subject"], "CN=alice")
        second.close()

    def test_revoked(self):
        good, bad = self.authority.issue("alice"), self.authority.issue("mallory")
        weir = self.mutual("required", client_crl=self.authority.revoke(bad[0]))
        self.assertEqual(self.connect(weir, self.authority.context(good)).get().status, 200)
        with self.assertRaises(REFUSED):
            TlsClient(weir.port, self.authority.context(bad)).get()


class Renewal(Certificates):
    def replace(self, where, new):
        for old, fresh in zip(where, new):
            shutil.copy(fresh, old + ".new")
            os.rename(old + ".new", old)

    def serial(self, weir):
        client = TlsClient(weir.port, self.authority.context())
        self._stack.callback(client.close)
        return client.sock.getpeercert()["serialNumber"]

    @bound(60)
    def test_changed_files_are_taken_over(self):
        where = self.authority.issue("weir.test")
        weir = self.listening(self.tls(where))
        kept = self.connect(weir)
        old = self.serial(weir)
        self.replace(where, self.authority.issue("weir.test", file="fresh"))
        eventually(lambda: self.serial(weir) != old, "the new certificate", within=20)
        self.assertEqual(kept.get().status, 200, "a connection of before lives on")

    @bound(60)
    def test_reload_takes_them_over_at_once(self):
        where = self.authority.issue("weir.test")
        weir = self.listening(self.tls(where))
        old = self.serial(weir)
        self.replace(where, self.authority.issue("weir.test", file="fresh"))
        self.assertEqual(weir.reload().returncode, 0)
        self.assertNotEqual(self.serial(weir), old)

    def test_broken_files_change_nothing(self):
        where = self.authority.issue("weir.test")
        weir = self.listening(self.tls(where))
        old = self.serial(weir)
        open(where[0], "w", encoding="ascii").close()
        done = weir.reload()
        self.assertIn("stays in use", (done.stdout + done.stderr).decode())
        self.assertEqual(self.serial(weir), old)

    @bound(90)
    def test_many_connections_under_reload(self):
        where = self.authority.issue("weir.test")
        weir = self.listening(self.tls(where))
        context = self.authority.context()
        clients = [TlsClient(weir.port, context) for _ in range(200)]
        failed, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                for client in clients:
                    response = client.get()
                    if response.status != 200 or not response.complete:
                        failed.append(response)
        thread = threading.Thread(target=ask)
        thread.start()
        for number in range(10):
            self.replace(where, self.authority.issue("weir.test", file="fresh"))
            self.assertEqual(weir.reload().returncode, 0)
            self.connect(weir).get()
        stop.set()
        thread.join()
        self.assertEqual(failed, [])
        for client in clients:
            client.close()

    def test_expiry_is_a_metric(self):
        cert, key = self.authority.issue("weir.test")
        weir = self.listening({"cert": cert, "key": key})
        name = ("weir_tls_certificate_expiry_timestamp_seconds",
                frozenset({("certificate", cert)}))
        client = self.connect(weir)
        expires = ssl.cert_time_to_seconds(client.sock.getpeercert()["notAfter"])
        self.assertEqual(weir.metrics()[name], expires)
        self.assertEqual(weir.status()["certificates"][0]["names"], ["weir.test"])


class OnlyHttps(Certificates):
    def test_redirect_and_hsts(self):
        cert, key = self.authority.issue("weir.test")
        weir = self.weir(self.origin(script=scripts.body(b"x")), listen=[
            {"address": "127.0.0.1:0", "https_only": True},
            {"address": "127.0.0.1:0", "tls": {"cert": cert, "key": key}}])
        plain = self.client(weir, 0)
        response = plain.get("/a?b=c", host="weir.test:8080")
        self.assertEqual((response.status, response.fields.get("location")),
                         (308, f"https://weir.test:{weir.ports[1]}/a?b=c"))
        self.assertNotIn("strict-transport-security", response.fields)
        challenge = plain.get("/.well-known/acme-challenge/x")
        self.assertEqual(challenge.status, 200)
        secure = TlsClient(weir.ports[1], self.authority.context())
        self.assertEqual(secure.get().fields.get("strict-transport-security"), "max-age=31536000")
        secure.close()

    def test_application_decides(self):
        cert, key = self.authority.issue("weir.test")
        line = "Strict-Transport-Security: max-age=5"
        weir = self.weir(self.origin(script=scripts.body(b"x", lines=(line,))), listen=[
            {"address": "127.0.0.1:0", "https_only": True},
            {"address": "127.0.0.1:0", "tls": {"cert": cert, "key": key}}])
        secure = TlsClient(weir.ports[1], self.authority.context())
        self.assertEqual(secure.get().fields.all("strict-transport-security"), ["max-age=5"])
        secure.close()

    def test_forwarded_proto(self):
        cert, key = self.authority.issue("weir.test")
        weir = self.listening({"cert": cert, "key": key}, script=scripts.report)
        fields = dict(json.loads(self.connect(weir).get().body)["fields"])
        self.assertEqual(fields["X-Forwarded-Proto"], "https")


class Tcp(Certificates):
    def test_any_protocol_behind_tls(self):
        cert, key = self.authority.issue("weir.test")
        echo = socket.create_server(("127.0.0.1", 0))
        self._stack.callback(echo.close)

        def serve():
            connection, _ = echo.accept()
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.close()
        threading.Thread(target=serve, daemon=True).start()
        weir = self.start(self.config(
            upstream={"app": {"servers": [f"127.0.0.1:{echo.getsockname()[1]}"]}},
            listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"},
                     "tls": {"cert": cert, "key": key}}]))
        client = self.connect(weir)
        data = b"any bytes " * 50_000
        thread = threading.Thread(target=client.send, args=(data,))
        thread.start()
        self.assertTrue(client.stream.exactly(len(data)) == data)
        thread.join()
