# SPDX-License-Identifier: Apache-2.0
"""OCSP: what a certificate's authority says of it is asked for and stapled."""

import http.server
import os
import pathlib
import re
import threading

from harness.process import run, tool
from harness.tls import Authority
from harness.waiting import eventually

from .tls_certificates import Certificates

LATER, BEFORE = "350101000000Z", "260101000000Z"
STAPLED = b"Cert Status: good"


class Responder:
    """Answers by openssl ocsp, and by the path in other ways. `asked`: the paths."""

    def __init__(self, authority, index):
        self.authority, self.index, self.asked = authority, index, []
        self.released = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # the name is http.server's
                request = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, self.headers["Host"], self.headers["Content-Type"]))
                getattr(outer, "say_" + self.path.strip("/").split("/")[0])(self, request)
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def url(self, path):
        return f"http://localhost:{self.server.server_port}/{path}"

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def response(self, request):
        base = self.authority.directory / f"asked-{len(self.asked)}-{threading.get_ident()}"
        base.write_bytes(request)
        run(tool("openssl"), "ocsp", "-index", self.index, "-CA", self.authority.ca, "-rsigner",
            self.authority.ca, "-rkey", self.authority.key, "-reqin", base, "-respout",
            f"{base}.der", "-ndays", "2")
        return pathlib.Path(f"{base}.der").read_bytes()

    @staticmethod
    def send(handler, body, status=200):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def say_good(self, handler, request):
        self.send(handler, self.response(request))

    def say_chunked(self, handler, request):
        body = self.response(request)
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for at in range(0, len(body), 100):
            piece = body[at:at + 100]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    def say_status(self, handler, _):
        self.send(handler, b"broken\n", status=500)

    def say_text(self, handler, _):
        self.send(handler, b"<html>an answer of a captive portal</html>")

    def say_cut(self, handler, request):
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(self.response(request))

    def say_large(self, handler, _):
        self.send(handler, b"x" * 200_000)

    def say_nothing(self, _, __):
        self.released.wait(60)

    def say_foreign(self, handler, _):
        self.send(handler, self.other)


class Stapling(Certificates):
    def setUp(self):
        super().setUp()
        self.index = self.directory / "ocsp.index"
        self.index.touch()
        self.responder = Responder(self.authority, self.index)
        self._stack.callback(self.responder.close)

    def known(self, cert, revoked=False):
        """Enters a certificate into what its authority knows."""
        text = run(tool("openssl"), "x509", "-in", cert, "-noout", "-serial").stdout.decode()
        self.enter(text.strip().split("=")[1], revoked)

    def enter(self, serial, revoked=False):
        entry = f"R\t{LATER}\t{BEFORE}\t" if revoked else f"V\t{LATER}\t\t"
        fresh = self.directory / "ocsp.fresh"
        fresh.write_text(f"{self.index.read_text()}{entry}{serial}\tunknown\t/CN=x{serial}\n")
        os.replace(fresh, self.index)

    def issue_full(self, name, url, authority=None, serial=None):
        """(certificate with its issuer's behind it, key), with a responder at `url`."""
        authority = authority or self.authority
        cert, key = authority.issue(name, responder=url, serial=serial)
        if serial is None:
            self.known(cert)
        with open(cert, "a", encoding="ascii") as out:
            out.write(authority.ca.read_text())
        return cert, key

    def status_of(self, weir, name, index=0):
        done = run(tool("openssl"), "s_client", "-connect", f"127.0.0.1:{weir.ports[index]}",
                   "-status", "-servername", name, "-CAfile", self.authority.ca, stdin=b"")
        self.assertIn(b"Verify return code: 0 (ok)", done.stdout)
        return done.stdout

    def stapled(self, weir, name, index=0):
        return STAPLED in self.status_of(weir, name, index)

    def test_of_a_real_responder(self):
        """openssl's own; the name in the URL is resolved."""
        serial = "4D2E"  # the responder reads it at its start, before there is the certificate
        self.enter(serial)
        server = self.process(tool("openssl"), "ocsp", "-index", self.index, "-port", "0", "-CA",
                              self.authority.ca, "-rsigner", self.authority.ca, "-rkey",
                              self.authority.key, "-ndays", "1")
        port = server.line(r"ACCEPT .*:(\d+)").group(1)
        cert, key = self.issue_full("weir.test", f"http://localhost:{port}/ocsp?a=b",
                                    serial=serial)
        weir = self.listening({"cert": cert, "key": key})
        weir.process.line(rf"{re.escape(cert)}: http://localhost:{port}/ocsp\?a=b says that the "
                          "certificate is good")
        eventually(lambda: self.stapled(weir, "weir.test"), "stapled", within=20)
        name = ("weir_tls_ocsp_response_expiry_timestamp_seconds",
                frozenset({("certificate", cert)}))
        self.assertGreater(weir.metrics()[name], 1.7e9)
        self.assertRegex(weir.status()["certificates"][0]["ocsp_until"], r"^20\d\d-.*Z$")

    def test_is_kept_over_a_reload(self):
        cert, key = self.issue_full("weir.test", self.responder.url("good"))
        weir = self.listening({"cert": cert, "key": key})
        eventually(lambda: self.stapled(weir, "weir.test"), "stapled", within=20)
        self.assertEqual(weir.reload().returncode, 0)
        self.assertTrue(self.stapled(weir, "weir.test"))
        port = self.responder.server.server_port
        self.assertEqual(self.responder.asked, [
            ("/good", f"localhost:{port}", "application/ocsp-request")])

    def test_nobody_asks_unless_there_is_need(self):
        """Not where it is off, where a file says it, and where the file has no authority."""
        off = self.issue_full("off.test", self.responder.url("good/off"))
        filed = self.issue_full("filed.test", self.responder.url("good/filed"))
        alone = self.authority.issue("alone.test", responder=self.responder.url("good/alone"))
        asks = self.issue_full("asks.test", self.responder.url("good/asks"))
        run(tool("openssl"), "ocsp", "-index", self.index, "-CA", self.authority.ca, "-rsigner",
            self.authority.ca, "-rkey", self.authority.key, "-issuer", self.authority.ca,
            "-cert", filed[0], "-respout", filed[0] + ".ocsp", "-ndays", "2")
        weir = self.weir(self.origin(), listen=[
            {"address": "127.0.0.1:0", "tls": self.tls(off, ocsp=False)},
            {"address": "127.0.0.1:0", "tls": self.tls(filed, alone, asks)}])
        eventually(lambda: self.stapled(weir, "asks.test", 1), "stapled", within=20)
        self.assertTrue(self.stapled(weir, "filed.test", 1))
        self.assertFalse(self.stapled(weir, "alone.test", 1))
        self.assertFalse(self.stapled(weir, "off.test", 0))
        self.assertEqual([path for path, *_ in self.responder.asked], ["/good/asks"])
        self.assertIn("alone.test.pem: no OCSP response is stapled", weir.process.text())

    def test_odd_answers(self):
        """Each says what is wrong, and nothing is stapled; the next one is served all the same."""
        elsewhere = Authority(self.directory, "Other CA")
        other, _ = self.issue_full("other.test", self.responder.url("good"))
        run(tool("openssl"), "ocsp", "-issuer", self.authority.ca, "-cert", other, "-reqout",
            self.directory / "other.req", "-no_nonce")
        self.responder.other = self.responder.response(
            (self.directory / "other.req").read_bytes())
        rows = {"status": "it answered 500", "text": "its response is not one in DER format",
                "cut": "its answer is cut", "large": "its answer is too large",
                "foreign": "its response is not of this certificate"}
        certificates = [self.issue_full(f"{row}.test", self.responder.url(row)) for row in rows]
        revoked = self.authority.issue("revoked.test", responder=self.responder.url("good/r"))
        self.known(revoked[0], revoked=True)
        with open(revoked[0], "a", encoding="ascii") as out:
            out.write(self.authority.ca.read_text())
        # The answer is signed by another authority than the one that has issued it.
        forged = self.issue_full("forged.test", self.responder.url("good/f"), elsewhere)
        rows["forged"] = "its response is not signed by the certificate's authority"
        chunked = self.issue_full("chunked.test", self.responder.url("chunked"))
        weir = self.listening(self.tls(*certificates, revoked, forged, chunked))
        weir.process.line(r"error .*/revoked.test.pem: http://\S+ says that the certificate is "
                          "REVOKED: replace it. Nothing is stapled")
        for row, why in rows.items():
            weir.process.line(rf"{row}.test.pem: no new OCSP response from http://localhost:\d+/"
                              rf"[a-z/]+: {why}.*; none is stapled; trying again in 30 s")
        eventually(lambda: self.stapled(weir, "chunked.test"), "stapled", within=20)
        for row in ("status", "foreign", "revoked"):
            self.assertIn(b"OCSP response: no response sent", self.status_of(weir, f"{row}.test"))

    def test_a_responder_that_does_not_answer_does_not_keep_weir_from_stopping(self):
        cert, key = self.issue_full("weir.test", self.responder.url("nothing"))
        weir = self.listening({"cert": cert, "key": key})
        eventually(lambda: self.responder.asked, "asked")
        self.assertEqual(self.connect(weir).get().status, 200)
        self.assertEqual(weir.terminate(within=5), 0)
