// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream.h"

#include <algorithm>
#include <array>

#include "proxy/h1_client.h"

namespace weir::proxy {
namespace {

// Candidates looked at for one request; an upstream with more endpoints is balanced over a window.
constexpr std::size_t kCandidatesMax = 256;

}  // namespace

Endpoint::Endpoint(const io::SocketAddress& where, std::string text)
    : address(where), name(std::move(text)) {}

Endpoint::~Endpoint() { WEIR_ASSERT(idle.empty()); }

Error connect_cause(Error error) {
  switch (error.code) {
    case Code::refused: return error.as(Cause::upstream_refused);
    case Code::timed_out: return error.as(Cause::upstream_connect_timeout);
    case Code::no_descriptors: return error.as(Cause::overload_connections);
    case Code::closed:
    case Code::reset:
    case Code::cancelled:
    case Code::unreachable:
    case Code::no_memory:
    case Code::unresolved:
    case Code::malformed:
    case Code::os: return error.as(Cause::upstream_unreachable);
  }
  WEIR_UNREACHABLE("code");
}

Upstream::Upstream(Context& context, UpstreamCounts& counts)
    : context_(context), counts_(counts) {}

Upstream::~Upstream() { close_idle(); }

void Upstream::configure(std::shared_ptr<const config::Config> config,
                         const config::Upstream& settings) {
  std::vector<std::vector<io::SocketAddress>> addresses(settings.servers.size());
  // What a name resolved to before is good until the resolver says otherwise.
  for (std::size_t i = 0; i < settings.servers.size() && settings_ != nullptr; ++i) {
    for (std::size_t j = 0; j < settings_->servers.size(); ++j) {
      if (settings_->servers[j].address == settings.servers[i].address) {
        addresses[i] = addresses_[j];
      }
    }
  }
  config_ = std::move(config);
  settings_ = &settings;
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
    for (const io::SocketAddress& address : addresses_[i]) {
      const auto same = [&](const auto& endpoint) { return endpoint->address == address; };
      const auto old = std::ranges::find_if(endpoints_, same);
      auto endpoint = old != endpoints_.end()
                          ? *old
                          : std::make_shared<Endpoint>(address, address.text());
      endpoint->weight = settings_->servers[i].weight;
      endpoint->backup = settings_->servers[i].backup;
      next.push_back(std::move(endpoint));
    }
  }
  endpoints_.swap(next);
  for (const auto& old : next) {
    if (std::ranges::find(endpoints_, old) != endpoints_.end()) continue;
    old->retired = true;
    while (!old->idle.empty()) old->idle.front().discard_idle();
  }
  // Workers start at different places, so that few connections do not all go to the first server.
  for (const auto& endpoint : endpoints_) {
    endpoint->current =
        static_cast<int>(context_.random.next() % static_cast<unsigned>(endpoint->weight + 1));
  }
}

void Upstream::close_idle() {
  for (const auto& endpoint : endpoints_) {
    while (!endpoint->idle.empty()) endpoint->idle.front().discard_idle();
  }
}

std::shared_ptr<Endpoint> Upstream::pick(std::span<const Endpoint* const> tried) {
  // One endpoint is the usual case, and there is nothing to choose.
  if (endpoints_.size() == 1) return tried.empty() ? endpoints_.front() : nullptr;
  const Instant now = context_.loop.now();
  std::array<Endpoint*, kCandidatesMax> best;
  std::size_t count = 0;
  Endpoint* soonest = nullptr;
  for (const bool backup : {false, true}) {
    for (const auto& endpoint : endpoints_) {
      if (endpoint->backup != backup) continue;
      if (std::ranges::find(tried, endpoint.get()) != tried.end()) continue;
      if (endpoint->retry_at > now) {
        if (soonest == nullptr || endpoint->retry_at < soonest->retry_at) soonest = endpoint.get();
        continue;
      }
      if (count < best.size()) best[count++] = endpoint.get();
    }
    if (count > 0) break;
  }
  Endpoint* chosen = soonest;
  if (count > 0) {
    const std::span<Endpoint* const> candidates(best.data(), count);
    chosen = settings_->balance == config::Balance::round_robin ? round_robin(candidates)
                                                                : least_connections(candidates);
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
  // Begins at a random place: equal loads would otherwise always choose the first.
  const std::size_t start = context_.random.next() % candidates.size();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Endpoint* endpoint = candidates[(start + i) % candidates.size()];
    const auto load = [](const Endpoint& e) {
      return static_cast<double>(e.active + 1) / static_cast<double>(e.weight);
    };
    if (best == nullptr || load(*endpoint) < load(*best)) best = endpoint;
  }
  return best;
}

void Upstream::failed(Endpoint& endpoint, Error error) {
  counts_.connect_failures.add();
  endpoint.last_error = error;
  const int doublings = std::min(endpoint.failures++, 16);
  const Millis rest = std::min(settings_->retry_after * (1 << doublings), settings_->retry_after_max);
  endpoint.retry_at = context_.loop.now() + rest;
  // A server that does not take new connections will hardly answer on the old ones.
  while (!endpoint.idle.empty()) endpoint.idle.front().discard_idle();
}

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
