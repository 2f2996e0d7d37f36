// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream.h"

#include <algorithm>

#include "proxy/h1_client.h"
#include "proxy/h2_client.h"
#include "tls/client_context.h"

namespace weir::proxy {

Endpoint::Endpoint(const io::SocketAddress& where, std::string text)
    : address(where), name(std::move(text)) {}

Endpoint::~Endpoint() { WEIR_ASSERT(idle.empty()); }

bool Endpoint::would_make(const Wire& wire) const {
  const tls::Context* made = wire.tls() == nullptr ? nullptr : &wire.tls()->context();
  return made == (known == nullptr ? nullptr : known->context.get());
}

Upstream::Upstream(Context& context, UpstreamCounts& counts) : context_(context), counts_(counts) {}

Upstream::~Upstream() { close_idle(); }

void Upstream::configure(std::shared_ptr<const config::Config> config,
                         const config::Upstream& settings,
                         std::shared_ptr<const tls::ClientContext> tls) {
  std::vector<std::vector<io::SocketAddress>> addresses(settings.servers.size());
  // What a name resolved to before is good until the resolver says otherwise.
  for (std::size_t i = 0; i < settings.servers.size() && settings_ != nullptr; ++i) {
    for (std::size_t j = 0; j < settings_->servers.size(); ++j) {
      if (settings_->servers[j].address == settings.servers[i].address) {
        addresses[i] = addresses_[j];
      }
    }
  }
  const bool other_protocol =
      settings_ != nullptr && (settings_->protocol != settings.protocol || tls_ != tls ||
                               settings_->tls.has_value() != settings.tls.has_value());
  config_ = std::move(config);
  settings_ = &settings;
  tls_ = std::move(tls);
  if (other_protocol) close_idle();
  addresses_ = std::move(addresses);
  rebuild();
}

void Upstream::set_addresses(std::size_t server, const std::vector<io::SocketAddress>& addresses) {
  WEIR_ASSERT(server < addresses_.size());
  if (addresses_[server] == addresses) return;
  addresses_[server] = addresses;
  rebuild();
}

void Upstream::rebuild() {
  std::vector<std::shared_ptr<Endpoint>> next;
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    for (const io::SocketAddress& address : addresses_[i]) add_endpoint(next, address, i);
  }
  endpoints_.swap(next);
  for (const auto& old : next) {
    if (std::ranges::find(endpoints_, old) != endpoints_.end()) continue;
    old->retired = true;
    drop_kept(*old);
  }
  candidates_.reserve(endpoints_.size());
}

void Upstream::add_endpoint(std::vector<std::shared_ptr<Endpoint>>& next,
                            const io::SocketAddress& address, std::size_t server) {
  const config::Server& settings = settings_->servers[server];
  const std::string name = verified_name(settings);
  const auto same = [&](const auto& endpoint) {
    return endpoint->address == address && endpoint->verified_name == name;
  };
  if (const auto twin = std::ranges::find_if(next, same); twin != next.end()) {
    // Two names of one address are one server; a backup only if both are.
    (*twin)->backup = (*twin)->backup && settings.backup;
    return;
  }
  const auto old = std::ranges::find_if(endpoints_, same);
  std::shared_ptr<Endpoint> endpoint;
  if (old != endpoints_.end()) {
    endpoint = *old;
  } else {
    endpoint = std::make_shared<Endpoint>(address, address.text());
    endpoint->verified_name = name;
    // Workers start at different places, so that few connections do not all go to the first server.
    endpoint->current =
        static_cast<int>(context_.random.next() % static_cast<unsigned>(settings.weight + 1));
  }
  endpoint->weight = settings.weight;
  endpoint->backup = settings.backup;
  const bool known = endpoint->known != nullptr && endpoint->known->context == tls_;
  if (!known) {
    endpoint->known = tls_ == nullptr ? nullptr : std::make_shared<tls::KnownServer>(name, tls_);
  }
  next.push_back(std::move(endpoint));
}

// "": it is not verified, for TLS is not spoken.
std::string Upstream::verified_name(const config::Server& server) const {
  if (!settings_->tls) return "";
  std::string name = settings_->tls->name.empty() ? server.address.host : settings_->tls->name;
  if (name.ends_with('.')) name.pop_back();  // RFC 6066 section 3
  return name;
}

void Upstream::close_idle() {
  for (const auto& endpoint : endpoints_) drop_kept(*endpoint);
}

// Shared connections end when what is under way on them has.
void Upstream::drop_kept(Endpoint& endpoint) {
  while (!endpoint.idle.empty()) endpoint.idle.front().discard_idle();
  endpoint.shared.for_each([](H2Client& client) { client.retire(); });
}

bool Upstream::shed_idle() {
  for (const auto& endpoint : endpoints_) {
    if (!endpoint->idle.empty()) {
      endpoint->idle.back().discard_idle();
      return true;
    }
    if (H2Client::retire_idle(*endpoint)) return true;
  }
  return false;
}

std::shared_ptr<Endpoint> Upstream::pick(std::span<const Endpoint* const> tried) {
  // One endpoint is the usual case, and there is nothing to choose.
  if (endpoints_.size() == 1) return tried.empty() ? endpoints_.front() : nullptr;
  const Instant now = context_.loop.now();
  Endpoint* soonest = nullptr;
  candidates_.clear();
  for (const bool backup : {false, true}) {
    for (const auto& endpoint : endpoints_) {
      if (endpoint->backup != backup) continue;
      if (std::ranges::find(tried, endpoint.get()) != tried.end()) continue;
      if (endpoint->retry_at > now) {
        if (soonest == nullptr || endpoint->retry_at < soonest->retry_at) soonest = endpoint.get();
        continue;
      }
      candidates_.push_back(endpoint.get());
    }
    if (!candidates_.empty()) break;
  }
  Endpoint* chosen = soonest;
  if (!candidates_.empty()) {
    chosen = settings_->balance == config::Balance::round_robin ? round_robin(candidates_)
                                                                : least_connections(candidates_);
  }
  const auto same = [&](const auto& endpoint) { return endpoint.get() == chosen; };
  return chosen == nullptr ? nullptr : *std::ranges::find_if(endpoints_, same);
}

// Smooth: a weight of 5 beside 1 and 1 gives a a b a c a a, not a a a a a b c.
Endpoint* Upstream::round_robin(std::span<Endpoint* const> candidates) {
  int total = 0;
  Endpoint* best = nullptr;
  for (Endpoint* endpoint : candidates) {
    endpoint->current += endpoint->weight;
    total += endpoint->weight;
    if (best == nullptr || endpoint->current > best->current) best = endpoint;
  }
  best->current -= total;
  return best;
}

Endpoint* Upstream::least_connections(std::span<Endpoint* const> candidates) {
  Endpoint* best = nullptr;
  // Begins one further each time: equal loads take turns.
  const std::size_t start = turn_++ % candidates.size();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Endpoint* endpoint = candidates[(start + i) % candidates.size()];
    const auto load = [](const Endpoint& e) {
      return static_cast<double>(e.active + 1) / static_cast<double>(e.weight);
    };
    if (best == nullptr || load(*endpoint) < load(*best)) best = endpoint;
  }
  return best;
}

std::vector<std::string> Upstream::unresolved_servers() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    if (addresses_[i].empty()) names.push_back(settings_->servers[i].address.text());
  }
  return names;
}

void Upstream::failed(Endpoint& endpoint, Error error) {
  counts_.connect_failures.add();
  endpoint.last_error = error;
  const int doublings = std::min(endpoint.failures++, 16);
  const Millis rest =
      std::min(settings_->retry_after * (1 << doublings), settings_->retry_after_max);
  endpoint.retry_at = context_.loop.now() + rest;
  // A server that does not take new connections will hardly answer on the old ones.
  vanished(endpoint);
}

void Upstream::vanished(Endpoint& endpoint) { drop_kept(endpoint); }

void Upstream::worked(Endpoint& endpoint) {
  endpoint.failures = 0;
  endpoint.retry_at = Instant{};
}

Millis Upstream::connect_timeout() const {
  return settings_->connect_timeout.value_or(config_->timeouts.upstream_connect);
}

Millis Upstream::head_timeout() const {
  return settings_->head_timeout.value_or(config_->timeouts.upstream_head);
}

http::HeadLimits Upstream::head_limits() const {
  return {config_->limits.head_size, config_->limits.head_fields, config_->limits.target_size};
}

}  // namespace weir::proxy
