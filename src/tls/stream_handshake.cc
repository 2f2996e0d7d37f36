// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "tls/stream.h"

namespace weir::tls {

void Stream::start_handshake(HandshakeOp& op, Millis limit) {
  WEIR_ASSERT(shaking_ == nullptr && facts_ == nullptr);
  shaking_ = &op;
  loop_->timers().arm(*this, loop_->now() + limit);
  const bool given = below_recv_.result && !below_recv_.result->empty();
  if (given || server_ != nullptr) return queue_step();
  receive_handshake();
}

void Stream::receive_handshake() {
  below_recv_.window = kWindowHead;
  below_recv_.work = io::Work::fresh;
  if (below_->start_recv(below_recv_, Millis(0))) return queue_step();
  receiving_below_ = true;
}

void Stream::queue_step() {
  below_recv_.run = [](Runnable& self) {
    static_cast<BelowRecv&>(static_cast<io::RecvOp&>(self)).stream.run_step();
  };
  loop_->heavy.push(below_recv_);
}

// What is no TLS at all: OpenSSL would call much of it a wrong version.
Result<void> Stream::first_bytes() const {
  const char first = in_.bytes().front();
  if (first == static_cast<char>(Content::handshake)) return {};
  if (context_->side() == Side::client) {
    if (first == static_cast<char>(Content::alert)) return {};
    return fail(context_->causes().failed, "the server does not speak TLS on this port");
  }
  const bool letter = first >= 'A' && first <= 'Z';
  return fail(letter ? Cause::tls_plain_http : Cause::tls_handshake_failed, "not TLS");
}

void Stream::run_step() {
  if (server_ != nullptr) {  // who connects speaks first
    handshake_.reset(new Handshake(std::exchange(server_, nullptr)));
    const auto step = shake();
    return handshake_stepped(step);
  }
  take_received();
  if (read_error_.where != nullptr) {
    return finish_handshake(fail(handshake_fault(read_error_)));
  }
  if (handshake_bytes_ == 0) {
    if (const Result<void> known = first_bytes(); !known) return finish_handshake(known);
  }
  if (handshake_ == nullptr) handshake_.reset(new Handshake(context_));
  handshake_bytes_ += static_cast<std::uint32_t>(in_.size());
  if (handshake_bytes_ > kTlsHandshakeBytesMax) {
    return finish_handshake(fail(context_->causes().failed, "too long"));
  }
  const auto step = shake();
  handshake_stepped(step);
}

Result<Handshake::Step> Stream::shake() {
  Bytes input = in_.bytes();
  auto step = handshake_->step(input, own_, loop_->wall_time());
  in_at_ = static_cast<std::uint32_t>(in_.size() - input.size());
  if (input.empty()) {
    in_.clear();
    in_at_ = 0;
  }
  return step;
}

void Stream::handshake_stepped(Result<Handshake::Step> step) {
  if (!step) {
    flush_own(io::SendOp::More::no);  // an alert
    return finish_handshake(fail(step.error()));
  }
  if (*step == Handshake::Step::done) {
    facts_ = handshake_->take_facts();
    content_max_ = static_cast<std::uint16_t>(handshake_->content_max());
    handshake_->begin_records(receiving_, sending_);
    // A server's session tickets are still to come.
    const bool tickets =
        context_->side() == Side::client && receiving_.protocol() == Protocol::tls13;
    if (!tickets) handshake_.reset();
    // A server's session tickets go with the first content, a client's Finished as well or before
    // the first wait. In TLS 1.2 the peer waits for our Finished.
    const bool tls13 = receiving_.protocol() == Protocol::tls13;
    if (!tls13) flush_own(io::SendOp::More::no);
    tickets_wait_ = tls13 && context_->side() == Side::server && !own_.empty();
    return finish_handshake({});
  }
  if (own_.empty()) return receive_handshake();
  below_send_.pieces = {own_, {}, {}, {}};
  below_send_.more = io::SendOp::More::no;
  if (below_->start_send(below_send_, Millis(0))) return on_sent();
  sending_below_ = true;
}

void Stream::finish_handshake(Result<void> result) {
  disarm();
  HandshakeOp& op = *std::exchange(shaking_, nullptr);
  op.result = result;
  op.finish();
}

// What it means that the stream below has failed.
Error Stream::handshake_fault(const Error& error) const {
  const bool left = error.code == Code::closed || error.code == Code::reset;
  return left ? error.as(context_->causes().left) : error;
}

void Stream::time_out_handshake() {
  cancel(Error{Code::timed_out, context_->causes().timeout, 0, kHandshakeTimedOut});
}

}  // namespace weir::tls
