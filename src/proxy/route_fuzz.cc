// SPDX-License-Identifier: Apache-2.0
//
// Request heads through routes and their request steps: the route does not depend on how the path
// is spelt; what the server is asked for stays below the prefix that is added; nothing that a
// stranger claims about himself reaches the server; a redirect names no host of the client's
// choice.
#include <algorithm>

#include "config/load.h"
#include "http/encode.h"
#include "http/h1_parse.h"
#include "http/head_for_test.h"
#include "http/strict_for_test.h"
#include "http/uri.h"
#include "proxy/request_steps.h"
#include "proxy/router.h"

using namespace weir;
using namespace weir::proxy;

namespace {

constexpr std::string_view kConfig = R"(
[[listen]]
address = ":8080"
[upstream.app]
servers = ["127.0.0.1:80"]
[[route]]
match = { path = "/tenant/**" }
upstream = "app"
add_prefix = "/below"
[[route]]
match = { path = "/api/**" }
upstream = "app"
strip_prefix = "/api"
add_prefix = "/v1"
request_headers = { set = { X-Added = "yes" }, remove = ["Cookie"] }
[[route]]
match = { path = "/old/**", header = { X-Old = true }, query = { a = "1" } }
upstream = "app"
rewrite = { regex = "^/old/(.*)$", to = "/new/\\1" }
[[route]]
match = { path = "~/[a-z]+/x", host = ["*.b.test", "a"], method = "GET" }
upstream = "app"
[[route]]
match = { path = "/moved/**" }
redirect = "{uri}"
[[route]]
match = { path = "/admin/**" }
respond = 403
[[route]]
upstream = "app"
add_prefix = "/rest"
)";

struct Lasting {
  std::shared_ptr<const config::Config> config = config::load_text(kConfig, "fuzz.toml").config;
  Router router{*config};
};

const Lasting& lasting() {
  static const Lasting kLasting;
  return kLasting;
}

int route_of(const http::RequestHead& head, std::string_view path) {
  std::string space;
  return lasting().router.match(head, http::normalize_path(path, space));
}

// Escapes of letters and segments that lead nowhere change nothing.
void check_spellings(const http::RequestHead& head) {
  if (!head.path.starts_with('/')) return;
  const int route = route_of(head, head.path);
  const std::string path(head.path);
  WEIR_ASSERT(route_of(head, "/." + path) == route);
  WEIR_ASSERT(route_of(head, "/x/.." + path) == route);
  WEIR_ASSERT(route_of(head, "/%2E%2e" + path) == route);
  for (std::size_t i = 1; i < path.size() && i < 20; ++i) {
    if (std::isalpha(static_cast<unsigned char>(path[i])) == 0) continue;
    const bool escape = path[i - 1] == '%' || (i > 1 && path[i - 2] == '%');
    if (escape) continue;
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string other = path.substr(0, i) + '%';
    other += kHex[static_cast<std::size_t>(path[i] >> 4)];
    other += kHex[static_cast<std::size_t>(path[i] & 15)];
    WEIR_ASSERT(route_of(head, other + path.substr(i + 1)) == route);
  }
}

void check_target(const http::RequestHead& head, const config::Route& route,
                  std::string_view target) {
  if (!head.path.starts_with('/')) {
    WEIR_ASSERT(target == "*");
    return;
  }
  WEIR_ASSERT(target.starts_with('/'));
  const std::size_t mark = std::min(target.find('?'), target.size());
  WEIR_ASSERT(target.substr(std::min(mark + 1, target.size())) == head.query);
  std::string space;
  const std::string_view path = http::normalize_path(target.substr(0, mark), space);
  const std::string& below = route.rewrite.add_prefix;
  WEIR_ASSERT(path.starts_with(below));
  WEIR_ASSERT(below.empty() || path[below.size()] == '/');
}

void check_claims(const http::Strict& sent, const http::RequestHead& head) {
  const auto only = [&](std::string_view name, std::string_view value) {
    const auto all = sent.all(name);
    WEIR_ASSERT(all.size() == 1 && all[0] == value);
  };
  only("x-forwarded-for", "192.0.2.1");
  only("x-forwarded-proto", "http");
  if (!head.authority.empty()) only("x-forwarded-host", head.authority);
  if (head.authority.empty()) WEIR_ASSERT(sent.all("x-forwarded-host").empty());
  WEIR_ASSERT(sent.all("forwarded").empty());
  WEIR_ASSERT(sent.all("x-request-id").size() == 1 && sent.all("x-request-id")[0].size() == 32);
  WEIR_ASSERT(sent.all("via").back().ends_with(" weir"));
}

void check_request(const http::RequestHead& head, const config::Route& route) {
  RouteEntry entry;
  entry.settings = &route;
  entry.request_edits = edits_of(route.request_headers);
  ClientFacts client;
  client.peer.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  client.peer_text = "192.0.2.1";
  Arena arena;
  Random random(1);
  const RequestSteps steps =
      run_request_steps(head, client, entry, *lasting().config, random, arena);
  check_target(head, route, steps.target);
  std::string out;
  http::encode_request(out, head, steps.target, steps.edits, {.body = head.body});
  const http::Strict sent = http::read_strict(out, http::Strict::Kind::request);
  WEIR_ASSERT(sent.head == http::Strict::State::whole && sent.head_size == out.size());
  WEIR_ASSERT(sent.target() == steps.target);
  check_claims(sent, head);
}

void check_redirect(const http::RequestHead& head, const config::Redirect& redirect) {
  Arena arena;
  const std::string_view to = redirect_target(redirect.to, head, "http", arena);
  WEIR_ASSERT(to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\"));
  WEIR_ASSERT(http::strict::visible(to));
}

void check(std::string_view bytes) {
  http::RequestHead head;
  std::size_t scanned = 0;
  if (http::parse_request_head(bytes, {}, scanned, head).value_or(0) == 0) return;
  check_spellings(head);
  const int index = route_of(head, head.path);
  if (index < 0) return;
  const config::Route& route = lasting().config->routes[static_cast<std::size_t>(index)];
  if (!route.upstream.empty()) check_request(head, route);
  if (route.redirect) check_redirect(head, *route.redirect);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const http::ExactBytes bytes({reinterpret_cast<const char*>(data), size});
  check(bytes.view);
  return 0;
}
