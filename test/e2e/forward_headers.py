# SPDX-License-Identifier: Apache-2.0
"""Header fields: what passes, what is removed, what Weir sets."""

import re

from harness.case import Case
from harness.raw import request
from origins import scripts


class ToTheOrigin(Case):
    def seen(self, *lines, host="weir.test", **settings):
        origin, weir = self.proxied(**settings)
        self.assertEqual(self.client(weir).get("/seen", *lines, host=host).status, 200)
        return origin.request("/seen").fields

    def test_host_is_kept(self):
        self.assertEqual(self.seen(host="Some.Example:8443").get("host"), "Some.Example:8443")

    def test_end_to_end_fields_pass_in_order(self):
        lines = ("Accept: a", "X-Two: 1", "x-two: 2", "Cookie: a=b; c=d", "Cookie: e=f", "X-Empty:",
                 "Authorization: Basic eDp5", "X-Bytes: \xe4\xff")
        seen = [f"{name}: {value}".strip() for name, value in self.seen(*lines)]
        expected = [line.encode().decode("latin-1") for line in lines]
        self.assertEqual([line for line in seen if line in expected], expected)

    def test_hop_by_hop_fields_are_removed(self):
        seen = self.seen("Connection: keep-alive, X-Private", "Keep-Alive: timeout=5",
                         "Proxy-Connection: keep-alive", "TE: gzip", "X-Private: yes",
                         "Proxy-Authorization: Basic eDp5", "X-Public: yes")
        for name in ("keep-alive", "proxy-connection", "x-private", "proxy-authorization"):
            self.assertNotIn(name, seen)
        self.assertNotIn("gzip", seen.get("te", ""))
        self.assertIn("x-public", seen)

    def test_several_connection_fields_count(self):
        seen = self.seen("Connection: x-one", "Connection: ,x-two ,", "X-One: 1", "X-Two: 2",
                         "X-Three: 3")
        self.assertEqual([name for name, _ in seen if name.startswith("X-T") or name == "X-One"],
                         ["X-Three"])

    def test_connection_cannot_hide_host_or_length(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        client.send(request("/seen", "Connection: Host, Content-Length, Transfer-Encoding",
                            method="POST", body=b"abc"))
        self.assertEqual(client.response().status, 200)
        seen = origin.request("/seen")
        self.assertEqual((seen.fields.get("host"), seen.body), ("weir.test", b"abc"))

    def test_connection_cannot_hide_what_weir_sets(self):
        seen = self.seen("Connection: X-Forwarded-For, X-Request-Id, Via")
        for name in ("x-forwarded-for", "x-request-id", "via"):
            self.assertIn(name, seen)

    def test_forwarded_fields_are_set(self):
        seen = self.seen(host="a.example:81")
        self.assertEqual(seen.all("x-forwarded-for"), ["127.0.0.1"])
        self.assertEqual(seen.all("x-forwarded-proto"), ["http"])
        self.assertEqual(seen.all("x-forwarded-host"), ["a.example:81"])

    STRANGER = ("X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https",
                "X-Forwarded-Host: evil.example", "x-forwarded-for: 5.6.7.8")

    def test_forwarded_fields_of_a_stranger_are_dropped(self):
        seen = self.seen(*self.STRANGER, "Forwarded: for=1.2.3.4")
        self.assertEqual(seen.all("x-forwarded-for"), ["127.0.0.1"])
        self.assertEqual(seen.all("x-forwarded-proto"), ["http"])
        self.assertEqual(seen.all("x-forwarded-host"), ["weir.test"])
        self.assertNotIn("forwarded", seen)

    def test_forwarded_fields_of_a_trusted_proxy_are_kept(self):
        seen = self.seen(*self.STRANGER[:3], trusted_proxies=["127.0.0.0/8"])
        chain = [part.strip() for value in seen.all("x-forwarded-for") for part in value.split(",")]
        self.assertEqual(chain, ["1.2.3.4", "127.0.0.1"])
        self.assertEqual(seen.all("x-forwarded-proto"), ["https"])
        self.assertEqual(seen.all("x-forwarded-host"), ["evil.example"])

    def test_other_networks_are_not_trusted(self):
        seen = self.seen(*self.STRANGER, trusted_proxies=["10.0.0.0/8", "2001:db8::/32"])
        self.assertEqual(seen.all("x-forwarded-for"), ["127.0.0.1"])

    def test_via(self):
        self.assertRegex(self.seen().get("via"), r"^1\.1 \S+")
        via = ", ".join(self.seen("Via: 1.0 first"). all("via"))
        self.assertRegex(via, r"^1\.0 first, ?1\.1 \S+$")

    def test_request_id(self):
        one, two = (self.seen().get("x-request-id") for _ in range(2))
        self.assertTrue(re.fullmatch(r"\S{8,64}", one), one)
        self.assertNotEqual(one, two)

    def test_te_trailers_passes(self):
        self.assertEqual(self.seen("TE: trailers", "Connection: TE").get("te"), "trailers")

    def test_absolute_target_wins_over_host(self):
        origin, weir = self.proxied()
        client = self.client(weir)
        client.send(b"GET http://real.example:81/p?q HTTP/1.1\r\nHost: other.example\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        seen = origin.seen()[0]
        self.assertEqual((seen.target, seen.fields.all("host")), ("/p?q", ["real.example:81"]))

    def test_options_asterisk(self):
        origin, weir = self.proxied()
        self.client(weir).get("*", method="OPTIONS")
        self.assertEqual([r.target for r in origin.seen()], ["*"])


class ToTheClient(Case):
    def seen(self, *lines):
        _, weir = self.proxied(scripts.text("x", 200, *lines))
        return self.client(weir).get().fields

    def test_end_to_end_fields_pass(self):
        lines = ("Set-Cookie: a=1", "Set-Cookie: b=2", "ETag: \"x\"", "Server: origin/1", "X-E:",
                 "Date: Sun, 06 Nov 1994 08:49:37 GMT")
        shown = [f"{name}: {value}".strip() for name, value in self.seen(*lines)]
        self.assertEqual([line for line in shown if line in lines], list(lines))

    def test_hop_by_hop_fields_are_removed(self):
        fields = self.seen("Connection: X-Private", "X-Private: 1", "Keep-Alive: timeout=5",
                           "Proxy-Connection: close", "X-Public: 1")
        for name in ("x-private", "keep-alive", "proxy-connection"):
            self.assertNotIn(name, fields)
        self.assertIn("x-public", fields)

    def test_reason_of_the_origin(self):
        _, weir = self.proxied(scripts.raw(scripts.head(299, "Content-Length: 0",
                                                        reason="My Own Words")))
        response = self.client(weir).get()
        self.assertEqual(response.status, 299)
        self.assertIn(response.reason, ("My Own Words", "Unknown", ""))

    def test_no_cause_on_the_origins_responses(self):
        _, weir = self.proxied(scripts.text("broken", 502))
        response = self.client(weir).get()
        self.assertEqual((response.status, response.body, response.cause), (502, b"broken", ""))

    def test_version_is_ours(self):
        _, weir = self.proxied(scripts.body(b"x", version="1.0"))
        self.assertEqual(self.client(weir).get().version, "HTTP/1.1")

    def test_status_codes_pass(self):
        origin = self.origin()
        weir = self.weir(origin)
        client = self.client(weir)
        for status in (200, 201, 202, 206, 299, 300, 301, 400, 401, 404, 418, 429, 500, 599):
            origin.on(f"/{status}", scripts.text("x", status))
            self.assertEqual(client.get(f"/{status}").status, status)
