# SPDX-License-Identifier: Apache-2.0
"""Requests and downloads by curl and wget, whole and resumed."""

import gzip
import random
import re

from harness.case import Case, bound
from harness.process import Process, run, tool
from harness.waiting import eventually
from origins import applications, scripts
from origins.origin import digest

BODY = bytes(range(256)) * 1031
LARGE = random.Random(5).randbytes(2_000_003)


def file_of(data, die_at=None, gate=None):
    """Answers as a file server does, Range and all. The first answer ends after `die_at` bytes,
    once the gate is open."""
    state = {"first": True}

    def script(x):
        x.body()
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", x.request.fields.get("range") or "bytes=0-")
        begin, end = int(found[1]), int(found[2] or len(data) - 1) + 1
        lines = ["Accept-Ranges: bytes", 'ETag: "one"',
                 "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT", f"Content-Length: {end - begin}"]
        partial = "range" in x.request.fields
        if partial:
            lines.append(f"Content-Range: bytes {begin}-{end - 1}/{len(data)}")
        x.send(scripts.head(206 if partial else 200, *lines))
        if die_at is not None and state["first"]:
            state["first"] = False
            x.send(data[begin:die_at])
            x.wait(gate)
            x.close()
        elif x.request.method != "HEAD":
            x.send(data[begin:end])
    return script


class Curl(Case):
    def curl(self, weir, *arguments, path="/", stdin=None, code=0):
        done = run(tool("curl"), "-sS", "--max-time", "20", *arguments, weir.url(path), stdin=stdin)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return done.stdout

    def test_get(self):
        _, weir = self.proxied(scripts.body(BODY))
        self.assertEqual(digest(self.curl(weir)), digest(BODY))

    def test_head(self):
        origin, weir = self.proxied(scripts.text("twelve bytes"))
        shown = self.curl(weir, "--head").decode().lower()
        self.assertIn("200", shown.split("\r\n")[0])
        self.assertIn("content-length: 12\r\n", shown)
        self.assertEqual(origin.request("/").method, "HEAD")

    def test_post(self):
        origin, weir = self.proxied(scripts.echo())
        shown = self.curl(weir, "--data-binary", "@-", stdin=BODY)
        self.assertEqual(digest(shown), digest(BODY))
        self.assertEqual(digest(origin.request("/").body), digest(BODY))

    def test_put_chunked(self):
        origin, weir = self.proxied(scripts.echo("chunked"))
        shown = self.curl(weir, "-T", "-", stdin=BODY)
        self.assertEqual(digest(shown), digest(BODY))
        self.assertEqual(origin.request("/").method, "PUT")

    def test_delete(self):
        origin, weir = self.proxied()
        self.curl(weir, "-X", "DELETE", path="/thing")
        self.assertEqual(origin.request("/thing").method, "DELETE")

    def test_options_and_unusual_method(self):
        origin, weir = self.proxied()
        self.curl(weir, "-X", "OPTIONS", path="/o")
        self.curl(weir, "-X", "PROPFIND", path="/p")
        self.assertEqual(origin.request("/o").method, "OPTIONS")
        self.assertEqual(origin.request("/p").method, "PROPFIND")

    def test_http10(self):
        origin, weir = self.proxied()
        for framing in ("length", "chunked", "close"):
            path = "/" + framing
            origin.on(path, scripts.body(BODY, framing, 1000))
            self.assertEqual(digest(self.curl(weir, "--http1.0", path=path)), digest(BODY))
            self.assertEqual(origin.request(path).version, "HTTP/1.1")
            entry = weir.logged_one(path)
            self.assertEqual((entry["protocol"], entry["cause"]), ("HTTP/1.0", ""))

    def test_http10_upload(self):
        origin, weir = self.proxied(scripts.echo("chunked"))
        shown = self.curl(weir, "--http1.0", "--data-binary", "@-", stdin=BODY)
        self.assertEqual(digest(shown), digest(BODY))
        self.assertEqual(digest(origin.request("/").body), digest(BODY))

    def test_query_is_kept_as_written(self):
        origin, weir = self.proxied()
        self.curl(weir, path="/a%2Fb/%E4?x=1&y=%20;z&&=")
        self.assertEqual(origin.seen()[0].target, "/a%2Fb/%E4?x=1&y=%20;z&&=")

    def test_range_is_the_origins_matter(self):
        origin, weir = self.proxied(file_of(b"party"))
        self.assertEqual(self.curl(weir, "-r", "1-3"), b"art")
        self.assertEqual(origin.request("/").fields.get("range"), "bytes=1-3")

    def test_expect(self):
        """The body is sent when the origin has asked for it: curl would otherwise wait a minute."""
        origin, weir = self.proxied(scripts.echo())
        shown = self.curl(weir, "-H", "Expect: 100-continue", "--expect100-timeout", "60",
                          "--data-binary", "@-", stdin=BODY)
        self.assertEqual(digest(shown), digest(BODY))
        self.assertEqual(origin.request("/").fields.get("expect"), "100-continue")

    def test_expect_refused(self):
        """The body is never sent, and the connection is of no further use."""
        origin, weir = self.proxied(scripts.early(417))
        shown = self.curl(weir, "-H", "Expect: 100-continue", "--expect100-timeout", "60",
                          "-w", "%{http_code} %{size_upload}", "--data-binary", "@-", stdin=BODY)
        self.assertEqual(shown, b"early417 0")
        self.assertEqual(len(origin.request("/").body), 0)

    def test_resumed_download(self):
        """The origin dies in the middle; what is there already is not asked for again."""
        origin, weir = self.proxied(file_of(LARGE, 700_000, "die"))
        file = self.directory / "got"
        first = self.kept(Process([tool("curl"), "-sS", "--no-buffer", "-o", file,
                                   weir.url("/file")]))
        eventually(lambda: file.exists() and file.stat().st_size == 700_000, "the first part")
        origin.open("die")
        self.assertEqual(first.wait(), 18, "curl: transferred a partial file")
        self.curl(weir, "-C", "-", "-o", file, path="/file")
        self.assertEqual(digest(file.read_bytes()), digest(LARGE))
        ranges = [request.fields.get("range") for request in origin.seen("/file")]
        self.assertEqual(ranges, [None, "bytes=700000-"])
        outcomes = sorted((e["status"], e["cause"]) for e in weir.logged(2))
        self.assertEqual(outcomes, [(200, "upstream_truncated"), (206, "")])

    def test_retries_by_itself_when_the_origin_dies(self):
        origin, weir = self.proxied(file_of(LARGE, 1000, "die"))
        origin.open("die")
        file = self.directory / "got"
        self.curl(weir, "--retry", "3", "--retry-all-errors", "-o", file, path="/file")
        self.assertEqual(digest(file.read_bytes()), digest(LARGE))
        self.assertEqual(len(origin.seen("/file")), 2)

    @bound(60)
    def test_60_in_parallel(self):
        origin, weir = self.proxied()
        for number in range(60):
            origin.on(f"/{number}", scripts.body(LARGE[number:200_000 + number],
                                                 ("length", "chunked", "close")[number % 3], 7919))
        done = run(tool("curl"), "-sS", "--fail", "--parallel", "--parallel-immediate",
                   "--parallel-max", "60", weir.url("/[0-59]"), "-o", self.directory / "got-#1")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        for number in range(60):
            data = (self.directory / f"got-{number}").read_bytes()
            self.assertEqual(digest(data), digest(LARGE[number:200_000 + number]))
        self.assertEqual(len(origin.seen()), 60)

    def test_rate_limited_both_ways(self):
        origin, weir = self.proxied(scripts.echo("chunked", 3000))
        data = LARGE[:400_000]
        shown = self.curl(weir, "--limit-rate", "200K", "--data-binary", "@-", stdin=data)
        self.assertEqual(digest(shown), digest(data))
        self.assertEqual(weir.logged_one("/")["cause"], "")
        self.assertEqual(digest(origin.request("/").body), digest(data))

    def test_many_on_one_connection(self):
        origin, weir = self.proxied(scripts.report, workers=1)
        shown = self.curl(weir, "-o", self.directory / "got", "-w", "%{num_connects} ",
                          "--data", "body", path="/[1-50]")
        self.assertEqual(shown.split(), [b"1"] + [b"0"] * 49)
        self.assertEqual((len(origin.seen()), len(origin.connections)), (50, 1))

    def test_form_with_a_file(self):
        origin, weir = self.proxied(scripts.echo())
        file = self.directory / "attached"
        file.write_bytes(LARGE)
        shown = self.curl(weir, "-F", f"file=@{file}", "-F", "name=weir")
        seen = origin.request("/")
        self.assertEqual(digest(shown), digest(seen.body))
        self.assertIn(LARGE, seen.body)
        self.assertTrue(seen.fields.get("content-type").startswith("multipart/form-data; boundary"))

    def test_cookies_of_a_session(self):
        origin, weir = self.proxied(scripts.text("", 200, "Set-Cookie: a=1; Path=/",
                                                 "Set-Cookie: b=2; Path=/"))
        self.curl(weir, "-c", self.directory / "jar", "-b", self.directory / "jar", path="/[1-2]")
        self.assertIsNone(origin.request("/1").fields.get("cookie"))
        self.assertEqual(sorted(origin.request("/2").fields.get("cookie").split("; ")),
                         ["a=1", "b=2"])


class CurlInOtherWays(Case):
    """What curl can also say to a server."""

    def curl(self, weir, *arguments, path="/x"):
        """(exit code, what was printed)."""
        done = run(tool("curl"), "-sS", "--max-time", "20", *arguments, weir.url(path))
        return done.returncode, done.stdout

    def test_offer_of_http2(self):
        """The Upgrade is not taken; neither is it passed on."""
        origin, weir = self.proxied()
        self.assertEqual(self.curl(weir, "--http2", "-w", "%{http_version} %{http_code}"),
                         (0, b"hello from origin\n1.1 200"))
        fields = origin.request("/x").fields
        self.assertEqual([fields.get(name) for name in ("upgrade", "http2-settings")], [None] * 2)

    def test_proxy_protocol_that_nobody_asked_for(self):
        origin, weir = self.proxied()
        code, shown = self.curl(weir, "--haproxy-protocol", "-w", "%{http_code}")
        self.assertEqual((code, shown[-3:]), (0, b"400"))
        self.assertEqual(origin.seen(), [])

    def test_transfer_coding_is_a_matter_of_one_hop(self):
        origin, weir = self.proxied(scripts.body(BODY, "chunked", 1000))
        code, shown = self.curl(weir, "--tr-encoding")
        self.assertEqual((code, digest(shown)), (0, digest(BODY)))
        self.assertNotIn("gzip", origin.request("/x").fields.get("te") or "")

    def test_content_coding_is_a_matter_of_the_ends(self):
        origin, weir = self.proxied(scripts.body(gzip.compress(BODY), "chunked", 1000,
                                                 lines=("Content-Encoding: gzip",)))
        code, shown = self.curl(weir, "--compressed")
        self.assertEqual((code, digest(shown)), (0, digest(BODY)))
        self.assertIn("gzip", origin.request("/x").fields.get("accept-encoding"))

    def test_as_its_proxy(self):
        """The whole URL in the request line: its host counts, and Host says nothing (RFC 9112
        section 3.2.2)."""
        origin, weir = self.proxied()
        done = run(tool("curl"), "-sS", "-x", weir.url(""), "http://other.test:81/y?z")
        self.assertEqual(done.stdout, b"hello from origin\n", done.stderr)
        seen = origin.request("/y")
        self.assertEqual((seen.target, seen.fields.get("host")), ("/y?z", "other.test:81"))
        self.curl(weir, "--request-target", "http://third.test/z", "-H", "Host: lie.test")
        self.assertEqual(origin.request("/z").fields.get("host"), "third.test")

    def test_options_of_the_server(self):
        origin, weir = self.proxied()
        code, _ = self.curl(weir, "-X", "OPTIONS", "--request-target", "*")
        self.assertEqual(code, 0)
        self.assertEqual({request.target for request in origin.seen()} - {"*"}, set())

    def test_over_a_unix_socket(self):
        origin = self.origin()
        path = self.directory / "weir.sock"
        config = self.config(servers=origin)
        config["listen"].append({"address": f"unix:{path}"})
        weir = self.start(config)
        self.assertEqual(self.curl(weir, "--unix-socket", path), (0, b"hello from origin\n"))
        self.assertEqual(origin.request("/x").fields.get("host"), f"127.0.0.1:{weir.port}")

    def test_headers_that_are_too_much_for_the_origin_only(self):
        """20 KiB: Weir passes them, Node answers 431 and closes."""
        backend = self.kept(applications.node(self.directory))
        weir = self.weir(backend.address)
        code, shown = self.curl(weir, "-w", "%{http_code}", "-H", "X-Large: " + "x" * 20_000)
        self.assertEqual((code, shown), (0, b"431"))
        self.assertEqual(self.curl(weir, path="/size/3"), (0, b"012"))
        outcomes = sorted((e["status"], e["cause"]) for e in weir.logged(2))
        self.assertEqual(outcomes, [(200, ""), (431, "")])


class Wget(Case):
    def wget(self, weir, *arguments, path="/file", code=0):
        done = run(tool("wget"), "-nv", "--timeout=20", *arguments, weir.url(path))
        self.assertEqual(done.returncode, code, done.stderr.decode())

    def claim_whole(self, script):
        origin, weir = self.proxied(script)
        file = self.directory / "got"
        self.wget(weir, "-O", file)
        self.assertEqual(digest(file.read_bytes()), digest(BODY))
        origin.request("/file")

    def test_download_is_one_request(self):
        self.claim_whole(scripts.body(BODY, "chunked", 7777))

    def test_close_delimited_download(self):
        self.claim_whole(scripts.body(BODY, "close"))

    def test_broken_download_is_seen_as_broken(self):
        start = scripts.head(200, "Content-Length: 5000", "Connection: close") + b"x" * 100
        _, weir = self.proxied(scripts.die("fin", start))
        file = self.directory / "got"
        self.wget(weir, "--tries=1", "-O", file, code=4)
        self.assertEqual(file.read_bytes(), b"x" * 100)

    def test_resumes_by_itself(self):
        """wget asks again for the rest when the connection ends too soon."""
        origin, weir = self.proxied(file_of(LARGE, 900_000, "die"))
        origin.open("die")
        file = self.directory / "got"
        self.wget(weir, "--tries=3", "--waitretry=0", "-O", file)
        self.assertEqual(digest(file.read_bytes()), digest(LARGE))
        self.assertEqual([request.fields.get("range") for request in origin.seen("/file")],
                         [None, "bytes=900000-"])

    def test_continues_after_a_restart_of_the_origin(self):
        """The origin is killed in the middle of the download and comes back on the same port."""
        origin, weir = self.proxied(file_of(LARGE, 900_000, "die"))
        file = self.directory / "file"
        first = self.kept(Process([tool("wget"), "-nv", "--tries=1", "-O", file,
                                   weir.url("/file")]))
        eventually(lambda: file.exists() and file.stat().st_size == 900_000, "the first part")
        origin.stop()
        origin.open("die")
        self.assertEqual(first.wait(), 4, first.text())
        self.wget(weir, "--tries=1", "-c", "-O", file, code=8)  # 502: nobody listens
        self.assertEqual(file.stat().st_size, 900_000, "an error page is no part of the file")
        again = self.origin(script=file_of(LARGE), name="again", port=origin.port)
        weir.reload()
        self.wget(weir, "--tries=1", "-c", "-O", file)
        self.assertEqual(digest(file.read_bytes()), digest(LARGE))
        self.assertEqual(again.request("/file").fields.get("range"), "bytes=900000-")
        outcomes = sorted((e["status"], e["cause"]) for e in weir.logged(3))
        self.assertEqual(outcomes, [(200, "upstream_truncated"), (206, ""),
                                    (502, "upstream_refused")])

    def test_mirror_of_a_site(self):
        """Every page once, over few connections, each file as it is."""
        origin, weir = self.proxied()
        links = "".join(f'<a href="/{n}.html">{n}</a>' for n in range(30))
        page = {"Content-Type: text/html"}
        origin.on("/", scripts.text(links, 200, *page))
        origin.on("/robots.txt", scripts.text("", 404))
        for number in range(30):
            text = f'<a href="/">back</a> <img src="/{number}.bin">'
            origin.on(f"/{number}.html", scripts.text(text, 200, *page))
            origin.on(f"/{number}.bin", scripts.body(LARGE[:number * 1000], "chunked", 999))
        self.wget(weir, "-q", "-r", "-l", "3", "-nH", "-P", self.directory / "site", path="/")
        for number in range(30):
            self.assertEqual((self.directory / f"site/{number}.bin").read_bytes(),
                             LARGE[:number * 1000])
        self.assertEqual(len(origin.seen()), 62)
