# SPDX-License-Identifier: Apache-2.0
"""TLS for tests: a certificate authority by openssl(1), and the raw client over Python's ssl."""

import base64
import hashlib
import ipaddress
import pathlib
import socket
import ssl

from .message import Broken, Stream
from .process import run, tool
from .raw import Client


class Authority:
    """Issues certificates into a directory. `ca` is the file that its clients trust."""

    def __init__(self, directory, name="Test CA"):
        self.directory = directory
        self.slug = name.replace(" ", "-")
        self.key = directory / f"{self.slug}.key"
        self.ca = directory / f"{self.slug}.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", self.key, "-out", self.ca, "-days", "30", "-subj",
                      f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                      "keyUsage=critical,keyCertSign,cRLSign")

    @staticmethod
    def _openssl(*arguments, **options):
        done = run(tool("openssl"), *arguments, within=60, **options)
        assert done.returncode == 0, done.stderr.decode()
        return done

    def issue(self, *names, file=None, kind="ec", days="10", subject=None, authority=False,
              usage=None, private=None, responder=None, serial=None):
        """(certificate, key) for these names (or IP addresses), the first of which names the
        files. `authority`: it may issue others. `usage`: what alone it is for, of OpenSSL's words
        for extendedKeyUsage. `private`: the private key, in PEM; otherwise a new one.
        `responder`: the URL of an OCSP responder. `serial`: in hexadecimal; otherwise a
        random one."""
        base = str(self.directory / (file or names[0].replace("*", "star")))
        request, cert, key = base + ".csr", base + ".pem", base + ".key"
        new = (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec"
               else ["-newkey", "rsa:2048"])
        if private:
            pathlib.Path(key).write_text(private)
        self._openssl("req", *(["-new", "-key", key] if private else [*new, "-keyout", key]),
                      "-nodes", "-out", request, "-subj", subject or f"/CN={names[0]}")
        extensions = base + ".ext"
        with open(extensions, "w", encoding="ascii") as out:
            out.write(f"basicConstraints=CA:{'TRUE' if authority else 'FALSE'}\n")
            if usage:
                out.write(f"extendedKeyUsage={usage}\n")
            if responder:
                out.write(f"authorityInfoAccess=OCSP;URI:{responder}\n")
            if names:
                out.write(f"subjectAltName={','.join(map(_alternative, names))}\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key,
                      *(["-set_serial", f"0x{serial}"] if serial else ["-CAcreateserial"]),
                      "-out", cert, "-days", days, "-extfile", extensions)
        return cert, key

    def issue_between(self, name, starts, ends):
        """(certificate, key), valid between these two, which read like 20300101000000Z."""
        cert, key = self.issue(name, file=f"{name}-{starts}")
        base = str(self.directory / f"{name}-{starts}")
        self._openssl("ca", *self._database(), "-batch", "-notext", "-in", base + ".csr", "-out",
                      cert, "-startdate", starts, "-enddate", ends, "-extfile", base + ".ext")
        return cert, key

    def intermediate(self, name):
        """An authority whose own certificate is this one's."""
        made = Authority.__new__(Authority)
        made.directory, made.slug = self.directory, name.replace(" ", "-")
        made.ca, made.key = map(pathlib.Path, self.issue(name, file=made.slug, authority=True))
        return made

    def _database(self):
        """Options of openssl ca."""
        index = self.directory / f"{self.slug}.index"
        index.touch()
        number = self.directory / f"{self.slug}.crlnumber"
        number.write_text("01\n")
        config = self.directory / f"{self.slug}.cnf"
        config.write_text(f"[ca]\ndefault_ca=x\n[x]\ndatabase={index}\ncrlnumber={number}\n"
                          f"new_certs_dir={self.directory}\nrand_serial=yes\npolicy=p\n"
                          "unique_subject=no\ndefault_md=sha256\ndefault_crl_days=30\n"
                          "[p]\ncommonName=supplied\n")
        return ["-config", config, "-keyfile", self.key, "-cert", self.ca]

    def pin(self, cert):
        """The hash of a certificate's public key (SPKI), in base 64."""
        pem = self._openssl("x509", "-in", cert, "-noout", "-pubkey").stdout.decode()
        der = base64.b64decode("".join(pem.splitlines()[1:-1]))
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def revoke(self, cert):
        """A file with a revocation list that names this certificate."""
        common = self._database()
        self._openssl("ca", *common, "-revoke", cert)
        crl = str(self.directory / f"{self.slug}.crl")
        self._openssl("ca", *common, "-gencrl", "-out", crl)
        return crl

    def context(self, cert=None, **settings):
        """A client's context that trusts this authority; `cert`: what it shows of itself."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if cert:
            context.load_cert_chain(*cert)
        for name, value in settings.items():
            setattr(context, name, value)
        return context


def _alternative(name):
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def trusting():
    """A client's context that trusts anybody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsStream(Stream):
    """The end of a connection without close_notify is "cut", and not an end."""

    def fill(self):
        try:
            return super().fill()
        except ssl.SSLEOFError as error:
            raise Broken("cut", bytes(self.buffer)) from error
        except ssl.SSLError as error:
            raise Broken("alert", bytes(self.buffer)) from error


class TlsClient(Client):
    """The raw client over TLS."""

    def __init__(self, target, context=None, name="weir.test", session=None, **options):
        super().__init__(target, **options)
        self.plain = self.sock
        self.sock = (context or trusting()).wrap_socket(
            self.plain, server_hostname=name, suppress_ragged_eofs=False, session=session)
        self.stream = TlsStream(self.sock)

    def finish(self):
        """Ends this direction with close_notify, and goes on reading."""
        self.sock = self.sock.unwrap()
        return self

    def cut(self):
        """Ends this direction below TLS only."""
        socket.socket.shutdown(self.sock, socket.SHUT_WR)
        return self
