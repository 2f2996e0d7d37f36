# SPDX-License-Identifier: Apache-2.0
"""How nginx is configured; peers.py says what is the same for all."""

import os
import subprocess

from certificate import HOST
from programs import Program, descriptors, write
from scenarios import paths_of

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
    {listens}
    {locations}
  }}
}}
"""

NGINX_TLS = """
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
"""

NGINX_TO_TLS = """
  proxy_ssl_protocols TLSv1.3;
  proxy_ssl_server_name on;
  proxy_ssl_name {host};
  proxy_ssl_verify on;
  proxy_ssl_trusted_certificate {cert};
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

LISTEN = {"plain": "", "tls": " ssl", "h2": " ssl http2"}


def modules_of(program, scenario):
    """Debian's build has stream as a module; others may have it inside, or not at all."""
    if scenario.mode != "tcp":
        return ""
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stderr
    if "--with-stream=dynamic" not in built:
        return "" if "--with-stream" in built else None
    path = "/usr/lib/nginx/modules/ngx_stream_module.so"
    return f"load_module {path};" if os.path.exists(path) else None


def http_settings(scenario, place):
    shape = NGINX_SHAPE[scenario.shape]
    shape += "proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade;" \
        if scenario.mode == "websocket" else 'proxy_set_header Connection "";'
    if scenario.back == "tls":
        shape += NGINX_TO_TLS.format(host=HOST, cert=place.certificate.cert)
    # reuseport, as its manual advises for several workers: otherwise one takes nearly all.
    reuseport = " reuseport" if scenario.workers > 1 else ""
    listens = [f"listen 127.0.0.1:{port}{LISTEN[front]} backlog=4096{reuseport};"
               for port, front in place.fronts]
    if any(front != "plain" for _, front in place.fronts):
        listens.append(NGINX_TLS.format(**place.certificate._asdict()))
    scheme = "https" if scenario.back == "tls" else "http"
    return NGINX_HTTP.format(
        folder=place.folder, origin=place.origin, shape=shape, listens="\n".join(listens),
        locations="\n".join(f"location {path} {{ proxy_pass {scheme}://origin; }}"
                            for path in paths_of(scenario)))


def make(program, scenario, place):
    modules = modules_of(program, scenario)
    if modules is None:
        return None
    text = NGINX.format(folder=place.folder, workers=scenario.workers, files=descriptors(),
                        modules=modules)
    if scenario.mode == "tcp":
        buffer = "256k" if scenario.shape == "bulk" else "16k"
        text += NGINX_TCP.format(port=place.port, origin=place.origin, buffer=buffer)
    else:
        text += http_settings(scenario, place)
    path = write(place.folder, "nginx.conf", text)
    return Program("nginx", [program, "-c", path, "-e", place.folder + "/nginx.log"],
                   place.folder, place.port)
