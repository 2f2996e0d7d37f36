# SPDX-License-Identifier: Apache-2.0
"""Requests by clients that people use: curl, wget, httpx, Node's fetch."""

import json

import httpx

from harness.case import Case
from harness.process import run, tool
from origins import scripts
from origins.origin import digest

BODY = bytes(range(256)) * 1031


def fetch(url, options="{}"):
    """Node's fetch; what the server said as JSON."""
    program = """
      const [url, options] = process.argv.slice(1);
      const r = await fetch(url, JSON.parse(options));
      console.log(JSON.stringify({status: r.status, text: await r.text()}));
    """
    done = run(tool("node"), "--input-type=module", "-e", program, url, options)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


class Curl(Case):
    def curl(self, weir, *arguments, path="/", stdin=None):
        done = run(tool("curl"), "-sS", "--max-time", "20", *arguments, weir.url(path), stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
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
        _, weir = self.proxied(scripts.body(BODY, "chunked", 1000))
        self.assertEqual(digest(self.curl(weir, "--http1.0")), digest(BODY))

    def test_query_is_kept_as_written(self):
        origin, weir = self.proxied()
        self.curl(weir, path="/a%2Fb/%E4?x=1&y=%20;z&&=")
        self.assertEqual(origin.seen()[0].target, "/a%2Fb/%E4?x=1&y=%20;z&&=")

    def test_range_is_the_origins_matter(self):
        origin, weir = self.proxied(scripts.text("art", 206, "Content-Range: bytes 1-3/5"))
        self.assertEqual(self.curl(weir, "-r", "1-3"), b"art")
        self.assertEqual(origin.request("/").fields.get("range"), "bytes=1-3")


class Wget(Case):
    def test_download_is_one_request(self):
        origin, weir = self.proxied(scripts.body(BODY, "chunked", 7777))
        file = self.directory / "got"
        done = run(tool("wget"), "-q", "-O", file, weir.url("/file"))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(digest(file.read_bytes()), digest(BODY))
        origin.request("/file")

    def test_close_delimited_download(self):
        origin, weir = self.proxied(scripts.body(BODY, "close"))
        file = self.directory / "got"
        done = run(tool("wget"), "-q", "-O", file, weir.url("/file"))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(digest(file.read_bytes()), digest(BODY))
        origin.request("/file")

    def test_broken_download_is_seen_as_broken(self):
        start = scripts.head(200, "Content-Length: 5000", "Connection: close") + b"x" * 100
        _, weir = self.proxied(scripts.die("fin", start))
        done = run(tool("wget"), "-q", "--tries=1", "-O", self.directory / "got", weir.url("/file"))
        self.assertNotEqual(done.returncode, 0)


class Httpx(Case):
    def test_session_of_methods(self):
        origin, weir = self.proxied(scripts.report)
        with httpx.Client(base_url=weir.url(""), timeout=20, trust_env=False) as client:
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                content = BODY if method in ("POST", "PUT", "PATCH") else None
                seen = client.request(method, f"/{method}?q=1", content=content).json()
                self.assertEqual(seen["method"], method)
                self.assertEqual(seen["length"], len(content or b""))
            self.assertEqual(client.head("/HEAD").status_code, 200)
        self.assertEqual(len(origin.seen()), 7)

    def test_streamed_upload_and_download(self):
        origin, weir = self.proxied(scripts.echo("chunked", 4096))
        parts = (BODY[at:at + 10000] for at in range(0, len(BODY), 10000))
        with httpx.Client(timeout=20, trust_env=False) as client:
            with client.stream("POST", weir.url("/up"), content=parts) as response:
                got = b"".join(response.iter_raw())
        self.assertEqual(digest(got), digest(BODY))
        self.assertEqual(digest(origin.request("/up").body), digest(BODY))

    def test_redirects_of_the_origin_pass(self):
        origin, weir = self.proxied()
        origin.on("/old", scripts.text("", 302, "Location: /new"))
        with httpx.Client(timeout=20, trust_env=False, follow_redirects=True) as client:
            self.assertEqual(client.get(weir.url("/old")).text, "hello from origin\n")
        origin.request("/new")


class NodeFetch(Case):
    def test_get(self):
        _, weir = self.proxied(scripts.text("über\n"))
        self.assertEqual(fetch(weir.url()), {"status": 200, "text": "über\n"})

    def test_post(self):
        origin, weir = self.proxied(scripts.echo("chunked", 3))
        seen = fetch(weir.url("/p"), json.dumps({"method": "POST", "body": "one two three"}))
        self.assertEqual(seen["text"], "one two three")
        self.assertEqual(origin.request("/p").body, b"one two three")

    def test_status_without_body(self):
        _, weir = self.proxied(scripts.raw(scripts.head(204)))
        self.assertEqual(fetch(weir.url()), {"status": 204, "text": ""})
