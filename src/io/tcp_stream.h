// SPDX-License-Identifier: Apache-2.0
//
// A connected TCP or unix socket as a Stream. One timer serves both directions: the true deadlines
// are stored, and the timer is moved only when it fires too early for them.
#pragma once

#include <memory>

#include "async/task.h"
#include "io/stream.h"

namespace weir::io {

class TcpStream final : public Stream, private Timer {
 public:
  /// Takes over a socket of the loop's backend.
  TcpStream(Loop& loop, Socket* socket);
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;
  ~TcpStream() override;

  bool start_recv(RecvOp& op, Millis stall) override;
  bool start_send(SendOp& op, Millis stall) override;
  void set_recv_deadline(Millis stall) override;
  void cancel(Error why) override;
  void cancel_recv(Error why) override;
  [[nodiscard]] const Error* cancelled() const override { return cancelled_.get(); }
  void shutdown_write() override;
  void close(Close how) override;
  Socket* plain_socket() override { return socket_; }

  [[nodiscard]] std::uint64_t unacknowledged() const override {
    return socket_ == nullptr ? 0 : loop_->io().unacknowledged(*socket_);
  }
  [[nodiscard]] Micros send_stall() const override;
  [[nodiscard]] Peer local_end() const override {
    return socket_ == nullptr ? Peer() : loop_->io().local_end(*socket_);
  }
  /// Gives the socket up, to whoever makes another stream of it. Nothing is under way.
  [[nodiscard]] Socket* release();

  /// `co_await stream.readable(stall)`, for splice. Result<void>.
  auto readable(Millis stall) { return Poll(*this, stall, Direction::read); }
  auto writable(Millis stall) { return Poll(*this, stall, Direction::write); }

 private:
  enum class Direction : std::uint8_t { read, write };
  struct Poll : PollOp {
    TcpStream& stream;
    Millis stall;
    Direction direction;
    Poll(TcpStream& s, Millis t, Direction d) : stream(s), stall(t), direction(d) {}
    bool await_ready() { return stream.start_poll(*this, stall, direction); }
    void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
    Result<void> await_resume() { return result; }
  };
  bool start_poll(PollOp& op, Millis stall, Direction direction);
  void arm(Instant deadline);
  void on_timer();
  void await_send(Millis stall);
  void check_send(Instant now);
  [[nodiscard]] Instant deadline_after(Millis stall) const;

  Socket* socket_;
  Instant recv_deadline_ = kNever;
  Instant send_deadline_ = kNever;
  std::unique_ptr<const Error> cancelled_;  // everything ends with it
};

/// A connect under way, for whoever may have to end it; outlives the connect.
class ConnectHandle {
 public:
  ConnectHandle() = default;
  ConnectHandle(const ConnectHandle&) = delete;
  ConnectHandle& operator=(const ConnectHandle&) = delete;

  /// The connect ends with `why`, unless it has succeeded in this moment. One that is begun later
  /// is not ended: its owner asks cancelled().
  void cancel(Error why);
  [[nodiscard]] bool cancelled() const { return cancelled_; }

 private:
  struct Connecting;
  friend Task<Result<Socket*>> connect(Loop& loop, const SocketAddress& target, Millis timeout,
                                       ConnectHandle* handle);
  Connecting* under_way_ = nullptr;
  bool cancelled_ = false;
};

/// Connects, bounded by `timeout` in total.
Task<Result<Socket*>> connect(Loop& loop, const SocketAddress& target, Millis timeout,
                              ConnectHandle* handle = nullptr);

}  // namespace weir::io
