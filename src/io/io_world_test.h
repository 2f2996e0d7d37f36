// SPDX-License-Identifier: Apache-2.0
//
// What the contract tests stand on: one loop with a backend of either kind, listeners, pairs of
// connected streams, and turning the loop until something is true.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "async/scope.h"
#include "io/loop.h"
#include "io/sim_network.h"
#include "io/tcp_stream.h"

namespace weir::io {

enum class Kind : std::uint8_t { epoll, ring, sim };

inline std::string kind_name(Kind kind) {
  switch (kind) {
    case Kind::epoll: return "epoll";
    case Kind::ring: return "ring";
    case Kind::sim: return "sim";
  }
  return "?";
}

/// The backends that can be had here.
std::vector<Kind> kinds();

/// Bytes that tell at each place whether they are the right ones.
std::string pattern(std::size_t size);

class World {
 public:
  explicit World(Kind kind, std::size_t budget = 64_MiB);
  ~World();

  std::unique_ptr<SimNetwork> network;  // of Kind::sim
  Loop loop;
  Scope scope{loop.queue};

  struct Listening {
    Socket* socket = nullptr;
    SocketAddress address;
  };
  Listening listen(int backlog = 1024);
  /// An address at which nobody listens.
  SocketAddress nobody();
  /// An address that does not answer a connect: neither accepts nor refuses.
  SocketAddress silent();

  struct Pair {
    std::unique_ptr<TcpStream> client;
    std::unique_ptr<TcpStream> server;
  };
  Pair pair();
  /// A pair whose kernel buffers (of the direction client → server) are small.
  Pair small_pair();

  /// Turns the loop until `done` says so; false: it did not within ten seconds.
  template <class Done>
  bool run(Done done) {
    return run_until([](void* context) { return (*static_cast<Done*>(context))(); }, &done);
  }
  /// Some turns without waiting, for "has still not happened".
  void turns(int count);

 private:
  bool run_until(bool (*done)(void*), void* context);

  std::uint16_t next_port_ = 1000;
  std::vector<Listening> listeners_;
  std::vector<int> held_;
};

Task<> accept_one(World* world, Socket* listener, std::unique_ptr<TcpStream>* out);
Task<> connect_one(World* world, SocketAddress target, std::unique_ptr<TcpStream>* out);

}  // namespace weir::io
