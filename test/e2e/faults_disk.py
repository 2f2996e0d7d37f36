# SPDX-License-Identifier: Apache-2.0
"""An access log that cannot be written: requests go on, each line is written or counted as lost,
it is said once, and with room it goes on by itself."""

import json
import resource
import shutil
import signal

from harness.fault import Fault
from harness.namespace import own_mounts
from harness.process import run
from harness.raw import request
from harness.waiting import eventually

LONG = "/" + "x" * 8000


class Disk(Fault):
    def prepare(self, to):
        self.log = to
        self.asked = 0
        self.proxy = self.weir(self.origin(), access_log={"format": "json", "to": str(to)})
        self.clients = [self.client(self.proxy) for _ in range(8)]

    def ask(self, rounds=1):
        """Each of the clients asks so often; lines of 8 KB."""
        for _ in range(rounds):
            for client in self.clients:
                client.send(request(LONG))
            for client in self.clients:
                self.assertEqual(client.response().status, 200)
                self.asked += 1

    def lost(self):
        return self.proxy.status()["access_log_dropped"]

    def ask_until_lines_are_lost(self):
        for _ in range(200):
            self.ask()
            if self.lost():
                return
        self.fail(f"nothing is lost after {self.asked} requests")

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def complaints(self):
        return [line for line in self.proxy.process.lines if "access log: cannot write" in line]

    def fill_and_recover(self, relieve):
        self.ask()
        self.ask_until_lines_are_lost()
        self.assertEqual(len(self.complaints()), 1)
        self.assertIn(str(self.log), self.complaints()[0])
        lost = self.lost()
        relieve()
        written = len(self.lines_so_far())
        eventually(lambda: len(self.lines_so_far()) > written, "lines are written again")
        self.ask()
        self.assertEqual(self.lost(), lost)
        self.assertEqual(self.proxy.terminate(), 0)
        self.assertEqual(len(self.lines()) + lost, self.asked)
        self.assertEqual(len(self.complaints()), 1)

    def lines_so_far(self):
        """Only the whole ones."""
        return self.log.read_bytes().split(b"\n")[:-1]

    def test_full_disk(self):
        disk = self.directory / "disk"
        disk.mkdir()
        if not (own_mounts() and run("mount", "-t", "tmpfs", "-o", "size=256k", "none", disk
                                     ).returncode == 0):
            return self.file_size_limit()  # no rights to mount: the nearest that there is
        self.prepare(disk / "access.log")
        self.fill_and_recover(
            lambda: self.assertEqual(run("mount", "-o", "remount,size=64m", disk).returncode, 0))

    def test_file_size_limit(self):
        self.file_size_limit()

    def file_size_limit(self):
        self.prepare(self.directory / "access.log")
        unlimited = resource.prlimit(self.proxy.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.proxy.pid, resource.RLIMIT_FSIZE, (200_000, unlimited[1]))
        self.fill_and_recover(
            lambda: resource.prlimit(self.proxy.pid, resource.RLIMIT_FSIZE, unlimited))

    def test_dev_full_until_a_reload(self):
        self.prepare("/dev/full")
        self.ask_until_lines_are_lost()
        self.assertEqual(len(self.complaints()), 1)
        self.log = self.directory / "other.log"
        settings = {**self.proxy.config, "access_log": {"format": "json", "to": str(self.log)}}
        self.assertEqual(self.proxy.reload(settings).returncode, 0)
        self.ask()
        self.assertEqual(self.proxy.terminate(), 0)
        self.assertGreater(len(self.lines()), 100, "what was kept, and what came then")
        self.assertEqual(len(self.complaints()), 1)

    def test_directory_that_is_not_there_yet(self):
        self.prepare(self.directory / "later" / "access.log")
        self.ask()
        self.proxy.process.line("access log: cannot write to .*: ")
        self.log.parent.mkdir()
        eventually(lambda: self.log.exists() and len(self.lines()) == self.asked, "all lines")
        self.assertEqual(self.lost(), 0)
        self.assertEqual(len(self.complaints()), 1)

    def test_directory_that_is_removed(self):
        """The old file is written to, nameless, until there can be a new one."""
        folder = self.directory / "logs"
        folder.mkdir()
        self.prepare(folder / "access.log")
        self.ask()
        eventually(lambda: len(self.lines()) == self.asked, "all lines")
        shutil.rmtree(folder)
        self.proxy.process.signal(signal.SIGUSR1)
        self.proxy.process.line("access log: cannot write to .*: ")
        self.ask()
        folder.mkdir()
        eventually(self.log.exists, "a new file")
        before = self.asked
        self.ask()
        eventually(lambda: len(self.lines()) >= self.asked - before, "the new lines")
        self.assertEqual(self.lost(), 0)
