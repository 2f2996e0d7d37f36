# SPDX-License-Identifier: Apache-2.0
"""Signals in storms, a configuration that cannot be read, an admin socket that is taken."""

import os
import signal
import socket

from harness.fault import Fault
from harness.process import Process
from harness.raw import request
from harness.waiting import eventually
from origins import scripts


class Files(Fault):
    def test_reloads_in_a_storm(self):
        """Kept connections and what is under way live through hundreds of reloads."""
        origin = self.origin(script=scripts.halves(b"first", b"second", "go"))
        weir = self.before(origin)
        halfway = self.client(weir).send(request("/halfway"))
        self.assertEqual(halfway.head().status, 200)
        for number in range(300):
            weir.process.signal(signal.SIGHUP)
            weir.process.signal(signal.SIGUSR1)
            if number % 50 == 0:
                self.steady.proceeds(3)
        for _ in range(3):
            lines = len(weir.process.lines)
            self.assertEqual(weir.reload().returncode, 0)
            weir.process.line("reloaded: ", after=lines)
        origin.open("go")
        rest = halfway.stream.until(b"0\r\n\r\n")
        self.assertIn(b"second", rest)
        self.claim_unharmed()
        reloads = weir.status()["config"]
        self.assertEqual(reloads["reloads_failed"], 0)
        self.assertLessEqual(reloads["reloads_succeeded"], 303)
        halfway.close()
        self.claim_quiet()

    def test_reloads_in_a_storm_while_the_log_is_full(self):
        self.before(self.origin(), access_log={"format": "json", "to": "/dev/full"})
        for _ in range(100):
            self.proxy.process.signal(signal.SIGHUP)
            self.proxy.process.signal(signal.SIGUSR1)
        self.assertEqual(self.proxy.reload().returncode, 0)
        self.claim_unharmed()
        said = [line for line in self.proxy.process.lines if "access log: cannot write" in line]
        self.assertLessEqual(len(said), 2)

    def claim_reload_fails(self, expected, kept):
        lines = len(self.proxy.process.lines)
        self.proxy.process.signal(signal.SIGHUP)
        self.proxy.process.line("reload failed, the old configuration stays in force", after=lines)
        self.proxy.process.line(expected, after=lines)
        done = self.proxy.command("reload")
        self.assertEqual(done.returncode, 1)
        self.steady.proceeds(3)
        self.assertFalse(self.proxy.status()["config"]["last_reload_succeeded"])
        kept()
        self.assertEqual(self.proxy.reload().returncode, 0)
        self.assertTrue(self.proxy.status()["config"]["last_reload_succeeded"])
        self.claim_unharmed()

    def test_configuration_is_gone(self):
        """Also the command that asks for the reload reads it, to find the admin socket."""
        self.before(self.origin())
        away = self.proxy.file.with_suffix(".away")
        os.rename(self.proxy.file, away)
        self.claim_reload_fails(r"No such file|cannot (read|open)",
                                lambda: os.rename(away, self.proxy.file))

    def test_configuration_is_a_directory(self):
        self.before(self.origin())
        away = self.proxy.file.with_suffix(".away")
        os.rename(self.proxy.file, away)
        self.proxy.file.mkdir()

        def kept():
            self.proxy.file.rmdir()
            os.rename(away, self.proxy.file)
        self.claim_reload_fails(r"directory", kept)

    def test_configuration_is_empty(self):
        self.before(self.origin())
        text = self.proxy.file.read_text()
        self.proxy.file.write_text("")
        self.claim_reload_fails(r"listen", lambda: self.proxy.file.write_text(text))

    def without_admin(self):
        weir = self.weir(self.origin())
        weir.process.line("no admin interface: cannot listen on")
        self.assertEqual(self.client(weir).get().status, 200)
        return weir

    def test_admin_socket_of_somebody_else(self):
        path = self.directory / "admin.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            weir = self.without_admin()
            self.assertEqual(weir.terminate(), 0)
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))  # it is still there

    def test_admin_socket_is_a_file(self):
        path = self.directory / "admin.sock"
        path.write_text("mine")
        weir = self.without_admin()
        self.assertEqual(weir.terminate(), 0)
        self.assertEqual(path.read_text(), "mine")

    def test_admin_socket_is_removed(self):
        self.before(self.origin())
        os.unlink(self.proxy.admin)
        self.assertEqual(self.proxy.command("status").returncode, 1)
        self.proxy.process.signal(signal.SIGHUP)
        self.proxy.process.line("reloaded: ")
        self.claim_unharmed()
        self.assertEqual(self.proxy.terminate(), 0)

    def test_second_instance(self):
        """A second Weir with the same configuration takes nothing away from the first."""
        port = socket.create_server(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % port.getsockname()[1]
        port.close()
        weir = self.before(self.origin(), listen=[{"address": address}])
        second = self.kept(Process([self.weir_path, "run", "--config", weir.file]))
        self.assertEqual(second.wait(), 1)
        self.assertIn("cannot listen on", second.text())
        self.assertEqual(weir.ask("/healthz")[0], 200)
        eventually(lambda: weir.status()["pid"] == weir.pid, "the first one answers")
        self.claim_unharmed()
