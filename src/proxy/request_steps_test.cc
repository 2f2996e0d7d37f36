// SPDX-License-Identifier: Apache-2.0
#include "proxy/request_steps.h"

#include <cstring>
#include <map>

#include "http/encode.h"
#include "proxy/config_for_test.h"

namespace weir::proxy {
namespace {

io::Peer peer_of(std::string_view ip) {
  if (ip == "unix") {
    io::Peer peer;
    peer.unix_socket = true;
    return peer;
  }
  const Result<io::SocketAddress> address = io::SocketAddress::from_ip(ip, 4711);
  sockaddr_storage storage{};
  std::memcpy(&storage, address->get(), address->size());
  return io::Peer::from(storage);
}

// One request through the steps of the first route of a configuration.
struct Stepped {
  Stepped(const std::string& toml, std::string_view ip, std::string_view first,
          std::string_view fields)
      : config(config_of(toml)), request(TestRequest::lines(first, fields)) {
    entry.settings = &config->routes.front();
    entry.request_edits = edits_of(entry.settings->request_headers);
    facts.peer = peer_of(ip);
    peer_text = facts.peer.text();
    facts.peer_text = peer_text;
    steps = run_request_steps(request.head, facts, entry, *config, random, arena);
    http::encode_request(sent, request.head, steps.target, steps.edits, {});
  }
  // Values of a field of the head that is sent, joined with " | "; "-" when there is none.
  std::string field(std::string_view name) const {
    std::string all;
    bool found = false;
    std::string_view rest(sent);
    while (!rest.empty()) {
      const std::size_t end = rest.find("\r\n");
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end + 2);
      const std::size_t colon = line.find(": ");
      if (colon == std::string_view::npos || !iequals(line.substr(0, colon), name)) continue;
      if (found) all += " | ";
      found = true;
      all += line.substr(colon + 2);
    }
    return found ? all : "-";
  }
  [[nodiscard]] std::string target() const {
    const std::size_t begin = sent.find(' ') + 1;
    return sent.substr(begin, sent.find(' ', begin) - begin);
  }

  std::shared_ptr<const config::Config> config;
  TestRequest request;
  RouteEntry entry;
  ClientFacts facts;
  std::string peer_text;
  Random random{1};
  Arena arena;
  RequestSteps steps;
  std::string sent;
};

const std::string kRoute = "[[route]]\nrespond = 200\n";
// Top-level settings stand before the first section, and config_of() puts a listener first.
std::shared_ptr<const config::Config> trusting() {
  const std::string text =
      "trusted_proxies = [\"10.0.0.0/8\", \"2001:db8::/32\"]\n"
      "[[listen]]\naddress = \":1\"\n" +
      kRoute;
  return config::load_text(text, "test.toml").config;
}

struct ForwardedCase {
  const char* peer;
  const char* fields;
  const char* forwarded_for;
  const char* client;
};

TEST(RequestSteps, WhoTheClientIs) {
  const auto config = trusting();
  ASSERT_NE(config, nullptr);
  for (const ForwardedCase& c : std::initializer_list<ForwardedCase>{
           // A stranger's claims are dropped.
           {"192.0.2.9", "", "192.0.2.9", "192.0.2.9"},
           {"192.0.2.9", "\nX-Forwarded-For: 1.2.3.4", "192.0.2.9", "192.0.2.9"},
           {"2001:db9::1", "\nX-Forwarded-For: 1.2.3.4", "2001:db9::1", "2001:db9::1"},
           // A trusted peer's chain is passed on, and the last stranger in it is the client.
           {"10.1.1.1", "", "10.1.1.1", "10.1.1.1"},
           {"10.1.1.1", "\nX-Forwarded-For: 1.2.3.4", "1.2.3.4, 10.1.1.1", "1.2.3.4"},
           {"10.1.1.1", "\nX-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.2.2.2",
            "6.6.6.6, 1.2.3.4, 10.2.2.2, 10.1.1.1", "1.2.3.4"},
           {"10.1.1.1", "\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-For:1.2.3.4",
            "6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4"},
           {"10.1.1.1", "\nX-Forwarded-For: 1.2.3.4 , , 10.3.3.3,",
            "1.2.3.4 , , 10.3.3.3,, 10.1.1.1", "1.2.3.4"},
           {"10.1.1.1", "\nX-Forwarded-For: 10.2.2.2, 10.3.3.3", "10.2.2.2, 10.3.3.3, 10.1.1.1",
            "10.2.2.2"},
           {"10.1.1.1", "\nX-Forwarded-For: unknown", "unknown, 10.1.1.1", "unknown"},
           {"10.1.1.1", "\nX-Forwarded-For:", "10.1.1.1", "10.1.1.1"},
           {"2001:db8::7", "\nX-Forwarded-For: 2001:db8::8, 2001:db9::1, 2001:db8::9",
            "2001:db8::8, 2001:db9::1, 2001:db8::9, 2001:db8::7", "2001:db9::1"},
           // Whoever may open our unix socket is one of us, and has no address.
           {"unix", "", "-", "unix"},
           {"unix", "\nX-Forwarded-For: 1.2.3.4", "1.2.3.4", "1.2.3.4"},
       }) {
    SCOPED_TRACE(std::string(c.peer) + c.fields);
    Stepped s(kRoute, c.peer, "GET /", "Host: h");
    const TestRequest request(TestRequest::lines("GET /", "Host: h" + std::string(c.fields)));
    Arena arena;
    const RequestSteps steps =
        run_request_steps(request.head, s.facts, s.entry, *config, s.random, arena);
    s.sent.clear();
    http::encode_request(s.sent, request.head, steps.target, steps.edits, {});
    EXPECT_EQ(s.field("X-Forwarded-For"), c.forwarded_for);
    EXPECT_EQ(steps.client, c.client);
  }
}

TEST(RequestSteps, WhatElseAStrangerClaimsIsReplaced) {
  const Stepped s(kRoute, "192.0.2.1", "GET /",
                  "Host: real.org:8080\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil\n"
                  "Forwarded: for=evil\nX-Request-Id: evil");
  EXPECT_EQ(s.field("X-Forwarded-Proto"), "http");
  EXPECT_EQ(s.field("X-Forwarded-Host"), "real.org:8080");
  EXPECT_EQ(s.field("Forwarded"), "-");
  EXPECT_EQ(s.field("X-Request-Id"), std::string(s.steps.request_id));
  EXPECT_EQ(s.field("Host"), "real.org:8080");
}

TEST(RequestSteps, WhatATrustedPeerClaimsIsKept) {
  const Stepped s(kRoute, "unix", "GET /",
                  "Host: inner\nX-Forwarded-Proto: https\nX-Forwarded-Host: outer.org\n"
                  "Forwarded: for=1.2.3.4\nX-Request-Id: abc");
  EXPECT_EQ(s.field("X-Forwarded-Proto"), "https");
  EXPECT_EQ(s.field("X-Forwarded-Host"), "outer.org");
  EXPECT_EQ(s.field("Forwarded"), "for=1.2.3.4");
  EXPECT_EQ(s.field("X-Request-Id"), "abc");
  EXPECT_EQ(s.steps.request_id, "abc");
}

TEST(RequestSteps, ATrustedPeerCannotHideWhatIsSet) {
  const Stepped s(kRoute, "unix", "GET /",
                  "Host: h\nX-Forwarded-Proto: https\nX-Forwarded-Host: b\nX-Request-Id: mine\n"
                  "Connection: X-Forwarded-Proto, x-forwarded-host, X-Request-Id");
  EXPECT_EQ(s.field("X-Forwarded-Proto"), "http");
  EXPECT_EQ(s.field("X-Forwarded-Host"), "h");
  EXPECT_EQ(s.field("X-Request-Id"), s.steps.request_id);
  EXPECT_NE(s.field("X-Request-Id"), "mine");
}

TEST(RequestSteps, WithoutAHostNoneIsClaimed) {
  const Stepped s(kRoute, "192.0.2.1", "GET / HTTP/1.0", "X-Forwarded-Host: evil");
  EXPECT_EQ(s.field("X-Forwarded-Host"), "-");
  EXPECT_EQ(s.field("Via"), "1.0 weir");
}

TEST(RequestSteps, ViaIsAddedBehindTheOthers) {
  const Stepped s(kRoute, "192.0.2.1", "GET /", "Host: h\nVia: 1.0 fred");
  EXPECT_EQ(s.field("Via"), "1.0 fred | 1.1 weir");
}

TEST(RequestSteps, RequestIdsAreOfTheirOwn) {
  std::map<std::string, int> seen;
  Random random(7);
  for (int i = 0; i < 100; ++i) {
    Stepped s(kRoute, "192.0.2.1", "GET /", "Host: h");
    Arena arena;
    const RequestSteps steps =
        run_request_steps(s.request.head, s.facts, s.entry, *s.config, random, arena);
    const std::string id(steps.request_id);
    EXPECT_EQ(id.size(), 32u);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_EQ(++seen[id], 1);
  }
}

TEST(RequestSteps, RulesOverruleWhatWeirSetsByItself) {
  const Stepped s(kRoute +
                      "request_headers = { set = { Host = \"inner\", X-Forwarded-For = \"me\", "
                      "x-a = \"new\" }, add = { Via = \"2 more\", X-B = \"2\" }, "
                      "remove = [\"X-Request-Id\", \"X-C\", \"X-Forwarded-Proto\"] }\n",
                  "192.0.2.1", "GET /", "Host: h\nX-A: old\nX-A: older\nX-B: 1\nX-C: gone");
  EXPECT_EQ(s.field("Host"), "inner");
  EXPECT_EQ(s.field("X-Forwarded-For"), "me");
  EXPECT_EQ(s.field("X-A"), "new");
  EXPECT_EQ(s.field("X-B"), "1 | 2");
  EXPECT_EQ(s.field("X-C"), "-");
  EXPECT_EQ(s.field("X-Request-Id"), "-");
  EXPECT_EQ(s.field("X-Forwarded-Proto"), "-");
  EXPECT_EQ(s.field("X-Forwarded-Host"), "h");  // what the client asked for
  EXPECT_EQ(s.field("Via"), "1.1 weir | 2 more");
}

struct TargetCase {
  const char* rule;
  const char* target;
  const char* expected;
};

TEST(RequestSteps, Targets) {
  constexpr const char* kStrip = "strip_prefix = '/api'";
  constexpr const char* kAdd = "add_prefix = '/v2'";
  constexpr const char* kBoth = "strip_prefix = '/api'\nadd_prefix = '/v2'";
  constexpr const char* kRegex = "rewrite = { regex = '^/old/(.*)$', to = '/new/\\1' }";
  for (const TargetCase& c : std::initializer_list<TargetCase>{
           {"", "/a/../b?x=%zz", "/a/../b?x=%zz"},  // untouched without a rule
           {"", "/a?", "/a?"},
           {kStrip, "/api/x?q=1&r", "/x?q=1&r"},
           {kStrip, "/api", "/"},
           {kStrip, "/api?q", "/?q"},
           {kStrip, "/api/", "/"},
           {kStrip, "/apix/y", "/apix/y"},
           {kStrip, "/x/api/y", "/x/api/y"},
           {kStrip, "/api//x", "//x"},
           // The path that was matched is the one that is rewritten.
           {kStrip, "/%61pi/x", "/x"},
           {kStrip, "/z/../api/x%2fy?a=%2e", "/x%2Fy?a=%2e"},
           {kAdd, "/x?y=1", "/v2/x?y=1"},
           {kAdd, "/", "/v2/"},
           // Nobody gets out of the prefix.
           {kAdd, "/../x?../y", "/v2/x?../y"},
           {kAdd, "/%2e%2E/..%2f/x", "/v2/..%2F/x"},
           {kAdd, "/a/./x", "/v2/a/x"},
           {kBoth, "/api/x?", "/v2/x?"},
           {kBoth, "/api", "/v2/"},
           {kRegex, "/old/a/b?q=/old/c", "/new/a/b?q=/old/c"},
           {kRegex, "/older/a?q", "/older/a?q"},
           {kRegex, "/x/../old/a", "/new/a"},
           {"rewrite = { regex = '^/old/', to = '' }", "/old/a?b", "/a?b"},
       }) {
    const std::string first = std::string("GET ") + c.target;
    const Stepped s(kRoute + c.rule + "\n", "192.0.2.1", first, "Host: h");
    EXPECT_EQ(s.target(), c.expected) << c.rule << ' ' << c.target;
  }
}

TEST(RequestSteps, TheServerAsAWholeHasNoPathToRewrite) {
  const Stepped s(kRoute + "strip_prefix = '/api'\nadd_prefix = '/v2'\n", "192.0.2.1", "OPTIONS *",
                  "Host: h");
  EXPECT_EQ(s.target(), "*");
}

TEST(RequestSteps, MaxForwardsIsCountedDown) {
  const auto sent = [](std::string_view first, const char* value) {
    const Stepped s(kRoute, "192.0.2.1", first, std::string("Host: h\nMax-Forwards: ") + value);
    return s.field("max-forwards") + (s.steps.final_recipient ? " final" : "");
  };
  EXPECT_EQ(sent("OPTIONS /", "5"), "4");
  EXPECT_EQ(sent("TRACE /", "1"), "0");
  EXPECT_EQ(sent("OPTIONS *", "0"), "0 final");
  EXPECT_EQ(sent("TRACE /", "00"), "00 final");
  EXPECT_EQ(sent("GET /", "0"), "0");
  EXPECT_EQ(sent("OPTIONS /", "x"), "x");
  EXPECT_EQ(sent("OPTIONS /", "99999999999999999999"), "99999999999999999999");
}

TEST(RequestSteps, AnAbsoluteTargetBecomesItsPath) {
  const Stepped s(kRoute, "192.0.2.1", "GET http://a.org:81/x?y", "Host: b");
  EXPECT_EQ(s.target(), "/x?y");
  EXPECT_EQ(s.field("Host"), "a.org:81");
  const Stepped root(kRoute, "192.0.2.1", "GET http://a.org?y", "Host: b");
  EXPECT_EQ(root.target(), "/?y");
  const Stepped server(kRoute, "192.0.2.1", "OPTIONS http://a.org:81", "Host: b");
  EXPECT_EQ(server.target(), "*");  // RFC 9112 section 3.2.4
}

TEST(RedirectTarget, FillsInItsPlaceholders) {
  const TestRequest request(TestRequest::lines("GET /a/b?c=d%20e", "Host: Example.org:8080"));
  const TestRequest bare(TestRequest::lines("GET /a", "Host: h"));
  Arena arena;
  const auto of = [&](std::string_view to, const http::RequestHead& head) {
    return std::string(redirect_target(to, head, "http", arena));
  };
  EXPECT_EQ(of("https://{host}{uri}", request.head), "https://Example.org:8080/a/b?c=d%20e");
  EXPECT_EQ(of("{scheme}://x{path}", request.head), "http://x/a/b");
  EXPECT_EQ(of("/new?{query}&x", request.head), "/new?c=d%20e&x");
  EXPECT_EQ(of("{uri}", bare.head), "/a");
  const TestRequest slashes(TestRequest::lines("GET //evil.org/a", "Host: h"));
  EXPECT_EQ(of("{path}/", slashes.head), "/evil.org/a/");
  EXPECT_EQ(of("{uri}", TestRequest(TestRequest::lines("GET /\\/evil.org", "Host: h")).head),
            "/evil.org");
  EXPECT_EQ(of("https://{host}{path}", slashes.head), "https://h//evil.org/a");
  EXPECT_EQ(of("//other{path}", slashes.head), "//other//evil.org/a");
  EXPECT_EQ(of("/x?{query}", bare.head), "/x?");
  EXPECT_EQ(of("{path}{path}", bare.head), "/a/a");
  EXPECT_EQ(of("/fixed", bare.head), "/fixed");
  // A path is not the name of a host.
  const TestRequest evil(TestRequest::lines("GET //evil.test/../../a", "Host: h"));
  const TestRequest slash(TestRequest::lines("GET /\\evil.test/../a?/evil.test", "Host: h"));
  EXPECT_EQ(of("{uri}", evil.head), "/evil.test/../../a");
  EXPECT_EQ(of("{path}", slash.head), "/evil.test/../a");
  EXPECT_EQ(of("/{query}", slash.head), "/evil.test");
  EXPECT_EQ(of("//cdn.test{path}", evil.head), "//cdn.test//evil.test/../../a");
  EXPECT_EQ(of("https://x{path}", evil.head), "https://x//evil.test/../../a");
  EXPECT_EQ(of("/{unknown}/{path", bare.head), "/{unknown}/{path");
  EXPECT_EQ(of("", bare.head), "");
}

}  // namespace
}  // namespace weir::proxy
