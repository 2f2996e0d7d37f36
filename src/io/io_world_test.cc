// SPDX-License-Identifier: Apache-2.0
#include "io/io_world_test.h"

#include <sys/socket.h>

#include <algorithm>

#include "io/epoll_io.h"
#include "io/listener.h"
#include "io/ring_io.h"
#include "io/sim_io.h"

namespace weir::io {
namespace {

constexpr Millis kPatience{10'000};

SocketAddress loopback() { return *SocketAddress::from_ip("127.0.0.1", 0); }

struct Accept : AcceptOp {
  Io& io;
  Socket& listener;
  Accept(Io& i, Socket& l) : io(i), listener(l) {}
  bool await_ready() { return io.start_accept(listener, *this); }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  Result<int> await_resume() { return result; }
};

std::unique_ptr<Io> make(Kind kind, Loop& loop, SimNetwork* network) {
  switch (kind) {
    case Kind::epoll: return std::move(*make_epoll_io(loop));
    case Kind::ring: return std::move(*make_ring_io(loop));
    case Kind::sim: return make_sim_io(loop, *network);
  }
  return nullptr;
}

}  // namespace

std::vector<Kind> kinds() {
  std::vector<Kind> result = {Kind::epoll, Kind::sim};
  if (ring_self_test()) result.push_back(Kind::ring);
  return result;
}

std::string pattern(std::size_t size) {
  std::string result(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    result[i] = static_cast<char>((i * 31 + (i >> 8) * 17 + (i >> 16)) & 0xff);
  }
  return result;
}

World::World(Kind kind, std::size_t budget)
    : network(kind == Kind::sim ? std::make_unique<SimNetwork>(1) : nullptr), loop(budget) {
  loop.attach(make(kind, loop, network.get()));
}

World::~World() {
  for (Listening& listening : listeners_) loop.io().close(*listening.socket);
  for (const int fd : held_) close_descriptor(fd);
  EXPECT_EQ(scope.running(), 0u);
  turns(3);
}

World::Listening World::listen(int backlog) {
  if (network) {
    const SocketAddress address = *SocketAddress::from_ip("127.0.0.1", next_port_++);
    Listening made{loop.io().adopt_listener(*network->listen(address, backlog)), address};
    listeners_.push_back(made);
    return made;
  }
  const Result<int> fd = listen_on(loopback(), backlog, 0600);
  WEIR_CHECK(fd.has_value());
  Listening listening{loop.io().adopt_listener(*fd), SocketAddress::of_socket(*fd)};
  listeners_.push_back(listening);
  return listening;
}

SocketAddress World::nobody() {
  if (network) return *SocketAddress::from_ip("127.0.0.1", 9);
  const Result<int> fd = listen_on(loopback(), 1, 0600);
  WEIR_CHECK(fd.has_value());
  const SocketAddress address = SocketAddress::of_socket(*fd);
  close_descriptor(*fd);
  return address;
}

SocketAddress World::silent() {
  if (network) {
    const SocketAddress address = *SocketAddress::from_ip("192.0.2.1", 80);
    network->silence(address);
    return address;
  }
  // A listening socket whose queue is full drops what comes after.
  const Result<int> fd = listen_on(loopback(), 0, 0600);
  WEIR_CHECK(fd.has_value());
  const SocketAddress address = SocketAddress::of_socket(*fd);
  held_.push_back(*fd);
  for (int i = 0; i < 4; ++i) {
    const int filler = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ignore(::connect(filler, address.get(), address.size()), "pending");
    held_.push_back(filler);
  }
  return address;
}

Task<> accept_one(World* world, Socket* listener, std::unique_ptr<TcpStream>* out) {
  Accept accept(world->loop.io(), *listener);
  const Result<int> fd = co_await accept;
  WEIR_CHECK(fd.has_value());
  *out = std::make_unique<TcpStream>(world->loop, world->loop.io().adopt(*fd));
}

Task<> connect_one(World* world, SocketAddress target, std::unique_ptr<TcpStream>* out) {
  Result<Socket*> socket = co_await connect(world->loop, target, kPatience);
  WEIR_CHECK(socket.has_value());
  *out = std::make_unique<TcpStream>(world->loop, *socket);
}

World::Pair World::pair() {
  if (listeners_.empty()) listen();
  Pair made;
  scope.spawn(accept_one, this, listeners_[0].socket, &made.server);
  scope.spawn(connect_one, this, listeners_[0].address, &made.client);
  EXPECT_TRUE(run([&] { return made.client && made.server; }));
  return made;
}

World::Pair World::small_pair() {
  Pair made = pair();
  const int bytes = 32 * 1024;
  setsockopt(made.client->plain_socket()->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  setsockopt(made.server->plain_socket()->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  return made;
}

void World::turns(int count) {
  if (network) return network->rounds(count);
  for (int i = 0; i < count; ++i) loop.turn(loop.now());
}

bool World::run_until(bool (*done)(void*), void* context) {
  const Instant limit = loop.io().now() + kPatience;
  if (network) return network->run([&] { return done(context); }, limit);
  while (loop.now() < limit) {
    loop.queue.run(kRunMax);
    if (done(context)) return true;
    // What a turn does may be what is waited for, so it must not wait for the next event too long.
    loop.turn(std::min(limit, loop.now() + Millis(5)));
  }
  return false;
}

}  // namespace weir::io
