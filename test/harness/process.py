# SPDX-License-Identifier: Apache-2.0
"""Child processes whose output is read as it comes, and which are always ended."""

import re
import shutil
import subprocess
import threading
import time


def tool(name):
    """The path of a program the suite needs; a sentence when it is missing."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise AssertionError(f"the program {name!r} is not installed")
    return path


class Process:
    """A running child. Its lines (stdout and stderr together) are kept and can be waited for."""

    def __init__(self, arguments, **options):
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self.child = subprocess.Popen(
            [str(argument) for argument in arguments], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, **{"stdin": subprocess.DEVNULL, **options})
        self.pid = self.child.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.child.stdout:
            with self._news:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def text(self):
        with self._news:
            return "\n".join(self.lines)

    def line(self, pattern, within=15.0, after=0):
        """Waits for a line from number `after` on that matches; returns the match."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + within
        with self._news:
            at = after
            while True:
                while at < len(self.lines):
                    found = expression.search(self.lines[at])
                    if found:
                        return found
                    at += 1
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "ended" if self._ended else f"was silent for {within} s"
                    text = "\n".join(self.lines)
                    raise AssertionError(f"no line {pattern!r}: the process {why}:\n{text}")
                self._news.wait(left)

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, within=30.0):
        """The exit code, once its output was read to the end."""
        try:
            code = self.child.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"process {self.pid} still runs after {within} s") from None
        self._reader.join(5)
        return code

    def end(self, within=3.0):
        if self.running():
            self.child.terminate()
            try:
                self.child.wait(within)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self._reader.join(1)
        if not self._reader.is_alive():  # otherwise a grandchild still holds the pipe
            self.child.stdout.close()


def run(*arguments, within=60.0, stdin=None, **options):
    """Runs to the end; returns CompletedProcess with bytes."""
    return subprocess.run([str(argument) for argument in arguments], capture_output=True,
                          timeout=within, check=False,
                          **({"input": stdin} if stdin is not None
                             else {"stdin": subprocess.DEVNULL}), **options)
