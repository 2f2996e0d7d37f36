// SPDX-License-Identifier: Apache-2.0
//
// The io_uring backend's class, for its two halves: starting operations (ring_io.cc) and taking
// their completions (ring_completion.cc).
#pragma once

#include <memory>

#include "io/loop.h"
#include "io/ring.h"
#include "io/ring_buffers.h"

namespace weir::io {

inline constexpr std::uint32_t kRingSocketLive = 0x57524e47;

/// What the kernel may have under way for a socket; at most one of each.
enum class Request : std::uint8_t { recv, read_poll, accept, send, write_poll, connect };

class RingIo;

struct RingSocket final : Socket, ChunkWaiter {
  enum class Reads : std::uint8_t { none, recv, poll, accept };
  enum class Writes : std::uint8_t { none, send, poll, connect };
  /// Bytes, an end or an error that the kernel delivered when nobody waited.
  struct Stash : Pooled {
    Result<Chunk> result;
  };
  /// What the kernel reads of a send in several pieces, while it is under way.
  struct Message : Pooled {
    msghdr header{};
    std::array<iovec, 4> pieces{};
  };
  struct Accepting : Pooled {
    sockaddr_storage address{};
    socklen_t size = 0;
    int stashed = -1;  // a connection that came when nobody waited
    Peer stashed_peer;
  };

  std::uint32_t magic = kRingSocketLive;
  std::uint8_t pending = 0;  // bit per Request
  Reads reads = Reads::none;
  Writes writes = Writes::none;
  bool drained = false;         // the last receive left nothing behind: poll before the next
  bool read_done = false;       // `reading` has its result and is in the run queue
  bool closing = false;         // freed when nothing is pending
  bool send_cancelled = false;  // `writing` has its result, unless it turns out to have left whole
  std::uint8_t splicing = 0;    // directions that splice: the descriptor does not block
  Op* reading = nullptr;
  Op* writing = nullptr;
  RingIo* io = nullptr;
  std::unique_ptr<Stash> stash;
  std::unique_ptr<Message> message;
  std::unique_ptr<Accepting> accepting;

  static std::uint8_t bit(Request request) {
    return static_cast<std::uint8_t>(1u << static_cast<unsigned>(request));
  }
  [[nodiscard]] bool has(Request request) const { return (pending & bit(request)) != 0; }
};

class RingIo final : public Io {
 public:
  RingIo(Loop& loop, std::unique_ptr<Ring> ring, int event);
  ~RingIo() override;
  Result<void> open() { return buffers_.open(ring_->get()); }

  [[nodiscard]] std::string_view name() const override { return "ring"; }
  Instant now() override;
  WallTime wall_time() override;

  Socket* adopt(int fd) override;
  Socket* adopt_listener(int fd) override;
  void close(Socket& socket) override;
  [[nodiscard]] std::uint64_t unacknowledged(const Socket& socket) const override;
  void reset_on_close(Socket& socket) override;
  void shutdown_write(Socket& socket) override;

  bool start_recv(Socket& socket, RecvOp& op) override;
  bool start_send(Socket& socket, SendOp& op) override;
  std::size_t try_send(Socket& socket, Bytes bytes, SendOp::More more) override;
  bool start_readable(Socket& socket, PollOp& op) override;
  bool start_writable(Socket& socket, PollOp& op) override;
  bool start_accept(Socket& listener, AcceptOp& op) override;
  std::optional<Result<int>> accept_queued(Socket& listener, Peer& peer) override;
  bool start_connect(ConnectOp& op) override;
  void cancel_recv(Socket& socket, Error why) override;
  void cancel_send(Socket& socket, Error why) override;
  void cancel_connect(ConnectOp& op, Error why) override;

  [[nodiscard]] bool can_splice() const override { return true; }
  [[nodiscard]] bool holds_bytes(Socket& socket) override;
  void begin_splice(Socket& socket) override;
  void end_splice(Socket& socket) override;

  void wait(Instant until) override;
  void wake() override;

 private:
  static RingSocket& of(Socket& socket) {
    auto& result = static_cast<RingSocket&>(socket);
    WEIR_ASSERT(result.magic == kRingSocketLive);
    WEIR_ASSERT(!result.closing);
    return result;
  }
  RingSocket* add(int fd);
  void finish_close(RingSocket& socket);
  void stop_waiting_for_memory(RingSocket& socket);

  io_uring_sqe& submit(RingSocket& socket, Request request);
  void submit_recv(RingSocket& socket);
  void submit_poll(RingSocket& socket, Request request, unsigned events);
  void submit_send(RingSocket& socket);
  void submit_accept(RingSocket& socket);
  void submit_cancel(RingSocket& socket, Request request);
  void submit_wake();

  void set_reading(RingSocket& socket, Op& op, RingSocket::Reads kind);
  void set_writing(RingSocket& socket, Op& op, RingSocket::Writes kind);
  bool try_recv(RingSocket& socket, RecvOp& op);
  static void run_read(Runnable& op);
  static void run_finish(Runnable& op) { static_cast<Op&>(op).finish(); }

  void on_completion(const io_uring_cqe& cqe);
  void on_recv(RingSocket& socket, const io_uring_cqe& cqe);
  void on_received(RingSocket& socket, Result<Chunk> result);
  void on_read_poll(RingSocket& socket, int result);
  void on_accept(RingSocket& socket, int result);
  void on_send(RingSocket& socket, int result);
  void on_write_poll(RingSocket& socket, int result);
  void on_connect(RingSocket& socket, int result);
  void read_done(RingSocket& socket);
  void write_done(RingSocket& socket);

  Loop& loop_;
  std::unique_ptr<Ring> ring_;
  RingBuffers buffers_;
  int event_;
  std::uint64_t event_value_ = 0;
  bool wake_armed_ = false;
  List<ChunkWaiter> closing_;  // sockets that are closed when their requests have come back
};

}  // namespace weir::io
