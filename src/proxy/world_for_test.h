// SPDX-License-Identifier: Apache-2.0
//
// What the tests of streams and bodies stand on: one loop, on the simulated network or on epoll,
// and pairs of connected streams. For tests only.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "async/scope.h"
#include "io/epoll_io.h"
#include "io/sim_io.h"
#include "io/tcp_stream.h"
#include "proxy/context.h"

namespace weir::proxy {

enum class Net : std::uint8_t { sim, epoll };

inline constexpr Millis kPatience{10'000};

class TestWorld {
 public:
  explicit TestWorld(Net kind, std::size_t budget = 64_MiB, std::uint64_t seed = 1)
      : network(kind == Net::sim ? std::make_unique<io::SimNetwork>(seed) : nullptr),
        loop(budget),
        metrics(std::make_unique<WorkerMetrics>()),
        context((attach(), loop), *metrics, seed) {}
  ~TestWorld() {
    EXPECT_EQ(scope.running(), 0u);
    if (listener_ != nullptr) loop.io().close(*listener_);
    turns(3);
  }

  struct Pair {
    std::unique_ptr<io::TcpStream> near;
    std::unique_ptr<io::TcpStream> far;
  };
  Pair pair() {
    Pair made;
    if (network == nullptr) {
      int ends[2];
      WEIR_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
      made.near = std::make_unique<io::TcpStream>(loop, loop.io().adopt(ends[0]));
      made.far = std::make_unique<io::TcpStream>(loop, loop.io().adopt(ends[1]));
      return made;
    }
    const io::SocketAddress address = *io::SocketAddress::from_ip("127.0.0.1", 1000);
    if (listener_ == nullptr) listener_ = loop.io().adopt_listener(*network->listen(address));
    scope.spawn(&TestWorld::accept, this, &made.far);
    scope.spawn(&TestWorld::connect, this, address, &made.near);
    EXPECT_TRUE(run([&] { return made.near && made.far; }));
    return made;
  }

  /// Turns the loop until `done` says so; false: it did not in ten seconds (of the network's
  /// clock).
  template <class Done>
  bool run(Done done) {
    const Instant limit = loop.io().now() + kPatience;
    if (network) return network->run(done, limit);
    while (loop.now() < limit) {
      if (done()) return true;
      loop.turn(std::min(limit, loop.now() + Millis(5)));
    }
    return done();
  }
  /// Some turns without waiting, for "has still not happened".
  void turns(int count) {
    if (network) return network->rounds(count);
    for (int i = 0; i < count; ++i) loop.turn(loop.now());
  }
  /// Lets the network's clock reach `after` from now.
  void pass(Millis after) {
    const Instant until = loop.io().now() + after;
    scope.spawn(&TestWorld::wait, this, until);
    EXPECT_TRUE(network->run([&] { return loop.now() >= until; }, until + Millis(100)));
    turns(2);
  }

  std::unique_ptr<io::SimNetwork> network;
  io::Loop loop;
  std::unique_ptr<WorkerMetrics> metrics;
  Context context;
  Scope scope{loop.queue};

 private:
  void attach() {
    loop.attach(network ? io::make_sim_io(loop, *network) : std::move(*io::make_epoll_io(loop)));
  }
  static Task<> wait(TestWorld* self, Instant until) {
    // tidy: allow sleep because the clock is the simulated one
    co_await io::sleep_until(self->loop, until);
  }
  static Task<> accept(TestWorld* self, std::unique_ptr<io::TcpStream>* out) {
    struct Accept : io::AcceptOp {
      io::Io& io;
      io::Socket& listener;
      Accept(io::Io& i, io::Socket& l) : io(i), listener(l) {}
      bool await_ready() { return io.start_accept(listener, *this); }
      void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
      void await_resume() {}
    };
    Accept accept(self->loop.io(), *self->listener_);
    co_await accept;
    WEIR_CHECK(accept.result.has_value());
    *out = std::make_unique<io::TcpStream>(self->loop, self->loop.io().adopt(*accept.result));
  }
  static Task<> connect(TestWorld* self, io::SocketAddress address,
                        std::unique_ptr<io::TcpStream>* out) {
    Result<io::Socket*> socket = co_await io::connect(self->loop, address, kPatience);
    WEIR_CHECK(socket.has_value());
    *out = std::make_unique<io::TcpStream>(self->loop, *socket);
  }

  io::Socket* listener_ = nullptr;
};

/// Sends all of `text`, then ends the direction if asked to.
enum class Then : std::uint8_t { keep, end, reset };
inline Task<> say(io::TcpStream* stream, std::string text, Then then) {
  const std::array<Bytes, 4> pieces = {text, {}, {}, {}};
  const Result<void> sent =
      text.empty() ? Result<void>{} : co_await stream->send(pieces, kPatience);
  ignore(sent, "the other side may have left, and the test sees that there");
  if (then == Then::end) stream->shutdown_write();
  if (then == Then::reset) stream->close(io::Stream::Close::reset);
}

/// Receives into `out` until the end, or until there are `enough` bytes.
struct Heard {
  std::string text;
  bool ended = false;
  Error error{};
  bool done = false;
};
inline Task<> hear(io::TcpStream* stream, std::size_t enough, Heard* out) {
  while (out->text.size() < enough) {
    Result<io::Chunk> chunk = co_await stream->recv(64_KiB, Millis(0));
    if (!chunk) {
      out->error = chunk.error();
      break;
    }
    out->ended = chunk->empty();
    if (out->ended) break;
    out->text += chunk->bytes();
  }
  out->done = true;
}

}  // namespace weir::proxy
