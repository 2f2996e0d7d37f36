# SPDX-License-Identifier: Apache-2.0
"""How each proxy is configured and started: the best honest settings for one core.

The same for all: keep-alive on both sides, no access log, one worker, X-Forwarded-For added.
"""

import os
import resource
import shutil
import socket
import subprocess
import sys

CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE = CORES[0]
PROXY_CORE = CORES[1] if len(CORES) > 1 else CORES[0]

NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 2048;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_max_temp_file_size 0;
      {buffers}
    }}
  }}
}}
"""

# Measured: splice-response halves its cost for 1 MiB and for 1,000 connections, and costs nothing.
HAPROXY = """
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  option forwardfor
  option splice-response
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""

WEIR = """
workers = 1
io = "{io}"

[[listen]]
address = "127.0.0.1:{port}"

[upstream.origin]
servers = ["127.0.0.1:{origin}"]
idle_max = 2048

[[route]]
match = {{ path = "/**" }}
upstream = "origin"
"""


def free_port():
    """A port that the kernel chooses; for programs that cannot ask it themselves."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(command, core, log, **options):
    def prepare():
        os.sched_setaffinity(0, {core})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with open(log, "ab") as stream:
        return subprocess.Popen(command, stderr=stream, stdin=subprocess.DEVNULL,
                                preexec_fn=prepare, **options)


class Proxy:
    """One program under measurement; `pid` leads its processes."""

    def __init__(self, name, command, folder, port=None, is_floor=False):
        self.name, self.command, self.folder = name, command, folder
        self.port, self.is_floor = port, is_floor
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def start(self, core):
        log = os.path.join(self.folder, f"{self.name}.log")
        if self.port is None:
            self.process = start(self.command, core, log, stdout=subprocess.PIPE, text=True)
            self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
            return
        with open(log, "ab") as stream:
            self.process = start(self.command, core, log, stdout=stream)
        if not self.wait_until_it_listens():
            self.stop()
            with open(log, encoding="utf-8", errors="replace") as stream:
                sys.exit(f"{self.name} did not start:\n{stream.read()[-2000:]}")

    def wait_until_it_listens(self):
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            try:
                self.process.wait(0.02)
                return False
            except subprocess.TimeoutExpired:
                pass
        return False

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Started:
    """The proxies of one scenario, running for the length of a with statement."""

    def __init__(self, candidates, only):
        self.proxies = [proxy for proxy in candidates if not only or proxy.name in only]

    def __enter__(self):
        try:
            for proxy in self.proxies:
                proxy.start(PROXY_CORE)
        except BaseException:
            self.__exit__()
            raise
        return self.proxies

    def __exit__(self, *_):
        for proxy in self.proxies:
            proxy.stop()


def start_origin(tools, folder):
    program = os.path.join(tools, "origin")
    if not os.path.exists(program):
        sys.exit(f"{program} is missing: ninja -C build/release bench_tools, or ./dev bench")
    origin = Proxy("origin", [program], folder, is_floor=True)
    origin.start(LOAD_CORE)
    return origin


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


def relay(name, chosen, folder, origin, scenario):
    command = [os.path.join(chosen.tools, name), "--to", str(origin.port)]
    if name == "relay_ring":
        # Small messages want a ring that stays in cache, large ones want few completions.
        large = scenario.path != "/bytes/1024"
        count = 64 if large else 256 if scenario.connections <= 64 else 1024
        command += ["--buffers", str(count), "--buffer-size", str(65536 if large else 2048)]
    return Proxy(name, command, folder, is_floor=True)


def nginx(folder, origin, scenario):
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not program:
        return []
    port = free_port()
    # Measured: its defaults are best for small responses, these for large ones (by a third).
    buffers = "" if scenario.path == "/bytes/1024" else \
        "proxy_buffering off; proxy_buffer_size 256k; proxy_buffers 8 256k; " \
        "proxy_busy_buffers_size 512k;"
    text = NGINX.format(folder=folder, port=port, origin=origin.port, buffers=buffers,
                        files=resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    path = write(folder, "nginx.conf", text)
    return [Proxy("nginx", [program, "-c", path, "-e", folder + "/nginx.log"], folder, port)]


def haproxy(folder, origin):
    program = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if not program:
        return []
    port = free_port()
    path = write(folder, "haproxy.cfg", HAPROXY.format(port=port, origin=origin.port))
    return [Proxy("haproxy", [program, "-db", "-q", "-f", path], folder, port)]


def weir(chosen, folder, origin):
    arms = []
    if os.path.exists(chosen.weir):
        for io in ("epoll", "ring"):
            port = free_port()
            path = write(folder, f"weir-{io}.toml",
                         WEIR.format(io=io, port=port, origin=origin.port))
            arms.append(Proxy(f"weir {io}", [chosen.weir, "run", "--config", path], folder, port))
    return arms


def all_of(chosen, folder, origin, scenario):
    found = [relay(name, chosen, folder, origin, scenario) for name in scenario.floors]
    return found + nginx(folder, origin, scenario) + haproxy(folder, origin) + \
        weir(chosen, folder, origin)
