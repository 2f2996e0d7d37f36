# SPDX-License-Identifier: Apache-2.0
"""Peers that vanish without a word, and come back: a cable that is pulled between two networks, and
a server that is stopped by a signal."""

import hashlib
import sys
import threading

from harness.apart import APART, PATIENT, SHORT, ApartFault
from harness.fault import MIB
from harness.message import Broken
from harness.namespace import FarNetwork, own_network
from harness.raw import Client, request
from harness.waiting import eventually
from origins.apart import BLOCK, BLOCKS, SCRIPTS


class Stopped(ApartFault):
    """The server's process is stopped: its kernel still accepts and acknowledges."""

    CONNECT = "upstream_head_timeout"

    def vanish(self):
        self.stop()

    def come_back(self):
        self.go_on()

    # --- the server ------------------------------------------------------------------------------

    def test_new_connections(self):
        self.prepare()
        self.vanish()
        self.claim_refused(self.client(self.proxy).get("/gone"), 504, self.CONNECT)
        self.claim_causes(self.CONNECT, 1)
        self.claim_unharmed()
        self.come_back()
        self.claim_served()
        self.claim_quiet()

    def test_kept_connections(self):
        self.prepare(workers=1, timeouts={**SHORT, "upstream_head": "2s"})
        self.fill_pool(4)
        self.vanish()
        self.claim_refused(self.client(self.proxy).get("/gone"), 504, "upstream_head_timeout")
        if self.CONNECT != "upstream_head_timeout":
            self.assertEqual(self.upstream()["idle"], 0, "the others are as dead as this one")
        self.claim_refused(self.client(self.proxy).get("/gone"), 504, self.CONNECT)
        self.claim_unharmed()
        self.come_back()
        self.claim_served()

    def test_in_a_download(self):
        self.prepare()
        client = self.client(self.proxy).send(request("/endless"))
        self.assertEqual(client.head().status, 200)
        client.stream.exactly(MIB)
        self.vanish()
        with self.assertRaises(Broken):
            while True:
                client.stream.take(len(client.stream.buffer))
                if not client.stream.fill():
                    raise Broken("eof")
        self.claim_causes("upstream_body_timeout", 1)
        self.assertEqual(self.entries("upstream_body_timeout")[0]["status"], 200)
        self.claim_unharmed()
        self.come_back()
        self.claim_served()
        self.claim_quiet()

    def test_in_an_upload(self):
        self.prepare()
        client = self.client(self.proxy)
        client.send(request("/upload", "Content-Length: 1000000000", method="POST"))
        client.send(b"u" * MIB)
        self.apart.line("request /upload")
        self.vanish()
        block = b"u" * MIB
        for _ in range(200):
            if not client.try_send(block):
                break
        self.claim_causes("upstream_write_timeout", 1)
        self.claim_bounded_memory(256 * MIB, 2)
        self.claim_unharmed()
        client.close()
        self.come_back()
        self.claim_served()
        self.claim_quiet()

    def test_in_a_tunnel(self):
        self.prepare()
        client = self.client(self.proxy)
        client.send(request("/tunnel", "Connection: Upgrade", "Upgrade: echo/1"))
        self.assertEqual(client.response().status, 101)
        self.assertEqual(client.send(b"there?").stream.exactly(6), b"there?")
        self.vanish()
        client.send(b"and now?")
        self.assertTrue(client.closed())
        self.claim_causes("tunnel_idle_timeout", 1)
        self.claim_unharmed()
        self.come_back()
        self.claim_served()
        self.claim_quiet()

    def test_in_plain_tcp(self):
        """An open connection, and a new one."""
        self.prepare(listen=[*self.listens(),
                             {"address": "127.0.0.1:0", "tcp": {"upstream": "app"}}])
        client = Client(self.proxy.ports[-1])
        client.send(request("/never"))
        self.apart.line("request /never")
        self.vanish()
        client.send(b"and now?")
        self.assertTrue(client.closed())
        self.claim_causes("tunnel_idle_timeout", 1)
        with Client(self.proxy.ports[-1]) as late:
            late.send(request("/never"))
            self.assertTrue(late.closed())
        if self.CONNECT == "upstream_connect_timeout":
            self.claim_causes("upstream_connect_timeout", 1)
        else:
            self.claim_causes("tunnel_idle_timeout", 2)
        self.claim_unharmed()
        client.close()
        self.come_back()
        self.claim_served()
        self.claim_quiet()

    def test_download_goes_on_when_it_comes_back_in_time(self):
        self.prepare(PATIENT)
        client = self.client(self.proxy).send(request("/download"))
        response = client.head()
        self.vanish()
        self.claim_unharmed()
        self.come_back()
        body = client.body(response).body
        self.assertEqual(hashlib.sha256(body).digest(),
                         hashlib.sha256(BLOCK * BLOCKS).digest())
        eventually(lambda: self.tally() == {"": 1}, self.tally)

    def test_upload_goes_on_when_it_comes_back_in_time(self):
        self.prepare(PATIENT)
        data = BLOCK * BLOCKS
        client = self.client(self.proxy)
        sender = threading.Thread(target=client.send, args=(
            request("/upload", method="POST", body=data),))
        sender.start()
        self.apart.line("request /upload")
        self.vanish()
        self.claim_unharmed()
        self.come_back()
        sender.join(20)
        self.assertEqual(client.response("POST").body.decode(),
                         f"{len(data)} {hashlib.sha256(data).hexdigest()}")
        self.claim_unharmed()


class Unplugged(Stopped):
    """The cable is pulled: nothing arrives any more, on either side. Where networks cannot be made
    the server is stopped instead, and its clients stand still."""

    far = None

    def setUp(self):
        super().setUp()
        if own_network():
            self.far = self.kept(FarNetwork())
            self.CONNECT = "upstream_connect_timeout"

    def vanish(self):
        self.far.cut() if self.far else super().vanish()

    def come_back(self):
        self.far.mend() if self.far else super().come_back()

    def start_apart(self, backlog=64, port=0):
        if not self.far:
            return super().start_apart(backlog, port)
        with self.far:
            return (self.process(sys.executable, APART, self.far.FAR, backlog, port),
                    self.far.FAR)

    def listens(self):
        near = [{"address": f"{self.far.NEAR}:0"}] if self.far else []
        return [*super().listens(), *near]

    def far_client(self, **options):
        if not self.far:
            return self.client(self.proxy)
        with self.far:
            client = Client((self.far.NEAR, self.proxy.ports[-1]), **options)
        self._stack.callback(client.close)
        return client

    # --- the client ------------------------------------------------------------------------------

    def near_origin(self, timeouts=None):
        origin = self.origin()
        for path, script in SCRIPTS.items():
            origin.on(path, script)
        self.before(origin, timeouts=timeouts or SHORT, listen=self.listens())
        return origin

    def client_vanishes(self):
        """Without a network of its own it only stands still from here on."""
        if self.far:
            self.far.cut()

    def test_idle_client(self):
        self.near_origin()
        self.assertEqual(self.far_client().get("/small").status, 200)
        self.assertEqual(self.proxy.status()["total"]["connections_active"], 2)
        self.client_vanishes()
        self.claim_quiet()
        self.claim_unharmed()
        eventually(lambda: self.tally() == {"": 1}, self.tally)

    def test_client_in_a_head(self):
        self.near_origin()
        self.far_client().send(b"GET / HTTP/1.1\r\nHos")
        self.client_vanishes()
        self.claim_causes("client_head_timeout", 1)
        self.claim_unharmed()
        self.claim_quiet()

    def test_client_in_a_download(self):
        self.near_origin()
        client = self.far_client().send(request("/endless"))
        client.stream.exactly(MIB)
        self.client_vanishes()
        self.claim_causes("client_write_timeout", 1)
        self.claim_unharmed()
        self.claim_quiet()
        eventually(lambda: not unsent(self.proxy.ports), lambda: unsent(self.proxy.ports))

    def test_client_in_an_upload(self):
        origin = self.near_origin()
        client = self.far_client()
        client.send(request("/upload", "Content-Length: 1000000", method="POST") + b"part")
        seen = origin.request("/upload")
        self.client_vanishes()
        self.claim_causes("client_body_timeout", 1)
        origin.ended(seen.connection)
        self.assertFalse(seen.complete)
        self.claim_unharmed()
        self.claim_quiet()

    def test_client_in_a_tunnel(self):
        origin = self.near_origin()
        client = self.far_client()
        client.send(request("/tunnel", "Connection: Upgrade", "Upgrade: echo/1"))
        self.assertEqual(client.response().status, 101)
        self.assertEqual(client.send(b"there?").stream.exactly(6), b"there?")
        self.client_vanishes()
        self.claim_causes("tunnel_idle_timeout", 1)
        origin.await_gate("tunnel closed")
        self.claim_unharmed()
        self.claim_quiet()

    def test_client_comes_back_in_time(self):
        self.near_origin(PATIENT)
        client = self.far_client().send(request("/download"))
        response = client.head()
        self.client_vanishes()
        self.claim_unharmed()
        if self.far:
            self.far.mend()
        self.assertEqual(client.body(response).body, BLOCK * BLOCKS)
        self.claim_unharmed()

    def test_cable_of_a_silent_tunnel_is_asked_for(self):
        """Both ends of a tunnel have the kernel's keep-alive timer: long silences are allowed, and
        dead peers are found all the same."""
        origin = self.near_origin({**PATIENT, "tunnel_idle": "1h"})
        client = self.far_client()
        client.send(request("/tunnel", "Connection: Upgrade", "Upgrade: echo/1"))
        self.assertEqual(client.response().status, 101)
        ports = {self.proxy.ports[-1], origin.port}

        def probed():
            """Ports of the established connections, seen from Weir, whose timer is that one."""
            found = set()
            for row in tcp_table():
                local, remote = (int(end.split(":")[1], 16) for end in row[1:3])
                if row[3] == ESTABLISHED and row[5].startswith("02:"):
                    found |= {local, remote} & ports
            return found == ports
        eventually(probed, lambda: tcp_table())


ESTABLISHED = "01"


def tcp_table():
    with open("/proc/thread-self/net/tcp", encoding="ascii") as file:
        return [line.split() for line in file][1:]


def unsent(ports):
    """Connections of these local ports with bytes in their send queue."""
    ends = tuple(f":{port:04X}" for port in ports)
    return [row[1:6] for row in tcp_table()
            if row[1].endswith(ends) and not row[4].startswith("00000000:")]
