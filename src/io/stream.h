// SPDX-License-Identifier: Apache-2.0
//
// A Stream is a byte stream in both directions with deadlines. A TCP or unix socket is one
// (TcpStream); TLS will be one over another. Deadlines bound stalls: each is the longest time in
// which no byte may move.
#pragma once

#include "io/io.h"
#include "io/loop.h"

namespace weir::io {

class Stream {
 public:
  virtual ~Stream() = default;

  /// See Io::start_recv. `stall`: the longest wait; zero or less: none.
  virtual bool start_recv(RecvOp& op, Millis stall) = 0;
  virtual bool start_send(SendOp& op, Millis stall) = 0;
  /// Changes the deadline of a receive that is under way, counted from now.
  virtual void set_recv_deadline(Millis stall) = 0;
  /// Ends what is under way, in both directions, and everything started later, with `why`.
  virtual void cancel(Error why) = 0;
  /// Ends a receive that is under way, and only that.
  virtual void cancel_recv(Error why) = 0;
  /// Ends our direction. Nothing may be sent afterwards.
  virtual void shutdown_write() = 0;
  /// Closes at once: a reset if `how` says so, so that the peer cannot take it for a proper end.
  enum class Close : std::uint8_t { orderly, reset };
  virtual void close(Close how) = 0;
  /// The error with which everything ends here since cancel(); nullptr before.
  [[nodiscard]] virtual const Error* cancelled() const = 0;
  /// Bytes that were sent and that the peer has not acknowledged yet. Costs a system call.
  [[nodiscard]] virtual std::uint64_t unacknowledged() const = 0;
  /// How long nothing has left of the bytes that wait for the peer; zero when none wait. Costs a
  /// system call.
  [[nodiscard]] virtual Micros send_stall() const = 0;
  /// Where the peer connected to: this end of an accepted connection. Costs a system call.
  [[nodiscard]] virtual Peer local_end() const = 0;
  /// The socket whose bytes are this stream's bytes, for splice; nullptr if they are transformed.
  virtual Socket* plain_socket() = 0;

  Loop& loop() { return *loop_; }

  /// `co_await stream.recv(window, stall)` → Result<Chunk>; an empty chunk is the peer's end.
  auto recv(std::size_t window, Millis stall) {
    struct Awaiter : RecvOp {
      Stream& stream;
      Millis stall;
      Awaiter(Stream& s, std::size_t w, Millis t) : stream(s), stall(t) {
        window = static_cast<std::uint32_t>(w);
      }
      bool await_ready() { return stream.start_recv(*this, stall); }
      void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
      Result<Chunk> await_resume() { return std::move(result); }
    };
    return Awaiter(*this, window, stall);
  }

  struct Send : SendOp {
    Stream& stream;
    Millis stall;
    Send(Stream& s, const std::array<Bytes, 4>& all, Millis t, More m = More::no)
        : stream(s), stall(t) {
      pieces = all;
      more = m;
    }
    bool await_ready() { return stream.start_send(*this, stall); }
    void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
    Result<void> await_resume() { return result; }
  };
  /// `co_await stream.send({a, b}, stall)`: all of the pieces, or an error.
  Send send(const std::array<Bytes, 4>& pieces, Millis stall,
            SendOp::More more = SendOp::More::no) {
    return {*this, pieces, stall, more};
  }

 protected:
  explicit Stream(Loop& loop) : loop_(&loop) {}
  Loop* loop_;
};

}  // namespace weir::io
