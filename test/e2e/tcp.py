# SPDX-License-Identifier: Apache-2.0
"""Plain TCP through a listener with `tcp`: every byte, both ends, whatever the protocol."""

import hashlib
import socket
import threading

from harness.case import Case, bound
from harness.message import Broken
from harness.process import run, tool
from harness.raw import Client
from harness.waiting import closed_port, eventually


class Server:
    """Accepts connections and runs `serve(sock)` for each."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.ends = []
        self.serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        try:
            self.ends.append(self.serve(sock) or "done")
        except OSError as error:
            self.ends.append(type(error).__name__)
        sock.close()

    def end(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        except OSError:
            pass
        self.listener.close()


def echo(sock):
    while data := sock.recv(262144):
        sock.sendall(data)
    return "eof"


def drain(sock):
    digest, size = hashlib.sha256(), 0
    while data := sock.recv(262144):
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


BLOCK = hashlib.shake_256(b"weir").digest(1 << 20)


def blocks(count):
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(BLOCK)
    return count << 20, digest.hexdigest()


class Tcp(Case):
    def through(self, serve, **settings):
        server = self.kept(Server(serve))
        weir = self.weir(server.address, listen=[{"address": "127.0.0.1:0",
                                                  "tcp": {"upstream": "app"}}], route=None,
                         **settings)
        return server, weir

    def test_listener_says_tcp(self):
        _, weir = self.through(echo)
        self.assertRegex(weir.process.text(), r"listening on 127\.0\.0\.1:\d+ \(tcp\)")

    def test_echo(self):
        _, weir = self.through(echo)
        client = self.client(weir)
        for data in (b"a", b"\0\xff" * 1000, b"GET / HTTP/9\r\n\r\n"):
            self.assertEqual(client.send(data).stream.exactly(len(data)), data)

    def test_server_speaks_first(self):
        _, weir = self.through(lambda sock: sock.sendall(b"220 hello\r\n"))
        self.assertEqual(self.client(weir).stream.to_end(), b"220 hello\r\n")

    def test_half_close_of_the_client(self):
        """The server answers after it saw the end: request and answer as `nc -N` does it."""
        def serve(sock):
            size, digest = drain(sock)
            sock.sendall(f"{size} {digest}".encode())
        _, weir = self.through(serve)
        client = self.client(weir).send(BLOCK).finish()
        self.assertEqual(client.stream.to_end().decode(), "%d %s" % blocks(1))

    def test_half_close_of_the_server(self):
        """The server ends its side at once and goes on reading."""
        def serve(sock):
            sock.sendall(b"bye")
            sock.shutdown(socket.SHUT_WR)
            return drain(sock)
        server, weir = self.through(serve)
        client = self.client(weir)
        self.assertEqual(client.stream.to_end(), b"bye")
        client.send(BLOCK).finish()
        self.assertEqual(eventually(lambda: server.ends, "the server's end")[0], blocks(1))

    def test_reset_of_the_client_reaches_the_server(self):
        server, weir = self.through(lambda sock: sock.recv(1) and drain(sock))
        client = self.client(weir).send(b"x")
        client.reset()
        eventually(lambda: server.ends, "the server's end")

    def test_reset_of_the_server_is_no_clean_end(self):
        def serve(sock):
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        _, weir = self.through(serve)
        self.assertTrue(self.client(weir).send(b"x").closed())

    def test_refused_server(self):
        _reserved, address = closed_port()
        weir = self.weir(address, listen=[{"address": "127.0.0.1:0",
                                                  "tcp": {"upstream": "app"}}], route=None)
        try:
            self.assertTrue(self.client(weir).closed())
        except (ConnectionResetError, Broken):
            pass  # the reset was faster than our connect
        self.assertEqual(weir.logged(1)[0]["cause"], "upstream_refused")

    def test_second_server_takes_over(self):
        dead, live = self.kept(Server(echo)), self.kept(Server(echo))
        dead.end()
        weir = self.weir(dead.address, live.address, route=None,
                         listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"}}])
        for _ in range(4):
            with self.client(weir) as client:
                self.assertEqual(client.send(b"hello").stream.exactly(5), b"hello")

    def test_idle_timeout(self):
        server, weir = self.through(echo, timeouts={"tunnel_idle": "300ms"})
        client = self.client(weir)
        self.assertEqual(client.send(b"x").stream.exactly(1), b"x")
        self.assertTrue(client.closed())
        eventually(lambda: server.ends, "the server's end")
        self.assertEqual(weir.logged(1)[0]["cause"], "tunnel_idle_timeout")

    @bound(60)
    def test_100_mib_each_way(self):
        _, weir = self.through(echo)
        client = self.client(weir, timeout=50)
        digest = hashlib.sha256()

        def send():
            for _ in range(100):
                client.send(BLOCK)
            client.finish()
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        size = 0
        while data := client.sock.recv(1 << 20):
            digest.update(data)
            size += len(data)
        self.assertEqual((size, digest.hexdigest()), blocks(100))
        entry = weir.logged(1)[0]
        self.assertEqual((entry["bytes_sent"], entry["bytes_received"]), (100 << 20, 100 << 20))

    def test_http_and_tcp_side_by_side(self):
        server = self.kept(Server(echo))
        origin = self.origin()
        config = self.config(servers=origin, upstream={"raw": {"servers": [server.address]}})
        config["listen"].append({"address": "127.0.0.1:0", "tcp": {"upstream": "raw"}})
        weir = self.start(config)
        self.assertEqual(self.client(weir, 0).get().status, 200)
        self.assertEqual(self.client(weir, 1).send(b"raw").stream.exactly(3), b"raw")

    def test_many_connections(self):
        _, weir = self.through(echo)
        clients = [Client(weir.port) for _ in range(200)]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        for number, client in enumerate(clients):
            text = b"%d" % number
            self.assertEqual(client.stream.exactly(len(text)), text)
            client.close()

    def test_curl_through_tcp(self):
        origin = self.origin()
        weir = self.weir(origin, route=None,
                         listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"}}])
        done = run(tool("curl"), "-sS", weir.url("/raw"))
        self.assertEqual(done.stdout, b"hello from origin\n")
        self.assertNotIn("via", origin.request("/raw").fields)
