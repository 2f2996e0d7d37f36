// SPDX-License-Identifier: Apache-2.0
//
// How an upstream's connections are made, and waited for where they are shared.
#include <algorithm>
#include <array>

#include "proxy/proxy_protocol.h"
#include "proxy/upstream.h"
#include "tls/client_context.h"

namespace weir::proxy {
namespace {

constexpr int kRoomAttempts = 60;
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

Error connect_cause(Error error) {
  if (error.cause != Cause::none) return error;
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

const char* detail_of(const Error& error) {
  const bool tls =
      error.cause == Cause::upstream_tls_failed || error.cause == Cause::upstream_tls_certificate;
  const bool slow = error.where == tls::kHandshakeTimedOut;
  return error.where != nullptr && (tls || slow) ? error.where : "";
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
  if (waiter.failure) co_return std::unexpected(*waiter.failure);
  co_return Result<void>{};
}

void Upstream::opened(Endpoint& endpoint, std::optional<Error> failure) {
  --endpoint.opening;
  for (std::size_t i = 1; i < settings_->streams_max && !endpoint.waiting.empty(); ++i) {
    auto& waiter = static_cast<OpeningWaiter&>(endpoint.waiting.pop_front());
    --endpoint.waiting_count;
    waiter.failure = failure;
    waiter.give();
  }
}

Task<Result<Accepted>> Upstream::connect(Endpoint& endpoint, Connecting& connecting,
                                         const Ends* ends) {
  const std::shared_ptr<tls::KnownServer> known = endpoint.known;  // a reload may change it
  if (known == nullptr && settings_->tls) {
    co_return fail(Cause::upstream_tls_failed, "its certificate files cannot be used");
  }
  const config::ProxyProtocol version = settings_->proxy_protocol;
  const Instant due = context_.loop.now() + connect_timeout();
  Result<io::Socket*> socket = co_await connect_once(endpoint, connecting.handle_);
  if (!socket) co_return fail(socket.error());
  if (ends == nullptr && known == nullptr) co_return Accepted{*socket, {}};
  io::TcpStream tcp(context_.loop, *socket);
  if (ends != nullptr) {
    const Connecting::Step step(connecting, tcp);
    Result<void> told = co_await tell_ends(tcp, version, *ends, left(due));
    if (!told) co_return fail(told.error());
  }
  if (known == nullptr) co_return Accepted{tcp.release(), {}};
  if (connecting.cancelled()) co_return fail(Code::cancelled, "connect");
  std::unique_ptr<tls::Stream> stream(new tls::Stream(known, tcp));
  const Connecting::Step step(connecting, *stream);
  Result<void> shaken = co_await stream->handshake(left(due));
  if (!shaken) co_return fail(shaken.error());
  counts_.tls_handshakes.add();
  if (stream->facts().resumed) counts_.tls_resumed.add();
  co_return Accepted{tcp.release(), {}, {}, std::move(stream)};
}

Millis Upstream::left(Instant due) const {
  const auto left = std::chrono::duration_cast<Millis>(due - context_.loop.now());
  return std::max(left, Millis(1));
}

Task<Result<Accepted>> Upstream::connect_shared(Endpoint& endpoint, Connecting& connecting) {
  ++endpoint.opening;
  Result<Accepted> connected = co_await connect(endpoint, connecting, nullptr);
  if (connected) co_return connected;
  // Who has left says nothing about the server: the first of those who wait tries.
  const bool left = connecting.cancelled();
  opened(endpoint, left ? std::nullopt : std::optional(connected.error()));
  co_return connected;
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

}  // namespace weir::proxy
