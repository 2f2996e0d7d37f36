// SPDX-License-Identifier: Apache-2.0
#include "tls/stream.h"

#include <utility>

#include "tls/certificate.h"
#include "tls/client_context.h"

namespace weir::tls {

Stream::Stream(std::shared_ptr<const Context> context, io::Stream& below)
    : io::Stream(below.loop()),
      Timer([](Timer& timer) { static_cast<Stream&>(timer).on_timer(); }),
      below_(&below),
      context_(std::move(context)) {
  below_recv_.callback = [](io::Op& op) {
    static_cast<BelowRecv&>(static_cast<io::RecvOp&>(op)).stream.on_received();
  };
  below_send_.callback = [](io::Op& op) {
    static_cast<BelowSend&>(static_cast<io::SendOp&>(op)).stream.on_sent();
  };
}

Stream::Stream(std::shared_ptr<KnownServer> server, io::Stream& below)
    : Stream(server->context, below) {
  server_ = std::move(server);
}

Stream::~Stream() { close(Close::orderly); }

void Stream::rebind(io::Stream& below) {
  WEIR_ASSERT(!receiving_below_ && !sending_below_);
  WEIR_ASSERT(reading_ == nullptr && writing_ == nullptr && shaking_ == nullptr);
  WEIR_ASSERT(&below.loop() == loop_);
  below_ = &below;
}

bool Stream::covers(std::string_view host) const {
  return facts_->shown != nullptr && facts_->shown->covers(host);
}

void Stream::set_recv_deadline(Millis stall) {
  recv_stall_ = stall;
  recv_due_ = stall.count() <= 0 ? kNever : loop_->now() + stall;
  if (receiving_below_) below_->set_recv_deadline(stall);
}

namespace {

void run_finish(Runnable& op) { static_cast<io::Op&>(op).finish(); }

}  // namespace

void Stream::cancel_recv(Error why) {
  if (reading_ == nullptr) return;
  io::RecvOp& op = *std::exchange(reading_, nullptr);
  op.result = fail(why);
  op.run = run_finish;
  loop_->queue.push(op);
  // The receive below goes on, for the next one here.
}

void Stream::cancel(Error why) {
  if (below_ == nullptr || cancelled_ != nullptr) return;
  cancelled_ = std::make_unique<const Error>(why);
  cancel_recv(why);
  below_->cancel(why);
  // A step that is queued is not made any more.
  if (shaking_ != nullptr && !receiving_below_ && !sending_below_) {
    below_recv_.unlink();
    HandshakeOp& op = *std::exchange(shaking_, nullptr);
    op.result = fail(why);
    op.run = run_finish;
    loop_->queue.push(op);
  }
}

void Stream::shutdown_write() {
  if (below_ == nullptr || cancelled_ != nullptr) return;
  say_end();
  flush_own(io::SendOp::More::end);
  if (!own_.empty()) {
    write_ = Writing::said_end;  // on_timer() goes on
    return;
  }
  below_->shutdown_write();
  write_ = Writing::ended;
}

void Stream::close(Close how) {
  if (below_ == nullptr) return;
  WEIR_ASSERT(!sending_below_);
  if (how == Close::orderly && cancelled_ == nullptr) {
    say_end();
    flush_own(io::SendOp::More::no);
  }
  disarm();
  below_->close(how);
  below_ = nullptr;
  below_recv_.unlink();
  receiving_below_ = false;
  reading_ = nullptr;
  shaking_ = nullptr;
  handshake_.reset();
  opened_ = {};
  in_.clear();
  tail_.clear();
  out_.clear();
  own_ = {};
}

// The handshake has taken too long, or last words wait for a socket that was full.
void Stream::on_timer() {
  if (shaking_ != nullptr) return time_out_handshake();
  // A send takes them along, and nobody's end may cut it short; cancelled, nothing leaves any more.
  if (sending_below_ || cancelled_ != nullptr) return;
  if (write_ == Writing::said_end) return shutdown_write();
  flush_own(io::SendOp::More::no);
}

}  // namespace weir::tls
