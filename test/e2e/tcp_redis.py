# SPDX-License-Identifier: Apache-2.0
"""Redis through a TCP listener, with its own clients."""

import random
import re

from harness.case import Case, bound
from harness.message import Stream
from harness.process import run, tool
from harness.raw import Client
from harness.waiting import eventually
from origins.databases import Redis
from origins.origin import digest


class ThroughTcp(Case):
    def setUp(self):
        super().setUp()
        self.server = self.kept(Redis(self.directory))
        self.proxy = self.weir(self.server.address, route=None,
                               listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"}}])

    def cli(self, *words, stdin=None, port=None):
        done = run(tool("redis-cli"), "-p", port or self.proxy.port, *words, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def counter(self, name):
        text = self.cli("info", "all", port=self.server.port).decode()
        return int(re.search(rf"^{name}:(\d+)", text, re.M)[1])

    def test_commands(self):
        self.assertEqual(self.cli("set", "name", "weir"), b"OK\n")
        self.assertEqual(self.cli("get", "name"), b"weir\n")
        self.assertEqual(self.cli("incrby", "n", "41"), b"41\n")
        self.assertEqual(self.cli("--no-raw", "lpush", "list", "a", "b", "c"), b"(integer) 3\n")
        self.assertEqual(self.cli("lrange", "list", "0", "-1"), b"c\nb\na\n")
        self.assertIn(b"ERR unknown command", self.cli("no-such-command"))
        log = self.proxy.logged(6)
        self.assertEqual([entry["cause"] for entry in log], [""] * 6)

    @bound(60)
    def test_value_of_64_mib(self):
        data = random.Random(7).randbytes(64 << 20)
        self.assertEqual(self.cli("-x", "set", "big", stdin=data), b"OK\n")
        self.assertEqual(self.cli("strlen", "big", port=self.server.port), b"%d\n" % len(data))
        shown = self.cli("get", "big")
        self.assertEqual(digest(shown[:-1]), digest(data))
        log = self.proxy.logged(2)
        self.assertGreater(log[0]["bytes_received"], len(data))
        self.assertGreater(log[1]["bytes_sent"], len(data))

    @bound(60)
    def test_mass_insertion(self):
        """redis-cli --pipe: half a million bytes of commands without waiting for one answer."""
        def command(*words):
            return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word)
                                                      for word in words)
        count = 20_000
        told = self.cli("--pipe", stdin=b"".join(
            command(b"SET", b"key:%d" % n, b"value %d" % n) for n in range(count)))
        self.assertIn(b"errors: 0, replies: %d" % count, told)
        self.assertEqual(self.cli("dbsize"), b"%d\n" % count)
        self.assertEqual(self.cli("get", "key:19999"), b"value 19999\n")

    @bound(60)
    def test_benchmark(self):
        """Its commands counted by the server: none is lost, none comes twice."""
        before = self.counter("total_commands_processed")
        done = run(tool("redis-benchmark"), "-p", self.proxy.port, "-q", "-n", 20_000, "-c", 50,
                   "-P", 16, "-t", "set,get,lrange_100")
        text = done.stdout.decode().replace("\r", "\n")
        self.assertEqual((done.returncode, done.stderr), (0, b""), text)
        for name in ("SET", "GET", "LRANGE_100"):
            self.assertRegex(text, rf"(?m)^{name}.*: [\d.]+ requests per second")
        self.assertNotIn("rror", text)
        stat = self.cli("info", "commandstats", port=self.server.port).decode()
        calls = {name: int(count) for name, count
                 in re.findall(r"cmdstat_(\w+):calls=(\d+)", stat)}
        self.assertEqual({name: calls[name] for name in ("set", "get", "lrange", "lpush")},
                         {"set": 20_000, "get": 20_000, "lrange": 20_000, "lpush": 20_000})
        self.assertGreaterEqual(self.counter("total_commands_processed") - before, 80_000)
        eventually(lambda: {e["cause"] for e in self.proxy.log()} == {""}, self.proxy.log)

    def test_published_to_many(self):
        subscribers = [Client(self.proxy.port) for _ in range(40)]
        for client in subscribers:
            client.send(b"SUBSCRIBE news\r\n")
            self.assertEqual(self.items(client.stream, 3), [b"subscribe", b"news", b":1"])
        for number in range(25):
            text = b"number %d " % number + b"x" * (number * 1000)
            self.assertEqual(self.cli("-x", "publish", "news", stdin=text), b"40\n")
            for client in subscribers:
                self.assertEqual(self.items(client.stream, 3), [b"message", b"news", text])
        for client in subscribers:
            client.close()
        eventually(lambda: self.counter("connected_clients") == 1, "all have left the server")
        self.assertEqual([e["cause"] for e in self.proxy.logged(25 + 40)], [""] * 65)

    @staticmethod
    def items(stream: Stream, count):
        """An array of `count` bulk strings; a number as it is written."""
        assert stream.until(b"\r\n") == b"*%d\r\n" % count
        found = []
        for _ in range(count):
            line = stream.until(b"\r\n")[:-2]
            found.append(line if line[:1] == b":" else stream.exactly(int(line[1:]) + 2)[:-2])
        return found

    def test_server_that_dies_ends_its_clients(self):
        client = self.client(self.proxy).send(b"PING\r\n")
        self.assertEqual(client.stream.exactly(7), b"+PONG\r\n")
        self.server.process.signal(9)
        self.assertTrue(client.closed())
        self.server.process.wait()
        client.close()
        self.assertEqual(self.proxy.logged(1)[0]["cause"], "", "both sides have ended")
        refused = run(tool("redis-cli"), "-p", self.proxy.port, "ping")
        self.assertNotEqual(refused.stdout, b"PONG\n")
        self.assertEqual({e["cause"] for e in self.proxy.logged(2)[1:]}, {"upstream_refused"})
