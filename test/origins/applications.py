# SPDX-License-Identifier: Apache-2.0
"""One small application on every server that people put behind a proxy, so that one list of tests
covers them all. Each app_* file has these paths:

    GET  /size/N            N bytes of LINE, with a length
    GET  /pieces/N          N pieces of 1 KiB, as the server frames what has no length
    POST /echo              the request's body, as it comes
    POST /digest            "SIZE SHA256" of the request's body
    any  /seen              JSON: method, path, query, headers
    GET  /status/N          that status, no body
    GET  /cookies           two Set-Cookie lines
    POST /unread            413 at once
    GET  /gated?gate=F      "first", then, when the test has opened and closed the FIFO F, "last"
    GET  /endless?gate=F    pieces until nobody takes them; then makes the file F

A starter returns something with an `address` and an end()."""

import os
import pathlib
import sys

from harness.process import Process, tool
from .nginx import Nginx

HERE = pathlib.Path(__file__).resolve().parent
LINE = b"0123456789abcde\n"


class Application:
    """A process that says its port, or its whole address, on its first lines."""

    def __init__(self, *arguments, says=r"port (\d+)", **options):
        self.process = Process(arguments, cwd=HERE, **options)
        found = self.process.line(says)[1]
        self.address = f"127.0.0.1:{found}" if found.isdigit() else found

    def end(self):
        self.process.end()


def _python(*arguments):
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return {"env": environment}, (sys.executable, *arguments)


def _gunicorn(directory, bind, *arguments):
    options, command = _python("-m", "gunicorn", "--worker-tmp-dir", directory, "--bind", bind,
                               *arguments, "app_wsgi")
    says = r"Listening at: (?:http://127\.0\.0\.1:)?(\d+|unix:\S+)"
    return Application(*command, says=says, **options)


def gunicorn_sync(directory):
    """On a unix socket. Closes after each answer."""
    return _gunicorn(directory, f"unix:{directory}/gunicorn.sock", "--workers", "2")


def gunicorn_threads(directory):
    return _gunicorn(directory, "127.0.0.1:0", "--threads", "8")


def wsgiref(_):
    options, command = _python("app_wsgi.py")
    return Application(*command, **options)


def uvicorn(_):
    options, command = _python("-m", "uvicorn", "--port", "0", "app_asgi:application")
    return Application(*command, says=r"running on http://127\.0\.0\.1:(\d+)", **options)


def aiohttp(_):
    options, command = _python("app_aiohttp.py")
    return Application(*command, **options)


def node(_):
    return Application(tool("node"), "app_node.js")


def php(_):
    """PHP's own server: one request at a time in each of its processes."""
    return Application(tool("php"), "-S", "127.0.0.1:0", "app.php",
                       says=r"Server \(http://127\.0\.0\.1:(\d+)\) started",
                       env={**os.environ, "PHP_CLI_SERVER_WORKERS": "2"})


FPM = """
[global]
error_log = /proc/self/fd/2
[www]
listen = {socket}
pm = static
pm.max_children = 2
"""

FASTCGI = """
    fastcgi_buffering off;
    location ~ ^/ {{
      fastcgi_pass unix:{socket};
      fastcgi_param SCRIPT_FILENAME {script};
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param REQUEST_URI $request_uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
    }}
"""


class PhpFpm:
    """php-fpm on a unix socket, behind nginx."""

    def __init__(self, directory):
        socket = directory / "fpm.sock"
        config = directory / "fpm.conf"
        config.write_text(FPM.format(socket=socket))
        command = [tool("php-fpm8.2"), "--nodaemonize", "--fpm-config", config]
        root = os.getuid() == 0
        self.fpm = Process(command + (["--allow-to-run-as-root"] if root else []))
        self.fpm.line("ready to handle connections")
        self.nginx = Nginx(directory, FASTCGI.format(socket=socket, script=HERE / "app.php"))
        self.address = self.nginx.address

    def end(self):
        self.nginx.end()
        self.fpm.end()
