// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "io/epoll_io.h"
#include "io/listener.h"
#include "io/ring_io.h"
#include "io/sim_io.h"
#include "io/system_socket.h"

namespace weir::sim {
namespace {

constexpr Millis kConnectPatience{10'000};

class SimStage final : public Stage {
 public:
  explicit SimStage(io::SimNetwork& network) : network_(network) {}

  std::unique_ptr<io::Io> proxy_io(io::Loop& loop) override {
    return io::make_sim_io(loop, network_);
  }
  std::unique_ptr<io::Io> actor_io(io::Loop& loop) override {
    return io::make_sim_io(loop, network_);
  }
  Result<int> listen(io::SocketAddress& address) override { return network_.listen(address); }
  Task<Result<io::Socket*>> connect(io::Loop& loop, const io::SocketAddress& target) override {
    return io::connect(loop, target, kConnectPatience);
  }
  void rounds(int count) override { network_.rounds(count); }

 private:
  bool run_until(bool (*done)(void*), void* context, Millis bound) override {
    return network_.run([&] { return done(context); }, network_.now() + bound);
  }

  io::SimNetwork& network_;
};

// What is accepted has what its listener has.
void set_buffers(int fd, Buffers buffers) {
  if (buffers == Buffers::usual) return;
  const int bytes = 8 * 1024;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

// What listens has room for it, so this does not wait for an answer.
Result<int> connect_from(const io::SocketAddress& source, const io::SocketAddress& target,
                         Buffers buffers) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::unexpected(os_error(errno, "socket"));
  io::prepare_stream(fd);
  set_buffers(fd, buffers);
  if (::bind(fd, source.get(), source.size()) != 0 ||
      ::connect(fd, target.get(), target.size()) != 0) {
    const int error = errno;
    ::close(fd);
    return std::unexpected(os_error(error, "connect"));
  }
  io::set_blocking(fd, false);
  return fd;
}

class LoopbackStage final : public Stage {
 public:
  LoopbackStage(On on, Buffers buffers) : on_(on), buffers_(buffers) {}

  std::unique_ptr<io::Io> proxy_io(io::Loop& loop) override {
    return take(loop, on_ == On::ring ? io::make_ring_io(loop) : io::make_epoll_io(loop));
  }
  std::unique_ptr<io::Io> actor_io(io::Loop& loop) override {
    return take(loop, io::make_epoll_io(loop));
  }

  Result<int> listen(io::SocketAddress& address) override {
    const io::SocketAddress any = *io::SocketAddress::from_ip("127.0.0.1", 0);
    const Result<int> fd = io::listen_on(any, 1024, 0600);
    if (fd) address = io::SocketAddress::of_socket(*fd);
    if (fd) set_buffers(*fd, buffers_);
    return fd;
  }

  Task<Result<io::Socket*>> connect(io::Loop& loop, const io::SocketAddress& target) override {
    const unsigned n = ++connections_;
    const std::string ip = fmt::format("127.{}.{}.{}", 1 + (n >> 16), n >> 8 & 255, n & 255);
    const Result<int> fd = connect_from(*io::SocketAddress::from_ip(ip, 0), target, buffers_);
    if (!fd) co_return std::unexpected(fd.error());
    co_return loop.io().adopt(*fd);
  }

  void rounds(int count) override {
    for (int i = 0; i < count; ++i) turn_all();
  }

 private:
  std::unique_ptr<io::Io> take(io::Loop& loop, Result<std::unique_ptr<io::Io>> io) {
    WEIR_CHECK(io.has_value());
    loops_.push_back(&loop);
    return std::move(*io);
  }

  /// Whether something is left to do at once.
  bool turn_all() {
    bool busy = false;
    for (io::Loop* loop : loops_) {
      if (loop->stopping()) continue;
      loop->turn(loop->now());
      busy = busy || !loop->queue.empty();
    }
    return busy;
  }

  bool run_until(bool (*done)(void*), void* context, Millis bound) override {
    io::Io& clock = loops_.front()->io();
    const Instant limit = clock.now() + bound;
    for (int idle = 0; !done(context); idle = turn_all() ? 0 : idle + 1) {
      if (clock.now() > limit) return false;
      // Nobody has anything to do but the kernel: the processor is better left to it.
      if (idle > kIdleRounds) loops_.front()->turn(clock.now() + Millis(1));
    }
    return true;
  }

  static constexpr int kIdleRounds = 50;

  On on_;
  Buffers buffers_;
  unsigned connections_ = 0;
  std::vector<io::Loop*> loops_;
};

}  // namespace

std::string_view name(On on) {
  switch (on) {
    case On::sim: return "sim";
    case On::epoll: return "epoll";
    case On::ring: return "ring";
  }
  return "?";
}

std::unique_ptr<Stage> make_stage(On on, Buffers buffers, io::SimNetwork& network) {
  if (on == On::sim) return std::make_unique<SimStage>(network);
  return std::make_unique<LoopbackStage>(on, buffers);
}

}  // namespace weir::sim
