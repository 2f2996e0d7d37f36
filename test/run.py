#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the suites that test the real binary.

    run.py --weir PATH [SUITE[/FILE]...] [--io epoll|ring|both|either] [-k PATTERN] [--full]
           [--without SUITE[/FILE]] [--list] [--sanitized] [-j N]

Every test runs in a process group of its own with a bound on its time. Tests that load the machine
run after the others, one at a time. A test that goes through a table counts as often as the table
has rows. With --sanitized Weir was built with a sanitizer: a report of any process fails the test
that started it. The last line printed is "run: N passed, N failed".
"""

import argparse
import collections
import os
import pathlib
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from harness import sanitizers  # noqa: E402
from harness.case import Case  # noqa: E402

SUITES = ["e2e", "conformance"]
SANITIZED_SLOWER = 3  # times as long may a test take

Job = collections.namedtuple("Job", "name io test bound alone")


def tests_in(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_in(item)
        else:
            yield item


def backends_for(method, name, io):
    """Those that a test runs on. "either": one of the two, always the same for the same test."""
    if io == "either":
        return [["epoll", "ring"][zlib.crc32(name.encode()) % 2]]
    backends = ["epoll", "ring"] if io == "both" else [io]
    return backends[:1] if getattr(method, "once", False) else backends


def find_jobs(options):
    here = pathlib.Path(__file__).resolve().parent
    loader = unittest.TestLoader()
    found = []
    for what in options.what or SUITES:
        suite, _, file = what.partition("/")
        if suite not in SUITES:
            sys.exit(f"there is no suite {suite!r}, but {' and '.join(SUITES)}")
        tests = list(tests_in(loader.discover(str(here / suite), f"{file or '*'}.py", str(here))))
        if not tests:
            sys.exit(f"there are no tests in {what}")
        found += tests
    if loader.errors:
        sys.exit("\n".join(loader.errors))
    jobs = []
    for test in found:
        method = getattr(test, test._testMethodName)
        if getattr(method, "full", False) and not options.full:
            continue
        suite, module = type(test).__module__.split(".")[-2:]
        if suite in options.without or f"{suite}/{module}" in options.without:
            continue
        title = f"{module}.{type(test).__name__}.{test._testMethodName[5:]}"
        bound = getattr(method, "bound", 30) * (SANITIZED_SLOWER if options.sanitized else 1)
        for io in backends_for(method, title, options.io):
            name = f"{io} {title}"
            if all(pattern in name for pattern in options.k):
                jobs.append(Job(name, io, test, bound, getattr(method, "alone", False)))
    return sorted(jobs, key=lambda job: (job.alone, job.name))


class Running:
    """One test in a child process that leads a process group, its output in a file."""

    def __init__(self, job, options):
        self.job = job
        self.output = tempfile.TemporaryFile()
        self.directory = tempfile.mkdtemp(prefix="weir-test-")
        self.began = time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._child(options)
        self.descriptor = os.pidfd_open(self.pid)
        self.late = False
        self.rows = (0, 0)  # passed and failed, of a test that goes through a table
        self.unmeasured = 0  # claims about memory, left out under a sanitizer

    def _child(self, options):
        code = 1
        try:
            os.setpgid(0, 0)
            os.chmod(self.directory, 0o755)
            tempfile.tempdir = self.directory
            os.dup2(self.output.fileno(), 1)
            os.dup2(self.output.fileno(), 2)
            Case.weir_path = options.weir
            Case.io = self.job.io
            Case.quick = not options.full
            Case.sanitized = options.sanitized
            if options.sanitized:
                sanitizers.listen(self.directory)
            result = unittest.TestResult()
            self.job.test.run(result)
            for _, text in result.failures + result.errors:
                print(text)
            (pathlib.Path(self.directory) / "counts").write_text(
                "%d %d %d" % (*self.job.test.rows, self.job.test.unmeasured))
            good = result.wasSuccessful() and not result.skipped
            code = 0 if good else 2 if result.skipped and result.wasSuccessful() else 1
            for _, reason in result.skipped:
                print(reason)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def overdue(self):
        return time.monotonic() - self.began > self.job.bound

    def kill(self):
        self.late = True
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def finish(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)  # whatever the test left behind
        except ProcessLookupError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        counts = pathlib.Path(self.directory) / "counts"
        if counts.exists():
            *self.rows, self.unmeasured = map(int, counts.read_text().split())
        reports = sanitizers.reports(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.output.seek(0)
        text = self.output.read().decode(errors="replace")
        self.output.close()
        code = os.waitstatus_to_exitcode(status)
        return (1, f"{reports}\n{text}") if reports else (code, text)


class Report:
    def __init__(self, total, verbose):
        self.total = total
        self.verbose = verbose
        self.failed = []
        self.skipped = []
        self.passed = 0
        self.rows = [0, 0]  # beyond one for each test
        self.unmeasured = 0

    def add(self, running, code, text):
        job = running.job
        seconds = time.monotonic() - running.began
        if running.late:
            text += f"\nended after its bound of {job.bound} s"
        word = "ok" if code == 0 else "skipped" if code == 2 else "FAILED"
        passed, failed = running.rows
        self.unmeasured += running.unmeasured
        self.rows[0] += passed - 1 if passed and not code else passed
        self.rows[1] += failed - 1 if failed and code == 1 else failed
        if code == 0:
            self.passed += 1
        elif code == 2:
            self.skipped.append(job.name)
        else:
            self.failed.append(job.name)
        done = self.passed + len(self.failed) + len(self.skipped)
        if code or self.verbose:
            print(f"[{done}/{self.total}] {word:7} {seconds:6.1f} s  {job.name}")
        if code and text.strip():
            print("    " + text.strip().replace("\n", "\n    "))
        sys.stdout.flush()

    def end(self, seconds):
        for name in self.failed:
            print(f"failed: {name}")
        if self.skipped:
            print(f"{len(self.skipped)} skipped")
        if self.unmeasured:
            print(f"{self.unmeasured} claims about memory left out: Weir has a sanitizer in it")
        print(f"{seconds:.0f} s")
        passed, failed = self.passed + self.rows[0], len(self.failed) + self.rows[1]
        print(f"run: {passed} passed, {failed} failed")
        return 1 if self.failed or not self.passed else 0


def run_jobs(jobs, options):
    began = time.monotonic()
    report = Report(len(jobs), not options.quiet)
    waiting = collections.deque(jobs)
    running = {}
    poller = select.poll()
    try:
        while waiting or running:
            while waiting and len(running) < options.j and not (
                    running and (waiting[0].alone or any(r.job.alone for r in running.values()))):
                one = Running(waiting.popleft(), options)
                running[one.descriptor] = one
                poller.register(one.descriptor, select.POLLIN)
            for descriptor, _ in poller.poll(200):
                one = running.pop(descriptor)
                poller.unregister(descriptor)
                report.add(one, *one.finish())
            for one in running.values():
                if one.overdue() and not one.late:
                    one.kill()
    finally:
        for one in running.values():
            one.kill()
            one.finish()
    return report.end(time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weir", required=True, type=lambda p: str(pathlib.Path(p).resolve()))
    parser.add_argument("what", nargs="*", metavar="SUITE[/FILE]",
                        help=f"{' or '.join(SUITES)}, or one file of it: e2e/tcp; all by default")
    parser.add_argument("--io", choices=["epoll", "ring", "both", "either"], default="both",
                        help="either: each test on one of the two, some here and some there")
    parser.add_argument("--without", action="append", default=[], metavar="SUITE[/FILE]",
                        help="leave these out (several times)")
    parser.add_argument("-k", action="append", default=[], metavar="PATTERN",
                        help="only tests whose name contains it (several: all of them)")
    parser.add_argument("--quick", action="store_true", help="the default: nothing long")
    parser.add_argument("--full", action="store_true", help="the long ones too")
    parser.add_argument("--sanitized", action="store_true", help="Weir has a sanitizer in it")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="print failures only")
    parser.add_argument("-j", type=int, default=4, metavar="N")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # curl, wget and others would go elsewhere
    jobs = find_jobs(options)
    if options.list:
        print("\n".join(job.name for job in jobs))
        return 0
    if not os.access(options.weir, os.X_OK):
        sys.exit(f"{options.weir} is not an executable")
    if options.sanitized and not sanitizers.inside(options.weir):
        sys.exit(f"{options.weir} was built without a sanitizer")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return run_jobs(jobs, options)


if __name__ == "__main__":
    sys.exit(main())
