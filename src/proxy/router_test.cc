// SPDX-License-Identifier: Apache-2.0
#include "proxy/router.h"

#include "http/uri.h"
#include "proxy/config_for_test.h"

namespace weir::proxy {
namespace {

std::string route(std::string_view name, std::string_view match) {
  return "[[route]]\nname = \"" + std::string(name) + "\"\nmatch = { " + std::string(match) +
         " }\nrespond = 200\n";
}

// The name of the route that answers, as the exchange looks for it; "-" for none.
std::string answer(const config::Config& config, const Router& router, std::string_view first,
                   std::string_view fields) {
  const TestRequest request(TestRequest::lines(first, fields));
  std::string space;
  const int index = router.match(request.head, http::normalize_path(request.head.path, space));
  return index < 0 ? "-" : config.routes[static_cast<std::size_t>(index)].name;
}

struct Case {
  const char* first;
  const char* fields;
  const char* expected;
};

void check(const std::string& routes, std::initializer_list<Case> cases) {
  const auto config = config_of(routes);
  ASSERT_NE(config, nullptr);
  const Router router(*config);
  for (const Case& c : cases) {
    EXPECT_EQ(answer(*config, router, c.first, c.fields), c.expected) << c.first << '\n'
                                                                      << c.fields;
  }
}

TEST(Router, Hosts) {
  check(route("exact", "host = 'example.com'") + route("port", "host = 'example.com:8443'") +
            route("http", "host = 'plain.org:80'") + route("wild", "host = '*.example.com'") +
            route("longer", "host = '*.eu.example.com'") + route("v6", "host = '[::1]'") +
            route("v6port", "host = '[2001:db8::1]:8080'") + route("any", "path = '/any'"),
        {
            {"GET /", "Host: example.com", "exact"},
            {"GET /", "Host: EXAMPLE.Com", "exact"},
            {"GET /", "Host: example.com:80", "exact"},
            {"GET /", "Host: example.com:8080", "exact"},
            {"GET /", "Host: example.com:", "exact"},
            {"GET /", "Host: example.com.", "exact"},  // the same name, written in full
            {"GET /", "Host: example.com.:8443", "port"},
            {"GET /", "Host: ex%61mple%2Ecom%2e", "exact"},  // RFC 3986 section 6.2.2
            {"GET /", "Host: example%2dcom", "-"},
            {"GET /", "Host: example.com%2f", "-"},
            {"GET /", "Host: example.com:8443", "port"},
            {"GET /", "Host: plain.org", "http"},
            {"GET /", "Host: plain.org:80", "http"},
            {"GET /", "Host: plain.org:81", "-"},
            {"GET /", "Host: a.example.com", "wild"},
            {"GET /", "Host: a.b.example.com:99", "wild"},
            {"GET /", "Host: eu.example.com", "wild"},  // a * is at least one label
            {"GET /", "Host: x.EU.example.com", "longer"},
            {"GET /", "Host: x.y.eu.example.com.", "longer"},
            {"GET /", "Host: xexample.com", "-"},
            {"GET /", "Host: .example.com", "wild"},
            {"GET /", "Host: [::1]", "v6"},
            {"GET /", "Host: [::1]:9", "v6"},
            {"GET /", "Host: [2001:DB8::1]:8080", "v6port"},
            {"GET /", "Host: [2001:db8::1]", "-"},
            {"GET http://example.com/x", "Host: other.org", "exact"},  // the target wins
            {"GET / HTTP/1.0", "", "-"},
            {"GET /any HTTP/1.0", "", "any"},
            {"GET /any", "Host: a.example.com", "wild"},  // the host comes before the path
        });
}

TEST(Router, AHostThatHasNoSuchPathLeavesItToTheNext) {
  check(route("exact", "host = 'a.example.com', path = '/x'") +
            route("wild", "host = '*.example.com', path = '/y'") + route("any", "path = '/z'"),
        {
            {"GET /x", "Host: a.example.com", "exact"},
            {"GET /y", "Host: a.example.com", "wild"},
            {"GET /z", "Host: a.example.com", "any"},
            {"GET /w", "Host: a.example.com", "-"},
        });
}

TEST(Router, HostsOfAnyLengthAreLookedUp) {
  const std::string label(60, 'a');
  const std::string longest = label + "." + label + "." + label + "." + label;
  const std::string too_long = longest + "." + longest + "." + longest;
  check(route("longest", "host = '" + longest + "'") + route("wild", "host = '*." + label + "'"),
        {
            {"GET /", ("Host: " + longest).c_str(), "longest"},
            {"GET /", ("Host: " + longest + ":65535").c_str(), "longest"},
            {"GET /", ("Host: " + too_long).c_str(), "wild"},
        });
}

TEST(Router, Paths) {
  check(route("exact", "path = '/a/b'") + route("prefix", "path = '/a/**'") +
            route("longer", "path = '/a/b/c/**'") + route("regex", "path = '~/r/[0-9]+'") +
            route("root", "path = '/'") + route("slash", "path = '/s/'"),
        {
            {"GET /a/b", "Host: x", "exact"},
            {"GET /a/b?q=/a/b/c", "Host: x", "exact"},
            {"GET /a/b/", "Host: x", "prefix"},
            {"GET /a", "Host: x", "prefix"},
            {"GET /a/", "Host: x", "prefix"},
            {"GET /a/zz/y", "Host: x", "prefix"},
            {"GET /ab", "Host: x", "-"},
            {"GET /A/b", "Host: x", "-"},
            {"GET /a/b/c", "Host: x", "longer"},
            {"GET /a/b/c/d/e", "Host: x", "longer"},
            {"GET /a/b/cd", "Host: x", "prefix"},
            {"GET /r/12", "Host: x", "regex"},
            {"GET /r/12x", "Host: x", "-"},  // anchored at both ends
            {"GET /x/r/12", "Host: x", "-"},
            {"GET /", "Host: x", "root"},
            {"GET //", "Host: x", "-"},
            {"GET /s/", "Host: x", "slash"},
            {"GET /s", "Host: x", "-"},
            // As the path is understood, not as it is spelt.
            {"GET /%61/b", "Host: x", "exact"},
            {"GET /z/../a/b", "Host: x", "exact"},
            {"GET /z/%2e%2E/a/./b", "Host: x", "exact"},
            {"GET /../../a/b", "Host: x", "exact"},
            {"GET /a/b/..", "Host: x", "prefix"},
            {"GET /a/%2e%2e/secret", "Host: x", "-"},
            {"GET /a%2fb", "Host: x", "-"},  // an escaped slash does not separate
            {"OPTIONS *", "Host: x", "-"},
        });
}

TEST(Router, AnyPathAndOptionsOfTheServer) {
  check(route("all", "path = '/**'") + route("host", "host = 'h'"),
        {{"GET /", "Host: x", "all"},
         {"GET /x/y", "Host: x", "all"},
         {"OPTIONS *", "Host: h", "host"}});
}

TEST(Router, Conditions) {
  check(route("method", "path = '/m', method = ['POST', 'PURGE']") + route("plain", "path = '/h'") +
            route("exact", "path = '/h', header = { x-v = '2' }") +
            route("regex", "path = '/h', header = { x-r = '~v[0-9]+' }") +
            route("present", "path = '/h', header = { x-p = true }") +
            route("both", "path = '/h', header = { x-v = '2', x-p = true }") +
            route("absent", "path = '/n', header = { authorization = false }") +
            route("query", "path = '/q', query = { a = '1 2' }") +
            route("flag", "path = '/q', query = { debug = true }"),
        {
            {"POST /m", "Host: x\nContent-Length: 0", "method"},
            {"PURGE /m", "Host: x", "method"},
            {"post /m", "Host: x", "-"},  // methods have case
            {"GET /m", "Host: x", "-"},
            {"GET /h", "Host: x", "plain"},
            {"GET /h", "Host: x\nX-V: 2", "exact"},
            {"GET /h", "Host: x\nX-V: 22", "plain"},
            {"GET /h", "Host: x\nX-V:", "plain"},
            {"GET /h", "Host: x\nx-r: v17", "regex"},
            {"GET /h", "Host: x\nx-r: av17", "plain"},
            {"GET /h", "Host: x\nX-P:", "present"},
            {"GET /h", "Host: x\nX-P: 1\nX-V: 2", "both"},  // more conditions come first
            {"GET /n", "Host: x", "absent"},
            {"GET /n", "Host: x\nAuthorization: y", "-"},
            {"GET /q?a=1+2", "Host: x", "query"},
            {"GET /q?b=&a=1%202", "Host: x", "query"},
            {"GET /q?a=1", "Host: x", "-"},
            {"GET /q?a=2&a=1+2", "Host: x", "-"},  // the first one counts
            {"GET /q?debug", "Host: x", "flag"},
            {"GET /q?debug=", "Host: x", "flag"},
            {"GET /q?nodebug", "Host: x", "-"},
            {"GET /q", "Host: x", "-"},
        });
}

TEST(Router, TheFirstInTheFileWinsAmongEquals) {
  check(route("one", "path = '~/x.*'") + route("two", "path = '~/.*y'") +
            route("more", "path = '~/.*z', method = 'GET'"),
        {{"GET /xy", "Host: x", "one"},
         {"GET /ay", "Host: x", "two"},
         {"GET /xz", "Host: x", "more"}});
}

TEST(Router, AThousandRoutesAreEachFound) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    const std::string n = std::to_string(i);
    text +=
        route("r" + n, "host = 'h" + std::to_string(i % 10) + ".test', path = '/p" + n + "/**'");
  }
  const auto config = config_of(text);
  ASSERT_NE(config, nullptr);
  const Router router(*config);
  for (int i = 0; i < 1000; ++i) {
    const std::string n = std::to_string(i);
    const std::string host = "Host: h" + std::to_string(i % 10) + ".test";
    EXPECT_EQ(answer(*config, router, "GET /p" + n + "/x", host), "r" + n);
    EXPECT_EQ(answer(*config, router, "GET /p" + n + "0x/x", host), "-");
  }
}

}  // namespace
}  // namespace weir::proxy
