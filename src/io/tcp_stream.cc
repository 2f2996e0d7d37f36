// SPDX-License-Identifier: Apache-2.0
#include "io/tcp_stream.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace weir::io {
namespace {

constexpr std::uint64_t kNotLookedAt = std::numeric_limits<std::uint64_t>::max();

}  // namespace

TcpStream::TcpStream(Loop& loop, Socket* socket)
    : Stream(loop),
      Timer([](Timer& timer) { static_cast<TcpStream&>(timer).on_timer(); }),
      socket_(socket) {}

TcpStream::~TcpStream() { close(Close::orderly); }

Instant TcpStream::deadline_after(Millis stall) const {
  return stall.count() <= 0 ? kNever : loop_->now() + stall;
}

void TcpStream::arm(Instant deadline) {
  if (deadline < (armed() ? due() : kNever)) loop_->timers().arm(*this, deadline);
}

bool TcpStream::start_recv(RecvOp& op, Millis stall) {
  WEIR_ASSERT(socket_ != nullptr);
  recv_deadline_ = kNever;
  if (cancelled_ != nullptr) {
    op.result = fail(*cancelled_);
    return true;
  }
  if (loop_->io().start_recv(*socket_, op)) return true;
  set_recv_deadline(stall);
  return false;
}

void TcpStream::set_recv_deadline(Millis stall) {
  recv_deadline_ = deadline_after(stall);
  arm(recv_deadline_);
}

bool TcpStream::start_send(SendOp& op, Millis stall) {
  WEIR_ASSERT(socket_ != nullptr);
  send_deadline_ = kNever;
  if (cancelled_ != nullptr) {
    op.result = fail(*cancelled_);
    return true;
  }
  socket_->sent_at = loop_->now();
  if (loop_->io().start_send(*socket_, op)) return true;
  await_send(stall);
  return false;
}

bool TcpStream::start_poll(PollOp& op, Millis stall, Direction direction) {
  WEIR_ASSERT(socket_ != nullptr);
  if (cancelled_ != nullptr) {
    op.result = fail(*cancelled_);
    return true;
  }
  if (direction == Direction::read) {
    recv_deadline_ = kNever;
    if (loop_->io().start_readable(*socket_, op)) return true;
    set_recv_deadline(stall);
  } else {
    send_deadline_ = kNever;
    if (loop_->io().start_writable(*socket_, op)) return true;
    socket_->sent_at = loop_->now();
    await_send(stall);
  }
  return false;
}

// A socket becomes writable again only when a good part of its buffer has left, which may take a
// slow reader longer than any deadline. So the deadline is looked at in quarters, and bytes that
// the peer acknowledged in between count as movement.
void TcpStream::await_send(Millis stall) {
  socket_->send_stall = stall;
  socket_->unacknowledged = kNotLookedAt;
  send_deadline_ = deadline_after(stall.count() <= 0 ? stall : stall / 4 + Millis(1));
  arm(send_deadline_);
}

void TcpStream::check_send(Instant now) {
  const std::uint64_t left = loop_->io().unacknowledged(*socket_);
  const bool first = socket_->unacknowledged == kNotLookedAt;
  if (!first && left < socket_->unacknowledged) socket_->sent_at = now;
  socket_->unacknowledged = left;
  if (now - socket_->sent_at < socket_->send_stall) {
    send_deadline_ = now + socket_->send_stall / 4 + Millis(1);
    return;
  }
  send_deadline_ = kNever;
  loop_->io().cancel_send(*socket_, Error{Code::timed_out, Cause::none, 0, "send"});
}

Micros TcpStream::send_stall() const {
  if (socket_ == nullptr || loop_->io().unacknowledged(*socket_) == 0) return Micros(0);
  return loop_->now() - socket_->sent_at;
}

void TcpStream::on_timer() {
  const Instant now = loop_->now();
  // A deadline whose operation is complete is left standing: cancelling nothing has no effect, and
  // the next operation sets its own. That is what makes the common case free.
  if (recv_deadline_ <= now) {
    recv_deadline_ = kNever;
    loop_->io().cancel_recv(*socket_, Error{Code::timed_out, Cause::none, 0, "recv"});
  }
  if (send_deadline_ <= now) check_send(now);
  arm(std::min(recv_deadline_, send_deadline_));
}

void TcpStream::cancel(Error why) {
  if (socket_ == nullptr || cancelled_ != nullptr) return;
  cancelled_ = std::make_unique<const Error>(why);
  recv_deadline_ = send_deadline_ = kNever;
  loop_->io().cancel_recv(*socket_, why);
  loop_->io().cancel_send(*socket_, why);
}

void TcpStream::cancel_recv(Error why) {
  if (socket_ == nullptr) return;
  recv_deadline_ = kNever;
  loop_->io().cancel_recv(*socket_, why);
}

Socket* TcpStream::release() {
  disarm();
  return std::exchange(socket_, nullptr);
}

void TcpStream::shutdown_write() {
  if (socket_ != nullptr) loop_->io().shutdown_write(*socket_);
}

void TcpStream::close(Close how) {
  if (socket_ == nullptr) return;
  disarm();
  if (how == Close::reset) loop_->io().reset_on_close(*socket_);
  loop_->io().close(*socket_);
  socket_ = nullptr;
}

struct ConnectHandle::Connecting : ConnectOp, Timer {
  Loop& loop;
  Millis timeout;
  ConnectHandle* handle;
  Connecting(Loop& l, const SocketAddress& t, Millis limit, ConnectHandle* h)
      : Timer([](Timer& timer) {
          auto& self = static_cast<Connecting&>(timer);
          self.loop.io().cancel_connect(self, Error{Code::timed_out, Cause::none, 0, "connect"});
        }),
        loop(l),
        timeout(limit),
        handle(h) {
    target = t;
    if (handle != nullptr) handle->under_way_ = this;
  }
  Connecting(const Connecting&) = delete;
  Connecting& operator=(const Connecting&) = delete;
  ~Connecting() {
    if (handle != nullptr) handle->under_way_ = nullptr;
  }
  bool await_ready() { return loop.io().start_connect(*this); }
  void await_suspend(std::coroutine_handle<> coroutine) {
    waiter = coroutine;
    if (timeout.count() > 0) loop.timers().arm(*this, loop.now() + timeout);
  }
  Result<Socket*> await_resume() { return result; }
};

void ConnectHandle::cancel(Error why) {
  cancelled_ = true;
  if (under_way_ != nullptr) under_way_->loop.io().cancel_connect(*under_way_, why);
}

Task<Result<Socket*>> connect(Loop& loop, const SocketAddress& target, Millis timeout,
                              ConnectHandle* handle) {
  ConnectHandle::Connecting connecting(loop, target, timeout, handle);
  Result<Socket*> connected = co_await connecting;
  co_return connected;
}

}  // namespace weir::io
