# SPDX-License-Identifier: Apache-2.0
"""nginx behind Weir: files, ranges, compression, uploads it does not want, connections it ends. And
nginx before Weir."""

import gzip
import random
import re

from harness.case import Case
from harness.raw import request
from harness.waiting import eventually
from origins import scripts
from origins.nginx import Nginx
from origins.origin import digest

DATA = random.Random(11).randbytes(1_500_001)
TEXT = b"".join(b"line %d of a text\n" % n for n in range(20_000))

MORE = """
    keepalive_requests {requests};
    gzip_types text/plain;
    location = /text {{ default_type text/plain; gzip on; gzip_proxied any; }}
    location = /shy {{ default_type text/plain; gzip on; try_files /text =404; }}
    location /narrow {{ client_max_body_size 1000; return 200 "taken"; }}
    location /old {{ return 301 http://$host/new; }}
"""


class BeforeNginx(Case):
    def prepare(self, requests=1000, **settings):
        (self.directory / "data").write_bytes(DATA)
        (self.directory / "empty-file").write_bytes(b"")
        (self.directory / "text").write_bytes(TEXT)
        self.backend = self.kept(Nginx(self.directory, MORE.format(requests=requests)))
        return self.weir(self.backend.address, **settings)

    def test_files_and_conditions(self):
        weir = self.prepare()
        client = self.client(weir)
        whole = client.get("/data")
        self.assertEqual((whole.status, digest(whole.body)), (200, digest(DATA)))
        self.assertEqual(client.get("/empty-file").body, b"")
        tag = whole.fields.get("etag")
        for line, status in ((f"If-None-Match: {tag}", 304), ('If-None-Match: "other"', 200),
                             (f"If-Match: {tag}", 200), ('If-Match: "other"', 412)):
            self.assertEqual(client.get("/data", line).status, status, line)
        head = client.get("/data", method="HEAD")
        self.assertEqual((head.status, head.fields.get("content-length"), head.body),
                         (200, str(len(DATA)), b""))
        self.assertEqual(client.get("/old").fields.get("location"), "http://weir.test/new")
        self.assertEqual(client.get("/nowhere").status, 404)
        self.assertEqual({e["cause"] for e in weir.logged(9)}, {""})

    def test_ranges(self):
        weir = self.prepare()
        client = self.client(weir)
        for words, begin, end in (("0-0", 0, 1), ("100-199", 100, 200), ("-7", -7, None),
                                  ("1000000-", 1_000_000, None)):
            response = client.get("/data", f"Range: bytes={words}")
            self.assertEqual((response.status, digest(response.body)),
                             (206, digest(DATA[begin:end])), words)
        self.assertEqual(client.get("/data", "Range: bytes=9999999-").status, 416)
        several = client.get("/data", "Range: bytes=5-9,70000-169999,-3")
        self.assertEqual(several.status, 206)
        boundary = re.fullmatch(r"multipart/byteranges; boundary=(\S+)",
                                several.fields.get("content-type"))[1].encode()
        parts = several.body.split(b"--" + boundary)
        bodies = [part.partition(b"\r\n\r\n")[2][:-2] for part in parts[1:-1]]
        self.assertEqual(bodies, [DATA[5:10], DATA[70_000:170_000], DATA[-3:]])

    def test_compressed_on_the_way(self):
        client = self.client(self.prepare())
        plain = client.get("/text")
        self.assertEqual((plain.framing, digest(plain.body)), ("length", digest(TEXT)))
        packed = client.get("/text", "Accept-Encoding: gzip")
        self.assertEqual((packed.framing, packed.fields.get("content-encoding")),
                         ("chunked", "gzip"))
        self.assertEqual(digest(gzip.decompress(packed.body)), digest(TEXT))

    def test_via_keeps_it_from_compressing(self):
        """Unless nginx has gzip_proxied, or Weir does not say that it is a proxy."""
        for rules, coding in (({}, None), ({"remove": ["Via"]}, "gzip")):
            weir = self.prepare(route=[{"match": {"path": "/**"}, "upstream": "app",
                                        "request_headers": rules}])
            shy = self.client(weir).get("/shy", "Accept-Encoding: gzip")
            self.assertEqual(shy.fields.get("content-encoding"), coding)
            weir.end()
            self.backend.end()
            (self.directory / "nginx.pid").unlink(missing_ok=True)

    def test_upload_that_it_does_not_want(self):
        """413 comes while the upload goes on, and nginx throws away some more before it closes."""
        weir = self.prepare()
        for size in (1001, 100_000, 1_500_000):
            client = self.client(weir)
            client.try_send(request("/narrow", method="POST", body=DATA[:size]))
            self.assertEqual(client.response("POST").status, 413)
        client = self.client(weir)
        client.send(request("/narrow", method="POST", body=DATA[:1000]))
        self.assertEqual(client.response("POST").body, b"taken")
        eventually(lambda: len(self.backend.requests()) == 4, self.backend.requests)

    def test_connections_that_it_ends(self):
        """nginx closes each connection after three requests, and says so: even a POST is safe."""
        weir = self.prepare(requests=3, workers=1)
        client = self.client(weir)
        for number in range(60):
            if number % 2:
                client.send(request("/narrow", method="POST", body=b"x" * number))
                self.assertEqual(client.response("POST").body, b"taken")
            else:
                self.assertEqual(client.get("/small").body, b"x" * 1023)
        log = weir.logged(60)
        self.assertEqual({(e["status"], e["cause"], e["retries"]) for e in log}, {(200, "", 0)})
        connects = sum("connect_ms" in e for e in log)
        self.assertEqual(connects, 20)


class BehindNginx(Case):
    """nginx is the client: by HTTP/1.0 as it does by default, and by HTTP/1.1 that it keeps."""

    def before(self, weir):
        return self.kept(Nginx(self.directory, f"""
            proxy_buffering off; proxy_request_buffering off;
            location /ten/ {{ proxy_pass {weir.url()}; proxy_set_header Host $http_host; }}
            location /eleven/ {{
              proxy_pass {weir.url()}; proxy_set_header Host $http_host;
              proxy_http_version 1.1; proxy_set_header Connection "";
            }}
        """))

    def test_whole_exchanges(self):
        origin, weir = self.proxied(scripts.echo("chunked", 9000))
        origin.on("/seen", scripts.report)
        front = self.before(weir)
        client = self.client(front)
        for version in ("ten", "eleven"):
            for size in (0, 1, 70_000, len(DATA)):
                client.send(request(f"/{version}/{size}", method="POST", body=DATA[:size]))
                response = client.response("POST")
                self.assertEqual((response.status, response.complete, digest(response.body)),
                                 (200, True, digest(DATA[:size])))
            self.assertIn(b'"weir.test"', client.get(f"/{version}/seen").body)
        protocols = [entry["protocol"] for entry in weir.logged(10)]
        self.assertEqual(sorted(protocols), ["HTTP/1.0"] * 5 + ["HTTP/1.1"] * 5)

    def test_first_piece_comes_before_the_last_is_made(self):
        for version in ("ten", "eleven"):
            origin, weir = self.proxied(scripts.halves(b"first", b"last", "more"))
            client = self.client(self.before(weir))
            response = client.send(request(f"/{version}/")).head()
            client.stream.until(b"first")
            origin.open("more")
            client.stream.until(b"last")
            self.assertEqual(response.status, 200)

    def test_cut_answer_is_seen_through_both(self):
        origin, weir = self.proxied(scripts.die(
            "fin", scripts.head(200, "Transfer-Encoding: chunked") + b"4\r\npart\r\n"))
        client = self.client(self.before(weir))
        response = client.get("/eleven/")
        self.assertEqual((response.status, response.complete), (200, False))
