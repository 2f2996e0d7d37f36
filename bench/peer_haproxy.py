# SPDX-License-Identifier: Apache-2.0
"""How HAProxy is configured; peers.py says what is the same for all."""

import signal

from certificate import HOST
from programs import Program, descriptors, write
from scenarios import paths_of

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
  {binds}
  {routes}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin} {server}
"""

HAPROXY_HTTP = """option http-keep-alive
  option forwardfor
  http-reuse always
"""
HAPROXY_FIELDS = """http-request set-header X-Forwarded-Proto {proto}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-Id %[uuid]
  http-request set-header Via "1.1 haproxy"
"""

BIND_TLS = "ssl crt {both} ssl-min-ver TLSv1.3 alpn {alpn}"
ALPN = {"tls": "http/1.1", "h2": "h2,http/1.1"}
SERVER_TLS = "ssl verify required ca-file {cert} sni str({host}) verifyhost {host} alpn {alpn}"


def bind(port, front, certificate):
    tls = "" if front == "plain" else BIND_TLS.format(both=certificate.both, alpn=ALPN[front])
    return f"bind 127.0.0.1:{port} backlog 4096 {tls}"


def server(back, certificate):
    if back in ("plain", "h2c"):
        return "proto h2" if back == "h2c" else ""
    return SERVER_TLS.format(cert=certificate.cert, host=HOST,
                             alpn="h2" if back == "h2" else "http/1.1")


def make(program, scenario, place):
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
    binds = "\n  ".join(bind(*front, place.certificate) for front in place.fronts)
    text = HAPROXY.format(binds=binds, origin=place.origin,
                          server=server(scenario.back, place.certificate), workers=scenario.workers,
                          buffer=buffer, connections=min(int(descriptors() * 0.38), 9000),
                          mode="http" if is_http else "tcp", routes=routes,
                          http=HAPROXY_HTTP if is_http else "")
    if is_http:
        fields = HAPROXY_FIELDS.format(proto="http" if scenario.front == "plain" else "https")
        text = text.replace("  default_backend", f"  {fields}  default_backend", 1)
    path = write(place.folder, "haproxy.cfg", text)
    # Only a master can reload.
    master = ["-W"] if scenario.kind == "beside_reload" else []
    proxy = Program("haproxy", [program, *master, "-db", "-f", path], place.folder, place.port)
    proxy.reload = lambda: proxy.process.send_signal(signal.SIGUSR2)
    return proxy
