# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping what takes part in a run, each on its cores."""

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys

PR_SET_PDEATHSIG = 1
CORES = sorted(os.sched_getaffinity(0))


def cores_for(workers):
    """(those of the proxy, as many for origin and load). With too few for both they are shared."""
    others = min(workers, len(CORES) - workers)
    return CORES[-workers:], CORES[:others] if others > 0 else CORES


def descriptors():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def free_port():
    """A port that the kernel chooses; for programs that cannot ask it themselves."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


def find(name, given=None):
    """The program at the path that was given, or of that name; None if there is none."""
    if given:
        return given if os.access(given, os.X_OK) else sys.exit(f"{given}: no such program")
    return shutil.which(name) or shutil.which(f"/usr/sbin/{name}")


def popen(command, cores, niceness=None, **options):
    libc = ctypes.CDLL(None)

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # not even kill -9 leaves anything behind
        os.sched_setaffinity(0, cores)
        if niceness is not None:
            os.setpriority(os.PRIO_PROCESS, 0, niceness)
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors(), descriptors()))
    return subprocess.Popen(command, preexec_fn=prepare, **options)


def end(process, seconds=3):
    """Asks the process to end, and kills it if it does not."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class NotStarted(SystemExit):
    """A program ended before it listened; says why. Whoever does not catch it ends the run."""

    def __init__(self, program, said):
        lines = list(filter(None, map(str.strip, said.splitlines())))
        lines.append(lines[-1] if lines else "it said nothing")
        self.reason = next((line for line in lines if "error" in line), lines[-1])[:160]
        super().__init__(f"{program.name} did not start: {' '.join(program.command)}\n{said}")


class Program:
    """One program that listens; `pid` leads its processes."""

    def __init__(self, name, command, folder, port=None, role="floor", environment=None,
                 origin=None):
        self.name, self.command, self.folder, self.port = name, command, folder, port
        self.role = role        # weir, peer, floor or origin
        self.adds_less = False  # fields than the others, as it cannot be told to
        self.environment = environment
        self.origin = origin    # that it stands before
        self.beside_port = port  # of what goes on beside what is measured
        self.process = None
        self.reload = lambda: self.process.send_signal(signal.SIGHUP)

    @property
    def pid(self):
        return self.process.pid

    def start(self, cores):
        self.log = os.path.join(self.folder, f"{self.name.replace(' ', '-')}.log")
        with open(self.log, "ab") as log:
            self.process = popen(self.command, cores, stdin=subprocess.DEVNULL, stderr=log,
                                 stdout=log if self.port else subprocess.PIPE,
                                 env=os.environ | (self.environment or {}))
        if self.port is None:  # those of ours say it
            line = self.process.stdout.readline().decode()
            self.port = int(line.rsplit(":", 1)[1]) if line else self.failed()
        elif not self.wait_until_it_listens():
            self.failed()

    def failed(self):
        self.stop()
        with open(self.log, encoding="utf-8", errors="replace") as stream:
            raise NotStarted(self, stream.read()[-2000:])

    def wait_until_it_listens(self):
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
                return False
        return False

    def stop(self):
        if self.process is not None:
            end(self.process)
            if self.process.stdout:
                self.process.stdout.close()

    def restart(self):
        """With nothing left of what it has done so far; for programs whose port was given."""
        cores = os.sched_getaffinity(self.pid)
        self.stop()
        self.start(cores)


class Started:
    """Programs that run for the length of a with statement; of one that does not start `left_out`
    gets {name: why}."""

    def __init__(self, programs, cores, left_out):
        self.programs, self.cores, self.left_out = programs, cores, left_out

    def __enter__(self):
        running = []
        try:
            for program in self.programs:
                try:
                    program.start(self.cores)
                    running.append(program)
                except NotStarted as error:
                    self.left_out[program.name] = error.reason
        except BaseException:
            self.__exit__()
            raise
        return running

    def __exit__(self, *_):
        for program in self.programs:
            program.stop()
