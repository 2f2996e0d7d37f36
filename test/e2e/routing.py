# SPDX-License-Identifier: Apache-2.0
"""Which route a request takes, and what a route changes."""

from harness.case import Case
from harness.raw import request
from origins import scripts


def fixed(name, **match):
    """A route that answers with its own name."""
    return {"name": name, "match": match, "respond": {"status": 200, "body": name}}


class Matching(Case):
    def check(self, routes, wanted):
        """`wanted`: (path, host, header lines, method) or shorter; a route's name or a status."""
        weir = self.weir(route=routes)
        for asked, name in wanted:
            path, host, lines, method = (*asked, *("/", "weir.test", (), "GET")[len(asked):])
            with self.subTest(asked=asked), self.client(weir) as client:
                response = client.get(path, *lines, host=host, method=method)
                got = response.body.decode() if response.status == 200 else response.status
                self.assertEqual(got, name)

    def test_no_route(self):
        weir = self.weir(route=[fixed("a", path="/a")])
        self.claim_refused(self.client(weir).get("/b"), 404, "no_route")

    def test_host_exact(self):
        self.check([fixed("a", host="a.example"), fixed("b", host=["b.example", "c.example"])], [
            (("/", "a.example"), "a"), (("/", "A.Example"), "a"), (("/", "c.example"), "b"),
            (("/", "x.a.example"), 404), (("/", "a.example.evil"), 404),
            (("/", "a.example:80"), "a"), (("/", "a.example:8080"), "a")])

    def test_host_wildcard(self):
        self.check([fixed("any", host="*.example.com"), fixed("www", host="www.example.com")], [
            (("/", "x.example.com"), "any"), (("/", "www.example.com"), "www"),
            (("/", "example.com"), 404), (("/", "xexample.com"), 404)])

    def test_host_with_port(self):
        self.check([fixed("with", host="a.example:8080"), fixed("without", host="a.example")], [
            (("/", "a.example:8080"), "with"), (("/", "a.example:81"), "without"),
            (("/", "a.example"), "without")])

    def test_path_exact(self):
        self.check([fixed("a", path="/a")], [
            (("/a",), "a"), (("/a?q=/b",), "a"), (("/a/",), 404), (("/A",), 404), (("/a/b",), 404)])

    def test_path_prefix_by_segments(self):
        self.check([fixed("api", path="/api/**")], [
            (("/api",), "api"), (("/api/",), "api"), (("/api/x/y",), "api"), (("/apix",), 404),
            (("/",), 404)])

    def test_path_regex_is_anchored(self):
        self.check([fixed("n", path="~/item/[0-9]+")], [
            (("/item/12",), "n"), (("/item/12?x",), "n"), (("/item/12/x",), 404),
            (("/x/item/12",), 404), (("/item/",), 404)])

    def test_most_specific_wins_whatever_the_order(self):
        routes = [fixed("all", path="/**"), fixed("api", path="/api/**"),
                  fixed("v1", path="/api/v1/**"), fixed("exact", path="/api/v1/x"),
                  fixed("host", host="a.example", path="/**")]
        wanted = [(("/z",), "all"), (("/api/z",), "api"), (("/api/v1/z",), "v1"),
                  (("/api/v1/x",), "exact"), (("/z", "a.example"), "host")]
        self.check(routes, wanted)
        self.check(routes[::-1], wanted)

    def test_method(self):
        self.check([fixed("get", path="/**", method="GET"), fixed("rw", path="/**",
                                                                  method=["POST", "PURGE"])], [
            (("/", "h", (), "GET"), "get"), (("/", "h", (), "POST"), "rw"),
            (("/", "h", (), "PURGE"), "rw"), (("/", "h", (), "DELETE"), 404)])

    def test_header(self):
        self.check([fixed("v2", header={"X-Version": "2"}),
                    fixed("num", header={"X-Version": "~[0-9]+"}),
                    fixed("beta", header={"X-Beta": True, "X-Version": False})], [
            (("/", "h", ("X-Version: 2",)), "v2"), (("/", "h", ("x-version: 33",)), "num"),
            (("/", "h", ("X-Version: 3a",)), 404), (("/", "h", ("X-Beta: x",)), "beta"),
            (("/", "h", ("X-Beta: x", "X-Version: a")), 404), (("/",), 404)])

    def test_query(self):
        self.check([fixed("one", query={"v": "1"}), fixed("debug", query={"debug": True}),
                    fixed("hex", query={"h": "~[0-9a-f]+"})], [
            (("/?v=1",), "one"), (("/?a=b&v=1&c",), "one"), (("/?v=11",), 404), (("/?vv=1",), 404),
            (("/?debug",), "debug"), (("/?debug=0",), "debug"), (("/?h=ff",), "hex"),
            (("/?h=fg",), 404), (("/",), 404)])

    def test_dots_cannot_pass_a_prefix(self):
        """However dots and letters are written, the route is that of the path that they mean; what
        is passed on is as it was written."""
        origin = self.origin()
        weir = self.weir(origin, route=[fixed("secret", path="/secret/**"),
                                        {"match": {"path": "/open/**"}, "upstream": "app"}])
        client = self.client(weir)
        for path in ("/open/../secret/x", "/open/%2e%2E/secret/x", "/open/./a/../../secret/x",
                     "/open/../../../secret/x", "/./secret/x", "/%73ecret/x", "/open/../secret"):
            with self.subTest(path=path):
                self.assertEqual(client.get(path).body, b"secret")
        self.assertEqual(client.get("/open/../other").status, 404)
        self.assertEqual(origin.seen(), [])
        self.assertEqual(client.get("/secret/../open/x").status, 200)
        self.assertEqual(origin.seen()[0].target, "/secret/../open/x")

    def test_pattern_that_would_take_for_ever(self):
        """An engine that goes back and tries again would need more steps than there are atoms."""
        self.check([fixed("n", path="~/(a+)+b"), fixed("other", path="/**")], [
            (("/" + "a" * 5000 + "b",), "n"), (("/" + "a" * 5000,), "other"),
            (("/" + "a" * 5000 + "/b",), "other")])


class Changing(Case):
    def target(self, path, **route):
        origin = self.origin()
        weir = self.weir(origin, route=[{"match": {"path": "/**"}, "upstream": "app", **route}])
        self.assertEqual(self.client(weir).get(path).status, 200)
        return origin.seen()[0].target

    def test_strip_prefix(self):
        for path, target in (("/api/x?q", "/x?q"), ("/api", "/"), ("/api/", "/"),
                             ("/apix", "/apix"), ("/api?q", "/?q"), ("/a/api/b", "/a/api/b")):
            with self.subTest(path=path):
                self.assertEqual(self.target(path, strip_prefix="/api"), target)

    def test_add_prefix(self):
        self.assertEqual(self.target("/x?q", add_prefix="/v1"), "/v1/x?q")

    def test_strip_then_add(self):
        self.assertEqual(self.target("/api/x", strip_prefix="/api", add_prefix="/v1"), "/v1/x")

    def test_rewrite(self):
        rule = {"regex": "^/user/([0-9]+)", "to": "/u/\\1/profile"}
        self.assertEqual(self.target("/user/12?q=1", rewrite=rule), "/u/12/profile?q=1")
        self.assertEqual(self.target("/other", rewrite=rule), "/other")

    def test_query_survives_as_written(self):
        self.assertEqual(self.target("/api/a%20b?x=%2F&y", strip_prefix="/api"), "/a%20b?x=%2F&y")

    def test_request_headers(self):
        origin = self.origin()
        weir = self.weir(origin, route=[{
            "match": {"path": "/**"}, "upstream": "app",
            "request_headers": {"set": {"X-Set": "new", "Host": "inner.example"},
                                "add": {"X-Add": "two"}, "remove": ["X-Gone", "Cookie"]}}])
        self.client(weir).get("/", "X-Set: a", "X-Set: b", "X-Add: one", "x-gone: x", "Cookie: c")
        fields = origin.seen()[0].fields
        self.assertEqual(fields.all("x-set"), ["new"])
        self.assertEqual(fields.all("x-add"), ["one", "two"])
        self.assertEqual(fields.all("host"), ["inner.example"])
        self.assertNotIn("x-gone", fields)
        self.assertNotIn("cookie", fields)

    def test_response_headers(self):
        origin = self.origin(script=scripts.text("x", 200, "X-Set: a", "X-Gone: b", "X-Add: one"))
        weir = self.weir(origin, route=[{
            "match": {"path": "/**"}, "upstream": "app",
            "response_headers": {"set": {"X-Set": "new", "X-Frame-Options": "DENY"},
                                 "add": {"X-Add": "two"}, "remove": "X-Gone"}}])
        fields = self.client(weir).get().fields
        self.assertEqual(fields.all("x-set"), ["new"])
        self.assertEqual(fields.all("x-add"), ["one", "two"])
        self.assertEqual(fields.get("x-frame-options"), "DENY")
        self.assertNotIn("x-gone", fields)


class Answering(Case):
    def test_fixed_response(self):
        weir = self.weir(route=[{"match": {"path": "/**"}, "respond": {
            "status": 418, "body": "short\n", "content_type": "text/x-tea"}}])
        client = self.client(weir)
        for method, body in (("GET", b"short\n"), ("HEAD", b""), ("POST", b"short\n")):
            response = client.get(method=method)
            self.assertEqual((response.status, response.body), (418, body))
            self.assertEqual(response.fields.get("content-type"), "text/x-tea")
            self.assertEqual(response.fields.get("content-length"), "6")

    def test_only_a_status(self):
        weir = self.weir(route=[{"match": {"path": "/**"}, "respond": 204}])
        client = self.client(weir)
        for _ in range(2):
            self.assertEqual(client.get().status, 204)

    def test_request_body_of_a_fixed_response_is_read_over(self):
        weir = self.weir(route=[{"match": {"path": "/**"}, "respond": 204}])
        client = self.client(weir)
        client.send(request("/", method="POST", body=b"x" * 1000) + request("/second"))
        self.assertEqual([client.response().status for _ in range(2)], [204, 204])

    def test_redirects(self):
        for to, path, expected in (
                ("https://{host}{uri}", "/a?b=c", "https://weir.test/a?b=c"),
                ("/new{path}", "/a?b=c", "/new/a"),
                ("{scheme}://other.example{path}?{query}", "/a?b", "http://other.example/a?b")):
            with self.subTest(to=to):
                weir = self.weir(route=[{"match": {"path": "/**"}, "redirect": to}])
                response = self.client(weir).get(path)
                self.assertEqual(response.status, 308)
                self.assertEqual(response.fields.get("location"), expected)
                weir.end()

    def test_redirect_status(self):
        weir = self.weir(route=[{"match": {"path": "/**"},
                                 "redirect": {"to": "/x", "status": 302}}])
        self.assertEqual(self.client(weir).get().status, 302)

    def test_redirect_cannot_be_split(self):
        """What the client puts into the path must not become a header line."""
        weir = self.weir(route=[{"match": {"path": "/**"}, "redirect": "/new{uri}"}])
        response = self.client(weir).get("/a%0d%0aSet-Cookie:%20x=1")
        self.assertNotIn("set-cookie", response.fields)
