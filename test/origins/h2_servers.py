# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 servers that nobody here wrote: nghttpd, and Node's http2 module (h2_node.js)."""

import os
import pathlib

from harness.process import Process, tool
from harness.waiting import eventually


def listening_port(pid):
    """The TCP port on which a process listens; None if it does not yet."""
    sockets = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            sockets.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as file:
        for line in list(file)[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                return int(words[1].split(":")[1], 16)
    return None


class Nghttpd:
    """Files of a directory; an upload comes back. `files`: (certificate, key), for TLS."""

    def __init__(self, directory, *options, files=None):
        cert, key = files or (None, None)
        self.process = Process([tool("nghttpd"), *([] if files else ["--no-tls"]), "--address",
                                "127.0.0.1", "-d", directory, "--echo-upload", *options, "0",
                                *([key, cert] if files else [])])
        self.port = eventually(lambda: listening_port(self.process.pid), self.process.text)
        self.address = f"127.0.0.1:{self.port}"

    def kill(self):
        self.process.child.kill()

    def end(self):
        self.process.end()


class Node:
    def __init__(self, *files):
        script = pathlib.Path(__file__).with_name("h2_node.js")
        self.process = Process([tool("node"), script, *files])
        self.port = int(self.process.line(r"^(\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"

    def end(self):
        self.process.end()
