# SPDX-License-Identifier: Apache-2.0
"""Starting: one broken thing breaks only itself; what cannot work says why and ends with 1."""

import os
import pathlib
import socket
import sys
import unittest

from harness.case import Case, once
from harness.waiting import eventually

WITHOUT_URING = pathlib.Path(__file__).resolve().parent.parent / "harness" / "without_uring.py"


class Starting(Case):
    def test_ready_comes_after_the_listeners(self):
        _, weir = self.proxied()
        text = weir.process.text()
        self.assertLess(text.index("listening on 127.0.0.1:"), text.index("ready"))

    def test_unresolvable_server_breaks_only_its_route(self):
        origin = self.origin()
        config = self.config(servers=origin, upstream={"lost": {
            "servers": ["no.such.name.invalid:80"]}})
        config["route"].append({"match": {"path": "/lost/**"}, "upstream": "lost"})
        weir = self.start(config)
        self.assertEqual(self.client(weir).get("/found").status, 200)
        self.claim_refused(self.client(weir).get("/lost/x"), 503, "upstream_unresolved")
        self.assertEqual(self.client(weir).get("/found").status, 200)

    def test_log_directory_that_does_not_exist(self):
        weir = self.start(self.config(servers=self.origin(), access_log={
            "format": "json", "to": str(self.directory / "none" / "access.log")}), wait=False)
        weir.process.line(r"none/access\.log")

    def failing(self, **settings):
        weir = self.start(self.config(servers=self.origin(), **settings), wait=False)
        self.assertEqual(weir.process.wait(), 1)
        self.assertNotRegex(weir.process.text(), r"\bready\b")
        return weir.process.text()

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            text = self.failing(listen=[{"address": address}])
        self.assertIn(address, text)
        self.assertRegex(text, r"(?i)in use")

    def test_port_of_a_running_weir(self):
        _, first = self.proxied()
        text = self.failing(listen=[{"address": f"127.0.0.1:{first.port}"}])
        self.assertRegex(text, r"(?i)in use")
        self.assertEqual(self.client(first).get().status, 200)

    def test_address_that_is_not_here(self):
        self.assertIn("192.0.2.1:8080", self.failing(listen=[{"address": "192.0.2.1:8080"}]))

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_unknown_user(self):
        self.assertIn("no-such-user", self.failing(user="no-such-user"))

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_privileged_port_then_another_user(self):
        def low_port():
            for port in range(900, 1023):
                with socket.socket() as probe:
                    try:
                        probe.bind(("127.0.0.1", port))
                        return port
                    except OSError:
                        continue
            raise AssertionError("no free port below 1024")
        os.chmod(self.directory, 0o777)
        weir = self.weir(self.origin(), user="nobody",
                         listen=[{"address": f"127.0.0.1:{low_port()}"}])
        self.assertEqual(self.client(weir).get().status, 200)
        for thread in os.listdir(f"/proc/{weir.pid}/task"):
            with open(f"/proc/{weir.pid}/task/{thread}/status", encoding="ascii") as file:
                fields = dict(line.split(":\t", 1) for line in file if ":\t" in line)
            self.assertEqual(set(fields["Uid"].split()), {"65534"})
            self.assertNotEqual(set(fields["Gid"].split()), {"0"})
            self.assertNotIn("0", fields["Groups"].split())
            self.assertEqual(int(fields["CapEff"], 16), 0)

    def test_workers(self):
        _, weir = self.proxied(workers=3)
        self.assertGreaterEqual(len(os.listdir(f"/proc/{weir.pid}/task")), 3)
        self.assertEqual(len(weir.status()["workers"]), 3)

    def test_backend_is_the_one_asked_for(self):
        _, weir = self.proxied()
        self.client(weir).get()
        links = os.listdir(f"/proc/{weir.pid}/fd")
        kinds = [os.readlink(f"/proc/{weir.pid}/fd/{fd}") for fd in links]
        rings = any("io_uring" in kind for kind in kinds)
        self.assertEqual(rings, self.io == "ring", kinds)

    def test_descriptors_do_not_leak(self):
        origin, weir = self.proxied(workers=1, upstream={"app": {"idle_max": 0}})

        def count():
            return len(os.listdir(f"/proc/{weir.pid}/fd"))
        self.client(weir).get("/", "Connection: close")
        before = count()
        for _ in range(100):
            with self.client(weir) as client:
                client.get()
        eventually(lambda: count() <= before, lambda: f"{before} descriptors, there are {count()}")


class WithoutUring(Case):
    """With io_uring forbidden, as in most containers."""

    def launch(self, io):
        config = self.config(servers=self.origin())
        config["io"] = io
        return self.start(config, wait=False, launcher=[sys.executable, WITHOUT_URING])

    @once
    def test_auto_is_epoll(self):
        weir = self.launch("auto")
        weir.process.line(r"\bready\b")
        weir._read_listeners()
        self.assertEqual(self.client(weir).get().status, 200)
        told = [line for line in weir.process.lines if "epoll" in line]
        self.assertEqual(len(told), 1, weir.process.text())

    @once
    def test_ring_fails_clearly(self):
        weir = self.launch("ring")
        self.assertEqual(weir.process.wait(), 1)
        self.assertIn("io_uring", weir.process.text())
