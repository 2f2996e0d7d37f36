# SPDX-License-Identifier: Apache-2.0
"""The program under test: a configuration, a process, its logs, its admin socket, its memory."""

import http.client
import json
import re
import signal
import socket

from . import toml
from .process import Process, run
from .sanitizers import EXIT_CODE
from .waiting import eventually

CRASHES = (EXIT_CODE, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL,
           -signal.SIGFPE)


class Weir:
    """`weir run` on a configuration given as a dictionary. What it writes is in `directory`."""

    def __init__(self, binary, directory, config, launcher=()):
        self.binary = binary
        self.directory = directory
        self.file = directory / "weir.toml"
        self.admin = directory / "admin.sock"
        self.log_path = directory / "access.log"
        self.launcher = list(launcher)
        self.config = None
        self.process = None
        self.ports = []
        self.listeners = []
        self.configure(config)

    def configure(self, config):
        self.config = config
        text = config if isinstance(config, str) else toml.dumps(config)
        self.file.write_text(text)

    def start(self, wait=True):
        self.process = Process(self.launcher + [self.binary, "run", "--config", self.file],
                               cwd=self.directory)
        if wait:
            self.process.line(r"\bready\b")
            self._read_listeners()
        return self

    def _read_listeners(self):
        for line in list(self.process.lines):
            found = re.search(r"listening on (\S+)", line)
            if found:
                self.listeners.append(found[1])
                port = re.search(r":(\d+)$", found[1])
                self.ports.append(int(port[1]) if port else None)

    @property
    def port(self):
        return next(port for port in self.ports if port)

    @property
    def pid(self):
        return self.process.pid

    def url(self, path="/", index=None):
        return f"http://127.0.0.1:{self.port if index is None else self.ports[index]}{path}"

    # --- the access log --------------------------------------------------------------------------

    def log(self):
        """Every complete line of the access log so far."""
        try:
            text = self.log_path.read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def logged(self, count, within=10.0):
        """Waits until the access log has at least `count` lines; returns them all."""
        return eventually(lambda: len(lines := self.log()) >= count and lines,
                          lambda: f"{count} lines in the access log, there are {self.log()}",
                          within)

    def logged_one(self, path, within=10.0):
        """Waits for the line of a request to `path`, and takes care that it is the only one."""
        found = eventually(lambda: [e for e in self.log() if e["path"].split("?")[0] == path],
                           lambda: f"a line for {path}, there are {self.log()}", within)
        assert len(found) == 1, f"{len(found)} lines for {path}: {found}"
        return found[0]

    # --- admin and commands ----------------------------------------------------------------------

    def ask(self, path, method="GET"):
        """(status, text) of an admin request over its unix socket."""
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(self.admin))
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def status(self):
        code, text = self.ask("/status")
        assert code == 200, (code, text)
        return json.loads(text)

    def metrics(self):
        """{(name, frozenset of labels): value} of the Prometheus page."""
        code, text = self.ask("/metrics")
        assert code == 200, (code, text)
        values = {}
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            found = re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)( \d+)?', line)
            assert found, f"not a metrics line: {line!r}"
            labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2] or "")
            values[found[1], frozenset(labels)] = float(found[3])
        return values

    def command(self, name, *arguments, within=30.0):
        """Runs `weir NAME` against this instance's configuration."""
        return run(self.binary, name, "--config", self.file, *arguments, within=within,
                   cwd=self.directory)

    def reload(self, config=None):
        """`weir reload`, on a new configuration when one is given. The completed command."""
        if config is not None:
            self.configure(config)
        return self.command("reload")

    # --- the process -----------------------------------------------------------------------------

    def memory(self, what="VmRSS"):
        """Bytes, from /proc: VmRSS now, VmHWM the most since reset_peak()."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(what + ":"):
                    return int(line.split()[1]) * 1024
        raise AssertionError(f"no {what}")

    def reset_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def terminate(self, within=40.0):
        """TERM; returns the exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait(within)

    def end(self):
        """However the test went, Weir must not have crashed, nor crash in its end."""
        if self.process is not None:
            ran = self.process.running()
            self.process.end(within=10)
            code = self.process.child.returncode
            assert code not in CRASHES, f"weir ended with {code}:\n{self.process.text()}"
            assert not ran or code != -signal.SIGKILL, f"weir did not end:\n{self.process.text()}"
