// SPDX-License-Identifier: Apache-2.0
#include "proxy/router.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <optional>

#include "http/chars.h"
#include "http/uri.h"

namespace weir::proxy {
namespace {

std::size_t conditions(const config::Match& match) {
  return (match.methods.empty() ? 0 : 1) + match.headers.size() + match.queries.size();
}

bool full_match(std::string_view text, const re2::RE2& regex) {
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), regex);
}

bool value_holds(const config::ValueMatch& rule, std::optional<std::string_view> value) {
  using Kind = config::ValueMatch::Kind;
  switch (rule.kind) {
    case Kind::present: return value.has_value();
    case Kind::absent: return !value.has_value();
    case Kind::exact: return value == rule.value;
    case Kind::regex: return value && full_match(*value, *rule.regex);
  }
  return false;
}

// The names by which a host is looked up, in lower case and without a heap: "host:port", of which
// the host is the front. A name is at most 253 bytes long (RFC 1035); what is longer is no name of
// a rule, but its end may be.
class HostKey {
 public:
  explicit HostKey(std::string_view authority) {
    const std::size_t bracket = authority.rfind(']');
    const std::size_t colon = authority.rfind(':');
    const bool has_port =
        colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
    std::string_view host = has_port ? authority.substr(0, colon) : authority;
    std::string_view port = has_port ? authority.substr(colon + 1) : std::string_view{};
    if (port.empty()) port = "80";  // what an authority without one means
    const bool shortened = host.size() > kHostMax;
    if (shortened) host.remove_prefix(host.size() - kHostMax);
    port = port.substr(0, kPortMax);
    char* end = copy_host(host, text_.data());
    // "example.com." is example.com, written in full.
    if (end != text_.data() && end[-1] == '.') --end;
    *end = ':';
    char* const port_end = std::ranges::copy(port, end + 1).out;
    if (shortened) text_[0] = ' ';  // so that the whole is in no rule
    host_ = {text_.data(), end};
    with_port_ = {text_.data(), port_end};
  }
  [[nodiscard]] std::string_view host() const { return host_; }
  [[nodiscard]] std::string_view with_port() const { return with_port_; }

 private:
  // In lower case, and escapes as the letters for which they stand. RFC 3986 section 6.2.2.
  static char* copy_host(std::string_view host, char* to) {
    for (std::size_t i = 0; i < host.size(); ++i) {
      char c = host[i];
      if (c == '%' && i + 2 < host.size()) {
        const int high = http::hex_value(host[i + 1]);
        const int low = http::hex_value(host[i + 2]);
        const int byte = high >= 0 && low >= 0 ? high * 16 + low : 0;
        if (http::is(static_cast<char>(byte), http::kUnreserved)) {
          c = static_cast<char>(byte);
          i += 2;
        }
      }
      *to++ = ascii_lower(c);
    }
    return to;
  }

  static constexpr std::size_t kHostMax = 255;
  static constexpr std::size_t kPortMax = 5;
  std::array<char, kHostMax + 1 + kPortMax> text_;
  std::string_view host_;
  std::string_view with_port_;
};

}  // namespace

Router::Router(const config::Config& config) : config_(config) {
  static const config::PathMatch kAnyPath;
  for (std::uint32_t i = 0; i < config.routes.size(); ++i) {
    const config::Match& match = config.routes[i].match;
    const auto add_paths = [&](Paths& paths) {
      if (match.paths.empty()) add(paths, kAnyPath, i);
      for (const config::PathMatch& path : match.paths) add(paths, path, i);
    };
    if (match.hosts.empty()) add_paths(any_host_);
    for (const std::string& host : match.hosts) {
      if (host == "*") {
        add_paths(any_host_);
      } else if (host.starts_with("*.")) {
        add_paths(wildcards_[host.substr(2)]);
      } else {
        add_paths(hosts_[host]);
      }
    }
  }
  sort_all();
}

void Router::add(Paths& paths, const config::PathMatch& path, std::uint32_t route) const {
  using Kind = config::PathMatch::Kind;
  switch (path.kind) {
    case Kind::any: paths.any.push_back(route); break;
    case Kind::exact: paths.exact[path.value].push_back(route); break;
    case Kind::prefix: paths.prefix[path.value].push_back(route); break;
    case Kind::regex: paths.regex.push_back({path.regex.get(), route}); break;
  }
}

void Router::sort_all() {
  const auto more_conditions = [this](std::uint32_t a, std::uint32_t b) {
    const std::size_t of_a = conditions(config_.routes[a].match);
    const std::size_t of_b = conditions(config_.routes[b].match);
    return of_a != of_b ? of_a > of_b : a < b;  // then by order in the file
  };
  const auto sort_paths = [&](Paths& paths) {
    for (auto& [value, routes] : paths.exact) std::ranges::sort(routes, more_conditions);
    for (auto& [value, routes] : paths.prefix) std::ranges::sort(routes, more_conditions);
    std::ranges::sort(paths.any, more_conditions);
    std::ranges::sort(paths.regex, more_conditions, &Expression::route);
  };
  for (auto& [host, paths] : hosts_) sort_paths(paths);
  for (auto& [host, paths] : wildcards_) sort_paths(paths);
  sort_paths(any_host_);
}

int Router::match(const http::RequestHead& head, std::string_view path) const {
  if (!hosts_.empty() || !wildcards_.empty()) {
    const HostKey key(head.authority);
    const std::string_view host = key.host();
    const auto try_host = [&](std::string_view name) {
      const auto found = hosts_.find(name);
      return found == hosts_.end() ? -1 : match_paths(found->second, head, path);
    };
    // A rule with a port means that port only.
    if (const int route = try_host(key.with_port()); route >= 0) return route;
    if (const int route = try_host(host); route >= 0) return route;
    for (std::size_t dot = host.find('.'); dot != std::string_view::npos;
         dot = host.find('.', dot + 1)) {
      const auto found = wildcards_.find(host.substr(dot + 1));
      if (found == wildcards_.end()) continue;
      if (const int route = match_paths(found->second, head, path); route >= 0) return route;
    }
  }
  return match_paths(any_host_, head, path);
}

int Router::match_paths(const Paths& paths, const http::RequestHead& head,
                        std::string_view path) const {
  if (!paths.exact.empty()) {
    if (const auto found = paths.exact.find(path); found != paths.exact.end()) {
      if (const int route = first(found->second, head); route >= 0) return route;
    }
  }
  for (const Expression& expression : paths.regex) {
    if (full_match(path, *expression.regex) &&
        conditions_hold(config_.routes[expression.route].match, head)) {
      return static_cast<int>(expression.route);
    }
  }
  if (!paths.prefix.empty()) {
    // Whole segments only: "/api" covers "/api" and "/api/x", not "/apix".
    for (std::string_view prefix = path;;) {
      if (const auto found = paths.prefix.find(prefix); found != paths.prefix.end()) {
        if (const int route = first(found->second, head); route >= 0) return route;
      }
      const std::size_t slash = prefix.rfind('/');
      if (slash == std::string_view::npos) break;
      prefix = prefix.substr(0, slash);
    }
  }
  return first(paths.any, head);
}

int Router::first(const Indexes& routes, const http::RequestHead& head) const {
  for (const std::uint32_t route : routes) {
    if (conditions_hold(config_.routes[route].match, head)) return static_cast<int>(route);
  }
  return -1;
}

bool Router::conditions_hold(const config::Match& match, const http::RequestHead& head) const {
  if (!match.methods.empty() &&
      std::ranges::find(match.methods, head.method_name) == match.methods.end()) {
    return false;
  }
  for (const config::ValueMatch& rule : match.headers) {
    const http::Field* field = head.fields.find(rule.name);
    const auto value = field != nullptr ? std::optional(field->value) : std::nullopt;
    if (!value_holds(rule, value)) return false;
  }
  std::string decoded;
  for (const config::ValueMatch& rule : match.queries) {
    if (!value_holds(rule, http::query_value(head.query, rule.name, decoded))) return false;
  }
  return true;
}

}  // namespace weir::proxy
