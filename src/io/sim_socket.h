// SPDX-License-Identifier: Apache-2.0
//
// What the simulated network and its backends share: the two ends of a connection, and sockets.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "io/io.h"
#include "io/sim_network.h"

namespace weir::io {

inline constexpr std::uint32_t kSimSocketLive = 0x5753494d;

struct SimSocket final : Socket, ChunkWaiter {
  enum class Reads : std::uint8_t { none, recv, poll, accept };
  enum class Writes : std::uint8_t { none, send, poll, connect };
  std::uint32_t magic = kSimSocketLive;
  SimIo* io = nullptr;
  std::shared_ptr<SimConnection> connection;  // or
  std::shared_ptr<SimListener> listener;
  int side = 0;
  Reads reads = Reads::none;
  Writes writes = Writes::none;
  Op* reading = nullptr;
  Op* writing = nullptr;
  bool read_done = false;        // complete, and its owner is about to be told
  std::uint64_t told_taken = 0;  // and then knows this
  bool told_of_end = false;
  SimKnown send_known;  // when the send was started
  bool send_cancelled = false;
  Error send_why{};
  bool reset_on_close = false;
};

struct SimEnd {
  SimSocket* socket = nullptr;  // nullptr: not adopted yet, or closed
  Peer peer;                    // who is at the other end
  std::string inbox;            // arrived, not read
  std::size_t in_flight = 0;    // on the wire to this end
  Instant last_delivery{};      // what is sent later arrives later
  bool ended = false;           // the other's end has arrived
  bool write_ended = false;     // this end has sent its own
  bool broken = false;
  bool closed = false;
  std::uint64_t taken = 0;   // bytes that receives of this end were given
  bool told_of_end = false;  // a receive was given the end
  Instant waiting_since{};   // for a receive: what is there, not counting jumps of the clock
  std::uint64_t sent = 0;    // bytes by this end
  std::deque<std::pair<std::uint64_t, SimKnown>> known;  // from the byte on that it sent
};

struct SimConnection {
  std::uint64_t id = 0;
  std::array<SimEnd, 2> ends;  // 0: who connected
  std::uint64_t sent = 0;
  std::uint64_t reset_at = UINT64_MAX;
  bool broken_by_network = false;  // that was reached
};

/// What the other end knew when it sent the byte at this place, counted from 0. Once per byte, in
/// order.
SimKnown known_when_sent(Socket& socket, std::uint64_t place);
/// Names the connection for as long as it is wanted.
std::shared_ptr<SimConnection> connection_of(Socket& socket);

struct SimListener {
  SocketAddress address;
  std::size_t backlog = 0;
  int adopted = 0;
  std::deque<std::shared_ptr<SimConnection>> queue;
  std::vector<SimSocket*> sockets;
};

/// One loop's side of the network.
class SimIo final : public Io {
 public:
  SimIo(Loop& loop, SimNetwork& network);
  ~SimIo() override;

  [[nodiscard]] std::string_view name() const override { return "sim"; }
  Instant now() override { return network_.now(); }
  WallTime wall_time() override { return network_.wall_time(); }

  Socket* adopt(int fd) override;
  Socket* adopt_listener(int fd) override;
  void discard(int fd) override { network_.close_descriptor(fd); }
  void close(Socket& socket) override;
  // The simulated network accepts bytes as the peer takes them: what is not accepted has not moved.
  [[nodiscard]] std::uint64_t unacknowledged(const Socket&) const override { return 0; }
  [[nodiscard]] Peer local_end(const Socket& socket) const override;
  void reset_on_close(Socket& socket) override { of(socket).reset_on_close = true; }
  void shutdown_write(Socket& socket) override;

  bool start_recv(Socket& socket, RecvOp& op) override;
  bool start_send(Socket& socket, SendOp& op) override;
  bool start_readable(Socket& socket, PollOp& op) override;
  bool start_writable(Socket& socket, PollOp& op) override;
  bool start_accept(Socket& listener, AcceptOp& op) override;
  std::optional<Result<int>> accept_queued(Socket& listener, Peer& peer) override;
  bool start_connect(ConnectOp& op) override;
  void cancel_recv(Socket& socket, Error why) override;
  void cancel_send(Socket& socket, Error why) override;
  void cancel_connect(ConnectOp& op, Error why) override;

  SimNetwork& network() { return network_; }
  void wait(Instant) override {}
  void wake() override { woken_.store(true); }

 private:
  friend class SimNetwork;
  static SimSocket& of(Socket& socket) {
    auto& result = static_cast<SimSocket&>(socket);
    WEIR_ASSERT(result.magic == kSimSocketLive);
    return result;
  }
  SimSocket* add(int fd);
  [[nodiscard]] bool ready() const;
  [[nodiscard]] bool readable(const SimSocket& socket) const;
  [[nodiscard]] bool writable(const SimSocket& socket) const;
  [[nodiscard]] bool descriptor_wanting() const;
  bool try_recv(SimSocket& socket, RecvOp& op);
  bool try_send(SimSocket& socket, SendOp& op);
  bool try_accept(SimSocket& socket, AcceptOp& op);
  bool try_read(SimSocket& socket);
  bool try_write(SimSocket& socket);
  void set_reading(SimSocket& socket, Op& op, SimSocket::Reads kind);
  void set_writing(SimSocket& socket, Op& op, SimSocket::Writes kind);
  void stop_waiting_for_memory(SimSocket& socket);
  void leave_line(SimSocket& socket, RecvOp& op);
  static void run_read(Runnable& op);
  static void run_write(Runnable& op);
  static void run_finish(Runnable& op) { static_cast<Op&>(op).finish(); }

  Loop& loop_;
  SimNetwork& network_;
  SimDescriptors unlimited_;
  SimDescriptors* descriptors_ = &unlimited_;
  std::atomic<bool> woken_{false};
};

}  // namespace weir::io
