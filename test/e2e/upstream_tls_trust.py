# SPDX-License-Identifier: Apache-2.0
"""Which servers are believed over TLS: authorities, names, pins, and what is shown to them."""

import json
import pathlib
import shutil

from harness.case import Case
from harness.process import run
from harness.raw import Client
from harness.tls import Authority
from harness.waiting import eventually
from origins import scripts
from origins.nginx import Nginx
from origins.tls import certificate
from origins.tls_origin import TlsOrigin, server_context

PRIVATE = "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n"
SLASH = PRIVATE.format("""MHcCAQEEIG0DcCJznYGoyPzn0JfGlPwtMOsQiRZpL7HGEOeGYWOkoAoGCCqGSM49
AwEHoUQDQgAEgyrlzmnoSQm5wM8l40RQ9qSGJYE2Is9W88WtB9wy/f4t9Hp7xrlU
RYu2W7JkspYZzABzuzXJTudOwGQuBSvFog==""")
SLASHES = PRIVATE.format("""MHcCAQEEIFnWVL4awOhihzO0MaXZEREjPTxATYJ3UgoqjMtF5uM8oAoGCCqGSM49
AwEHoUQDQgAEew/CuI737cpNF3gix9nXRoRTGAvsprnIpKQQAUbZ/c8lQuhIdi6k
CH7vEdOHLsvbsiIqdjX78GbiMFqhY3GS6Q==""")
UNTRUSTED = "unable to get local issuer certificate"


class Towards(Case):
    """An authority; its server.test is at 127.0.0.1, for which the certificate is good as well."""

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.directory)

    def issue(self, *names, **options):
        return self.authority.issue(*(names or ("server.test", "127.0.0.1")), **options)

    def tls_origin(self, files=None, script=None, name="origin", piece=None, **context):
        origin = self.kept(TlsOrigin(server_context(*(files or self.issue()), **context), script,
                                     name, piece=piece))
        self.origins.append(origin)
        return origin

    def before(self, *servers, tls=None, app=None, more=None, **settings):
        """Weir, instead of one that was started before, in front of servers that speak TLS, which
        it trusts by the authority if no `tls` is given. It has one worker if nothing else is
        said."""
        for weir in self.weirs:
            weir.end()
            weir.log_path.unlink(missing_ok=True)
        self.weirs.clear()
        tls = {"ca": self.authority.ca} if tls is None else tls
        return self.weir(*servers, upstream={"app": {"tls": tls, **(app or {})}, **(more or {})},
                         **{"workers": 1, **settings})

    def count(self, weir, what):
        """A counter of the upstream: "tls_handshakes", "tls_resumptions", "connects" …"""
        return weir.metrics()[f"weir_upstream_{what}_total", frozenset({("upstream", "app")})]

    def claim_good(self, weir, path="/"):
        with Client(weir.port) as client:
            response = client.get(path)
        self.assertEqual((response.status, response.complete), (200, True), weir.log()[-1:])
        return response

    def claim_bad(self, weir, detail, cause="upstream_tls_certificate", path="/bad", status=502):
        """The request fails for this cause, and the log says `detail` if there is one."""
        with Client(weir.port) as client:
            self.claim_refused(client.get(path), status, cause)
        entry = weir.logged_one(path)
        self.assertEqual(entry["cause"], cause)
        self.assertIn(detail, entry.get("detail", ""))
        return entry


class Names(Towards):
    """Each row of a test is a Weir of its own before the same server."""

    def claim_rows(self, *rows, **settings):
        """A row: what it is, files, how the server is addressed, tls, and None or the detail of
        the refusal; of several origins one context."""
        origin = self.tls_origin()
        failed = 0
        upstream, route = {}, []
        for number, (_, files, host, tls, _) in enumerate(rows):
            one = origin if files is None else self.tls_origin(files)
            port = one.plain_address.split(":")[1]
            upstream[f"u{number}"] = {"servers": [f"https://{host}:{port}"],
                                      "tls": {"ca": self.authority.ca, **tls}}
            route.append({"match": {"path": f"/{number}"}, "upstream": f"u{number}"})
        weir = self.weir(upstream=upstream, route=route, **settings)
        for number, (what, _, _, _, detail) in enumerate(rows):
            with self.subTest(what):
                response = eventually(
                    lambda path=f"/{number}": (r := self.client(weir).get(path))
                    and r.cause != "upstream_unresolved" and r, "the name resolves")
                cause = "upstream_tls_certificate" if detail else ""
                bad = (response.status, response.cause) != (502 if detail else 200, cause)
                failed += bad
                entries = eventually(
                    lambda path=f"/{number}": [e for e in weir.log() if e["path"] == path],
                    "a line in the log")
                self.assertFalse(bad, (response, entries))
                if detail:
                    self.assertIn(detail, entries[-1]["detail"])
        self.count_rows(len(rows), failed)
        return weir

    def test_names(self):
        self.claim_rows(
            ("by IP address", None, "127.0.0.1", {}, None),
            ("IP address that it is not for", self.issue("a.test", "127.0.0.2"), "127.0.0.1", {},
             "IP address mismatch"),
            ("address as a DNS name", self.issue("a.test", file="dns", subject="/CN=127.0.0.1"),
             "127.0.0.1", {}, "IP address mismatch"),
            ("by name", self.issue("localhost"), "localhost", {}, None),
            ("another name", self.issue("other.test"), "localhost", {}, "ostname mismatch"),
            ("name that is set", None, "localhost", {"name": "server.test"}, None),
            ("set for an address", None, "127.0.0.1", {"name": "server.test"}, None),
            ("set, and wrong", None, "127.0.0.1", {"name": "a.test"}, "ostname mismatch"),
            ("case", None, "127.0.0.1", {"name": "SERVER.test"}, None),
            ("wildcard", self.issue("*.wild.test"), "127.0.0.1", {"name": "a.wild.test"}, None),
            ("two labels", self.issue("*.wild.test", file="w2"), "127.0.0.1",
             {"name": "a.b.wild.test"}, "ostname mismatch"),
            ("no label", self.issue("*.wild.test", file="w3"), "127.0.0.1",
             {"name": "wild.test"}, "ostname mismatch"),
            ("part of a label", self.issue("a*.wild.test", file="part"), "127.0.0.1",
             {"name": "ab.wild.test"}, "ostname mismatch"),
            ("only in the subject, beside others", self.issue("a.test", file="cn",
                                                              subject="/CN=server.test"),
             "127.0.0.1", {"name": "server.test"}, "ostname mismatch"))

    def test_name_that_the_server_is_asked_for(self):
        origin = self.tls_origin()
        weir = self.before(origin, tls={"ca": self.authority.ca, "name": "server.test"})
        self.claim_good(weir)
        self.assertEqual(origin.names, ["server.test"])

    def test_address_is_no_name_to_ask_for(self):
        """RFC 6066 section 3."""
        origin = self.tls_origin()
        self.claim_good(self.before(origin))
        self.assertEqual(origin.names, [None])

    def test_host_in_the_address_is_asked_for(self):
        origin = self.tls_origin(self.issue("localhost"))
        weir = self.before(origin.address.replace("127.0.0.1", "localhost"))
        eventually(lambda: self.client(weir).get().status == 200, "localhost resolves")
        self.assertEqual(origin.names, ["localhost"])

    def test_trailing_dot(self):
        """It says where the name begins to be looked up, and is no part of what certificates and
        SNI name (RFC 6066 section 3)."""
        origin = self.tls_origin()
        weir = self.before(origin, tls={"ca": self.authority.ca, "name": "server.test."})
        self.claim_good(weir)
        self.assertEqual(origin.names, ["server.test"])

    def test_ipv6(self):
        origin = self.kept(TlsOrigin(server_context(*self.issue("six.test", "::1")),
                                     address="::1"))
        self.claim_good(self.before(origin))
        self.assertEqual(origin.names, [None])

    def test_request_names_what_the_client_named(self):
        """Host is not changed by tls.name."""
        origin = self.tls_origin(script=scripts.report)
        weir = self.before(origin, tls={"ca": self.authority.ca, "name": "server.test"})
        fields = {name.lower(): value for name, value
                  in json.loads(self.claim_good(weir).body)["fields"]}
        self.assertEqual((fields["host"], fields["x-forwarded-proto"]), ("weir.test", "http"))

    def test_unix_socket(self):
        path = self.directory / "origin.sock"
        origin = self.kept(TlsOrigin(server_context(*self.issue()), address=path))
        weir = self.before(origin.plain_address,
                           tls={"ca": self.authority.ca, "name": "server.test"})
        self.claim_good(weir)
        self.assertEqual(origin.names, ["server.test"])


class Authorities(Towards):
    def test_unknown(self):
        stranger = Authority(self.directory, "Another CA")
        weir = self.before(self.tls_origin(), tls={"ca": stranger.ca})
        entry = self.claim_bad(weir, UNTRUSTED)
        self.assertEqual(entry["retries"], 0)
        self.assertEqual(self.count(weir, "tls_handshakes"), 0)
        self.assertEqual(self.count(weir, "connect_failures"), 1)
        self.assertEqual(weir.status()["causes"]["upstream_tls_certificate"], 1)

    def test_server_learns_why(self):
        """By an alert."""
        origin = self.tls_origin()
        self.claim_bad(self.before(origin, tls={"ca": Authority(self.directory, "Other").ca}),
                       UNTRUSTED)
        eventually(lambda: origin.failed, "the server's handshake fails")
        self.assertIn("alert unknown ca", str(origin.failed[0]).lower().replace("_", " "))

    def test_times(self):
        for starts, ends, detail in (("20400101000000Z", "20410101000000Z", "not yet valid"),
                                     ("20100101000000Z", "20110101000000Z", "has expired")):
            with self.subTest(detail):
                files = self.authority.issue_between("server.test", starts, ends)
                weir = self.before(self.tls_origin(files),
                                   tls={"ca": self.authority.ca, "name": "server.test"})
                self.claim_bad(weir, detail, path="/" + starts)

    def test_self_signed_as_its_own_authority(self):
        files = certificate(self.directory, "server.test")
        origin = self.tls_origin(files)
        weir = self.before(origin, tls={"ca": files[0], "name": "server.test"})
        self.claim_good(weir)
        weir.reload(self.config(servers=origin, upstream={"app": {
            "tls": {"ca": self.authority.ca, "name": "server.test"}}}, workers=1))
        eventually(lambda: self.client(weir).get("/").status == 502, "it is not trusted any more")
        self.assertIn("self-signed certificate", weir.logged(2)[-1]["detail"])

    def test_leaf_as_its_own_authority(self):
        """What `ca` names is trusted, even where it is not an authority's."""
        files = self.issue()
        weir = self.before(self.tls_origin(files), tls={"ca": files[0]})
        self.claim_good(weir)

    def test_intermediate(self):
        middle = self.authority.intermediate("Middle CA")
        cert, key = middle.issue("server.test", "127.0.0.1")
        chain = self.directory / "chain.pem"
        chain.write_text(pathlib.Path(cert).read_text() + middle.ca.read_text())
        self.claim_good(self.before(self.tls_origin((chain, key))))
        self.claim_bad(self.before(self.tls_origin((cert, key))), UNTRUSTED)

    def test_several_in_the_file(self):
        both = self.directory / "both.pem"
        both.write_text(Authority(self.directory, "Other CA").ca.read_text()
                        + self.authority.ca.read_text())
        self.claim_good(self.before(self.tls_origin(), tls={"ca": both}))

    def test_certificate_of_a_client(self):
        """It is for the other side (extended key usage)."""
        cert, key = self.issue("server.test", "127.0.0.1", usage="clientAuth")
        self.claim_bad(self.before(self.tls_origin((cert, key))), "nsuitable certificate purpose")

    def test_system(self):
        """SSL_CERT_FILE and SSL_CERT_DIR stand for what the system trusts."""
        origin = self.tls_origin()
        self.claim_bad(self.before(origin, tls={}), UNTRUSTED)
        for number, (variable, value) in enumerate((("SSL_CERT_FILE", self.authority.ca),
                                                    ("SSL_CERT_DIR", self.hashed()))):
            with self.subTest(variable):
                launcher = ["/usr/bin/env", f"{variable}={value}"]
                self.claim_good(self.before(origin, tls={}, launcher=launcher), f"/{number}")

    def hashed(self):
        folder = self.directory / "certs"
        folder.mkdir()
        shutil.copy(self.authority.ca, folder / "ca.pem")
        run("/usr/bin/openssl", "rehash", folder)
        return folder

    def test_own_authority_is_the_only_one(self):
        """With `ca` the system's are not trusted."""
        stranger = Authority(self.directory, "Another CA")
        weir = self.before(self.tls_origin(), tls={"ca": stranger.ca},
                           launcher=["/usr/bin/env", f"SSL_CERT_FILE={self.authority.ca}"])
        self.claim_bad(weir, UNTRUSTED)


class Pins(Towards):
    def pin(self, files):
        return "sha256//" + self.authority.pin(files[0])

    def setUp(self):
        super().setUp()
        self.files = self.issue()
        self.server = self.tls_origin(self.files)
        self.right, self.wrong = self.pin(self.files), self.pin(self.issue("other.test"))

    def test_right(self):
        self.claim_good(self.before(self.server, tls={"ca": self.authority.ca,
                                                      "pins": [self.wrong, self.right]}))

    def test_pins_with_slashes(self):
        """In base 64 a slash is a letter like others: at the beginning, and two in a row."""
        for private, hashed in ((SLASH, "/9hxLY/glcvTJP7hdTPc8yYZ6ue2bMAhKCKHnQ5LcP4="),
                                (SLASHES, "3NX3AqMuK//Sn8YwSijPInnt4JSmEsEAMgy6Q4cHjpQ=")):
            with self.subTest(hashed):
                files = self.issue("127.0.0.1", file="slash", private=private)
                self.assertEqual(self.pin(files), "sha256//" + hashed)
                self.claim_good(self.before(self.tls_origin(files), tls={
                    "ca": self.authority.ca, "pins": [self.pin(files)]}))

    def test_wrong(self):
        weir = self.before(self.server, tls={"ca": self.authority.ca, "pins": [self.wrong]})
        self.claim_bad(weir, "pins")

    def test_right_does_not_replace_trust(self):
        stranger = Authority(self.directory, "Another CA")
        weir = self.before(self.server, tls={"ca": stranger.ca, "pins": [self.right]})
        self.claim_bad(weir, UNTRUSTED)

    def test_of_an_authority(self):
        """The server's own key is meant."""
        weir = self.before(self.server, tls={"ca": self.authority.ca,
                                             "pins": [self.pin((self.authority.ca,))]})
        self.claim_bad(weir, "pins")

    def test_insecure_and_pinned(self):
        self.claim_good(self.before(self.server, tls={"insecure": True, "pins": [self.right],
                                                      "name": "nobody.test"}))
        self.claim_bad(self.before(self.server, tls={"insecure": True, "pins": [self.wrong]}),
                       "pins")

    def test_wrong_for_resumed_sessions_as_well(self):
        """A reload that changes the pins is in force at once."""
        weir = self.before(self.server, tls={"ca": self.authority.ca, "pins": [self.right]},
                           app={"requests_max": 1})
        self.claim_good(weir)
        self.claim_good(weir)
        self.assertEqual(self.server.resumed, [False, True])
        weir.reload(self.config(servers=self.server, workers=1, upstream={"app": {
            "requests_max": 1, "tls": {"ca": self.authority.ca, "pins": [self.wrong]}}}))
        self.claim_bad(weir, "pins")

    def test_bytes_were_not_sent(self):
        """Nothing of a request reaches a server that is not believed."""
        weir = self.before(self.server, tls={"ca": self.authority.ca, "pins": [self.wrong]})
        self.claim_bad(weir, "pins")
        self.assertEqual(self.server.seen(), [])


class WithoutFile(Towards):
    def test_proxy(self):
        """weir proxy LISTEN https://SERVER verifies as well."""
        origin = self.tls_origin()
        for environment, status in (({"SSL_CERT_FILE": str(self.authority.ca)}, 200), ({}, 502)):
            process = self.process(self.weir_path, "proxy", "--io", self.io, "127.0.0.1:0",
                                   origin.address, env=environment)
            port = int(process.line(r"listening on 127\.0\.0\.1:(\d+)")[1])
            process.line(r"\bready\b")
            with Client(port) as client:
                self.assertEqual(client.get().status, status)
            process.end()


class Insecure(Towards):
    def test_works_and_is_said_loudly(self):
        origin = self.tls_origin(certificate(self.directory, "whoever"))
        weir = self.before(origin, tls={"insecure": True})
        self.claim_good(weir)
        weir.process.line("warning.*insecure")
        done = weir.command("check")
        self.assertIn("insecure = true", (done.stdout + done.stderr).decode())
        self.assertIn("not verified", (done.stdout + done.stderr).decode())


class Shown(Towards):
    """Servers that want a certificate."""

    def nginx(self, version):
        cert, key = self.issue()
        return self.kept(Nginx(self.directory, f"""
            ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv{version};
            ssl_client_certificate {self.authority.ca}; ssl_verify_client on;
            location = /who {{ return 200 "$ssl_client_s_dn $ssl_protocol"; }}""", options=" ssl"))

    def settings(self, files):
        return {"ca": self.authority.ca, **({"cert": files[0], "key": files[1]} if files else {})}

    def test_nginx(self):
        mine = self.authority.issue("weir")
        stranger = Authority(self.directory, "Another CA").issue("mallory")
        for version in ("1.2", "1.3"):
            nginx = self.nginx(version)
            for files, status in ((mine, 200), (None, 400), (stranger, 400)):
                with self.subTest((version, files)):
                    server = "https://" + nginx.address
                    weir = self.before(server, tls=self.settings(files))
                    response = self.client(weir).get("/who")
                    self.assertEqual(response.status, status)
                    expected = b"CN=weir TLSv" + version.encode() if status == 200 else b"SSL"
                    self.assertIn(expected, response.body)
            nginx.end()

    def test_one_file(self):
        cert, key = self.authority.issue("weir")
        both = self.directory / "both.pem"
        both.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
        origin = self.tls_origin(client_ca=self.authority.ca)
        self.claim_good(self.before(origin, tls={"ca": self.authority.ca, "cert": both}))

    def test_chain(self):
        """The intermediate certificates are shown as well."""
        middle = self.authority.intermediate("Middle CA")
        cert, key = middle.issue("weir")
        chain = self.directory / "chain.pem"
        chain.write_text(pathlib.Path(cert).read_text() + middle.ca.read_text())
        origin = self.tls_origin(client_ca=self.authority.ca)
        self.claim_good(self.before(origin, tls=self.settings((chain, key))))

    def claim_turned_away(self, version, files):
        origin = self.tls_origin(client_ca=self.authority.ca, version=version)
        weir = self.before(origin, tls=self.settings(files))
        response = self.client(weir).get("/bad")
        self.assertEqual((response.status, origin.seen()), (502, []))
        entry = weir.logged_one("/bad")
        self.assertEqual(entry["cause"], "upstream_tls_failed", entry)
        self.assertIn("alert", entry["detail"])
        self.assertEqual(len(origin.failed), 1, "it is of no use to ask it again")

    def test_none_is_an_alert_12(self):
        self.claim_turned_away("1.2", None)

    def test_none_is_an_alert_13(self):
        """In TLS 1.3 the server says so when the client's side of the handshake is over."""
        self.claim_turned_away("1.3", None)

    def test_wrong_is_an_alert_12(self):
        self.claim_turned_away("1.2", Authority(self.directory, "Another CA").issue("mallory"))

    def test_wrong_is_an_alert_13(self):
        self.claim_turned_away("1.3", Authority(self.directory, "Another CA").issue("mallory"))
