# SPDX-License-Identifier: Apache-2.0
"""Several servers, their balance and their failures; every kind of address."""

import collections
import os
import signal
import socket
import stat
import threading

from harness.case import Case
from harness.raw import Client, request
from harness.waiting import closed_port, eventually
from origins import scripts


class Balance(Case):
    def shares(self, weir, count, client=None):
        client = client or self.client(weir)
        return collections.Counter(client.get().body.decode().split()[-1] for _ in range(count))

    def named(self, *names):
        return [self.origin(name=name) for name in names]

    def test_round_robin(self):
        weir = self.weir(*self.named("a", "b", "c"), workers=1)
        self.assertEqual(self.shares(weir, 30), {"a": 10, "b": 10, "c": 10})

    def test_weights(self):
        a, b = self.named("a", "b")
        weir = self.weir({"address": a.address, "weight": 3}, b.address, workers=1)
        self.assertEqual(self.shares(weir, 40), {"a": 30, "b": 10})

    def test_weights_are_interleaved(self):
        a, b = self.named("a", "b")
        weir = self.weir({"address": a.address, "weight": 5}, b.address, workers=1)
        client = self.client(weir)
        order = "".join(client.get().body.decode().split()[-1] for _ in range(12))
        self.assertEqual([order[:6].count("b"), order[6:].count("b")], [1, 1], order)

    def test_least_connections(self):
        slow, fast = self.named("slow", "fast")
        slow.default = scripts.hold("go")
        fast.default = scripts.text("fast")
        weir = self.weir(slow, fast, workers=1, upstream={"app": {"balance": "least_connections"}})
        waiting = self.client(weir)
        number = 0
        while not slow.seen():
            self.assertEqual(len(fast.seen()), number)
            waiting.send(request(f"/{number}"))
            number += 1
            eventually(lambda: len(fast.seen()) == number or slow.seen(), "it arrives somewhere")
        self.assertLess(number, 4, "servers with equally many connections take turns")
        self.assertEqual(self.shares(weir, 10), {"fast": 10})
        self.assertEqual(len(slow.seen()), 1)
        slow.open("go")

    def test_backup_is_used_only_when_others_are_down(self):
        main, backup = self.named("main", "backup")
        weir = self.weir(main.address, {"address": backup.address, "backup": True}, workers=1)
        self.assertEqual(self.shares(weir, 10), {"main": 10})
        main.stop()
        main.drop_connections()
        self.assertEqual(self.shares(weir, 10), {"backup": 10})

    def test_refused_server_is_skipped(self):
        """No request fails because of it, even a POST: nothing was sent."""
        reserved, address = closed_port()
        good, = self.named("good")
        weir = self.weir(address, good, workers=1)
        client = self.client(weir)
        for number in range(10):
            client.send(request(f"/{number}", method="POST", body=b"x"))
            self.assertEqual(client.response("POST").status, 200)
        self.assertLessEqual(sum(entry["retries"] for entry in weir.logged(10)), 2)
        reserved.close()

    def test_refused_server_is_tried_again(self):
        reserved, address = closed_port()
        good, = self.named("good")
        weir = self.weir(address, good, workers=1,
                         upstream={"app": {"retry_after": "50ms", "retry_after_max": "100ms"}})
        self.assertEqual(self.shares(weir, 4), {"good": 4})
        port = int(address.split(":")[1])
        reserved.close()
        self.origin(name="back", port=port)
        client = self.client(weir)
        eventually(lambda: "back" in self.shares(weir, 4, client), "the server is used again")

    def test_all_refuse(self):
        reserved, address = closed_port()
        weir = self.weir(address, workers=1)
        client = self.client(weir)
        self.claim_refused(client.get("/first"), 502, "upstream_refused")
        self.assertEqual(weir.logged_one("/first")["cause"], "upstream_refused")
        self.assertIn(client.get("/second").cause, ("upstream_refused", "upstream_unavailable"))
        reserved.close()

    def black_hole(self):
        """The address of a server whose backlog is full: connecting takes forever."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex(address)
        return f"127.0.0.1:{address[1]}"

    def test_server_that_does_not_accept(self):
        weir = self.weir(self.black_hole(), timeouts={"upstream_connect": "200ms"})
        self.claim_refused(self.client(weir).get("/t"), 504, "upstream_connect_timeout")

    def test_client_that_leaves_ends_the_connect(self):
        weir = self.weir(self.black_hole(), timeouts={"upstream_connect": "60s"})
        client = self.client(weir).send(request("/left"))
        eventually(lambda: weir.status()["workers"][0]["requests_active"]
                   + weir.status()["workers"][1]["requests_active"] == 1, "it waits")
        client.reset()
        entry = weir.logged_one("/left")
        self.assertEqual((entry["cause"], entry["retries"]), ("client_closed", 0))

    def test_end_of_the_drain_ends_the_connect(self):
        weir = self.weir(self.black_hole(), timeouts={"upstream_connect": "60s", "drain": "100ms"})
        client = self.client(weir).send(request("/waits"))
        eventually(lambda: weir.status()["workers"][0]["requests_active"]
                   + weir.status()["workers"][1]["requests_active"] == 1, "it waits")
        weir.process.signal(signal.SIGTERM)
        self.assertEqual(weir.process.wait(10), 0)
        self.assertEqual(weir.logged_one("/waits")["cause"], "cancelled")
        client.close()

    def test_unreachable_server(self):
        """TCP to a broadcast address is refused by the kernel at once."""
        weir = self.weir("255.255.255.255:80", timeouts={"upstream_connect": "2s"})
        self.claim_refused(self.client(weir).get(), 502, "upstream_unreachable")

    def test_idle_max(self):
        origin, weir = self.proxied(workers=1, upstream={"app": {"idle_max": 2}})
        origin.default = scripts.hold("go")
        clients = [self.client(weir).send(request(f"/{n}")) for n in range(6)]
        eventually(lambda: len(origin.seen()) == 6, "six requests at once")
        origin.open("go")
        for client in clients:
            self.assertEqual(client.response().status, 200)
        eventually(lambda: sum(c.end is None for c in origin.connections) == 2, "two are kept")


class Addresses(Case):
    def test_unix_server(self):
        path = self.directory / "origin.sock"
        origin = self.origin(address=path)
        weir = self.weir(origin)
        self.assertEqual(self.client(weir).get("/u").status, 200)
        self.assertEqual(weir.logged_one("/u")["server"], f"unix:{path}")

    def test_unix_listener(self):
        path = self.directory / "front.sock"
        weir = self.weir(self.origin(), listen=[{"address": f"unix:{path}", "unix_mode": "0600"}])
        self.assertEqual(weir.listeners, [f"unix:{path}"])
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with Client(path) as client:
            self.assertEqual(client.get().status, 200)
        self.assertEqual(weir.terminate(), 0)
        self.assertFalse(path.exists(), "the socket is removed at the end")

    def test_unix_listener_left_over(self):
        """A socket file of a killed predecessor is in nobody's use."""
        path = self.directory / "front.sock"
        old = socket.socket(socket.AF_UNIX)
        old.bind(str(path))
        old.close()
        self.weir(self.origin(), listen=[{"address": f"unix:{path}"}])
        with Client(path) as client:
            self.assertEqual(client.get().status, 200)

    def test_ipv6(self):
        weir = self.weir(self.origin(address="::1"), listen=[{"address": "[::1]:0"}])
        self.assertRegex(weir.listeners[0], r"^\[::1\]:\d+$")
        with Client(("::1", weir.port)) as client:
            self.assertEqual(client.get("/six").status, 200)
        entry = weir.logged_one("/six")
        self.assertIn("::1", entry["client"])
        self.assertTrue(entry["server"].startswith("[::1]:"), entry)

    def test_name(self):
        origin = self.origin()
        weir = self.weir(f"localhost:{origin.port}")
        eventually(lambda: self.client(weir).get().status == 200, "localhost resolves")

    def test_several_listeners(self):
        weir = self.weir(self.origin(), listen=[{"address": "127.0.0.1:0"}] * 3)
        for index in range(3):
            self.assertEqual(self.client(weir, index).get().status, 200)

    def test_any_address(self):
        weir = self.weir(self.origin(), listen=[{"address": ":0"}])
        self.assertEqual(self.client(weir).get().status, 200)

    def test_many_clients_at_once_use_few_connections_later(self):
        origin, weir = self.proxied(workers=2)
        done = []

        def one():
            with Client(weir.port) as client:
                done.extend(client.get().status for _ in range(10))
        threads = [threading.Thread(target=one) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.assertEqual(done, [200] * 160)
        self.assertLessEqual(len(origin.connections), 32)
