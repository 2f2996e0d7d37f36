#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plays the tables for HTTP/2 against another proxy in place of Weir, to see whether a row is
right.

    test/peers.py nghttpx|nginx|h2o|haproxy [-k PATTERN] [FILE...]

Rows about what Weir adds by itself fail there, of course; each other failure is a question to the
row or to the other proxy. FILE: rfc9113_streams and so on; all tables by default."""

import argparse
import os
import pathlib
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from conformance import h2_rows  # noqa: E402
from harness import h2_reader, strict  # noqa: E402
from harness.process import Process, tool  # noqa: E402
from harness.waiting import eventually  # noqa: E402
from harness.raw import Client  # noqa: E402
import socket  # noqa: E402

NGINX = """
daemon off; worker_processes 1; error_log {directory}/error.log; pid {directory}/pid; user root;
events {{ worker_connections 1000; }}
http {{
  access_log off; client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
  fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  keepalive_requests 1000000; client_max_body_size 0; http2_max_concurrent_streams 128;
  upstream app {{ server {origin}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port} http2; listen 127.0.0.1:{plain};
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_request_buffering off; proxy_buffering off;
    }}
  }}
}}
"""
H2O = """
listen: {{ host: 127.0.0.1, port: {port} }}
hosts:
  default:
    paths:
      /: {{ proxy.reverse.url: "http://{origin}/", proxy.preserve-host: ON,
           proxy.timeout.keepalive: 2000 }}
"""
HAPROXY = """
global
    log stdout format raw local0 warning
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend f
    bind 127.0.0.1:{port}
    default_backend b
backend b
    http-reuse safe
    server s {origin}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class Peer:
    """Another proxy before that origin, with Weir's outside as far as the tables use it."""

    def __init__(self, name, origin):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="peer"))
        self.port = free_port()
        self.plain = free_port() if name == "nginx" else self.port
        values = {"port": self.port, "plain": self.plain, "directory": self.directory,
                  "origin": origin.address}
        self.process = getattr(self, name)(values)
        eventually(self.serves, lambda: self.process.text())

    def serves(self):
        try:
            with Client(self.plain) as client:
                return client.get("/ready").status == 200
        except OSError:
            return False

    def nghttpx(self, values):
        return Process([tool("nghttpx"), "--conf=/dev/null", f"-f127.0.0.1,{self.port};no-tls",
                        "-b" + values["origin"].replace(":", ","), "--workers=1",
                        "--errorlog-file=/dev/stderr", "--no-via"])

    def conf(self, text, values):
        file = self.directory / "conf"
        file.write_text(text.format(**values))
        return file

    def nginx(self, values):
        return Process([tool("nginx"), "-p", self.directory, "-c", self.conf(NGINX, values)])

    def h2o(self, values):
        return Process([tool("h2o"), "-c", self.conf(H2O, values)])

    def haproxy(self, values):
        return Process([tool("haproxy"), "-db", "-f", self.conf(HAPROXY, values)])

    def end(self):
        self.process.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("peer", choices=["nghttpx", "nginx", "h2o", "haproxy"])
    parser.add_argument("files", nargs="*")
    parser.add_argument("-k", default="")
    options = parser.parse_args()

    def before(self, server):
        return self.kept(Peer(options.peer, server))
    h2_rows.H2Table.before = before
    h2_rows.other_port = lambda front: front.plain
    strict.VIA = re.compile("")
    h2_reader.check_date = lambda fields: None
    here = pathlib.Path(__file__).resolve().parent
    loader = unittest.TestLoader()
    suite = unittest.TestSuite()
    for file in options.files or ["rfc*"]:
        suite.addTests(loader.discover(str(here / "conformance"), f"{file}.py", str(here)))
    if options.k:
        loader.testNamePatterns = [f"*{options.k}*"]
    os.environ.setdefault("TMPDIR", "/tmp")
    unittest.TextTestRunner(verbosity=2, failfast=False).run(suite)


main()
