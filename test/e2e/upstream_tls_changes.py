# SPDX-License-Identifier: Apache-2.0
"""TLS towards servers goes on: files and settings that change, and sessions that are resumed."""

import os
import pathlib
import shutil
import socket
import threading

from e2e.upstream_tls_trust import UNTRUSTED, Towards
from harness.raw import request
from harness.steady import BODY, Steady
from harness.tls import Authority
from harness.waiting import eventually
from origins import scripts
from origins.nginx import Nginx
from origins.origin import Origin
from origins.tls_origin import TlsH2Origin, server_context


def replace(where, new):
    for old, fresh in zip(where, new):
        shutil.copy(fresh, f"{old}.new")
        os.rename(f"{old}.new", old)


class Changes(Towards):
    def test_authority_is_replaced(self):
        """The new one is taken over by itself, and neither sessions nor kept connections of those
        that only the old one trusts are used again."""
        old, new = self.authority, Authority(self.directory, "New CA")
        ca = self.directory / "ca-in-use.pem"
        shutil.copy(old.ca, ca)
        origin = self.tls_origin()
        weir = self.before(origin, tls={"ca": ca})
        self.claim_good(weir)
        replace([ca], [new.ca])
        eventually(lambda: self.client(weir).get("/").status == 502, "the old is not trusted", 20)
        refused = eventually(lambda: [e for e in weir.log() if e["status"] == 502], "a line")
        self.assertIn(UNTRUSTED, refused[0]["detail"])
        origin.context = server_context(*new.issue("127.0.0.1", file="by-new"))
        eventually(lambda: self.client(weir).get("/").status == 200, "the new is", 20)

    def test_reload_takes_it_over_at_once(self):
        ca = self.directory / "ca-in-use.pem"
        shutil.copy(self.authority.ca, ca)
        origin = self.tls_origin()
        weir = self.before(origin, tls={"ca": ca})
        self.claim_good(weir)
        replace([ca], [Authority(self.directory, "New CA").ca])
        self.assertEqual(weir.reload().returncode, 0)
        self.claim_bad(weir, UNTRUSTED)

    def test_reload_that_changes_nothing_keeps_connections(self):
        origin = self.tls_origin()
        weir = self.before(origin)
        self.claim_good(weir)
        settings = {"servers": origin, "workers": 1, "upstream": {"app": {
            "tls": {"ca": self.authority.ca}}}}
        for more in ({}, {"timeouts": {"client_idle": "61s"}}):
            self.assertEqual(weir.reload(self.config(**settings, **more)).returncode, 0)
            self.claim_good(weir)
        self.assertEqual(len(origin.connections), 1)

    def test_connection_in_use_at_a_reload(self):
        """Made by what was trusted before, it is not used again when its request is over."""
        stranger = Authority(self.directory, "New CA")
        origin = self.tls_origin(script=scripts.hold("go"))
        weir = self.before(origin)
        client = self.client(weir).send(request("/held"))
        origin.await_gate("arrived:go")
        self.assertEqual(weir.reload(self.config(servers=origin, workers=1, upstream={
            "app": {"tls": {"ca": stranger.ca}}})).returncode, 0)
        origin.open("go")
        self.assertEqual(client.response().status, 200)
        self.claim_bad(weir, UNTRUSTED)

    def test_handshake_at_a_reload(self):
        """Its request is answered, and no other on its connection."""
        stranger = Authority(self.directory, "New CA")
        origin = self.tls_origin()
        origin.before_handshake = "shake"
        weir = self.before(origin)
        client = self.client(weir).send(request("/held"))
        origin.await_gate("arrived:shake")
        self.assertEqual(weir.reload(self.config(servers=origin, workers=1, upstream={
            "app": {"tls": {"ca": stranger.ca}}})).returncode, 0)
        origin.open("shake")
        self.assertEqual(client.response().status, 200)
        self.claim_bad(weir, UNTRUSTED)

    def test_http2_handshake_at_a_reload(self):
        """The same for a connection that requests share."""
        stranger = Authority(self.directory, "New CA")
        origin = self.kept(TlsH2Origin(server_context(*self.issue(), alpn=["h2"]),
                                       lambda x: x.text("good")))
        origin.before_handshake = "shake"
        weir = self.before(origin, app={"protocol": "http2"})
        client = self.client(weir).send(request("/held"))
        origin.await_gate("arrived:shake")
        self.assertEqual(weir.reload(self.config(servers=origin, workers=1, upstream={
            "app": {"protocol": "http2", "tls": {"ca": stranger.ca}}})).returncode, 0)
        origin.open("shake")
        self.assertEqual(client.response().status, 200)
        self.claim_bad(weir, UNTRUSTED)

    def test_http2_connection_in_use_at_a_reload(self):
        stranger = Authority(self.directory, "New CA")

        def script(x):
            x.wait("go")
            x.text("good")
        origin = self.kept(TlsH2Origin(server_context(*self.issue(), alpn=["h2"]), script))
        weir = self.before(origin, app={"protocol": "http2"})
        client = self.client(weir).send(request("/held"))
        origin.request("/held")
        self.assertEqual(weir.reload(self.config(servers=origin, workers=1, upstream={
            "app": {"protocol": "http2", "tls": {"ca": stranger.ca}}})).returncode, 0)
        self.claim_bad(weir, UNTRUSTED)
        origin.open("go")
        self.assertEqual(client.response().status, 200)

    def test_client_certificate_under_load(self):
        """Nobody notices; in the end the server sees the new one alone."""
        where = self.authority.issue("weir")
        origin = self.tls_origin(script=scripts.body(BODY), client_ca=self.authority.ca)
        weir = self.before(origin, tls={"ca": self.authority.ca, "cert": where[0],
                                        "key": where[1]}, workers=2)
        steady = [self.kept(Steady(weir.port)) for _ in range(4)]
        for number in range(3):
            fresh = self.authority.issue("weir", file=f"fresh{number}", subject=f"/CN=w{number}")
            replace(where, fresh)
            self.assertEqual(weir.reload().returncode, 0)
            for one in steady:
                one.proceeds(5)
        for one in steady:
            one.end()
            self.assertIsNone(one.wrong)
        self.assertEqual({e["cause"] for e in weir.log()}, {""})
        self.client(weir).get("/last")
        seen = origin.request("/last").connection.sock.tls.getpeercert()
        self.assertIn(((("commonName", "w2"),)), seen["subject"])

    def test_client_certificate_with_a_handshake_for_each_request(self):
        """Which begin before and end behind a reload."""
        where = self.authority.issue("weir")
        origin = self.tls_origin(script=scripts.body(BODY), client_ca=self.authority.ca)
        weir = self.before(origin, tls={"ca": self.authority.ca, "cert": where[0],
                                        "key": where[1]}, app={"requests_max": 1}, workers=2)
        steady = [self.kept(Steady(weir.port)) for _ in range(4)]
        for number in range(4):
            replace(where, self.authority.issue("weir", file="fresh", subject=f"/CN=w{number}"))
            self.assertEqual(weir.reload().returncode, 0)
            for one in steady:
                one.proceeds(3)
        self.client(weir).get("/last")
        seen = origin.request("/last").connection.sock.tls.getpeercert()
        self.assertIn(((("commonName", "w3"),)), seen["subject"])
        self.assertEqual({e["cause"] for e in weir.log()}, {""})

    def test_client_certificate_by_itself(self):
        where = self.authority.issue("weir")
        origin = self.tls_origin(client_ca=self.authority.ca)
        weir = self.before(origin, tls={"ca": self.authority.ca, "cert": where[0],
                                        "key": where[1]}, app={"requests_max": 1})
        self.claim_good(weir)
        replace(where, self.authority.issue("weir", file="fresh", subject="/CN=fresh"))

        def new_one():
            self.client(weir).get("/")
            connection = origin.seen("/")[-1].connection
            return ((("commonName", "fresh"),)) in connection.sock.tls.getpeercert()["subject"]
        eventually(new_one, "the server sees the new one", 20)

    def test_unreadable_at_a_reload(self):
        ca = self.directory / "ca-in-use.pem"
        shutil.copy(self.authority.ca, ca)
        origin = self.tls_origin()
        weir = self.before(origin, tls={"ca": ca}, app={"requests_max": 1})
        self.claim_good(weir)
        ca.unlink()
        done = weir.reload()
        said = (done.stdout + done.stderr).decode()
        self.assertIn("ca-in-use.pem", said)
        self.assertIn("keeps", said)
        self.claim_good(weir)

    def test_certificate_without_its_key(self):
        """While only one of two files is the new one, the old pair stays in use."""
        where = self.authority.issue("weir")
        origin = self.tls_origin(client_ca=self.authority.ca)
        weir = self.before(origin, tls={"ca": self.authority.ca, "cert": where[0],
                                        "key": where[1]}, app={"requests_max": 1})
        self.claim_good(weir)
        fresh = self.authority.issue("weir", file="fresh", subject="/CN=fresh")
        for number, changed in enumerate(("cert", "key")):
            replace(where[number:number + 1], fresh[number:number + 1])
            done = weir.reload()
            self.assertEqual(done.returncode, 0)
            self.assertEqual("stays in use" in (done.stdout + done.stderr).decode(),
                             changed == "cert")
            self.claim_good(weir)
        subjects = [c.sock.tls.getpeercert()["subject"][0][0][1] for c in origin.connections]
        self.assertEqual(subjects, ["weir", "weir", "fresh"])

    def test_unreadable_at_the_start(self):
        """It says so, answers for other upstreams, and for this one when it is repaired."""
        good = self.kept(Origin(script=scripts.text("good")))
        for what in ("ca", "cert"):
            with self.subTest(what):
                missing = self.directory / f"missing-{what}.pem"
                origin = self.tls_origin()
                tls = {"ca": self.authority.ca, what: missing}
                weir = self.before(origin, tls=tls, more={"good": {"servers": [good.address]}},
                                   route=[{"match": {"path": "/good"}, "upstream": "good"},
                                          {"upstream": "app"}])
                weir.process.line(f"missing-{what}.pem")
                weir.process.line("upstream app cannot connect")
                self.claim_bad(weir, "files", "upstream_tls_failed", f"/bad-{what}")
                self.claim_good(weir, "/good")
                self.assertEqual(origin.connections, [], "nobody is asked without need")
                self.mend(missing, what)
                eventually(lambda weir=weir: self.client(weir).get("/").status == 200,
                           "it is repaired", 20)
                self.assertEqual(weir.command("check").returncode, 0)

    def mend(self, file, what):
        fresh = self.directory / "mended.pem"
        if what == "ca":
            shutil.copy(self.authority.ca, fresh)
        else:
            cert, key = self.authority.issue("weir")
            fresh.write_text(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
        os.rename(fresh, file)

    def test_check_names_the_file(self):
        weir = self.before(self.tls_origin(), tls={"ca": "nowhere.pem"})
        done = weir.command("check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nowhere.pem", (done.stdout + done.stderr).decode())


class Resumption(Towards):
    def claim_resumes(self, version, weir, said):
        """`said`: asks, and returns whether the server has resumed."""
        self.assertEqual([said() for _ in range(4)], [False, True, True, True], version)
        self.assertEqual((self.count(weir, "tls_handshakes"), self.count(weir, "tls_resumptions")),
                         (4, 3))

    def test_nginx(self):
        cert, key = self.issue()
        for version in ("1.2", "1.3"):
            for how in ("ssl_session_tickets on", "ssl_session_tickets off; ssl_session_cache "
                        "shared:s:1m"):
                with self.subTest((version, how)):
                    nginx = self.kept(Nginx(self.directory, f"""ssl_protocols TLSv{version}; {how};
                        ssl_certificate {cert}; ssl_certificate_key {key};
                        location = /r {{ return 200 "$ssl_session_reused $ssl_protocol"; }}""",
                                            options=" ssl"))
                    weir = self.before("https://" + nginx.address, app={"requests_max": 1})

                    def said(weir=weir):
                        return self.client(weir).get("/r").body.startswith(b"r ")
                    self.claim_resumes(version, weir, said)
                    nginx.end()

    def test_server_with_other_keys(self):
        """Whose tickets it cannot read it gives a whole handshake, and new tickets."""
        files = self.issue()
        for version in ("1.2", "1.3"):
            with self.subTest(version):
                origin = self.tls_origin(files, version=version)
                weir = self.before(origin, app={"requests_max": 1})
                for _ in range(2):
                    for _ in range(2):
                        self.claim_good(weir)
                    origin.context = server_context(*files, version=version)
                self.assertEqual(origin.resumed, [False, True, False, True])
                self.assertEqual(self.count(weir, "tls_resumptions"), 2)

    def test_server_that_changed_its_version(self):
        files = self.issue()
        origin = self.tls_origin(files, version="1.3")
        weir = self.before(origin, app={"requests_max": 1})
        for version in ("1.2", "1.3", "1.2"):
            self.claim_good(weir)
            origin.context = server_context(*files, version=version)
        self.claim_good(weir)
        self.assertEqual(origin.resumed, [False] * 4)

    def test_server_that_changed_its_certificate(self):
        """A new certificate that is not to be believed is not, whatever the session."""
        origin = self.tls_origin()
        weir = self.before(origin, app={"requests_max": 1})
        self.claim_good(weir)
        stranger = Authority(self.directory, "Another CA").issue("127.0.0.1", file="strange")
        origin.context = server_context(*stranger)
        self.claim_bad(weir, UNTRUSTED)
        origin.context = server_context(*self.issue())
        eventually(lambda: self.client(weir).get("/").status == 200, "it is good again")

    def test_server_without_tickets(self):
        origin = self.tls_origin(version="1.3", tickets=0)
        weir = self.before(origin, app={"requests_max": 1})
        for _ in range(3):
            self.claim_good(weir)
        self.assertEqual(origin.resumed, [False] * 3)

    def test_session_is_of_its_server(self):
        """Two servers of an upstream, each with sessions of its own."""
        files = self.issue()
        first, second = self.tls_origin(files, name="a"), self.tls_origin(files, name="b")
        weir = self.before(first, second, app={"requests_max": 1})
        for _ in range(6):
            self.claim_good(weir)
        self.assertEqual([first.resumed, second.resumed], [[False, True, True]] * 2)
        self.assertEqual([str(e) for e in first.failed + second.failed], [])

    def test_after_a_reload(self):
        """One that changes nothing of TLS."""
        origin = self.tls_origin()
        weir = self.before(origin, app={"requests_max": 1})
        self.claim_good(weir)
        self.assertEqual(weir.reload(self.config(
            servers=origin, workers=1, timeouts={"client_idle": "61s"}, upstream={"app": {
                "requests_max": 1, "tls": {"ca": self.authority.ca}}})).returncode, 0)
        self.claim_good(weir)
        self.assertEqual(origin.resumed, [False, True])


class Gate:
    """Passes connections on to a server, but the first only when it is opened."""

    def __init__(self, target):
        self.target, self.accepted, self.opened = target, 0, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            thread = threading.Thread(target=self._serve, args=(near, self.accepted == 1))
            self.threads.append(thread)
            thread.start()

    def _serve(self, near, first):
        if first:
            self.opened.wait(20)
        host, port = self.target.split(":")
        with near, socket.create_connection((host, int(port))) as far:
            back = threading.Thread(target=self._pass, args=(far, near))
            back.start()
            self._pass(near, far)
            back.join()

    @staticmethod
    def _pass(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.opened.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(5)


class Protocols(Towards):
    """A connection speaks what was agreed on when it was made, whatever a reload says meanwhile."""

    def claim_changed(self, before, after):
        cert, key = self.issue()
        settings = (f"ssl_certificate {cert}; ssl_certificate_key {key}; "
                    'location / { return 200 "$server_protocol"; }')
        nginx = self.kept(Nginx(self.directory, settings, options=" ssl http2"))
        gate = Gate(nginx.address)
        self._stack.callback(gate.close)
        weir = self.before(gate, app={"protocol": before})
        client = self.client(weir).send(request("/first"))
        eventually(lambda: gate.accepted == 1, "a connection")
        self.assertEqual(weir.reload(self.config(servers=gate, workers=1, upstream={
            "app": {"tls": {"ca": self.authority.ca}, "protocol": after}})).returncode, 0)
        gate.opened.set()
        spoken = {"http1": b"HTTP/1.1", "http2": b"HTTP/2.0"}
        self.assertEqual(client.response().body, spoken[before])
        for _ in range(3):
            self.assertEqual(self.client(weir).get("/next").body, spoken[after])
        self.assertEqual({e["cause"] for e in weir.logged(4)}, {""})

    def test_http1_becomes_http2(self):
        self.claim_changed("http1", "http2")

    def test_http2_becomes_http1(self):
        self.claim_changed("http2", "http1")
