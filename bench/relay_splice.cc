// SPDX-License-Identifier: Apache-2.0
//
// The floor for bulk: like relay_epoll, but bytes go socket to pipe to socket and are never seen.
//
//     relay_splice [--port PORT] --to PORT
#include <sys/epoll.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "sockets.h"

namespace weir::bench {
namespace {

constexpr std::size_t kPipeSize = 1024 * 1024;

struct Pair;

/// One socket, and the direction that is read from it, through a pipe of its own.
struct End {
  Pair* pair = nullptr;
  End* peer = nullptr;
  int fd = -1;
  int pipe[2] = {-1, -1};
  std::size_t held = 0;   // bytes in the pipe
  bool finished = false;  // read to its end
};

struct Pair {
  End client;
  End server;
  bool dead = false;
};

class Relay {
 public:
  Relay(int listener, const sockaddr_in& to) : listener_(listener), to_(to) {
    watch(listener, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(512);
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        auto* end = static_cast<End*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (end == nullptr) {
          accept_all();
        } else {
          on_event(*end, events[static_cast<std::size_t>(i)].events);
        }
      }
      for (Pair* pair : dead_) delete pair;  // not before: both ends may be in one batch
      dead_.clear();
    }
  }

 private:
  void watch(int fd, std::uint32_t what, End* end) const {
    epoll_event event{.events = what, .data = {.ptr = end}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      const int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (client < 0) return;
      const int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (server < 0) fail("out of descriptors");
      static_cast<void>(connect(server, reinterpret_cast<const sockaddr*>(&to_), sizeof to_));
      auto pair = std::make_unique<Pair>();
      prepare(pair->client, *pair, pair->server, client);
      prepare(pair->server, *pair, pair->client, server);
      pair.release();
    }
  }

  void prepare(End& end, Pair& pair, End& peer, int fd) const {
    end.pair = &pair;
    end.peer = &peer;
    end.fd = fd;
    if (fd < 0 || pipe2(end.pipe, O_NONBLOCK | O_CLOEXEC) != 0) fail("out of descriptors");
    fcntl(end.pipe[0], F_SETPIPE_SZ, kPipeSize);
    no_delay(fd);
    watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &end);
  }

  void on_event(End& end, std::uint32_t what) {
    if ((what & EPOLLOUT) != 0 && !end.pair->dead && end.peer->held > 0) move(*end.peer);
    if ((what & ~EPOLLOUT) != 0 && !end.pair->dead) move(end);
  }

  /// Fills the pipe from `end` and empties it into the peer until one of them would have to wait.
  void move(End& end) {
    while (!end.pair->dead) {
      if (end.held == 0 && !end.finished && !fill(end)) return;
      if (end.held == 0) return;
      constexpr unsigned kFlags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;
      const ssize_t sent = splice(end.pipe[0], nullptr, end.peer->fd, nullptr, end.held, kFlags);
      if (sent < 0) return errno == EAGAIN ? void() : kill(*end.pair);
      end.held -= static_cast<std::size_t>(sent);
    }
  }

  /// False when there is nothing to read now, or never again.
  bool fill(End& end) {
    constexpr unsigned kFlags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;
    const ssize_t got = splice(end.fd, nullptr, end.pipe[1], nullptr, kPipeSize, kFlags);
    if (got > 0) {
      end.held = static_cast<std::size_t>(got);
      return true;
    }
    if (got < 0) {
      if (errno != EAGAIN) kill(*end.pair);
      return false;
    }
    end.finished = true;  // and nothing is held: a direction is filled only when it is empty
    end.peer->finished ? kill(*end.pair) : void(shutdown(end.peer->fd, SHUT_WR));
    return false;
  }

  void kill(Pair& pair) {
    for (End* end : {&pair.client, &pair.server}) {
      close(end->fd);
      close(end->pipe[0]);
      close(end->pipe[1]);
    }
    pair.dead = true;
    dead_.push_back(&pair);
  }

  const int listener_;
  const sockaddr_in to_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Pair*> dead_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  const auto to = weir::bench::target(arguments);
  weir::bench::Relay(weir::bench::listen_as_told(arguments, SOCK_NONBLOCK), to).run();
}
