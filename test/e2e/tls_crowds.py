# SPDX-License-Identifier: Apache-2.0
"""Crowds over TLS that outlive reloads, each of which changes the certificate: thousands of
connections that are held, and hundreds of HTTP/2 with a hundred streams each."""

import hashlib
import signal

from harness.case import Case, alone, bound, full
from harness.raw import request
from harness.tls import Authority, TlsClient
from harness.waiting import eventually
from origins.nginx import Nginx

from .h2_clients import UnderReload

SMALL = b"x" * 1023
BIG = hashlib.shake_256(b"big").digest(8 << 20)  # more than sockets hold
ASKED = request("/small")


class Held(Case):
    """HTTP/1.1. When Weir reloads, a third of the clients is idle, a third has sent half a head, a
    third has asked and not read, and some have a download under way that they do not read."""

    def prepare(self):
        (self.directory / "big").write_bytes(BIG)
        self.backend = self.kept(Nginx(self.directory, "send_timeout 600;"))
        self.authority = Authority(self.directory)
        self.certificates = [self.authority.issue("weir.test", file=f"cert{n}") for n in range(2)]
        return self.start(self.version(0))

    def version(self, number):
        cert, key = self.certificates[number % 2]
        patient = ("client_head", "client_write", "client_idle", "upstream_body")
        config = self.config(
            servers=self.backend.address, access_log="off", timeouts=dict.fromkeys(patient, "10m"),
            listen=[{"address": "127.0.0.1:0", "tls": {"cert": cert, "key": key}}],
            upstream={"app": {"idle_max": 64 + number % 3}})
        config["route"][0]["response_headers"] = {"set": {"X-Version": str(number)}}
        return config

    def reload(self, weir, number):
        """By the command and by the signal in turns; complete when this returns."""
        if number % 2:
            self.assertEqual(weir.reload(self.version(number)).returncode, 0)
        else:
            lines = len(weir.process.lines)
            weir.configure(self.version(number))
            weir.process.signal(signal.SIGHUP)
            weir.process.line("reloaded: ", after=lines)

    def connect(self, weir, **options):
        client = TlsClient(weir.port, self.context, timeout=60, **options)
        self._stack.callback(client.close)
        return client

    def claim_answer(self, client, versions):
        response = client.response()
        self.assertEqual((response.status, response.complete, response.body), (200, True, SMALL))
        self.assertIn(int(response.fields.get("x-version")), versions)

    def shown(self, weir, number):
        """The serial number of the certificate that a new client sees."""
        with self.connect(weir) as client:
            self.claim_answer(client.send(ASKED), [number])
            return client.sock.getpeercert()["serialNumber"]

    def through_reloads(self, count, reloads, downloads=10):
        weir = self.prepare()
        self.context = self.authority.context()
        clients = [self.connect(weir) for _ in range(count)]
        idle, halves, asking = (clients[first::3] for first in range(3))
        slow = [self.connect(weir, receive_buffer=65536).send(request("/big"))
                for _ in range(downloads)]
        for client in slow:
            client.stream.fill()
        serials = [self.shown(weir, 0)]
        for number in range(1, reloads + 1):
            for client in clients:
                client.send(ASKED)
            for client in clients:
                self.claim_answer(client, [number - 1])
            for client in halves:
                client.send(ASKED[:9])
            for client in asking:
                client.send(ASKED)
            self.reload(weir, number)
            for client in idle:
                client.send(ASKED)
            for client in halves:
                client.send(ASKED[9:])
            for client in idle:
                self.claim_answer(client, [number])
            for client in halves + asking:
                self.claim_answer(client, [number - 1, number])
            serials.append(self.shown(weir, number))
        self.assertEqual((len(set(serials)), serials[2:]), (2, serials[:-2]))
        eventually(lambda: weir.status()["total"]["requests_active"] == downloads,
                   "the downloads are under way, and nothing else")
        for client in slow:
            self.assertEqual(hashlib.sha256(client.response().body).digest(),
                             hashlib.sha256(BIG).digest())
        for client in clients:
            self.claim_answer(client.send(ASKED), [reloads])
        metrics = weir.metrics()
        self.assertEqual(metrics["weir_connections_accepted_total", frozenset()],
                         count + downloads + len(serials))
        self.assertEqual([key for key, value in metrics.items()
                          if key[0] == "weir_causes_total" and value], [])

    @alone
    @bound(60)
    def test_900_connections_through_4_reloads(self):
        self.through_reloads(900, 4)

    @full
    @alone
    @bound(600)
    def test_9000_connections_through_6_reloads(self):
        self.through_reloads(9000, 6)


class Streams(UnderReload):
    def listens(self):
        """Two certificates, one after the other."""
        authority = Authority(self.directory)
        return [[{"address": "127.0.0.1:0", "tls": {"cert": cert, "key": key}}]
                for cert, key in (authority.issue("weir.test", file=f"cert{n}") for n in range(2))]

    @alone
    @bound(120)
    def test_500_times_100_streams(self):
        text = self.under_reload(100, 50_000, "https", self.listens(), route=[
            {"match": {"path": "/**"}, "respond": {"status": 200, "body": "x" * 1000}}])
        self.assertIn("TLS Protocol: TLSv1.3", text)
        self.assertIn("Application protocol: h2", text)

    @full
    @alone
    @bound(300)
    def test_500_times_100_streams_to_http2(self):
        backend = self.kept(Nginx(self.directory, options=" http2"))
        self.under_reload(100, 300_000, "https", self.listens(), servers=backend.address,
                          upstream={"app": {"protocol": "http2"}})
