# SPDX-License-Identifier: Apache-2.0
"""How h2o is configured; peers.py says what is the same for all."""

import os

from programs import Program, write
from scenarios import paths_of

# It always adds X-Forwarded-For, X-Forwarded-Proto and Via; 2.2 cannot be told to add others.
H2O = """
num-threads: {workers}
max-connections: 9000
user: root
pid-file: {folder}/h2o.pid
http1-request-timeout: 3600
http1-upgrade-to-http2: OFF
http2-idle-timeout: 3600
limit-request-body: 1073741824
proxy.preserve-host: ON
proxy.timeout.io: 3600000
proxy.timeout.keepalive: 3600000
proxy.websocket: ON
{to_tls}
{listens}
hosts:
  default:
    paths:
{paths}
"""

LISTEN = """listen:
  host: 127.0.0.1
  port: {port}
"""

# Without neverbleed, which asks another process for each signature.
LISTEN_TLS = """  ssl:
    certificate-file: {cert}
    key-file: {key}
    neverbleed: OFF
"""

TO_TLS = """
proxy.ssl.verify-peer: ON
proxy.ssl.cafile: {cert}
"""


def make(program, scenario, place):
    # A master, which reloads, is a script that starts another; the others need none.
    mode = "master" if scenario.kind == "beside_reload" else "worker"
    scheme = "https" if scenario.back == "tls" else "http"
    paths = "\n".join(f'      "{path}":\n        proxy.reverse.url: '
                      f'"{scheme}://127.0.0.1:{place.origin}{path}"' for path in paths_of(scenario))
    listens = "".join((LISTEN if front == "plain" else LISTEN + LISTEN_TLS).format(
        port=port, **place.certificate._asdict()) for port, front in place.fronts)
    to_tls = TO_TLS.format(cert=place.certificate.cert) if scenario.back == "tls" else ""
    text = H2O.format(folder=place.folder, workers=scenario.workers, listens=listens,
                      to_tls=to_tls, paths=paths)
    if os.geteuid() != 0:
        text = text.replace("user: root\n", "")
    path = write(place.folder, "h2o.yaml", text)
    return Program("h2o", [program, "-m", mode, "-c", path], place.folder, place.port)
