// SPDX-License-Identifier: Apache-2.0
#include "proxy/tls_accept.h"

#include <fmt/format.h>

#include <string>

#include "http/encode.h"
#include "proxy/h1_server.h"
#include "proxy/h2_server.h"
#include "proxy/observe.h"
#include "proxy/tcp_session.h"
#include "tls/server_context.h"

namespace weir::proxy {
namespace {

// One that is slower than this may make room for others when descriptors run out.
constexpr Millis kFresh{1000};
constexpr Millis kAnswerStall{1000};
constexpr std::size_t kAnsweredBytesMax = 64_KiB;

}  // namespace

TlsAccept::TlsAccept(Context& context, Accepted accepted, TlsService service)
    : context_(context),
      tcp_(context.loop, accepted.socket),
      service_(std::move(service)),
      peer_(accepted.peer),
      arrival_(std::move(accepted.arrival)),
      accepted_(context.loop.now()) {
  if (service_.context != nullptr) {
    tls_.reset(new tls::Stream(service_.context, tcp_));
    tls_->give_first(accepted.unread.take_whole(context.loop.chunks));
  }
  context_.metrics.connections_active.add();
}

TlsAccept::~TlsAccept() { context_.metrics.connections_active.sub(); }

bool TlsAccept::idle() const { return !aborted_ && context_.loop.now() - accepted_ > kFresh; }

void TlsAccept::abort(Error why) {
  aborted_ = true;
  if (tls_ != nullptr) {
    tls_->cancel(why);
  } else {
    tcp_.cancel(why);
  }
}

Task<> TlsAccept::serve() {
  Result<void> shaken = co_await shake();
  if (shaken && tcp_.cancelled() == nullptr) {
    become_next();
    co_return;
  }
  if (!shaken) {
    context_.metrics.tls_failures.add();
    std::size_t answered = 0;
    if (shaken.error().cause == Cause::tls_plain_http) answered = co_await answer_plain_http();
    log(shaken.error(), answered);
    if (answered > 0) co_await let_read();
  }
  if (tls_ != nullptr) tls_->close(io::Stream::Close::orderly);
  tcp_.close(io::Stream::Close::orderly);
  delete this;
}

Task<Result<void>> TlsAccept::shake() {
  if (tls_ == nullptr) co_return fail(Error{Code::refused, Cause::tls_no_certificate, 0, "tls"});
  const Millis limit = context_.snapshot->config().timeouts.tls_handshake;
  Result<void> shaken = co_await tls_->handshake(limit);
  co_return shaken;
}

// In plain text, so that whoever looks at the answer understands it.
Task<std::size_t> TlsAccept::answer_plain_http() {
  const CauseText& text = describe(Cause::tls_plain_http);
  const std::string body =
      fmt::format("400 Bad Request\n\n{}: {}\n", text.name, "this port speaks HTTPS: use https://");
  const std::string head = fmt::format(
      "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n{}Content-Length: "
      "{}\r\nConnection: close\r\n\r\n",
      context_.snapshot->config().cause_header ? fmt::format("weir-cause: {}\r\n", text.name) : "",
      body.size());
  const std::array<Bytes, 4> pieces = {Bytes(head), Bytes(body), {}, {}};
  const Result<void> sent = co_await tcp_.send(pieces, kAnswerStall);
  co_return sent ? body.size() : 0;
}

// Closing with unread bytes would reset the connection and destroy the answer.
Task<> TlsAccept::let_read() {
  tcp_.shutdown_write();
  const Instant due = context_.loop.now() + kAnswerStall;
  for (std::size_t dropped = 0; dropped < kAnsweredBytesMax;) {
    const auto left = std::chrono::duration_cast<Millis>(due - context_.loop.now());
    if (left.count() <= 0) break;
    const Result<io::Chunk> more = co_await tcp_.recv(kWindowHead, left);
    if (!more || more->empty()) break;
    dropped += more->size();
  }
}

void TlsAccept::become_next() {
  const tls::Facts& facts = tls_->facts();
  WorkerMetrics& metrics = context_.metrics;
  (facts.version == "TLSv1.3" ? metrics.tls_handshakes_13 : metrics.tls_handshakes_12).add();
  if (facts.resumed) metrics.tls_resumed.add();
  Connection* made = next();
  ListNode<Connection>::replace_by(*made);
  if (draining_ || context_.draining) made->drain();
  made->start();
  delete this;
}

Connection* TlsAccept::next() {
  const bool http2 = tls_->facts().alpn == "h2";
  Accepted accepted{tcp_.release(), peer_, {}, std::move(tls_), std::move(arrival_)};
  if (service_.tcp != nullptr) {
    return new TcpSession(context_, std::move(accepted), std::move(service_.tcp));
  }
  if (http2) return new H2Server(context_, std::move(accepted), service_.handler);
  return new H1Server(context_, std::move(accepted), service_.handler);
}

// Who connects and leaves without a word is a health check or a port scan, and only counted.
void TlsAccept::log(const Error& error, std::size_t answered) {
  Record record;
  record.duration = context_.loop.now() - accepted_;
  record.started = WallTime{context_.loop.wall_time().micros - record.duration.count()};
  record.protocol = "TLS";
  record.peer = &peer_;
  const std::string client = peer_.text();
  record.client = client;
  record.cause = error.cause == Cause::none ? Cause::tls_handshake_failed : error.cause;
  record.status = record.cause == Cause::tls_plain_http ? 400 : 0;
  record.bytes_sent = answered;
  if (error.where != nullptr) record.detail = error.where;
  if (record.cause == Cause::tls_client_left) {
    observe(context_.metrics, record);
  } else {
    observe(context_, record);
  }
}

}  // namespace weir::proxy
