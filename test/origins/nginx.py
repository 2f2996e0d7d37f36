# SPDX-License-Identifier: Apache-2.0
"""nginx as a fast origin: files of a directory, /empty (204), /small (1 KiB)."""

import os
import socket

from harness.process import Process, tool
from harness.waiting import eventually

CONFIG = """
daemon off; worker_processes 2; worker_rlimit_nofile {limit}; error_log {directory}/nginx.err;
pid {directory}/nginx.pid;
events {{ worker_connections {connections}; }}
http {{
  access_log {directory}/nginx.log; keepalive_requests 10000000; sendfile on;
  client_body_temp_path {directory}/nginx-body; client_max_body_size 0;
  proxy_temp_path {directory}/nginx-t1; fastcgi_temp_path {directory}/nginx-t2;
  uwsgi_temp_path {directory}/nginx-t3; scgi_temp_path {directory}/nginx-t4;
  server {{
    listen {address} backlog=8192{options};
    root {directory};
    location = /empty {{ return 204; }}
    location = /small {{ return 200 "{small}"; }}
{more}
  }}
}}
"""


class Nginx:
    """The listening socket is made here, on a port that the kernel chose; nginx inherits it. `more`
    goes into its server block, `options` to its `listen`."""

    def __init__(self, directory, more="", connections=10_000, options=""):
        sock = socket.create_server(("127.0.0.1", 0), backlog=8192)
        sock.setblocking(False)  # nginx takes it as it is
        self.address = "127.0.0.1:%d" % sock.getsockname()[1]
        self.port = sock.getsockname()[1]
        config = directory / "nginx.conf"
        text = CONFIG.format(directory=directory, address=self.address, small="x" * 1023,
                             connections=connections, limit=connections + 100, more=more,
                             options=options)
        config.write_text(("user root;" if os.getuid() == 0 else "") + text)
        self.log = directory / "nginx.log"
        self.process = Process([tool("nginx"), "-p", directory, "-c", config],
                               pass_fds=[sock.fileno()],
                               env={**os.environ, "NGINX": f"{sock.fileno()};"})
        sock.close()
        eventually(lambda: (directory / "nginx.pid").exists(), self.process.text)

    def requests(self):
        return self.log.read_text().splitlines()

    def end(self):
        self.process.end()
