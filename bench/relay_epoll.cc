// SPDX-License-Identifier: Apache-2.0
//
// The floor for epoll: for each client connection one server connection, bytes both ways, no
// parsing. Edge-triggered, one buffer for all, receive then send; a read that did not fill the
// buffer has emptied the socket. What costs less than this is a cleverer kernel interface, not
// cleverer code.
//
//     relay_epoll [--port PORT] --to PORT
#include <sys/epoll.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "sockets.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBufferSize = 256 * 1024;

struct Pair;

/// One socket, and the direction that is read from it.
struct End {
  Pair* pair = nullptr;
  End* peer = nullptr;
  int fd = -1;
  bool ending = false;    // its end may be received already, and no event will follow
  bool finished = false;  // read to its end, and the peer was told
  std::string unsent;     // read from here, the peer has no room; nothing more is read until it has
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
      if (server < 0) {
        close(client);
        return;
      }
      // In progress is fine: until it is connected it has no room, as for any other full socket.
      static_cast<void>(connect(server, reinterpret_cast<const sockaddr*>(&to_), sizeof to_));
      auto pair = std::make_unique<Pair>();
      pair->client = {pair.get(), &pair->server, client, false, false, {}};
      pair->server = {pair.get(), &pair->client, server, false, false, {}};
      no_delay(client);
      no_delay(server);
      watch(client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &pair->client);
      watch(server, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &pair->server);
      pair.release();
    }
  }

  void on_event(End& end, std::uint32_t what) {
    if ((what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) end.ending = true;
    if ((what & EPOLLOUT) != 0 && !end.pair->dead && !end.peer->unsent.empty()) flush(*end.peer);
    if ((what & ~EPOLLOUT) != 0 && !end.pair->dead) move(end);
  }

  /// Reads from `end` and sends to its peer until one of them would have to wait.
  void move(End& end) {
    while (end.unsent.empty() && !end.finished) {
      const ssize_t got = recv(end.fd, buffer_.data(), buffer_.size(), 0);
      if (got < 0) return errno == EAGAIN ? void() : kill(*end.pair);
      if (got == 0) return finish(end);
      const auto size = static_cast<std::size_t>(got);
      const std::size_t sent = send_some(end, {buffer_.data(), size});
      if (end.pair->dead) return;
      if (sent < size) end.unsent.assign(buffer_.data() + sent, size - sent);
      if (size < buffer_.size() && !end.ending) return;
    }
  }

  void flush(End& end) {
    const std::size_t sent = send_some(end, end.unsent);
    if (end.pair->dead) return;
    end.unsent.erase(0, sent);
    if (end.unsent.empty()) move(end);
  }

  std::size_t send_some(End& end, std::string_view bytes) {
    const ssize_t sent = send(end.peer->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno != EAGAIN) kill(*end.pair);
    return 0;
  }

  void finish(End& end) {
    end.finished = true;
    if (end.peer->finished) return kill(*end.pair);
    shutdown(end.peer->fd, SHUT_WR);
  }

  void kill(Pair& pair) {
    close(pair.client.fd);
    close(pair.server.fd);
    pair.dead = true;
    dead_.push_back(&pair);
  }

  const int listener_;
  const sockaddr_in to_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<char> buffer_ = std::vector<char>(kBufferSize);
  std::vector<Pair*> dead_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  const auto to = weir::bench::target(arguments);
  weir::bench::Relay(weir::bench::listen_as_told(arguments, SOCK_NONBLOCK), to).run();
}
