# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol: who the client is, as the proxy before Weir says it, and as Weir says it."""

import re
import socket
import struct
import threading
import zlib

from e2e.tcp import Server, echo
from harness.case import Case
from harness.haproxy import Haproxy
from harness.message import Stream
from harness.process import run, tool
from harness.raw import Client, request
from harness.waiting import eventually
from origins.nginx import Nginx

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = ["127.0.0.0/8"]


def v1(source="192.0.2.7", destination="198.51.100.1", ports=(56324, 443), family="TCP4"):
    return f"PROXY {family} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def v2(command_and_family, rest=b""):
    return SIGNATURE + bytes(command_and_family) + struct.pack(">H", len(rest)) + rest


def v2_ip(source="192.0.2.7", destination="198.51.100.1", ports=(56324, 443), more=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    return v2((0x21, 0x21 if ":" in source else 0x11),
              addresses + struct.pack(">HH", *ports) + more)


UNKNOWN = b"PROXY UNKNOWN\r\n"
UNIX = v2((0x21, 0x31), bytes(216))
CHECK = v2((0x20, 0x00))


class Inbound(Case):
    def behind(self, peers=None, listen=None, **settings):
        """(origin, weir): Weir takes headers from `peers`."""
        origin = self.origin()
        listener = {"address": "127.0.0.1:0", "proxy_protocol": LOCAL if peers is None else peers,
                    **(listen or {})}
        return origin, self.weir(origin, listen=[listener], **settings)

    def claim_client(self, address, header, **settings):
        """A request behind this header is one of `address`, in its fields and in the log."""
        origin, weir = self.behind(**settings)
        self.assertEqual(self.client(weir).send(header).get("/who").status, 200)
        self.assertEqual(origin.request("/who").fields.all("x-forwarded-for"), [address])
        self.assertEqual(weir.logged_one("/who")["client"], address)

    def claim_closed(self, cause, *pieces, peers=None, **settings):
        """The connection is closed for this cause, and nothing reaches the origin."""
        origin, weir = self.behind(peers, **settings)
        client = self.client(weir)
        for piece in pieces:
            client.try_send(piece)
        self.assertTrue(client.closed())
        entry = weir.logged(1)[0]
        self.assertEqual((entry["cause"], entry["client"], entry["status"]),
                         (cause, "127.0.0.1", 0))
        counted = [value for (name, labels), value in weir.metrics().items()
                   if ("cause", cause) in labels]
        self.assertEqual(counted, [1], weir.ask("/metrics"))
        self.assertEqual(origin.seen(), [])

    def test_version_1(self):
        self.claim_client("192.0.2.7", v1())

    def test_version_2(self):
        self.claim_client("192.0.2.7", v2_ip())

    def test_ipv6(self):
        self.claim_client("2001:db8::7", v1("2001:db8::7", "::1", family="TCP6"))

    def test_ipv6_version_2(self):
        self.claim_client("2001:db8::7", v2_ip("2001:db8::7", "::1"))

    def test_without_an_address_the_connections_own_is_kept(self):
        origin, weir = self.behind()
        for path, header in (("/unknown", UNKNOWN), ("/unix", UNIX), ("/local", CHECK)):
            self.assertEqual(self.client(weir).send(header).get(path).status, 200)
            self.assertEqual(origin.request(path).fields.all("x-forwarded-for"), ["127.0.0.1"])

    def test_byte_by_byte(self):
        origin, weir = self.behind()
        for path, header in (("/v1", v1()), ("/v2", v2_ip(more=b"\1\0\2h2"))):
            client = self.client(weir)
            for byte in header + request(path):
                client.send(bytes([byte]))
            self.assertEqual(client.response().status, 200)
            self.assertEqual(origin.request(path).fields.get("x-forwarded-for"), "192.0.2.7")

    def test_with_the_request_in_one_piece_and_others_behind_it(self):
        origin, weir = self.behind()
        client = self.client(weir).send(v2_ip() + request("/1") + request("/2"))
        self.assertEqual([client.response().status for _ in range(2)], [200, 200])
        self.assertEqual(client.get("/3").status, 200)
        for path in ("/1", "/2", "/3"):
            self.assertEqual(origin.request(path).fields.get("x-forwarded-for"), "192.0.2.7")

    def test_large_body_behind_it(self):
        origin, weir = self.behind()
        body = bytes(range(256)) * 4096
        client = self.client(weir).send(v1() + request("/up", method="POST", body=body))
        self.assertEqual(client.response().status, 200)
        self.assertEqual(origin.request("/up").body, body)

    def test_claims_of_its_client_are_a_strangers(self):
        origin, weir = self.behind(trusted_proxies=LOCAL)
        self.client(weir).send(v1()).get("/who", "X-Forwarded-For: 203.0.113.9")
        self.assertEqual(origin.request("/who").fields.all("x-forwarded-for"), ["192.0.2.7"])

    def test_claims_of_a_client_that_is_a_trusted_proxy(self):
        origin, weir = self.behind(trusted_proxies=["192.0.2.0/24"])
        self.client(weir).send(v1()).get("/who", "X-Forwarded-For: 203.0.113.9")
        self.assertEqual(origin.request("/who").fields.get("x-forwarded-for"),
                         "203.0.113.9, 192.0.2.7")
        self.assertEqual(weir.logged_one("/who")["client"], "203.0.113.9")

    # --- who has to send one, and who must not ----------------------------------------------------

    def test_missing(self):
        self.claim_closed("proxy_header_missing", request("/"))

    def test_missing_is_seen_at_the_first_byte(self):
        self.claim_closed("proxy_header_missing", b"G")

    def test_malformed(self):
        self.claim_closed("proxy_header_malformed", v1("192.0.2.700"), request("/"))

    def test_malformed_version_2(self):
        self.claim_closed("proxy_header_malformed", v2((0x31, 0x11), bytes(12)), request("/"))

    def test_wrong_checksum(self):
        self.claim_closed("proxy_header_malformed", v2_ip(more=b"\3\0\4abcd"), request("/"))

    def test_line_without_an_end(self):
        self.claim_closed("proxy_header_malformed", b"PROXY UNKNOWN " + b"x" * 200)

    def test_too_large(self):
        self.claim_closed("proxy_header_malformed", v2_ip(more=b"\4\x10\0" + bytes(4096)))

    def test_late(self):
        self.claim_closed("proxy_header_timeout", b"PROXY TCP4 ",
                          timeouts={"client_head": "300ms"})

    def test_silent(self):
        self.claim_closed("proxy_header_timeout", timeouts={"client_head": "300ms"})

    def test_dripping_is_late_as_well(self):
        """The time is a total: who sends a byte now and then gets no more of it."""
        _, weir = self.behind(timeouts={"client_head": "400ms"})
        client = self.client(weir)
        for byte in b"PROXY UNKNOWN " + b"x" * 80:
            if not client.try_send(bytes([byte])) or weir.log():
                break
            threading.Event().wait(0.02)
        self.assertTrue(client.closed())
        self.assertEqual(weir.logged(1)[0]["cause"], "proxy_header_timeout")

    def test_cut(self):
        _, weir = self.behind()
        self.client(weir).send(b"PROXY TCP4 ").finish()
        self.assertEqual(weir.logged(1)[0]["cause"], "client_closed")

    def test_who_leaves_without_a_word_is_not_logged(self):
        origin, weir = self.behind()
        for _ in range(3):
            self.client(weir).finish()
            self.client(weir).reset()
        self.assertEqual(self.client(weir).send(UNKNOWN).get("/x").status, 200)
        weir.terminate()
        self.assertEqual([entry["path"] for entry in weir.log()], ["/x"])

    def test_of_a_stranger_none_is_read(self):
        origin, weir = self.behind(["192.0.2.0/24", "10.0.0.0/8"])
        self.claim_refused(self.client(weir).send(v1()).get("/"), 400, "bad_request_line")
        self.claim_refused(self.client(weir).send(v2_ip()).get("/"), 400, "bad_request_line")
        self.assertEqual(self.client(weir).get("/plain").status, 200)
        self.assertEqual(origin.request("/plain").fields.all("x-forwarded-for"), ["127.0.0.1"])

    def test_a_second_header_is_no_header(self):
        _, weir = self.behind()
        self.claim_refused(self.client(weir).send(v1() + v1("192.0.2.8")).get("/"), 400,
                           "bad_request_line")

    def test_unix_socket(self):
        origin = self.origin()
        path = self.directory / "http.sock"
        weir = self.weir(origin, listen=[{"address": f"unix:{path}", "proxy_protocol": "unix"}])
        with Client(path) as client:
            self.assertEqual(client.send(v2_ip()).get("/who").status, 200)
        self.assertEqual(origin.request("/who").fields.all("x-forwarded-for"), ["192.0.2.7"])
        with Client(path) as client:
            client.try_send(request("/"))
            self.assertTrue(client.closed())
        self.assertEqual(sorted(line["cause"] for line in weir.logged(2)),
                         ["", "proxy_header_missing"])

    def test_reload(self):
        origin, weir = self.behind([])
        config = dict(weir.config)
        self.assertEqual(self.client(weir).get("/plain").status, 200)
        early = self.client(weir)
        self.assertEqual(early.get("/early").status, 200)
        for peers, path in ((LOCAL, "/on"), ([], "/off")):
            config["listen"] = [{"address": "127.0.0.1:0", "proxy_protocol": peers}]
            self.assertEqual(weir.reload(config).returncode, 0)
            client = self.client(weir).send(v1() if peers else b"")
            self.assertEqual(client.get(path).status, 200)
        self.assertEqual(origin.request("/on").fields.get("x-forwarded-for"), "192.0.2.7")
        self.assertEqual(origin.request("/off").fields.get("x-forwarded-for"), "127.0.0.1")
        self.assertEqual(early.get("/still").status, 200)

    def test_drain_does_not_wait_for_the_silent(self):
        _, weir = self.behind(timeouts={"client_head": "1h", "drain": "1h"})
        client = self.client(weir)
        eventually(lambda: weir.status()["total"]["connections_active"] == 1, "the connection")
        self.assertEqual(weir.terminate(), 0)
        self.assertTrue(client.closed())

    # --- plain TCP --------------------------------------------------------------------------------

    def test_tcp(self):
        server = self.kept(Server(echo))
        weir = self.weir(server.address, route=None,
                         listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"},
                                  "proxy_protocol": LOCAL}])
        client = self.client(weir)
        for byte in v2_ip():
            client.send(bytes([byte]))
        self.assertEqual(client.send(b"abc").stream.exactly(3), b"abc")
        with self.client(weir) as other:
            self.assertEqual(other.send(v1() + b"PROXY").stream.exactly(5), b"PROXY")
        client.finish()
        self.assertTrue(client.closed())
        self.assertEqual([entry["client"] for entry in weir.logged(2)], ["192.0.2.7"] * 2)

    def test_tcp_server_speaks_first(self):
        server = self.kept(Server(lambda sock: sock.sendall(b"220 hello\r\n")))
        weir = self.weir(server.address, route=None,
                         listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"},
                                  "proxy_protocol": LOCAL}])
        self.assertEqual(self.client(weir).send(v1()).stream.to_end(), b"220 hello\r\n")


class HeaderReader:
    """An HTTP server whose connections begin with a header. `connections`: its bytes, and the
    paths of the requests, of each in order."""

    def __init__(self):
        self.connections = []
        self.server = Server(self._serve)
        self.address = self.server.address

    def _serve(self, sock):
        stream = Stream(sock)
        header = stream.exactly(len(SIGNATURE))
        if header == SIGNATURE:
            header += stream.exactly(4)
            header += stream.exactly(struct.unpack(">H", header[14:])[0])
        else:
            header += stream.until(b"\r\n")
        paths = []
        self.connections.append((bytes(header), paths))
        while not stream.at_end():
            paths.append(stream.until(b"\r\n\r\n").split()[1].decode())
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def end(self):
        self.server.end()


def ends(sock):
    """(source, destination) of a client's connection, as (address, port) each."""
    return sock.getsockname(), sock.getpeername()


class Outbound(Case):
    def before(self, version, **settings):
        server = self.kept(HeaderReader())
        app = {"proxy_protocol": version, **settings.pop("app", {})}
        return server, self.weir(server.address, upstream={"app": app}, **settings)

    def test_version_1(self):
        server, weir = self.before("v1")
        client = self.client(weir)
        self.assertEqual(client.get("/x").status, 200)
        (source, port), (destination, to_port) = ends(client.sock)
        self.assertEqual(server.connections, [(v1(source, destination, (port, to_port)), ["/x"])])

    def test_version_2(self):
        server, weir = self.before("v2")
        client = self.client(weir)
        self.assertEqual(client.get("/x").status, 200)
        (source, port), (destination, to_port) = ends(client.sock)
        self.assertEqual(server.connections,
                         [(v2_ip(source, destination, (port, to_port)), ["/x"])])

    def test_unix_client(self):
        for version, header in (("v1", UNKNOWN), ("v2", v2((0x21, 0x00)))):
            server = self.kept(HeaderReader())
            path = self.directory / f"{version}.sock"
            weir = self.weir(server.address, listen=[{"address": f"unix:{path}"}],
                             upstream={"app": {"proxy_protocol": version}})
            with Client(path) as client:
                self.assertEqual(client.get("/x").status, 200)
            self.assertEqual(server.connections, [(header, ["/x"])])
            weir.terminate()

    def test_a_connection_is_used_for_one_client_only(self):
        server, weir = self.before("v1", workers=1)
        clients = [self.client(weir) for _ in range(5)]
        for number in range(4):
            for client in clients:
                port = client.sock.getsockname()[1]
                self.assertEqual(client.get(f"/{port}/{number}").status, 200)
        self.assertEqual(len(server.connections), 5)
        for header, paths in server.connections:
            port = header.split()[4].decode()
            self.assertEqual(paths, [f"/{port}/{number}" for number in range(4)])

    def test_connections_of_clients_that_left_make_room(self):
        server, weir = self.before("v2", workers=1, app={"idle_max": 2})
        for _ in range(6):
            with self.client(weir) as client:
                self.assertEqual([client.get("/x").status for _ in range(3)], [200] * 3)
        self.assertEqual([len(paths) for _, paths in server.connections], [3] * 6)

    def test_concurrent_clients(self):
        server, weir = self.before("v1")

        def work():
            for _ in range(10):
                with Client(weir.port) as client:
                    for _ in range(5):
                        client.get(f"/{client.sock.getsockname()[1]}")
        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(sum(len(paths) for _, paths in server.connections), 400)
        for header, paths in server.connections:
            self.assertEqual(set(paths), {"/" + header.split()[4].decode()})

    def test_reload_leaves_no_connection_without_a_header(self):
        server, weir = self.before("off", workers=1)
        origin = self.origin()
        config = dict(weir.config)
        config["upstream"] = {"app": {"servers": [origin.address]}}
        self.assertEqual(weir.reload(config).returncode, 0)
        client = self.client(weir)
        self.assertEqual(client.get("/plain").status, 200)
        origin.seen()
        config["upstream"] = {"app": {"servers": [origin.address, server.address],
                                      "proxy_protocol": "v1"}}
        self.assertEqual(weir.reload(config).returncode, 0)
        for _ in range(4):
            client.get("/told")
        self.assertEqual([request.target for request in origin.seen()], ["/plain"])
        self.assertGreaterEqual(len(server.connections), 1)

    def test_what_was_told_is_told_on(self):
        server, weir = self.before("v2", listen=[{"address": "127.0.0.1:0",
                                                  "proxy_protocol": LOCAL}])
        for header in (v1(), v2_ip("2001:db8::7", "2001:db8::1", (1, 2))):
            self.assertEqual(self.client(weir).send(header).get("/x").status, 200)
        self.assertEqual([header for header, _ in server.connections],
                         [v2_ip(), v2_ip("2001:db8::7", "2001:db8::1", (1, 2))])

    def test_tcp(self):
        def serve(sock):
            sock.sendall(b"220 hello\r\n")
            stream = Stream(sock)
            line = stream.until(b"\r\n")
            sock.sendall(line + stream.exactly(3))
        server = self.kept(Server(serve))
        weir = self.weir(server.address, route=None, upstream={"app": {"proxy_protocol": "v1"}},
                         listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"}}])
        client = self.client(weir)
        # The header does not wait for the client's first byte.
        self.assertEqual(client.stream.until(b"\n"), b"220 hello\r\n")
        (source, port), (destination, to_port) = ends(client.sock)
        self.assertEqual(client.send(b"abc").stream.to_end(),
                         v1(source, destination, (port, to_port)) + b"abc")

    def test_websocket_like_upgrade(self):
        def serve(sock):
            stream = Stream(sock)
            header = stream.until(b"\r\n")
            stream.until(b"\r\n\r\n")
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                         b"Upgrade: echo\r\n\r\n" + header)
            echo(sock)
        server = self.kept(Server(serve))
        weir = self.weir(server.address, upstream={"app": {"proxy_protocol": "v1"}})
        client = self.client(weir)
        client.send(request("/", "Connection: upgrade", "Upgrade: echo"))
        self.assertEqual(client.head().status, 101)
        self.assertTrue(client.stream.until(b"\r\n").startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 "))
        self.assertEqual(client.send(b"xyz").stream.exactly(3), b"xyz")


class OfOthers(Case):
    """HAProxy before Weir, nginx behind it, and curl."""

    WHO = 'location = /who { return 200 "$proxy_protocol_addr $proxy_protocol_port ' \
          '$proxy_protocol_server_addr $proxy_protocol_server_port $http_x_forwarded_for"; }'

    def curl(self, *arguments):
        done = run(tool("curl"), "-sS", "--max-time", "20", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def behind_haproxy(self, options, mode="tcp"):
        origin = self.origin()
        weir = self.weir(origin, listen=[{"address": "127.0.0.1:0",
                                          "proxy_protocol": ["127.0.0.1"]}])
        haproxy = self.kept(Haproxy(self.directory, f"127.0.0.1:{weir.port}", options, mode))
        self.curl("--interface", "127.0.0.9", "--retry", "9", "--retry-connrefused",
                  haproxy.url("/who"))
        seen = origin.request("/who").fields
        self.assertEqual(seen.all("x-forwarded-for"), ["127.0.0.9"])
        self.assertEqual(weir.logged_one("/who")["client"], "127.0.0.9")
        return origin, weir, haproxy

    def test_haproxy_send_proxy(self):
        self.behind_haproxy("send-proxy")

    def test_haproxy_send_proxy_v2(self):
        origin, _, haproxy = self.behind_haproxy("send-proxy-v2")
        body = self.directory / "body"
        body.write_bytes(bytes(range(256)) * 10_000)
        self.curl("--data-binary", f"@{body}", haproxy.url("/up"))
        self.assertEqual(zlib.crc32(origin.request("/up").body), zlib.crc32(body.read_bytes()))

    def test_haproxy_send_proxy_v2_with_additions_and_checksum(self):
        self.behind_haproxy("send-proxy-v2 proxy-v2-options unique-id,crc32c")

    def test_haproxy_http_with_health_checks(self):
        _, weir, _ = self.behind_haproxy("send-proxy-v2 check inter 50ms", "http")
        eventually(lambda: weir.status()["total"]["connections_accepted"] > 5, "health checks")
        self.assertEqual([e["path"] for e in weir.log() if e["cause"]], [])

    def test_curl(self):
        origin = self.origin()
        weir = self.weir(origin, listen=[{"address": "127.0.0.1:0", "proxy_protocol": LOCAL}])
        self.curl("--haproxy-protocol", "--interface", "127.0.0.9", weir.url("/who"))
        self.assertEqual(origin.request("/who").fields.all("x-forwarded-for"), ["127.0.0.9"])

    def before_nginx(self, version):
        nginx = self.kept(Nginx(self.directory, self.WHO, options=" proxy_protocol"))
        weir = self.weir(nginx.address, upstream={"app": {"proxy_protocol": version}})
        said = self.curl("--interface", "127.0.0.9", "-w", " %{local_port}", weir.url("/who"))
        found = re.fullmatch(r"127\.0\.0\.9 (\d+) 127\.0\.0\.1 (\d+) 127\.0\.0\.9 (\d+)", said)
        self.assertTrue(found, said)
        self.assertEqual((found[1], int(found[2])), (found[3], weir.port))
        return weir

    def test_nginx_version_1(self):
        self.before_nginx("v1")

    def test_nginx_version_2(self):
        self.before_nginx("v2")

    def test_nginx_keeps_clients_apart(self):
        weir = self.before_nginx("v2")
        clients = [self.client(weir) for _ in range(3)]
        for _ in range(3):
            for client in clients:
                said = client.get("/who").body.decode().split()
                self.assertEqual(int(said[1]), client.sock.getsockname()[1])

    def test_nginx_keeps_clients_apart_on_http2(self):
        """There a connection is shared by exchanges at the same time, but of one client."""
        nginx = self.kept(Nginx(self.directory, self.WHO, options=" http2 proxy_protocol"))
        weir = self.weir(nginx.address, workers=1,
                         upstream={"app": {"protocol": "http2", "proxy_protocol": "v1"}})
        clients = [self.client(weir) for _ in range(3)]
        for _ in range(3):
            for client in clients:
                client.send(request("/who"))
            for client in clients:
                said = client.response().body.decode().split()
                self.assertEqual(int(said[1]), client.sock.getsockname()[1])
        # A client of HTTP/2 may have several requests under way: all of them are its own.
        done = run(tool("nghttp"), *(weir.url(f"/who?{n}") for n in range(20)))
        ports = re.findall(rf"127\.0\.0\.1 (\d+) 127\.0\.0\.1 {weir.port} ", done.stdout.decode())
        self.assertEqual(len(ports), 20, done)
        self.assertEqual(len(set(ports)), 1)
        self.assertNotIn(int(ports[0]), [client.sock.getsockname()[1] for client in clients])
        self.assertGreaterEqual(weir.status()["upstreams"][0]["reuses"], 6)

    def test_curl_speaks_http2_behind_its_header(self):
        origin = self.origin()
        weir = self.weir(origin, listen=[{"address": "127.0.0.1:0", "proxy_protocol": LOCAL}])
        self.curl("--haproxy-protocol", "--http2-prior-knowledge", "--interface", "127.0.0.9",
                  weir.url("/who"))
        self.assertEqual(origin.request("/who").fields.all("x-forwarded-for"), ["127.0.0.9"])
        self.assertEqual(weir.logged_one("/who")["protocol"], "HTTP/2")

    def test_haproxy_then_weir_then_nginx(self):
        nginx = self.kept(Nginx(self.directory, self.WHO, options=" proxy_protocol"))
        weir = self.weir(nginx.address, upstream={"app": {"proxy_protocol": "v2"}},
                         listen=[{"address": "127.0.0.1:0", "proxy_protocol": LOCAL}])
        haproxy = self.kept(Haproxy(self.directory, f"127.0.0.1:{weir.port}", "send-proxy"))
        said = self.curl("--interface", "127.0.0.9", "-w", " %{local_port}", "--retry", "9",
                         "--retry-connrefused", haproxy.url("/who")).split()
        self.assertEqual(said[:4], ["127.0.0.9", said[5], "127.0.0.1", str(haproxy.port)])
