// SPDX-License-Identifier: Apache-2.0
#include "server/names.h"

#include "io/select_backend.h"
#include "server/diagnostics.h"
#include "server/listening.h"

namespace weir::server {
namespace {

constexpr Millis kFirstAnswers{1000};
constexpr Millis kLook{5};

}  // namespace

std::set<std::string> server_names(const config::Config& config) {
  std::set<std::string> names;
  for (const config::Upstream& upstream : config.upstreams) {
    for (const config::Server& server : upstream.servers) {
      if (server.address.kind == config::Address::Kind::name) names.insert(server.address.host);
    }
  }
  return names;
}

void Names::watch(const std::set<std::string>& names) {
  std::map<std::string, io::Resolver::WatchId> kept;
  for (const std::string& name : names) {
    if (const auto old = watches_.find(name); old != watches_.end()) {
      kept.insert(*old);
      continue;
    }
    if (resolver_ == nullptr) {
      Result<std::unique_ptr<io::Resolver>> made = make_();
      if (!made) {
        log_error("names cannot be resolved: {}", io::describe(made.error()));
        return;
      }
      resolver_ = std::move(*made);
    }
    kept[name] = resolver_->watch(name, [this, name](const io::Resolution& resolution) {
      loop_.post([this, name, resolution] { resolved(name, resolution); });
    });
  }
  for (const auto& [name, watch] : watches_) {
    if (kept.contains(name)) continue;
    resolver_->unwatch(watch);
    resolved_.erase(name);
  }
  watches_ = std::move(kept);
}

void Names::await_first_answers() {
  const Instant until = loop_.now() + kFirstAnswers;
  while (answered_.size() < watches_.size() && loop_.now() < until) {
    loop_.turn(loop_.now() + kLook);  // an answer is a message, which does not end a wait
  }
}

void Names::resolved(const std::string& name, const io::Resolution& resolution) {
  answered_.insert(name);
  if (resolution.error) {
    log_warn("{} does not resolve: {}{}", name, weir::name(resolution.error->code),
             resolution.addresses.empty() ? "" : "; its last addresses stay in use");
  }
  if (resolution.addresses.empty() || !watches_.contains(name)) return;
  resolved_[name] = resolution.addresses;
  changed_(name);
}

std::vector<io::SocketAddress> Names::known(const config::Address& address) const {
  if (address.kind != config::Address::Kind::name) {
    const Result<io::SocketAddress> literal = listen_address(address);
    return literal ? std::vector{*literal} : std::vector<io::SocketAddress>{};
  }
  const auto found = resolved_.find(address.host);
  if (found == resolved_.end()) return {};
  std::vector<io::SocketAddress> addresses = found->second;
  for (io::SocketAddress& each : addresses) each.set_port(address.port);
  return addresses;
}

}  // namespace weir::server
