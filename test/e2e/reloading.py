# SPDX-License-Identifier: Apache-2.0
"""Reload: by difference, without a broken exchange; a bad file changes nothing and says so."""

import os
import signal
import subprocess

from harness import toml
from harness.case import Case, alone, bound
from harness.process import Process, tool
from harness.raw import Client, request
from harness.waiting import eventually
from origins import scripts
from origins.nginx import Nginx


def says(text):
    return [{"match": {"path": "/**"}, "respond": {"status": 200, "body": text}}]


class Reload(Case):
    def good(self, weir, config=None):
        done = weir.reload(config)
        self.assertEqual(done.returncode, 0, done.stderr.decode())

    def test_by_signal(self):
        weir = self.weir(route=says("old"))
        weir.configure(self.config(route=says("new")))
        weir.process.signal(signal.SIGHUP)
        eventually(lambda: self.client(weir).get().body == b"new", "the new route")

    def test_kept_connection_sees_the_new_configuration(self):
        weir = self.weir(route=says("old"))
        client = self.client(weir)
        self.assertEqual(client.get().body, b"old")
        self.good(weir, self.config(route=says("new")))
        self.assertEqual(client.get().body, b"new", "the same connection")

    def test_exchange_in_progress_keeps_its_configuration(self):
        origin = self.origin(script=scripts.hold("go"))
        weir = self.weir(origin, route=[{"match": {"path": "/**"}, "upstream": "app",
                                         "response_headers": {"set": {"X-Which": "old"}}}])
        client = self.client(weir).send(request())
        origin.await_gate("arrived:go")
        self.good(weir, self.config(route=says("new")))
        origin.open("go")
        response = client.response()
        self.assertEqual((response.body, response.fields.get("x-which")), (b"late\n", "old"))

    def test_unchanged_pool_lives_on(self):
        origin, weir = self.proxied(workers=1)
        client = self.client(weir)
        for number in range(5):
            self.assertEqual(client.get().status, 200)
            self.good(weir, self.config(servers=origin, workers=1, timeouts={
                "client_idle": f"{60 + number}s"}))
        self.assertEqual(len(origin.connections), 1)

    def test_removed_upstream_lets_its_connections_go(self):
        origin, weir = self.proxied(workers=1)
        self.client(weir).get()
        self.good(weir, self.config(route=says("new")))
        self.assertEqual(origin.ended(origin.connections[0]), "eof")

    def test_listener_is_added_and_removed(self):
        path = self.directory / "second.sock"
        weir = self.weir(route=says("x"))
        config = self.config(route=says("x"))
        config["listen"] = [*config["listen"], {"address": f"unix:{path}"}]
        self.good(weir, config)
        with Client(path) as client:
            self.assertEqual(client.get().body, b"x")
        self.assertEqual(self.client(weir).get().body, b"x", "the first listener is still there")
        self.good(weir, self.config(route=says("x")))
        eventually(lambda: not path.exists(), "the socket goes away")
        self.assertEqual(self.client(weir).get().body, b"x")

    def test_tunnel_lives_on(self):
        origin, weir = self.proxied(scripts.upgrade("chat/1"))
        client = self.client(weir)
        client.send(request("/", "Connection: Upgrade", "Upgrade: chat/1"))
        self.assertEqual(client.response().status, 101)
        self.good(weir, self.config(route=says("new")))
        self.assertEqual(client.send(b"still").stream.exactly(5), b"still")

    def bad(self, text, expected):
        weir = self.weir(route=says("old"))
        weir.configure(text)
        lines = len(weir.process.lines)
        done = weir.reload()
        self.assertEqual(done.returncode, 1)
        self.assertRegex((done.stdout + done.stderr).decode(), expected)
        self.assertEqual(self.client(weir).get().body, b"old")
        weir.process.signal(signal.SIGHUP)
        weir.process.line(expected, after=lines)
        self.assertEqual(self.client(weir).get().body, b"old")
        return weir

    def text(self, **settings):
        return toml.dumps(self.config(route=says("new"), **settings))

    def test_bad_file_by_command_and_signal(self):
        self.bad(self.text() + "[timeouts]\nbogus = 1\n", r"weir\.toml:\d+:\d+")

    def test_broken_toml(self):
        self.bad(self.text() + "[[listen\n", r"weir\.toml:\d+:\d+")

    def test_port_in_use(self):
        origin = self.origin()
        weir = self.weir(route=says("old"))
        config = self.config(route=says("new"))
        config["listen"] = [*config["listen"], {"address": origin.address}]
        done = weir.reload(config)
        self.assertEqual(done.returncode, 1)
        self.assertIn(origin.address, (done.stdout + done.stderr).decode())
        self.assertEqual(self.client(weir).get().body, b"old", "nothing of it took effect")

    def test_good_after_bad(self):
        weir = self.bad(self.text() + "bogus = 1\n", r"weir\.toml:\d+:\d+")
        self.good(weir, self.config(route=says("better")))
        self.assertEqual(self.client(weir).get().body, b"better")

    def test_missing_file(self):
        weir = self.weir(route=says("old"))
        os.rename(weir.file, self.directory / "away")
        lines = len(weir.process.lines)
        weir.process.signal(signal.SIGHUP)
        weir.process.line(r"weir\.toml", after=lines)
        self.assertEqual(self.client(weir).get().body, b"old")


class UnderLoad(Case):
    @alone
    @bound(90)
    def test_every_100_ms_during_load_and_a_download(self):
        backend = self.kept(Nginx(self.directory))
        size = 256 << 20
        with open(self.directory / "big", "wb") as file:
            file.truncate(size)

        def version(number):
            config = self.config(servers=[backend.address], upstream={
                "app": {"idle_max": 64 + number % 3}})
            config["route"] = [{"match": {"path": "/**"}, "upstream": "app", "response_headers": {
                "set": {"X-Version": str(number)}}}]
            if number % 4 == 1:
                config["route"].append({"match": {"path": "/extra/**"}, "respond": 204})
            config["access_log"] = "off"
            return config
        weir = self.start(version(0))
        download = self.kept(Process([tool("curl"), "-sS", "-o", "/dev/null", "--limit-rate", "40M",
                                      "-w", "got %{size_download} %{num_connects}\n",
                                      weir.url("/big")]))
        load = self.kept(Process([tool("wrk"), "-t", "1", "-c", "100", "-d", "5s",
                                  weir.url("/small")]))
        reloads = 0
        while load.running():
            reloads += 1
            self.assertEqual(weir.reload(version(reloads)).returncode, 0)
            try:
                load.child.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        self.assertEqual(load.wait(), 0)
        self.assertNotRegex(load.text(), r"Non-2xx|Socket errors")
        self.assertEqual(download.line(r"got (\d+) 1", within=30)[1], str(size))
        self.assertGreater(reloads, 5)
        self.assertEqual(self.client(weir).get("/small").fields.get("x-version"), str(reloads))
        self.assertEqual(sum("/big" in line for line in backend.requests()), 1)

    @alone
    @bound(60)
    def test_memory_after_many_reloads(self):
        weir = self.weir(self.origin())

        def reload(count):
            for number in range(count):
                done = weir.reload(self.config(servers=self.origins, timeouts={
                    "client_idle": f"{60 + number}s"}))
                self.assertEqual(done.returncode, 0, done.stderr.decode())
        reload(30)
        before = weir.memory()
        reload(200)
        self.claim_growth(weir.memory() - before, 2 << 20)
        self.assertEqual(self.client(weir).get().status, 200)
