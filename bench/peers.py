# SPDX-License-Identifier: Apache-2.0
"""The peers: how each is configured and started, with its best honest settings.

The same for all: connections are kept on both sides and nothing limits how often they are used, no
access log, no more threads than the scenario says, Host as the client sent it, and the fields added
that Weir always adds (verify.ADDED); h2o and nghttpx cannot be told to add all of them and do less.
What else is set was measured to help, or is what the program's own manual advises; the reason
stands beside it. verify.py holds all of them to the same work.
"""

import dataclasses
import json
import os
import signal
import subprocess
import urllib.request

from programs import Program, descriptors, find, free_port, write


@dataclasses.dataclass(frozen=True)
class Place:
    """What a configuration needs to know beside the scenario."""
    folder: str
    origin: int  # port
    port: int    # of the proxy


def paths_of(scenario):
    """The prefixes that are routed; all lead to the origin, by different routes."""
    return [f"/bytes/1024/{n}/" for n in range(scenario.routes)] or ["/"]


# ---- nginx -------------------------------------------------------------------

NGINX = """
{modules}
daemon off;
worker_processes {workers};
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 9500; }}
"""

NGINX_HTTP = """
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
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
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $request_id;
  proxy_set_header Via "1.1 nginx";
  proxy_max_temp_file_size 0;
  client_max_body_size 0;
  {shape}
  server {{
    listen 127.0.0.1:{port} backlog=4096 {reuseport};
    {locations}
  }}
}}
"""

NGINX_TCP = """
stream {{
  proxy_buffer_size {buffer};
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_pass 127.0.0.1:{origin};
  }}
}}
"""

# Its defaults are best for small messages, but for an upload of 16 KiB, which its own buffer has no
# room for, so that a file is written. For large ones buffers of 256 KiB, handed on as they fill,
# were measured to save a third; and a body is passed on as it comes, as the others do, where the
# default would write it to a file first.
NGINX_SHAPE = {
    "small": "client_body_buffer_size 64k;",
    "bulk": "proxy_buffering off; proxy_request_buffering off; proxy_buffer_size 256k; "
            "proxy_buffers 8 256k; proxy_busy_buffers_size 512k; client_body_buffer_size 256k;",
}


def nginx_modules(program, scenario):
    """Debian's build has stream as a module; others may have it inside, or not at all."""
    if scenario.mode != "tcp":
        return ""
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stderr
    if "--with-stream=dynamic" not in built:
        return "" if "--with-stream" in built else None
    path = "/usr/lib/nginx/modules/ngx_stream_module.so"
    return f"load_module {path};" if os.path.exists(path) else None


def nginx(program, scenario, place):
    modules = nginx_modules(program, scenario)
    if modules is None:
        return None
    text = NGINX.format(folder=place.folder, workers=scenario.workers, files=descriptors(),
                        modules=modules)
    if scenario.mode == "tcp":
        buffer = "256k" if scenario.shape == "bulk" else "16k"
        text += NGINX_TCP.format(port=place.port, origin=place.origin, buffer=buffer)
    else:
        upgrade = "proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade;" \
            if scenario.mode == "websocket" else 'proxy_set_header Connection "";'
        # reuseport, as its manual advises for several workers: otherwise one takes nearly all.
        text += NGINX_HTTP.format(
            folder=place.folder, port=place.port, origin=place.origin,
            reuseport="reuseport" if scenario.workers > 1 else "",
            shape=NGINX_SHAPE[scenario.shape] + upgrade,
            locations="\n".join(f"location {path} {{ proxy_pass http://origin; }}"
                                for path in paths_of(scenario)))
    path = write(place.folder, "nginx.conf", text)
    return Program("nginx", [program, "-c", path, "-e", place.folder + "/nginx.log"],
                   place.folder, place.port)


# ---- HAProxy -----------------------------------------------------------------

# Measured: splice-response halves the cost of 1 MiB and of 1,000 connections, splice-request that
# of an upload of 1 MiB, and neither costs anything otherwise. A message of about 16 KiB, as large
# as its buffers, costs a fifth less if they have room for it; for larger ones more room is worse.
HAPROXY = """
global
  nbthread {workers}
  {buffer}
  maxconn {connections}
defaults
  mode {mode}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  option splice-response
  option splice-request
  {http}
frontend front
  bind 127.0.0.1:{port} backlog 4096
  {routes}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""

HAPROXY_HTTP = """option http-keep-alive
  option forwardfor
  http-reuse always
"""
HAPROXY_FIELDS = """http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-Id %[uuid]
  http-request set-header Via "1.1 haproxy"
"""


def haproxy(program, scenario, place):
    routes = ""
    if scenario.routes:
        # A map is what its manual gives for many prefixes: a tree instead of a list of rules.
        lines = [f"{path} origin\n" for path in paths_of(scenario)]
        name = write(place.folder, "haproxy.map", "".join(lines))
        routes = f"use_backend %[path,map_beg({name})]"
    is_http = scenario.mode != "tcp"
    message = max(scenario.size, scenario.body)
    buffer = "tune.bufsize 65536" if 8 * 1024 < message < 65536 else ""
    # It asks for two and a half descriptors each: two sockets, and pipes to splice through.
    text = HAPROXY.format(port=place.port, origin=place.origin, workers=scenario.workers,
                          buffer=buffer, connections=min(int(descriptors() * 0.38), 9000),
                          mode="http" if is_http else "tcp", routes=routes,
                          http=HAPROXY_HTTP if is_http else "")
    if is_http:
        text = text.replace("  default_backend", f"  {HAPROXY_FIELDS}  default_backend", 1)
    path = write(place.folder, "haproxy.cfg", text)
    # Only a master can reload.
    master = ["-W"] if scenario.kind == "beside_reload" else []
    proxy = Program("haproxy", [program, *master, "-db", "-f", path], place.folder, place.port)
    proxy.reload = lambda: proxy.process.send_signal(signal.SIGUSR2)
    return proxy


# ---- h2o ---------------------------------------------------------------------

# It always adds X-Forwarded-For, X-Forwarded-Proto and Via; 2.2 cannot be told to add others.
H2O = """
num-threads: {workers}
max-connections: 9000
user: root
pid-file: {folder}/h2o.pid
http1-request-timeout: 3600
http1-upgrade-to-http2: OFF
limit-request-body: 1073741824
proxy.preserve-host: ON
proxy.timeout.io: 3600000
proxy.timeout.keepalive: 3600000
proxy.websocket: ON
listen:
  host: 127.0.0.1
  port: {port}
hosts:
  default:
    paths:
{paths}
"""


def h2o(program, scenario, place):
    # A master, which reloads, is a script that starts another; the others need none.
    mode = "master" if scenario.kind == "beside_reload" else "worker"
    paths = "\n".join(f'      "{path}":\n        proxy.reverse.url: '
                      f'"http://127.0.0.1:{place.origin}{path}"' for path in paths_of(scenario))
    text = H2O.format(folder=place.folder, workers=scenario.workers, port=place.port, paths=paths)
    if os.geteuid() != 0:
        text = text.replace("user: root\n", "")
    path = write(place.folder, "h2o.yaml", text)
    return Program("h2o", [program, "-m", mode, "-c", path], place.folder, place.port)


# ---- nghttpx -----------------------------------------------------------------


def nghttpx(program, scenario, place):
    # It adds X-Forwarded-Proto and Via by itself, X-Forwarded-For when told.
    lines = [f"frontend=127.0.0.1,{place.port};no-tls", f"workers={scenario.workers}",
             "accesslog-file=", f"errorlog-file={place.folder}/nghttpx.log", "log-level=FATAL",
             "add-x-forwarded-for=yes", "frontend-keep-alive-timeout=1h", "no-ocsp=yes",
             "backend-keep-alive-timeout=1h", "backend-read-timeout=1h", "frontend-read-timeout=1h",
             "worker-frontend-connections=0", "backlog=4096"]
    lines += [f"backend=127.0.0.1,{place.origin};{path if scenario.routes else ''}"
              for path in paths_of(scenario)]
    if scenario.routes:
        lines.append(f"backend=127.0.0.1,{place.origin};/")
    path = write(place.folder, "nghttpx.conf", "\n".join(lines) + "\n")
    return Program("nghttpx", [program, f"--conf={path}"], place.folder, place.port)


# ---- Caddy -------------------------------------------------------------------


def caddy_settings(scenario, place, admin):
    handler = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{place.origin}"}],
        "headers": {"request": {"set": {"X-Request-Id": ["{http.request.uuid}"],
                                        "Via": ["1.1 caddy"]}}},
        # Without this it opens a connection for most requests: it keeps 32.
        "transport": {"protocol": "http", "compression": False,
                      "keep_alive": {"enabled": True, "max_idle_conns": 8192,
                                     "max_idle_conns_per_host": 8192, "idle_timeout": "1h"}},
    }
    routes = [{"match": [{"path": [path + "*"]}], "handle": [handler]}
              for path in paths_of(scenario)] if scenario.routes else [{"handle": [handler]}]
    server = {"listen": [f"127.0.0.1:{place.port}"], "routes": routes,
              "idle_timeout": "1h", "automatic_https": {"disable": True}, "protocols": ["h1"]}
    return {"admin": {"listen": f"127.0.0.1:{admin}", "config": {"persist": False}},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {"http": {"servers": {"front": server}}}}


def caddy(program, scenario, place):
    admin = free_port()
    text = json.dumps(caddy_settings(scenario, place, admin))
    path = write(place.folder, "caddy.json", text)
    # As many threads run Go code as there are workers; its collector would use every core.
    proxy = Program("caddy", [program, "run", "--config", path], place.folder, place.port,
                    environment={"GOMAXPROCS": str(scenario.workers), "HOME": place.folder})

    def load_again():
        request = urllib.request.Request(
            f"http://127.0.0.1:{admin}/load", text.encode(),
            {"Content-Type": "application/json", "Cache-Control": "must-revalidate"})
        urllib.request.urlopen(request, timeout=10).read()
    proxy.reload = load_again
    return proxy


# name: (how it is started, its scenarios' modes, the option that makes it say its version)
ALL = {
    "nginx": (nginx, ("http", "tcp", "websocket"), "-v"),
    "haproxy": (haproxy, ("http", "tcp", "websocket"), "-v"),
    "h2o": (h2o, ("http", "websocket"), "-v"),
    "nghttpx": (nghttpx, ("http", "websocket"), "-v"),
    "caddy": (caddy, ("http", "websocket"), "version"),
}


ADDS_LESS = ("h2o", "nghttpx")


def version(name, program):
    said = subprocess.run([program, ALL[name][2]], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False).stdout
    return said.splitlines()[0].strip() if said else "?"


def programs(options):
    """{name: path} of the peers that are there; `options` may hold a path for each."""
    found = {name: find(name, getattr(options, name, None)) for name in ALL}
    return {name: path for name, path in found.items() if path}


def starters(paths, scenario, folder, origins):
    """The peers that can do the scenario, ready to start."""
    for name, path in paths.items():
        make, modes, _ = ALL[name]
        if scenario.mode not in modes:
            continue
        origin = origins.another()
        proxy = make(path, scenario, Place(folder, origin.port, free_port()))
        if proxy is not None:
            proxy.origin = origin
            proxy.role = "peer"
            proxy.adds_less = name in ADDS_LESS
            yield proxy
