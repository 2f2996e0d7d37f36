# SPDX-License-Identifier: Apache-2.0
"""How nghttpx is configured; peers.py says what is the same for all."""

from certificate import HOST
from programs import Program, write
from scenarios import paths_of

BACK = {"plain": "", "tls": f";tls;sni={HOST}", "h2c": ";proto=h2",
        "h2": f";tls;sni={HOST};proto=h2"}


def make(program, scenario, place):
    # It adds X-Forwarded-Proto and Via by itself, X-Forwarded-For when told.
    lines = [f"frontend=127.0.0.1,{port}{';no-tls' if front == 'plain' else ''}"
             for port, front in place.fronts]
    lines += [f"private-key-file={place.certificate.key}",
              f"certificate-file={place.certificate.cert}", f"cacert={place.certificate.cert}",
              "tls-min-proto-version=TLSv1.3", "tls-max-proto-version=TLSv1.3", "no-ocsp=yes",
              f"workers={scenario.workers}", "worker-frontend-connections=0", "backlog=4096",
              "accesslog-file=", f"errorlog-file={place.folder}/nghttpx.log", "log-level=FATAL",
              "add-x-forwarded-for=yes", "frontend-keep-alive-timeout=1h",
              "frontend-read-timeout=1h", "frontend-http2-read-timeout=1h",
              "backend-keep-alive-timeout=1h", "backend-read-timeout=1h"]
    back = BACK[scenario.back]
    lines += [f"backend=127.0.0.1,{place.origin};{path if scenario.routes else ''}{back}"
              for path in paths_of(scenario)]
    if scenario.routes:
        lines.append(f"backend=127.0.0.1,{place.origin};/{back}")
    path = write(place.folder, "nghttpx.conf", "\n".join(lines) + "\n")
    return Program("nghttpx", [program, f"--conf={path}"], place.folder, place.port)
