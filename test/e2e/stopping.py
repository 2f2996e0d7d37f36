# SPDX-License-Identifier: Apache-2.0
"""Stopping: TERM lets exchanges finish and ends within a bound; a second one ends at once."""

import signal
import socket
import threading

from harness.case import Case, alone, bound
from harness.message import Broken
from harness.raw import Client, request
from harness.waiting import eventually
from origins import scripts


class Stop(Case):
    def refuses(self, weir):
        try:
            Client(weir.port, 2).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # caught by the listener's end in mid-handshake
        return False

    def test_idle(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            with self.subTest(signal=number):
                _, weir = self.proxied()
                weir.process.signal(number)
                self.assertEqual(weir.process.wait(10), 0)
                weir.end()

    def test_idle_connections_are_closed(self):
        _, weir = self.proxied()
        clients = [self.client(weir) for _ in range(5)]
        for client in clients[1:]:
            client.get()
        self.assertEqual(weir.terminate(10), 0)
        for client in clients:
            self.assertTrue(client.closed())

    def test_request_in_progress_finishes(self):
        origin = self.origin(script=scripts.hold("go"))
        weir = self.weir(origin)
        client = self.client(weir).send(request("/slow"))
        origin.await_gate("arrived:go")
        weir.process.signal(signal.SIGTERM)
        eventually(lambda: self.refuses(weir), "nothing listens any more")
        self.assertTrue(weir.process.running())
        origin.open("go")
        response = client.response()
        self.assertEqual((response.status, response.body), (200, b"late\n"))
        self.assertEqual(response.fields.get("connection", "").lower(), "close")
        self.assertTrue(client.closed())
        self.assertEqual(weir.process.wait(10), 0)
        self.assertEqual(weir.log()[-1]["cause"], "")

    def test_response_in_progress_finishes(self):
        origin = self.origin(script=scripts.halves(b"first", b"second", "go"))
        weir = self.weir(origin)
        client = self.client(weir).send(request("/slow"))
        response = client.head()
        client.stream.until(b"first\r\n")
        weir.process.signal(signal.SIGTERM)
        eventually(lambda: self.refuses(weir), "nothing listens any more")
        origin.open("go")
        self.assertTrue(client.body(response).complete)
        self.assertEqual(response.body, b"second")
        self.assertEqual(weir.process.wait(10), 0)

    def test_upload_in_progress_finishes(self):
        origin = self.origin(script=scripts.echo())
        weir = self.weir(origin)
        client = self.client(weir)
        client.send(request("/up", "Content-Length: 10", method="POST") + b"12345")
        origin.request("/up")
        weir.process.signal(signal.SIGTERM)
        eventually(lambda: self.refuses(weir), "nothing listens any more")
        self.assertEqual(client.send(b"67890").response("POST").body, b"1234567890")
        self.assertEqual(weir.process.wait(10), 0)

    def test_drain_has_a_bound(self):
        origin = self.origin(script=scripts.until_gone)
        weir = self.weir(origin, timeouts={"drain": "300ms"})
        client = self.client(weir).send(request("/never"))
        origin.await_gate("arrived")
        self.assertEqual(weir.terminate(10), 0)
        self.assertEqual(weir.log()[-1]["cause"], "cancelled")
        origin.await_gate("gone")
        try:
            self.assertEqual(client.response().status, 503)
        except Broken:
            pass

    def test_second_signal_ends_at_once(self):
        origin = self.origin(script=scripts.until_gone)
        weir = self.weir(origin)
        self.client(weir).send(request("/never"))
        origin.await_gate("arrived")
        weir.process.signal(signal.SIGTERM)
        eventually(lambda: self.refuses(weir), "nothing listens any more")
        self.assertTrue(weir.process.running())
        weir.process.signal(signal.SIGTERM)
        weir.process.wait(5)

    def test_tunnel_ends_with_the_drain(self):
        origin, weir = self.proxied(scripts.upgrade("chat/1"), timeouts={"drain": "300ms"})
        client = self.client(weir)
        client.send(request("/", "Connection: Upgrade", "Upgrade: chat/1"))
        self.assertEqual(client.response().status, 101)
        self.assertEqual(weir.terminate(10), 0)
        origin.await_gate("tunnel closed")
        self.assertTrue(client.closed())

    def test_readyz_says_no_while_draining(self):
        origin = self.origin(script=scripts.hold("go"))
        weir = self.weir(origin)
        client = self.client(weir).send(request("/slow"))
        origin.await_gate("arrived:go")
        weir.process.signal(signal.SIGTERM)
        eventually(lambda: weir.ask("/readyz")[0] == 503, "not ready")
        origin.open("go")
        self.assertEqual(client.response().status, 200)

    def test_admin_socket_is_removed(self):
        _, weir = self.proxied()
        self.assertTrue(weir.admin.exists())
        self.assertEqual(weir.terminate(10), 0)
        self.assertFalse(weir.admin.exists())

    def test_starts_again_at_once_on_the_same_port(self):
        origin, weir = self.proxied()
        self.client(weir).get()
        port = weir.port
        weir.terminate(10)
        again = self.weir(origin, listen=[{"address": f"127.0.0.1:{port}"}])
        self.assertEqual(self.client(again).get().status, 200)


class UnderLoad(Case):
    @alone
    @bound(60)
    def test_no_exchange_is_broken(self):
        """Clients in a tight loop. After TERM each may find its connection closed between two
        exchanges, but no request that reached the origin stays without its whole answer."""
        origin = self.origin(script=scripts.body(b"w" * 50_000, "chunked", 7000))
        weir = self.weir(origin, timeouts={"drain": "20s"})
        broken, unanswered, counts = [], [], []

        def loop(number):
            count = 0
            try:
                client = Client(weir.port)
                while True:
                    path = f"/{number}.{count}"
                    try:
                        response = client.get(path)
                    except (Broken, ConnectionError) as error:
                        if getattr(error, "partial", b""):
                            broken.append(f"{path}: {error!r}")
                        unanswered.append(path)
                        break
                    if not response.complete or response.status != 200:
                        broken.append(f"{path}: {response}")
                    count += 1
                    if response.fields.get("connection", "").lower() == "close":
                        break
            except (OSError, socket.timeout) as error:
                broken.append(f"{number}: {error!r}")
            counts.append(count)
        threads = [threading.Thread(target=loop, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(origin.seen()) > 400, "some load")
        self.assertEqual(weir.terminate(25), 0)
        for thread in threads:
            thread.join(20)
        self.assertEqual(broken, [])
        seen = {r.path for r in origin.seen()}
        self.assertEqual([path for path in unanswered if path in seen], [])
        self.assertEqual(len(weir.log()), sum(counts))
