// SPDX-License-Identifier: Apache-2.0
#include "config/order.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "config/check.h"
#include "config/pattern.h"

namespace weir::config {
namespace {

struct Entry {
  Route route;
  const Node* node = nullptr;
  std::size_t sequence = 0;
};

/// Smaller is tried earlier.
using Rank = std::tuple<int, int, int, int, int, int>;

std::pair<std::string_view, std::string_view> split_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.ends_with(']')) return {host, ""};
  return {host.substr(0, colon), host.substr(colon + 1)};
}

Rank rank(const Route& route) {
  int host_class = 2, host_length = 0, port_class = 1;
  if (!route.match.hosts.empty()) {
    const auto [name, port] = split_port(route.match.hosts.front());
    const bool wildcard = name.starts_with('*');
    host_class = wildcard ? 1 : 0;
    host_length = wildcard ? -static_cast<int>(name.size()) : 0;
    port_class = port.empty() ? 1 : 0;
  }
  int path_class = 3, path_length = 0;
  if (!route.match.paths.empty()) {
    const PathMatch& path = route.match.paths.front();
    switch (path.kind) {
      case PathMatch::Kind::exact: path_class = 0; break;
      case PathMatch::Kind::regex: path_class = 1; break;
      case PathMatch::Kind::prefix:
        path_class = 2;
        path_length = -static_cast<int>(path.value.size());
        break;
      case PathMatch::Kind::any: break;
    }
  }
  const auto conditions =
      static_cast<int>(route.match.headers.size() + route.match.queries.size()) +
      (route.match.methods.empty() ? 0 : 1);
  return {host_class, host_length, port_class, path_class, path_length, -conditions};
}

std::vector<Entry> expand(std::vector<RouteDraft> drafts) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    Match& match = drafts[i].match;
    drafts[i].declared = i;
    const auto hosts = std::exchange(match.hosts, {});
    const auto paths = std::exchange(match.paths, {});
    for (std::size_t h = 0; h < std::max<std::size_t>(hosts.size(), 1); ++h) {
      for (std::size_t p = 0; p < std::max<std::size_t>(paths.size(), 1); ++p) {
        Entry& entry = entries.emplace_back(Entry{drafts[i], drafts[i].node, entries.size()});
        if (!hosts.empty()) entry.route.match.hosts = {hosts[h]};
        if (!paths.empty()) entry.route.match.paths = {paths[p]};
      }
    }
  }
  return entries;
}

bool host_covers(const Match& a, const Match& b) {
  if (a.hosts.empty()) return true;
  if (b.hosts.empty()) return false;
  const auto [a_name, a_port] = split_port(a.hosts.front());
  const auto [b_name, b_port] = split_port(b.hosts.front());
  if (!a_port.empty() && a_port != b_port) return false;
  return a_name == b_name || (a_name.starts_with('*') && b_name.ends_with(a_name.substr(1)));
}

bool matches_everything(const PathMatch& path) {
  return path.kind == PathMatch::Kind::any ||
         (path.kind == PathMatch::Kind::regex &&
          (path.value == ".*" || path.value == "/.*" || path.value == "^.*$" ||
           path.value == "^/.*$" || path.value == "^/.*" || path.value == "^.*"));
}

bool path_covers(const Match& a, const Match& b) {
  if (a.paths.empty() || matches_everything(a.paths.front())) return true;
  if (b.paths.empty()) return false;
  const PathMatch& x = a.paths.front();
  const PathMatch& y = b.paths.front();
  if (x.kind == y.kind && x.value == y.value) return true;
  if (x.kind != PathMatch::Kind::prefix || y.kind == PathMatch::Kind::regex) return false;
  return y.value == x.value || y.value.starts_with(x.value + '/');
}

bool conditions_cover(const std::vector<ValueMatch>& a, const std::vector<ValueMatch>& b) {
  return std::ranges::all_of(a, [&](const ValueMatch& x) {
    return std::ranges::any_of(b, [&](const ValueMatch& y) {
      if (x.name != y.name) return false;
      const bool present = x.kind == ValueMatch::Kind::present;
      return (present && y.kind != ValueMatch::Kind::absent) ||
             (x.kind == y.kind && x.value == y.value);
    });
  });
}

bool methods_cover(const Match& a, const Match& b) {
  if (a.methods.empty()) return true;
  return !b.methods.empty() && std::ranges::all_of(b.methods, [&](const std::string& method) {
    return std::ranges::find(a.methods, method) != a.methods.end();
  });
}

/// Whether whatever matches `b` also matches `a`.
bool covers(const Match& a, const Match& b) {
  return host_covers(a, b) && path_covers(a, b) && methods_cover(a, b) &&
         conditions_cover(a.headers, b.headers) && conditions_cover(a.queries, b.queries);
}

void warn_of_unreachable(Report& report, const std::vector<Entry>& entries) {
  for (std::size_t i = 1; i < entries.size(); ++i) {
    const auto end = entries.begin() + static_cast<std::ptrdiff_t>(i);
    const auto earlier = std::find_if(entries.begin(), end, [&](const Entry& e) {
      return e.route.declared != entries[i].route.declared &&
             covers(e.route.match, entries[i].route.match);
    });
    if (earlier == end) continue;
    const std::string what = default_route_name(entries[i].route.match);
    const bool plain = what == entries[i].route.name;
    report.warning(entries[i].node->place,
                   fmt::format("route \"{}\" can never match{}", entries[i].route.name,
                               plain ? "" : fmt::format(" {}", what)),
                   fmt::format("route \"{}\" at {} is tried before and matches all of it",
                               earlier->route.name, report.where(earlier->node->place)));
  }
}

}  // namespace

std::vector<Route> ordered_routes(Report& report, std::vector<RouteDraft> drafts) {
  std::vector<Entry> entries = expand(std::move(drafts));
  std::ranges::sort(
      entries, {}, [](const Entry& entry) { return std::pair(rank(entry.route), entry.sequence); });
  warn_of_unreachable(report, entries);
  std::vector<Route> routes;
  for (Entry& entry : entries) routes.push_back(std::move(entry.route));
  return routes;
}

std::string_view order_text() {
  return "The first route that matches is used, and the most specific are tried first:\n"
         "\n"
         "1. by host: an exact name, then the longer wildcard, then any; with a port before "
         "without,\n"
         "2. by path: exact, then a regular expression, then the longer prefix, then any,\n"
         "3. by the number of further conditions (method, each header, each query parameter), most "
         "first,\n"
         "4. by their order in the files.\n"
         "\n"
         "A route with several hosts or paths takes a place for each of them. `weir check "
         "--print` lists the routes in this order; `weir check` warns of one that can never "
         "match.\n";
}

}  // namespace weir::config
