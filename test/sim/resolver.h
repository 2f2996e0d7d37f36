// SPDX-License-Identifier: Apache-2.0
//
// Names whose addresses change, and a resolver that is slow and fails, on the virtual clock.
#pragma once

#include <map>

#include "io/loop.h"
#include "io/resolver.h"
#include "swarm.h"

namespace weir::sim {

/// "sN.test" is one or more of the addresses of servers, and from time to time others.
class SimResolver final : public io::Resolver {
 public:
  SimResolver(io::Loop& loop, const Swarm& swarm, std::uint64_t seed, std::size_t servers)
      : loop_(loop), swarm_(swarm), draw_(seed), servers_(servers) {}

  WatchId watch(const std::string& name, Callback callback) override;
  void unwatch(WatchId watch) override { watches_.erase(watch); }

 private:
  struct Watch : io::Timer {
    SimResolver* self = nullptr;
    Callback callback;
    io::Resolution last;
    bool answered = false;
  };
  static void fire(io::Timer& timer);
  void ask(Watch& watch);
  std::vector<io::SocketAddress> draw_addresses();

  io::Loop& loop_;
  const Swarm& swarm_;
  Draw draw_;
  std::size_t servers_;
  WatchId next_ = 1;
  std::map<WatchId, Watch> watches_;
};

/// Where the server with this number listens.
std::string server_ip(std::size_t server);

}  // namespace weir::sim
