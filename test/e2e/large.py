# SPDX-License-Identifier: Apache-2.0
"""Bodies of any size in constant memory: downloads, uploads, slow readers."""

import hashlib
import os
import pathlib
import random
import subprocess
import sys
import threading

from harness.case import Case, alone, bound, full
from harness.process import run, tool
from harness.raw import Client, request
from harness.waiting import eventually
from origins import applications

MIB = 1 << 20
BULK = pathlib.Path(__file__).resolve().parent.parent / "origins" / "bulk.py"


def make_file(path, size):
    """A file of random bytes; beyond 256 MiB a hole with random islands at irregular places, which
    costs no disk. A lost, repeated, moved or changed byte changes its hash. Returns the hash."""
    dice = random.Random(size)
    with open(path, "wb") as file:
        for _ in range(0, min(size, 256 * MIB), MIB):
            file.write(dice.randbytes(MIB))
        file.truncate(size)
        for at in sorted(dice.randrange(256 * MIB, size - 5000) for _ in range(
                1000 if size > 257 * MIB else 0)):
            file.seek(at)
            file.write(dice.randbytes(dice.randrange(1, 5000)))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Large(Case):
    GROWTH = 4 * MIB

    def prepare(self, size, **settings):
        self.file = self.directory / "file"
        self.sum = make_file(self.file, size)
        self.size = size
        self.backend = self.process(sys.executable, BULK, self.file)
        port = self.backend.line(r"port (\d+)")[1]
        self.proxy = self.weir(f"127.0.0.1:{port}", **settings)

    def warm(self):
        """One small exchange of each kind, so that what is allocated once is there. Then the
        baseline of memory."""
        with Client(self.proxy.port) as client:
            client.send(request("/warm", method="PUT", body=b"x" * 300_000))
            assert client.response("PUT").status == 200
        self.before = self.proxy.memory()
        self.proxy.reset_peak()

    def claim_constant_memory(self):
        self.claim_growth(self.proxy.memory("VmHWM") - self.before, self.GROWTH)

    def requests(self, path):
        return [line for line in self.backend.lines if line.endswith(f" {path}")
                and line.startswith("request")]

    def download(self, size, path, *command):
        self.prepare(size)
        self.warm()
        child = subprocess.Popen([*command, self.proxy.url(path)], stdout=subprocess.PIPE)
        digest = hashlib.sha256()
        total = 0
        while data := child.stdout.read1(MIB):
            digest.update(data)
            total += len(data)
        child.stdout.close()
        self.assertEqual(child.wait(), 0)
        self.assertEqual((total, digest.hexdigest()), (size, self.sum))
        self.assertEqual(len(self.requests(path)), 1)
        self.assertGreaterEqual(self.proxy.logged_one(path)["bytes_sent"], size)
        self.claim_constant_memory()

    def upload(self, size, *arguments):
        self.prepare(size)
        self.warm()
        done = run(tool("curl"), "-sS", *arguments, self.proxy.url("/up"), within=500)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(done.stdout.decode(), f"{size} {self.sum}")
        self.assertEqual(len(self.requests("/up")), 1)
        self.assertGreaterEqual(self.proxy.logged_one("/up")["bytes_received"], size)
        self.claim_constant_memory()

    def wget(self):
        return (tool("wget"), "-q", "-O", "-")

    def curl(self):
        return (tool("curl"), "-sS")

    @alone
    @bound(60)
    def test_wget_download_by_length(self):
        self.download(256 * MIB, "/length", *self.wget())

    @alone
    @bound(60)
    def test_curl_download_chunked(self):
        self.download(256 * MIB + 1, "/chunked", *self.curl())

    @alone
    @bound(60)
    def test_curl_download_until_close(self):
        self.download(64 * MIB + 17, "/close", *self.curl())

    @alone
    @bound(60)
    def test_chunked_to_http10(self):
        self.download(64 * MIB + 17, "/chunked", *self.curl(), "--http1.0")

    @alone
    @bound(60)
    def test_curl_upload_by_length(self):
        size = 256 * MIB
        self.upload(size, "-T", self.directory / "file")

    @alone
    @bound(60)
    def test_curl_upload_chunked(self):
        size = 256 * MIB + 3
        self.upload(size, "-H", "Transfer-Encoding: chunked", "-T", self.directory / "file")

    @full
    @alone
    @bound(300)
    def test_10_gib_wget(self):
        self.download(10 << 30, "/length", *self.wget())

    @full
    @alone
    @bound(300)
    def test_10_gib_upload(self):
        self.upload(10 << 30, "-T", self.directory / "file")

    def slow(self, seconds):
        """A reader at 50 KiB/s while the origin offers as fast as it can."""
        self.prepare(1 << 30)
        self.warm()
        done = run(tool("curl"), "-sS", "-o", "/dev/null", "--limit-rate", "50K", "--max-time",
                   str(seconds), "-w", "%{size_download}", self.proxy.url("/length"),
                   within=seconds + 30)
        self.assertEqual(done.returncode, 28, "still running when its time was over")
        self.assertGreater(int(done.stdout), 40 * 1024 * (seconds - 1))
        self.claim_constant_memory()
        self.backend.line("ended")
        self.assertEqual(self.proxy.logged_one("/length")["cause"], "client_closed")

    @alone
    @bound(40)
    def test_slow_reader(self):
        self.slow(4)

    @full
    @alone
    @bound(120)
    def test_slow_reader_60_s(self):
        self.slow(60)

    @alone
    @bound(60)
    def test_readers_that_do_not_read(self):
        """A hundred of them: each costs at most its window."""
        self.prepare(64 * MIB, limits={"memory": "64MiB"})
        self.warm()
        clients = [Client(self.proxy.port).send(request("/length")) for _ in range(100)]
        eventually(lambda: len(self.requests("/length")) == 100, "100 requests")
        self.claim_growth(self.settled() - self.before, 100 * 300 * 1024)
        for client in clients:
            client.close()

    def settled(self):
        """The memory once it has stopped growing."""
        last = [0, 0]

        def stable():
            now = self.proxy.memory()
            last[1] = last[1] + 1 if now == last[0] else 0
            last[0] = now
            return last[1] > 20
        eventually(stable, "memory stays the same", 20)
        return last[0]

    @alone
    @bound(60)
    def test_idle_connections_cost_no_buffers(self):
        count = 2000
        weir = self.weir(route=[{"match": {"path": "/**"}, "respond": 204}])
        self.proxy = weir
        with Client(weir.port) as client:
            client.get()
        before = self.settled()
        clients = [Client(weir.port) for _ in range(count)]
        for client in clients:
            self.assertEqual(client.get().status, 204)
        self.claim_growth(self.settled() - before, count * 4096)
        for client in clients:
            client.close()

    @alone
    @bound(60)
    def test_memory_comes_back(self):
        """After a hundred bulk downloads at once the process is about as small as before."""
        self.prepare(4 * MIB)
        self.warm()
        for _ in range(3):
            clients = [Client(self.proxy.port).send(request("/length")) for _ in range(100)]
            for client in clients:
                self.assertEqual(len(client.response().body), 4 * MIB)
                client.close()
        self.claim_growth(self.settled() - self.before, 40 * MIB)


class NodeOrigin(Case):
    @bound(60)
    def test_echo_of_16_mib_with_trailer(self):
        weir = self.weir(self.kept(applications.node(self.directory)).address)
        data = os.urandom(16 * MIB)
        client = self.client(weir)
        sender = threading.Thread(target=client.send, args=(
            request("/trailers", "TE: trailers", "Connection: TE", method="POST", body=data),))
        sender.start()
        response = client.response("POST")
        sender.join()
        self.assertEqual(hashlib.sha256(response.body).digest(), hashlib.sha256(data).digest())
        self.assertEqual(response.trailers.get("x-sha256"), hashlib.sha256(data).hexdigest())
