// SPDX-License-Identifier: Apache-2.0
//
// A configuration as one worker runs it: routes joined with their upstreams and counters. An
// exchange keeps the snapshot it began with; upstreams (pools, health) are shared between
// snapshots.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "http/encode.h"
#include "proxy/router.h"
#include "proxy/upstream.h"

namespace weir::proxy {

struct PreambleRules;

/// A route and what it needs at hand.
struct RouteEntry {
  const config::Route* settings = nullptr;  ///< nullptr: no route matched
  std::shared_ptr<Upstream> upstream;       ///< for routes that have one
  RouteCounts* counts = nullptr;
  std::uint16_t index = 0;
  std::vector<http::HeadEdit> request_edits;  ///< views of the settings
  std::vector<http::HeadEdit> response_edits;
};

class Snapshot {
 public:
  Snapshot(std::shared_ptr<const config::Config> config, std::shared_ptr<const Router> router)
      : config_(std::move(config)), router_(std::move(router)) {}

  [[nodiscard]] const config::Config& config() const { return *config_; }
  [[nodiscard]] const std::shared_ptr<const config::Config>& shared_config() const {
    return config_;
  }
  [[nodiscard]] http::HeadLimits head_limits() const {
    return {config_->limits.head_size, config_->limits.head_fields, config_->limits.target_size};
  }
  /// The route of a request; the entry for "none" when nothing matches.
  [[nodiscard]] const RouteEntry& route(const http::RequestHead& head,
                                        std::string_view path) const {
    const int index = router_->match(head, path);
    return index < 0 ? none : routes[static_cast<std::size_t>(index)];
  }

  std::vector<RouteEntry> routes;  ///< as Config::routes
  RouteEntry none;
  // As Config::listens.
  std::vector<std::shared_ptr<Upstream>> tcp_upstreams;         ///< null for HTTP
  std::vector<std::shared_ptr<const PreambleRules>> preambles;  ///< null: nothing is known first

 private:
  std::shared_ptr<const config::Config> config_;
  std::shared_ptr<const Router> router_;
};

/// The configured header rules as edits; views of `rules`.
std::vector<http::HeadEdit> edits_of(const std::vector<config::HeaderRule>& rules);

}  // namespace weir::proxy
