# SPDX-License-Identifier: Apache-2.0
"""The scripted origin over TLS. Records go through memory (ssl.MemoryBIO), so that a script decides
what becomes of them on their way; what Python's ssl does not offer is asked of libssl itself."""

import ctypes
import socket
import ssl
import threading

from harness.message import Broken
from .h2_origin import H2Origin
from .origin import Origin

LIBSSL = ctypes.CDLL("libssl.so.3")  # the one that Python's ssl is linked to
for _name in ("SSL_key_update", "SSL_new_session_ticket", "SSL_renegotiate", "SSL_do_handshake"):
    getattr(LIBSSL, _name).restype = ctypes.c_int
LIBSSL.SSL_get_version.restype = ctypes.c_char_p
SSL_AT = 24  # of the SSL* in CPython's PySSLSocket, behind the object's head and the socket


def server_context(cert, key, version=None, alpn=None, client_ca=None, tickets=None):
    """A server's context; `version`: the only one that it speaks, "1.2" or "1.3"."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if version:
        number = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
        context.minimum_version = context.maximum_version = number
    if alpn:
        context.set_alpn_protocols(alpn)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    if tickets is not None:
        context.num_tickets = tickets
    return context


class TlsEnd:
    """The server's end of a connection, used like a socket."""

    def __init__(self, plain, context):
        self.plain = plain
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.piece = None  # bytes that are sent at once; None: as many as there are
        self.spoil = None  # a function of what is sent, for once
        self._lock = threading.RLock()  # scripts write while another thread reads

    # --- as a socket -----------------------------------------------------------------------------

    def handshake(self):
        self._until_done(self.tls.do_handshake)

    def recv(self, size):
        """b"" when the peer has said that it is done; an end below TLS is an error."""
        try:
            return self._until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def sendall(self, data):
        view = memoryview(data)
        for at in range(0, len(view), 16384):
            with self._lock:
                self.tls.write(view[at:at + 16384])
                self.flush()

    def close(self):
        """Says close_notify, and does not wait for the peer's."""
        self.notify()
        self.plain.close()

    def shutdown(self, _):
        self.notify()
        self.plain.shutdown(socket.SHUT_RDWR)

    def setsockopt(self, *arguments):  # for a reset, before which nothing is said
        self.plain.setsockopt(*arguments)
        self.notify = lambda: None

    # --- what only TLS has -----------------------------------------------------------------------

    def notify(self):
        """close_notify."""
        try:
            self.tls.unwrap()
        except (ssl.SSLError, OSError):  # it waits for the peer's
            pass
        try:
            self.flush()
        except OSError:
            pass

    def finish(self):
        """This direction ends, with close_notify and FIN."""
        self.notify()
        self._fin()

    def cut(self):
        """Ends with FIN, and without close_notify."""
        self.notify = lambda: None
        self._fin()

    def _fin(self):
        try:
            self.plain.shutdown(socket.SHUT_WR)
        except OSError:  # the peer was faster
            pass

    def update_keys(self, answer):
        """`answer`: the peer has to update its own as well."""
        self._ask("SSL_key_update", 1 if answer else 0)

    def send_ticket(self):
        self._ask("SSL_new_session_ticket")

    def ask_renegotiation(self):
        """TLS 1.2: HelloRequest."""
        self._ask("SSL_renegotiate")

    def _ask(self, function, *arguments):
        """Has libssl note it, and then send it."""
        with self._lock:
            address = ctypes.c_void_p.from_address(id(self.tls._sslobj) + SSL_AT)
            assert LIBSSL.SSL_get_version(address).decode() == self.tls.version()
            assert getattr(LIBSSL, function)(address, *arguments) == 1, function
            done = LIBSSL.SSL_do_handshake(address)
            assert done == 1, (function, done)
            self.flush()

    def flush(self):
        with self._lock:
            data = self.outgoing.read()
            if self.spoil:
                data, self.spoil = self.spoil(data), None
            piece = self.piece or len(data) or 1
            for at in range(0, len(data), piece):
                self.plain.sendall(data[at:at + piece])

    def _until_done(self, act):
        while True:
            with self._lock:
                try:
                    return act()
                except ssl.SSLWantReadError:
                    pass
                finally:
                    self.flush()  # an alert as well
            data = self.plain.recv(262144)
            if not data:
                raise Broken("cut")
            with self._lock:
                self.incoming.write(data)


class OverTls:
    """Of an origin: each connection that is accepted gets `context` as it is then. `names`: those
    that clients have asked for; `failed`: handshakes that failed; of the others whether each was
    `resumed`, and the protocol that was agreed on by `alpn`."""

    before_handshake = None  # the gate at which each connection waits

    def over_tls(self, context, piece=None):
        self.context = context
        self.piece = piece  # as of TlsEnd
        self.names, self.failed, self.resumed, self.alpn = [], [], [], []

    def _serve(self, connection):
        context = self.context
        context.sni_callback = lambda tls, name, _: self.names.append(name)
        end = TlsEnd(connection.sock, context)
        end.piece = self.piece
        if self.before_handshake:
            self.open("arrived:" + self.before_handshake)
            self.gate(self.before_handshake).wait(60)
        try:
            end.handshake()
        except (Broken, OSError) as error:  # ssl.SSLError is one as well
            self.failed.append(error)
            connection.sock.close()
            connection.end = "handshake"
            return
        self.resumed.append(end.tls.session_reused)
        self.alpn.append(end.tls.selected_alpn_protocol())
        self._use(connection, end)
        super()._serve(connection)

    @staticmethod
    def _use(connection, end):
        connection.sock = end


class TlsOrigin(OverTls, Origin):
    """A connection that ended below TLS alone has ended by "cut"."""

    def __init__(self, context, script=None, name="origin", address="127.0.0.1", piece=None):
        self.over_tls(context, piece)
        super().__init__(address, script, name)
        self.plain_address, self.address = self.address, f"https://{self.address}"

    @staticmethod
    def _use(connection, end):
        connection.sock = connection.stream.sock = end


class TlsH2Origin(OverTls, H2Origin):
    def __init__(self, context, *arguments, **options):
        self.over_tls(context)
        super().__init__(*arguments, **options)
        self.plain_address, self.address = self.address, f"https://{self.address}"
