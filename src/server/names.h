// SPDX-License-Identifier: Apache-2.0
//
// The names of servers and what they resolve to. Lives on the control loop; the resolver has a
// thread of its own and posts here.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "io/loop.h"
#include "io/resolver.h"

namespace weir::server {

/// The names of a configuration's servers.
std::set<std::string> server_names(const config::Config& config);

class Names {
 public:
  using MakeResolver = std::function<Result<std::unique_ptr<io::Resolver>>()>;
  /// `changed` is called on the loop when the addresses of a watched name have changed. `make` is
  /// called when the first name is seen.
  Names(
      io::Loop& loop, std::function<void(const std::string& name)> changed,
      MakeResolver make = [] { return io::make_resolver(); })
      : loop_(loop), changed_(std::move(changed)), make_(std::move(make)) {}

  /// Watches these names, and no others.
  void watch(const std::set<std::string>& names);
  /// At start the first answers are worth a short wait, by turning the loop; what does not resolve
  /// by then must not keep the rest from being served.
  void await_first_answers();
  /// What an address is known to be: itself, or what its name resolves to so far, with its port.
  [[nodiscard]] std::vector<io::SocketAddress> known(const config::Address& address) const;

 private:
  void resolved(const std::string& name, const io::Resolution& resolution);

  io::Loop& loop_;
  std::function<void(const std::string& name)> changed_;
  MakeResolver make_;
  std::map<std::string, io::Resolver::WatchId> watches_;
  std::set<std::string> answered_;
  std::map<std::string, std::vector<io::SocketAddress>> resolved_;  // last known, without port
  std::unique_ptr<io::Resolver>
      resolver_;  // made when the first name is seen; last, so first to go
};

}  // namespace weir::server
