# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL and Redis. Neither can take a port of the kernel's choice, so each is started on one
that was free a moment ago, and again on another if somebody was faster."""

import glob
import os
import pwd
import socket

from harness.process import Process, run, tool


def on_free_port(start, taken, ready):
    """start(port) -> Process, until one says a line that matches `ready` and not `taken`."""
    for _ in range(10):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        process = start(port)
        found = process.line(f"({taken})|({ready})", within=25)
        if found[1] is None:
            return port, process
        process.end()
    raise AssertionError("ten free ports were all taken by others")


class Postgres:
    """A cluster of its own in `directory`/postgres; no unix socket. As root it runs as somebody
    else, for it refuses to be root. The superuser is "weir", without a password."""

    def __init__(self, directory):
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        assert binaries, "the package postgresql is not installed"
        self.binaries = binaries[-1]
        home = directory / "postgres"
        home.mkdir()
        self.identity = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chown(home, user.pw_uid, user.pw_gid)
            self.identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        done = run(f"{self.binaries}/initdb", "-D", home / "data", "--no-sync", "--auth=trust",
                   "--wal-segsize=1",
                   "--username=weir", "--encoding=UTF8", "--locale=C", "--no-instructions",
                   cwd=home, **self.identity)
        assert done.returncode == 0, done.stdout + done.stderr
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
                    "max_connections": "60", "log_statement": "none", "logging_collector": "off"}

        def start(port):
            options = [f"--{name}={value}" for name, value in settings.items()]
            return Process([f"{self.binaries}/postgres", "-D", home / "data", "-p", port, *options],
                           cwd=home, **self.identity)
        self.port, self.process = on_free_port(
            start, "could not bind|could not create any TCP", "ready to accept connections")
        self.address = f"127.0.0.1:{self.port}"

    def end(self):
        self.process.signal(2)  # "fast": ends every session
        self.process.wait()
        self.process.end()


class Redis:
    """Keeps nothing on disk. `files`: (certificate, key), for TLS."""

    def __init__(self, directory, files=None):
        def start(port):
            listen = ["--port", "0", "--tls-port", port, "--tls-cert-file", files[0],
                      "--tls-key-file", files[1], "--tls-auth-clients", "no",
                      "--tls-ca-cert-file", files[0]] if files else ["--port", port]
            return Process([tool("redis-server"), *listen, "--bind", "127.0.0.1", "--save", "",
                            "--appendonly", "no", "--dir", directory])
        self.port, self.process = on_free_port(
            start, "Address already in use|Failed listening", "Ready to accept connections")
        self.address = f"127.0.0.1:{self.port}"

    def end(self):
        self.process.end()
