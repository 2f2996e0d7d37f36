// SPDX-License-Identifier: Apache-2.0
#include "proxy/tcp_session.h"

#include <algorithm>
#include <array>

#include "proxy/observe.h"

namespace weir::proxy {
namespace {

constexpr std::size_t kAttemptsMax = 4;

// In a tunnel every end but a proper one is that side's failure.
constexpr BodyCauses kFromClient = {Cause::tunnel_idle_timeout, Cause::client_closed,
                                    Cause::internal};
constexpr BodyCauses kFromServer = {Cause::tunnel_idle_timeout, Cause::upstream_truncated,
                                    Cause::internal};

}  // namespace

TcpSession::End::End(Context& context, Accepted accepted, const BodyCauses& causes)
    : wire(context.loop, accepted),
      stream(wire.stream()),
      input(stream),
      reader(input, wire.plain(), causes),
      writer(stream, wire.plain(), context.texts) {
  input.put_unread(std::move(accepted.unread));
}

TcpSession::TcpSession(Context& context, Accepted accepted, std::shared_ptr<Upstream> upstream)
    : context_(context),
      snapshot_(context.snapshot),
      upstream_(std::move(upstream)),
      peer_(accepted.peer),
      peer_text_(accepted.peer.text()),
      arrival_(std::move(accepted.arrival)),
      client_(context, std::move(accepted), kFromClient),
      uploads_(context.loop.queue),
      started_(context.loop.now()),
      started_wall_(context.loop.wall_time()) {
  context_.metrics.connections_active.add();
  context_.metrics.tunnels_active.add();
}

TcpSession::~TcpSession() {
  context_.metrics.tunnels_active.sub();
  context_.metrics.connections_active.sub();
}

Task<> TcpSession::run(TcpSession* self) {
  co_await self->serve();
  delete self;
}

Task<> TcpSession::serve() {
  Result<Accepted> connected = co_await connect();
  if (!connected || aborted_.where != nullptr) {
    const Error error = aborted_.where != nullptr ? aborted_ : connected.error();
    cause_ = error.cause;
    detail_ = detail_of(error);
    if (connected) Wire(context_.loop, *connected).stream().close(io::Stream::Close::reset);
    log();
    // There is no other way to tell a client that nobody serves it than to break the connection.
    client_.stream.close(io::Stream::Close::reset);
    co_return;
  }
  server_.reset(new End(context_, std::move(*connected), kFromServer));
  ++endpoint_->active;
  upstream_->counts().active.add();
  const Millis idle = snapshot_->config().timeouts.tunnel_idle;
  activity_.moved = context_.loop.now();
  for (End* end : {&client_, server_.get()}) {
    end->reader.begin_tunnel(activity_, idle);
    end->writer.begin_tunnel(activity_, idle);
  }
  uploads_.spawn(&TcpSession::upload, this);
  co_await move(*server_, client_, Cause::client_closed);
  co_await uploads_.join();
  --endpoint_->active;
  upstream_->counts().active.sub();
  log();
  // Raw bytes have no other sign that they are not all.
  const auto how = cause_ == Cause::none ? io::Stream::Close::orderly : io::Stream::Close::reset;
  client_.stream.close(how);
  server_->stream.close(how);
}

std::unique_ptr<const Ends> TcpSession::told_ends() const {
  if (!upstream_->tells_ends()) return nullptr;
  return std::make_unique<const Ends>(ends_of(client_.stream, peer_, told_of(arrival_.get())));
}

Task<Result<Accepted>> TcpSession::connect() {
  std::array<const Endpoint*, kAttemptsMax> tried{};
  for (std::size_t attempt = 0;; ++attempt) {
    if (attempt == 0) endpoint_ = upstream_->pick({});
    if (endpoint_ == nullptr) {
      co_return fail(
          upstream_->unresolved() ? Cause::upstream_unresolved : Cause::upstream_unavailable,
          "pick");
    }
    const Instant begun = context_.loop.now();
    const std::unique_ptr<const Ends> ends = told_ends();
    Result<Accepted> connected = co_await upstream_->connect(*endpoint_, connecting_, ends.get());
    if (aborted_.where != nullptr) co_return connected;
    if (connected) {
      upstream_->worked(*endpoint_);
      upstream_->counts().connects.add();
      connect_ = context_.loop.now() - begun;
      co_return connected;
    }
    // Descriptors that are wanting here say nothing about the server.
    const Error why = connected.error();
    if (why.code != Code::no_descriptors) upstream_->failed(*endpoint_, why);
    tried[attempt] = endpoint_.get();
    auto next = attempt + 1 < kAttemptsMax ? upstream_->pick({tried.data(), attempt + 1}) : nullptr;
    if (next == nullptr) co_return fail(connect_cause(why));
    endpoint_ = std::move(next);
    ++retries_;
  }
}

Task<> TcpSession::upload(TcpSession* self) {
  co_await self->move(self->client_, *self->server_, Cause::upstream_truncated);
}

Task<> TcpSession::move(End& from, End& to, Cause writer_gone) {
  const Pumped pumped = co_await pump(from.reader, to.writer, context_.loop, context_.pipes);
  if (pumped.failed == Pumped::Side::none) co_return;
  const bool reader = pumped.failed == Pumped::Side::reader;
  end(reader ? pumped.error : pumped.error.as(writer_gone));
}

void TcpSession::end(Error why) {
  if (cause_ != Cause::none) return;
  if (aborted_.where != nullptr) why = aborted_;
  cause_ = why.cause;
  detail_ = detail_of(why);
  client_.stream.cancel(why);
  if (server_ != nullptr) server_->stream.cancel(why);
}

void TcpSession::abort(Error why) {
  aborted_ = why;
  if (aborted_.where == nullptr) aborted_.where = "abort";
  connecting_.cancel(aborted_);
  if (server_ != nullptr) end(why);
}

Micros TcpSession::stall() const {
  if (cause_ != Cause::none || server_ == nullptr) return Micros(0);
  return std::max(client_.stream.send_stall(), server_->stream.send_stall());
}

void TcpSession::log() {
  Record record;
  record.started = started_wall_;
  record.protocol = "TCP";
  record.peer = &peer_;
  record.client = peer_text_;
  if (arrival_ != nullptr) record.host = arrival_->name;
  record.upstream = upstream_->name();
  record.upstream_counts = &upstream_->counts();
  if (endpoint_ != nullptr) record.server = endpoint_->name;
  record.cause = cause_;
  record.detail = detail_;
  record.retries = retries_;
  record.bytes_received = client_.reader.received();
  record.bytes_sent = client_.writer.sent();
  record.duration = context_.loop.now() - started_;
  record.connect = connect_;
  observe(context_, record);
}

}  // namespace weir::proxy
