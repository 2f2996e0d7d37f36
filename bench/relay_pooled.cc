// SPDX-License-Identifier: Apache-2.0
//
// The floor for a new connection per request: each client brings one request in one piece, which
// goes to the origin over a connection that is kept; the response is over after a number of bytes
// that is known beforehand, goes back, and the client's connection is closed. No parsing.
//
//     relay_pooled [--port PORT] --to PORT --response BYTES
#include <sys/epoll.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "sockets.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBufferSize = 64 * 1024;

/// A connection: of a client until it has its answer, or to the origin for good.
struct End {
  int fd = -1;
  End* peer = nullptr;  // who is being served, or by whom
  bool server = false;
  std::size_t left = 0;  // of the response, of a server connection
};

class Relay {
 public:
  Relay(int listener, const sockaddr_in& to, std::size_t size)
      : listener_(listener), to_(to), size_(size) {
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
        } else if (end->fd >= 0) {
          end->server ? answer(*end) : void(ask(*end));
        }
      }
      for (End* end : dead_) delete end;  // not before: more events may name it
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
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      no_delay(fd);
      auto* end = std::make_unique<End>().release();  // until drop()
      end->fd = fd;
      // The request is mostly there already: then there is nothing to wait for.
      if (!ask(*end)) watch(fd, EPOLLIN | EPOLLET, end);
    }
  }

  /// True when there is nothing to wait for: the request was sent on, or the client has gone.
  bool ask(End& client) {
    const ssize_t got = recv(client.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0 || client.peer != nullptr) {
      drop(client);
      return true;
    }
    End& server = connected();
    server.peer = &client;
    server.left = size_;
    client.peer = &server;
    if (send(server.fd, buffer_.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) != got) {
      fail("send to the origin");
    }
    return true;
  }

  End& connected() {
    if (!pool_.empty()) {
      End& server = *pool_.back();
      pool_.pop_back();
      return server;
    }
    auto* server = std::make_unique<End>().release();  // for good
    server->server = true;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto* to = reinterpret_cast<const sockaddr*>(&to_);
    if (server->fd < 0 || connect(server->fd, to, sizeof to_) != 0) fail("connect");
    no_delay(server->fd);
    fcntl(server->fd, F_SETFL, O_NONBLOCK);
    watch(server->fd, EPOLLIN | EPOLLET, server);
    return *server;
  }

  void answer(End& server) {
    const ssize_t got = recv(server.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("the origin has gone");
    const auto size = static_cast<std::size_t>(got);
    if (size > server.left) fail("more than the response");
    server.left -= size;
    if (server.peer != nullptr) {
      static_cast<void>(send(server.peer->fd, buffer_.data(), size, MSG_NOSIGNAL));
    }
    if (server.left > 0) return;
    pool_.push_back(&server);
    if (server.peer != nullptr) drop(*server.peer);
    server.peer = nullptr;
  }

  void drop(End& client) {
    if (client.peer != nullptr) client.peer->peer = nullptr;
    close(client.fd);
    client.fd = -1;
    dead_.push_back(&client);
  }

  const int listener_;
  const sockaddr_in to_;
  const std::size_t size_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<char> buffer_ = std::vector<char>(kBufferSize);
  std::vector<End*> pool_;
  std::vector<End*> dead_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using namespace weir::bench;
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  const auto to = target(arguments);
  const auto size = number(option(arguments, "--response", "")).value_or(0);
  if (size == 0) fail("--response");
  Relay(listen_as_told(arguments, SOCK_NONBLOCK), to, size).run();
}
