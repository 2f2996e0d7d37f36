# SPDX-License-Identifier: Apache-2.0
"""TLS servers of others, each with a certificate of its own: openssl s_server, and nginx."""

from harness.process import Process, run, tool
from .nginx import Nginx


def certificate(directory, name):
    """(certificate, key) of a server called `name`, signed by itself."""
    pem, key = directory / f"{name}.pem", directory / f"{name}.key"
    done = run(tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem, "-days", "2",
               "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    assert done.returncode == 0, done.stderr
    key.chmod(0o644)  # nginx's workers are nobody
    return pem, key


class OpensslServer:
    """openssl s_server; answers requests of HTTP with what it knows of the connection."""

    def __init__(self, directory, name, *options):
        self.pem, key = certificate(directory, name)
        self.process = Process([tool("openssl"), "s_server", "-accept", "127.0.0.1:0", "-cert",
                                self.pem, "-key", key, "-www", *options])
        self.address = self.process.line(r"^ACCEPT (127\.0\.0\.1:\d+)")[1]

    def end(self):
        self.process.end()


class NginxTls(Nginx):
    """nginx with HTTP/2 over TLS; /who says the name, the protocol and the client."""

    WHO = 'location = /who { return 200 "$ssl_server_name $server_protocol %s"; }'

    def __init__(self, directory, name, options="", client="$remote_addr"):
        self.pem, key = certificate(directory, name)
        more = f"ssl_certificate {self.pem}; ssl_certificate_key {key};" + self.WHO % client
        super().__init__(directory, more, options=" ssl http2" + options)
