// SPDX-License-Identifier: Apache-2.0
//
// The one interface to the outside: start an operation, be told when it is complete. Three backends
// implement it, `epoll`, `ring` (io_uring) and `sim` (a network in memory with a virtual clock),
// and everything above is the same on each.
//
// An operation is an object of its caller. start_…() returns true when it completed at once;
// otherwise the operation stays with the socket until it is completed, and then it is put on the
// loop's run queue. Every started operation completes, a cancelled one too. At most one receive (or
// accept) and one send (or connect) are under way per socket. Nothing here is thread-safe but
// wake().
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "async/frame_pool.h"
#include "async/run_queue.h"
#include "base/error.h"
#include "base/time.h"
#include "io/address.h"
#include "io/chunk.h"

namespace weir::io {

class Loop;
class Socket;

/// An operation: whom to tell when it is complete. Embedded in an awaiter or in a connection.
class Op : public Runnable {
 public:
  using Callback = void (*)(Op&);
  std::coroutine_handle<> waiter;  ///< resumed by the loop, or else
  Callback callback = nullptr;     ///< called by the loop
  Socket* socket = nullptr;        ///< set by the backend while the operation is under way

  /// Tells the owner. Called by backends, from the run queue only.
  void finish() {
    if (waiter) {
      std::exchange(waiter, nullptr).resume();
    } else {
      callback(*this);
    }
  }
};

/// Receives once, into a chunk taken from the loop's pool when data is there.
class RecvOp : public Op {
 public:
  Result<Chunk> result;                ///< an empty chunk: the peer ended its direction
  std::uint32_t window = kWindowHead;  ///< at most so many bytes
  Work work = Work::under_way;
};

/// Sends all of up to four pieces. The bytes are kept by the owner until completion.
class SendOp : public Op {
 public:
  enum class More : std::uint8_t { no, yes };  ///< yes: further bytes, or our end, follow at once
  std::array<Bytes, 4> pieces{};               ///< advanced as they leave
  More more = More::no;
  Result<void> result;
};

/// Waits until the socket can be read or written, for splice.
class PollOp : public Op {
 public:
  Result<void> result;
};

class AcceptOp : public Op {
 public:
  Result<int> result;  ///< a descriptor, prepared for this kind of backend
  Peer peer;
};

class ConnectOp : public Op {
 public:
  SocketAddress target;
  Result<Socket*> result;
};

/// A socket as its backend sees it. Made by the backend, used through a Stream or Listener.
class Socket : public Pooled {
 public:
  /// Of the send that was started last, for its stall deadline (TcpStream).
  Instant sent_at{};                 ///< when it was started or last moved bytes
  Millis send_stall{0};              ///< how long it may move none
  std::uint64_t unacknowledged = 0;  ///< when that was last looked at
  int fd = -1;                       ///< a descriptor; in the simulator a number of its network
  /// A send has met the loss of the connection. The kernel tells of it once, and then shows what
  /// looks like an end; a receive (and a splice) has to call that a reset.
  bool lost = false;
};

/// Whether a failure of a send means that the connection was lost. EPIPE does not: either we ended
/// our direction, or the peer had ended its own before, and that end is a proper one.
bool means_lost(const Error& error);
/// What a receive that met the end of the stream has to say.
Result<Chunk> end_of(const Socket& socket);

/// Everything the kernel (or the simulator) does for a loop.
class Io {
 public:
  virtual ~Io() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;

  [[nodiscard]] virtual Instant now() = 0;
  [[nodiscard]] virtual WallTime wall_time() = 0;

  /// Takes over a connected or accepted descriptor. Never fails for one that accept or connect
  /// gave.
  virtual Socket* adopt(int fd) = 0;
  virtual Socket* adopt_listener(int fd) = 0;
  /// Resets an accepted connection that nobody is to adopt.
  virtual void discard(int fd);
  /// Closes the socket. A receive that is under way is forgotten without completion (its owner is
  /// the caller); a send must not be under way.
  virtual void close(Socket& socket) = 0;
  /// Bytes that were sent and that the peer has not acknowledged yet. A slow reader may leave the
  /// socket unwritable for long although it reads all the time; this is how it is told from one
  /// that stopped.
  [[nodiscard]] virtual std::uint64_t unacknowledged(const Socket& socket) const = 0;
  /// Where the peer connected to: this end of an accepted connection. Costs a system call.
  [[nodiscard]] virtual Peer local_end(const Socket& socket) const;
  /// Makes close() reset the connection (RST), so that the peer cannot take it for a proper end.
  virtual void reset_on_close(Socket& socket) = 0;
  /// Ends our direction (FIN) behind what was sent.
  virtual void shutdown_write(Socket& socket) = 0;

  virtual bool start_recv(Socket& socket, RecvOp& op) = 0;
  virtual bool start_send(Socket& socket, SendOp& op) = 0;
  virtual bool start_readable(Socket& socket, PollOp& op) = 0;
  virtual bool start_writable(Socket& socket, PollOp& op) = 0;
  virtual bool start_accept(Socket& listener, AcceptOp& op) = 0;
  /// One connection that is queued already; nothing when there is none. Never waits. No accept may
  /// be under way. For the end of a listener.
  virtual std::optional<Result<int>> accept_queued(Socket& listener, Peer& peer) = 0;
  virtual bool start_connect(ConnectOp& op) = 0;

  /// Ask for an early end of what is under way, with this error. The completion follows in its own
  /// time, by the run queue; if the operation is complete already nothing happens.
  virtual void cancel_recv(Socket& socket, Error why) = 0;
  virtual void cancel_send(Socket& socket, Error why) = 0;
  /// No effect when `op` is complete already.
  virtual void cancel_connect(ConnectOp& op, Error why) = 0;

  /// Whether bytes of these sockets may be moved by splice(2) on their descriptors.
  [[nodiscard]] virtual bool can_splice() const { return false; }
  /// Whether the backend has taken, or is about to take, something from the socket that a receive
  /// would get: receive until it has not before splicing, or the bytes change their order.
  [[nodiscard]] virtual bool holds_bytes(Socket&) { return false; }
  /// After splice(2) said EAGAIN: the cached readiness is stale. Before it: descriptors must not
  /// block.
  virtual void begin_splice(Socket&) {}
  virtual void end_splice(Socket&) {}
  virtual void clear_readable(Socket&) {}
  virtual void clear_writable(Socket&) {}

  /// Waits for events until `until` at the latest, and queues what became ready.
  virtual void wait(Instant until) = 0;
  /// Ends a wait of this loop, now or the next one. From any thread.
  virtual void wake() = 0;
};

}  // namespace weir::io
