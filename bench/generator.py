# SPDX-License-Identifier: Apache-2.0
"""Conducting bench/load: what it is told, and what it says."""

import json
import os
import subprocess

from programs import popen


def arguments(scenario, port, is_floor=False):
    """The options of load for a scenario."""
    text = ["--to", str(port), "--connections", str(scenario.connections), "--path", scenario.path,
            "--expect", str(scenario.size), *scenario.load]
    if scenario.body:
        text += ["--body", str(scenario.body)]
    if scenario.front != "plain":
        text += ["--tls", scenario.handshake]
    if scenario.streams:
        text += ["--streams", str(scenario.streams)]
    # A relay that parses nothing would pass the field on, and the origin would close.
    return ["expected" if word == "asked" and is_floor else word for word in text]


class Load:
    """A load generator whose connections are open and warm, for the length of a with statement.
    `warm_up` is in milliseconds, or "in-turn"."""

    def __init__(self, tools, options, cores, warm_up=150, niceness=None):
        command = [os.path.join(tools, "load"), *options, "--warm-up", str(warm_up)]
        self.process = popen(command, cores, niceness, text=True, bufsize=1, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        if self.process.stdout.readline() != "ready\n":
            said = self.process.stderr.read()
            self.__exit__()
            raise SystemExit(said or "load ended before it was ready")
        return self

    def begin(self, seconds, rate=0):
        """Starts a run; rate 0 is a closed loop."""
        self.process.stdin.write(f"{seconds} {rate}\n")

    def result(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(self.process.stderr.read() or "load ended in the midst of a run")
        return json.loads(line)

    def run(self, seconds, rate=0):
        self.begin(seconds, rate)
        return self.result()

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
