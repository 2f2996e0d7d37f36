// SPDX-License-Identifier: Apache-2.0
#include "resolver.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::sim {
namespace {

constexpr Millis kRetry{500};

}  // namespace

std::string server_ip(std::size_t server) { return fmt::format("10.0.0.{}", server + 1); }

io::Resolver::WatchId SimResolver::watch(const std::string&, Callback callback) {
  const WatchId id = next_++;
  Watch& watch = watches_[id];
  watch.fire = &SimResolver::fire;
  watch.self = this;
  watch.callback = std::move(callback);
  loop_.timers().arm(watch, loop_.now() + swarm_.resolver_slow);
  return id;
}

void SimResolver::fire(io::Timer& timer) {
  auto& watch = static_cast<Watch&>(timer);
  watch.self->ask(watch);
}

std::vector<io::SocketAddress> SimResolver::draw_addresses() {
  std::vector<io::SocketAddress> all;
  for (std::size_t i = 0; i < servers_; ++i) {
    if (draw_.chance(0.5)) all.push_back(*io::SocketAddress::from_ip(server_ip(i).c_str(), 0));
  }
  if (all.empty()) {
    all.push_back(*io::SocketAddress::from_ip(server_ip(draw_.below(servers_)).c_str(), 0));
  }
  return all;
}

void SimResolver::ask(Watch& watch) {
  if (draw_.chance(swarm_.resolver_fails)) {
    const bool told = watch.last.error.has_value();
    watch.last.error = Error{Code::unresolved, Cause::none, 0, "sim"};
    loop_.timers().arm(watch, loop_.now() + kRetry + swarm_.resolver_slow);
    if (!told) watch.callback(watch.last);
    return;
  }
  io::Resolution now;
  now.addresses = watch.answered && swarm_.resolver_changes.count() == 0 ? watch.last.addresses
                                                                         : draw_addresses();
  const bool news = !watch.answered || watch.last.error || now.addresses != watch.last.addresses;
  watch.last = now;
  watch.answered = true;
  if (swarm_.resolver_changes.count() > 0) {
    loop_.timers().arm(watch, loop_.now() + swarm_.resolver_changes + swarm_.resolver_slow);
  }
  if (news) watch.callback(watch.last);
}

}  // namespace weir::sim
