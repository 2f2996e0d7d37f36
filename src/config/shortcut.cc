// SPDX-License-Identifier: Apache-2.0
#include "config/shortcut.h"

#include <algorithm>
#include <utility>

#include "config/load.h"

namespace weir::config {

std::expected<std::shared_ptr<const Config>, Complaint> proxy_config(
    std::string_view listen, const std::vector<std::string_view>& servers) {
  auto config = std::make_shared<Config>();
  auto address = parse_address(listen, AddressUse::listen);
  if (!address) return std::unexpected(std::move(address.error()));
  config->listens.emplace_back().address = *std::move(address);

  Upstream& upstream = config->upstreams.emplace_back();
  upstream.name = "app";
  for (const std::string_view text : servers) {
    auto server = parse_address(text, AddressUse::server);
    if (!server) return std::unexpected(std::move(server.error()));
    upstream.servers.emplace_back().address = *std::move(server);
  }
  const auto secured = [](const Server& server) {
    return server.address.scheme == Address::Scheme::https;
  };
  if (std::ranges::any_of(upstream.servers, secured)) {
    if (!std::ranges::all_of(upstream.servers, secured)) {
      return std::unexpected(
          Complaint{"some servers have https:// and others do not", "give it to all of them"});
    }
    upstream.tls.emplace();
  }
  if (upstream.servers.empty()) {
    return std::unexpected(
        Complaint{"there is no server to pass requests to", "weir proxy :8080 localhost:3000"});
  }

  Route& route = config->routes.emplace_back();
  route.name = "*";
  route.upstream = upstream.name;
  config->admin.address = default_admin_address();
  return config;
}

}  // namespace weir::config
