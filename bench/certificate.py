# SPDX-License-Identifier: Apache-2.0
"""The certificate of a run: ECDSA P-256, made now, its own authority. Proxies and origin have the
same."""

import collections
import os
import subprocess

HOST = "bench.test"

# Names of PEM files; "both" holds certificate and key.
Certificate = collections.namedtuple("Certificate", "cert key both")


def make(folder):
    made = Certificate(*(os.path.join(folder, name) for name in
                         ("certificate.pem", "key.pem", "both.pem")))
    if not os.path.exists(made.both):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
             "-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1", "-out", made.cert, "-keyout",
             made.key], check=True, capture_output=True)
        with open(made.both, "w", encoding="ascii") as both:
            for name in (made.cert, made.key):
                with open(name, encoding="ascii") as part:
                    both.write(part.read())
        os.chmod(made.both, 0o600)
    return made
