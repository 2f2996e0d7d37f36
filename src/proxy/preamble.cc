// SPDX-License-Identifier: Apache-2.0
#include "proxy/preamble.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/observe.h"
#include "proxy/snapshot.h"

namespace weir::proxy {
namespace {

// At the start of a drain a silent client may be about to send: it is still waited for so long.
constexpr Millis kDrainIdle{1000};
// A new connection is not taken for an idle one for so long.
constexpr Millis kFresh{1000};
// RFC 8446 section 6: fatal, unrecognized_name.
constexpr std::string_view kUnrecognizedName{"\x15\x03\x03\x00\x02\x02\x70", 7};

/// What a failed receive means before anything is served.
Error meaning(Error error, Cause late) {
  switch (error.code) {
    case Code::timed_out: return error.as(late);
    case Code::no_memory: return error.as(Cause::overload_memory);
    case Code::malformed:
    case Code::cancelled: return error;
    case Code::closed:
    case Code::reset:
    case Code::refused:
    case Code::unreachable:
    case Code::no_descriptors:
    case Code::unresolved:
    case Code::os: return error.as(Cause::client_closed);
  }
  WEIR_UNREACHABLE("code");
}

}  // namespace

bool PreambleRules::expects_header(const io::Peer& peer) const {
  if (peer.unix_socket) return proxy_peers.unix_sockets;
  std::uint8_t address[16];
  std::memcpy(address, peer.ip.data(), sizeof address);
  return std::ranges::any_of(proxy_peers.networks,
                             [&](const config::Network& n) { return n.contains(address); });
}

std::shared_ptr<const PreambleRules> preamble_rules(
    const config::Listen& listen,
    const std::map<std::string, std::shared_ptr<Upstream>>& upstreams) {
  if (listen.proxy_protocol.empty() && listen.passthrough.empty()) return nullptr;
  using Others = PreambleRules::Others;
  const bool served = !listen.tcp_upstream.empty() || listen.serves_http();
  return std::make_shared<const PreambleRules>(
      PreambleRules{listen.proxy_protocol, Passthrough(listen.passthrough, upstreams),
                    served ? Others::served : Others::closed});
}

Preamble::Preamble(Context& context, Accepted accepted, std::shared_ptr<const PreambleRules> rules,
                   const Successor& successor)
    : context_(context),
      snapshot_(context.snapshot),
      rules_(std::move(rules)),
      successor_(successor),
      stream_(context.loop, accepted.socket),
      input_(stream_),
      peer_(accepted.peer),
      arrival_(std::move(accepted.arrival)),
      accepted_(context.loop.now()),
      accepted_wall_(context.loop.wall_time()),
      due_(accepted_ + snapshot_->config().timeouts.client_head) {
  input_.put_unread(std::move(accepted.unread));
  context_.metrics.connections_active.add();
}

Arrival& Preamble::arrival() {
  if (arrival_ == nullptr) arrival_ = std::make_unique<Arrival>();
  return *arrival_;
}

Preamble::~Preamble() { context_.metrics.connections_active.sub(); }

bool Preamble::idle() const {
  return silent_ && stream_.cancelled() == nullptr && context_.loop.now() - accepted_ >= kFresh;
}

void Preamble::drain() {
  if (!silent_) return;
  due_ = std::min(due_, context_.loop.now() + kDrainIdle);
  input_.set_deadline(kDrainIdle);
}

Task<> Preamble::run(Preamble* self) {
  Result<void> known = co_await self->serve();
  if (self->stream_.cancelled() != nullptr) known = fail(*self->stream_.cancelled());
  if (known) {
    self->make_way();
  } else {
    co_await self->refuse(known.error());
  }
  delete self;
}

Task<Result<void>> Preamble::serve() {
  input_.expect(io::Work::fresh);
  if (rules_->expects_header(peer_)) {
    Result<void> header = co_await read_header();
    if (!header) co_return header;
  }
  if (rules_->passthrough.empty()) co_return Result<void>{};
  Result<void> hello = co_await read_hello();
  co_return hello;
}

Task<Result<void>> Preamble::read_header() {
  for (;;) {
    ProxyHeader header;
    const Result<std::size_t> size = parse_proxy_header(input_.view(), header);
    if (!size) co_return fail(size.error());
    if (*size > 0) {
      input_.consume(*size);
      if (header.tells == ProxyHeader::Tells::ends) {
        peer_ = header.ends.source;
        arrival().destination = header.ends.destination;
      }
      co_return Result<void>{};
    }
    Result<void> waited = co_await more(kProxyHeaderMax + kWindowHead, Cause::proxy_header_timeout);
    if (!waited) co_return waited;
  }
}

Task<Result<void>> Preamble::read_hello() {
  for (;;) {
    tls::ClientHello hello;
    const Result<std::size_t> size = tls::parse_client_hello(input_.view(), hello);
    if (!size) {
      // Whatever it is, no entry of passthrough is for it.
      if (rules_->others == PreambleRules::Others::served) co_return Result<void>{};
      co_return fail(size.error());
    }
    if (*size > 0) {
      arrival().name = hello.name;
      arrival().rules = rules_;
      upstream_ = rules_->passthrough.match(hello);
      if (upstream_ == nullptr && rules_->others == PreambleRules::Others::closed) {
        co_return fail(Cause::passthrough_unmatched, "passthrough");
      }
      co_return Result<void>{};
    }
    Result<void> waited = co_await more(kClientHelloMax + kWindowHead, Cause::client_hello_timeout);
    if (!waited) co_return waited;
  }
}

// Waits until there are more bytes than now.
Task<Result<void>> Preamble::more(std::size_t size_max, Cause late) {
  silent_ = silent_ && input_.view().empty();
  const auto left = std::chrono::duration_cast<Millis>(due_ - context_.loop.now());
  const Millis stall = std::max(left, Millis(1));  // the time is a total
  Result<bool> came = co_await input_.more_behind(size_max, stall);
  if (!came) co_return fail(meaning(came.error(), late));
  if (!*came) co_return fail(Error{Code::closed, Cause::client_closed, 0, "preamble"});
  silent_ = false;
  co_return Result<void>{};
}

Task<> Preamble::refuse(Error why) {
  // Who comes and goes without a word, as health checks do, has asked for nothing.
  const bool nothing = silent_ && why.cause == Cause::client_closed;
  if (!nothing) log(why.cause);
  auto how = io::Stream::Close::reset;
  if (why.cause == Cause::passthrough_unmatched) {
    const std::array<Bytes, 4> pieces = {kUnrecognizedName};
    const Result<void> told =
        co_await stream_.send(pieces, snapshot_->config().timeouts.client_write);
    if (told) how = io::Stream::Close::orderly;
  }
  stream_.close(nothing ? io::Stream::Close::orderly : how);
}

// The successor takes its place in the worker's list, and may have ended when this returns.
void Preamble::make_way() {
  input_.unpin();  // of a header that was all that has come
  Accepted accepted{stream_.release(), peer_, input_.take_unread()};
  accepted.arrival = std::move(arrival_);
  Connection* next = successor_.make(successor_, std::move(accepted), std::move(upstream_));
  if (next == nullptr) return;
  ListNode<Connection>::replace_by(*next);
  if (context_.draining) next->drain();
  next->start();
}

void Preamble::log(Cause cause) {
  io::Peer::TextSpace space;
  Record record;
  record.started = accepted_wall_;
  record.protocol = "TCP";
  record.peer = &peer_;
  record.client = peer_.text_in(space);
  if (arrival_ != nullptr) record.host = arrival_->name;
  record.cause = cause;
  record.duration = context_.loop.now() - accepted_;
  observe(context_, record);
}

}  // namespace weir::proxy
