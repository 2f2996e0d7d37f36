// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream.h"

#include <algorithm>

#include "proxy/h1_client.h"
#include "proxy/h2_client.h"
#include "proxy/proxy_protocol.h"

namespace weir::proxy {
namespace {

constexpr int kRoomAttempts = 20;
constexpr Millis kRoomPause{5};

// On a new connection the kernel has room for it, so that this hardly ever waits.
Task<Result<void>> tell_ends(io::Stream& stream, config::ProxyProtocol version, const Ends& ends,
                             Millis timeout) {
  ProxyHeaderSpace space;
  const std::array<Bytes, 4> pieces = {make_proxy_header(version, ends, space)};
  Result<void> sent = co_await stream.send(pieces, timeout);
  co_return sent;
}

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

Upstream::Upstream(Context& context, UpstreamCounts& counts) : context_(context), counts_(counts) {}

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
  const bool other_protocol = settings_ != nullptr && settings_->protocol != settings.protocol;
  config_ = std::move(config);
  settings_ = &settings;
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
  const auto same = [&](const auto& endpoint) { return endpoint->address == address; };
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
    // Workers start at different places, so that few connections do not all go to the first server.
    endpoint->current =
        static_cast<int>(context_.random.next() % static_cast<unsigned>(settings.weight + 1));
  }
  endpoint->weight = settings.weight;
  endpoint->backup = settings.backup;
  next.push_back(std::move(endpoint));
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

// Who makes a connection has a place on it as well.
bool Upstream::place_to_come(const Endpoint& endpoint) const {
  return endpoint.waiting_count < endpoint.opening * (settings_->streams_max - 1);
}

Task<Result<void>> Upstream::await_opening(Endpoint& endpoint, OpeningWaiter& waiter) {
  endpoint.waiting.push_back(waiter);
  ++endpoint.waiting_count;
  ignore(co_await waiter.wait(connect_timeout()), "what there is then is looked at");
  if (waiter.ListNode<io::Notice>::linked()) {  // nobody has told it
    waiter.ListNode<io::Notice>::unlink();
    --endpoint.waiting_count;
    co_return fail(Code::timed_out, "a place on a connection");
  }
  if (waiter.outcome == OpeningWaiter::Outcome::failed) co_return std::unexpected(waiter.error);
  co_return Result<void>{};
}

void Upstream::opened(Endpoint& endpoint, std::optional<Error> failure) {
  --endpoint.opening;
  for (std::size_t i = 1; i < settings_->streams_max && !endpoint.waiting.empty(); ++i) {
    auto& waiter = static_cast<OpeningWaiter&>(endpoint.waiting.pop_front());
    --endpoint.waiting_count;
    using Outcome = OpeningWaiter::Outcome;
    waiter.outcome = failure ? Outcome::failed : Outcome::made;
    if (failure) waiter.error = *failure;
    waiter.give();
  }
}

Task<Result<io::Socket*>> Upstream::connect(Endpoint& endpoint, io::ConnectHandle& connecting,
                                            const Ends* ends) {
  if (ends != nullptr) {
    Result<io::Socket*> socket = co_await connect_for(endpoint, connecting, *ends);
    co_return socket;
  }
  Result<io::Socket*> socket = co_await connect_once(endpoint, connecting);
  co_return socket;
}

Task<Result<io::Socket*>> Upstream::connect_shared(Endpoint& endpoint,
                                                   io::ConnectHandle& connecting) {
  ++endpoint.opening;
  Result<io::Socket*> socket = co_await connect_once(endpoint, connecting);
  if (socket) co_return socket;
  // Who has left says nothing about the server: the next one tries.
  if (connecting.cancelled()) {
    --endpoint.opening;
    if (!endpoint.waiting.empty()) {
      endpoint.waiting.pop_front().give();
      --endpoint.waiting_count;
    }
  } else {
    opened(endpoint, socket.error());
  }
  co_return socket;
}

// Such a connection is its client's own: nobody else waits for it.
Task<Result<io::Socket*>> Upstream::connect_for(const Endpoint& endpoint,
                                                io::ConnectHandle& connecting, const Ends& ends) {
  const config::ProxyProtocol version = settings_->proxy_protocol;  // a reload may change it
  const Millis timeout = connect_timeout();
  Result<io::Socket*> socket = co_await connect_once(endpoint, connecting);
  if (!socket) co_return socket;
  io::TcpStream stream(context_.loop, *socket);
  Result<void> told = co_await tell_ends(stream, version, ends, timeout);
  if (!told) co_return fail(told.error());
  co_return stream.release();
}

Task<Result<io::Socket*>> Upstream::connect_once(const Endpoint& endpoint,
                                                 io::ConnectHandle& connecting) {
  for (int attempt = 0;; ++attempt) {
    Result<io::Socket*> socket =
        co_await io::connect(context_.loop, endpoint.address, connect_timeout(), &connecting);
    const bool none = !socket && socket.error().code == Code::no_descriptors;
    if (!none || attempt == kRoomAttempts || context_.make_room == nullptr) co_return socket;
    // What is closed may take the kernel a moment, and a newcomer may be faster. And where nothing
    // is idle now, something may end soon.
    context_.make_room(context_.make_room_self);
    co_await io::sleep_until(context_.loop, context_.loop.now() + kRoomPause);
    if (connecting.cancelled()) co_return socket;
  }
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
