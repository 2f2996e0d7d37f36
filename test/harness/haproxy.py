# SPDX-License-Identifier: Apache-2.0
"""HAProxy in front of Weir, on a port that the kernel chose."""

import socket

from .process import Process, tool

CONFIG = """
global
  maxconn 500
defaults
  mode {mode}
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend front
  bind fd@{descriptor}
  default_backend back
backend back
  server weir {address} {options}
"""


class Haproxy:
    """`options`: of its only server, such as send-proxy-v2."""

    def __init__(self, directory, address, options, mode="tcp"):
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        config = directory / f"haproxy-{self.port}.cfg"
        config.write_text(CONFIG.format(mode=mode, descriptor=sock.fileno(), address=address,
                                        options=options))
        self.process = Process([tool("haproxy"), "-db", "-f", config], pass_fds=[sock.fileno()])
        sock.close()

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def end(self):
        self.process.end()
