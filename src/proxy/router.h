// SPDX-License-Identifier: Apache-2.0
//
// Which route answers a request. Built once per configuration, read-only afterwards and shared by
// all workers. The most specific match wins: by host (exact, then the longest wildcard, then any),
// then by path (exact, expression, longest prefix, any), then by the number of further conditions,
// then by order in the file. Finding it costs hash look-ups, however many routes there are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/config.h"
#include "http/head.h"

namespace weir::proxy {

class Router {
 public:
  explicit Router(const config::Config& config);

  /// The index in Config::routes, or -1. `path` is the normalised path of the request.
  [[nodiscard]] int match(const http::RequestHead& head, std::string_view path) const;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  template <class T>
  using Map = std::unordered_map<std::string, T, Hash, std::equal_to<>>;
  using Indexes = std::vector<std::uint32_t>;  // in the order in which they are tried
  struct Expression {
    const re2::RE2* regex;
    std::uint32_t route;
  };
  /// The routes of one host.
  struct Paths {
    Map<Indexes> exact;
    std::vector<Expression> regex;
    Map<Indexes> prefix;
    Indexes any;
  };

  void add(Paths& paths, const config::PathMatch& path, std::uint32_t route) const;
  void sort_all();
  [[nodiscard]] int match_paths(const Paths& paths, const http::RequestHead& head,
                                std::string_view path) const;
  [[nodiscard]] int first(const Indexes& routes, const http::RequestHead& head) const;
  [[nodiscard]] bool conditions_hold(const config::Match& match,
                                     const http::RequestHead& head) const;

  const config::Config& config_;
  Map<Paths> hosts_;      // "example.com" and "example.com:8443"
  Map<Paths> wildcards_;  // of "*.example.com": "example.com"
  Paths any_host_;
};

}  // namespace weir::proxy
