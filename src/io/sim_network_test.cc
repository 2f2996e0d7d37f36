// SPDX-License-Identifier: Apache-2.0
#include "io/sim_network.h"

#include <gtest/gtest.h>

#include "async/scope.h"
#include "io/io_world_test.h"
#include "io/sim_io.h"

namespace weir::io {
namespace {

constexpr Millis kStall{30'000};

SimFaults rough() {
  SimFaults faults;
  faults.short_read = 0.3;
  faults.short_write = 0.1;
  faults.short_bytes_max = 700;
  faults.delay_max = Millis(5);
  faults.deferred = 0.5;
  faults.connect_slow = 0.3;
  faults.receive_capacity = 8_KiB;
  return faults;
}

// A server that sends back what it gets, and clients, each on a loop of its own.
struct Side {
  explicit Side(SimNetwork& network) : loop(1_MiB) { loop.attach(make_sim_io(loop, network)); }
  Loop loop;
  Scope scope{loop.queue};
};

struct Accept : AcceptOp {
  Io& io;
  Socket& listener;
  Accept(Io& i, Socket& l) : io(i), listener(l) {}
  bool await_ready() { return io.start_accept(listener, *this); }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  Result<int> await_resume() { return result; }
};

Task<> echo(Side* side, int fd) {
  TcpStream stream(side->loop, side->loop.io().adopt(fd));
  for (;;) {
    Result<Chunk> chunk = co_await stream.recv(16_KiB, kStall);
    if (!chunk) {
      stream.close(Stream::Close::reset);
      co_return;
    }
    if (chunk->empty()) break;
    const std::array<Bytes, 4> pieces = {chunk->bytes(), {}, {}, {}};
    const Result<void> sent = co_await stream.send(pieces, kStall);
    if (!sent) co_return;
  }
  stream.shutdown_write();
}

Task<> serve(Side* side, Socket* listener) {
  for (;;) {
    Accept accept(side->loop.io(), *listener);
    const Result<int> fd = co_await accept;
    if (fd) {
      side->scope.spawn(echo, side, *fd);
    } else if (fd.error().code != Code::no_descriptors) {
      break;
    } else {
      // tidy: allow sleep because its time is virtual
      co_await sleep_until(side->loop, side->loop.now() + Millis(10));
    }
  }
  side->loop.io().close(*listener);
}

struct Exchange {
  std::string sent;
  std::string received;
  bool ended = false;  // properly
  Code failure = Code::os;
};

Task<> write_all(TcpStream* stream, Exchange* exchange) {
  const std::array<Bytes, 4> pieces = {exchange->sent, {}, {}, {}};
  const Result<void> sent = co_await stream->send(pieces, kStall);
  if (sent) stream->shutdown_write();
}

Task<> read_all(TcpStream* stream, Exchange* exchange) {
  for (;;) {
    Result<Chunk> chunk = co_await stream->recv(4_KiB, kStall);
    if (!chunk) {
      exchange->failure = chunk.error().code;
      stream->cancel(chunk.error());
      co_return;
    }
    exchange->ended = chunk->empty();
    if (exchange->ended) co_return;
    exchange->received += chunk->bytes();
  }
}

Task<> converse(Side* side, SocketAddress target, Exchange* exchange) {
  Result<Socket*> socket = co_await connect(side->loop, target, Millis(60'000));
  if (!socket) {
    exchange->failure = socket.error().code;
    co_return;
  }
  TcpStream stream(side->loop, *socket);
  Scope both(side->loop.queue);
  both.spawn(write_all, &stream, exchange);
  both.spawn(read_all, &stream, exchange);
  co_await both.join();
}

struct Outcome {
  std::vector<Exchange> exchanges;
  std::uint64_t trace = 0;
  Instant end{};
};

Outcome run_exchanges(std::uint64_t seed, const SimFaults& faults, std::size_t count) {
  Outcome result;
  result.exchanges.resize(count);
  SimNetwork network(seed, faults);
  {
    Side server(network);
    Side clients(network);
    const SocketAddress address = *SocketAddress::from_ip("10.0.0.1", 80);
    Socket* listener = server.loop.io().adopt_listener(*network.listen(address));
    server.scope.spawn(serve, &server, listener);
    for (std::size_t i = 0; i < count; ++i) {
      result.exchanges[i].sent = pattern(10'000 + i * 3000);
      clients.scope.spawn(converse, &clients, address, &result.exchanges[i]);
    }
    const Instant limit = network.now() + Millis(600'000);
    EXPECT_TRUE(network.run([&] { return clients.scope.running() == 0; }, limit)) << seed;
    server.loop.io().cancel_recv(*listener, Error{Code::cancelled, Cause::none, 0, "end"});
    EXPECT_TRUE(network.run([&] { return server.scope.running() == 0; }, limit)) << seed;
  }
  result.trace = network.trace();
  result.end = network.now();
  return result;
}

TEST(SimNetwork, BytesArriveWholeInOrderWhateverTheSchedule) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    for (const Exchange& exchange : run_exchanges(seed, rough(), 6).exchanges) {
      ASSERT_TRUE(exchange.ended) << seed;
      ASSERT_TRUE(exchange.received == exchange.sent) << seed;
    }
  }
}

TEST(SimNetwork, TheSameSeedGivesTheSameTrace) {
  const Outcome first = run_exchanges(7, rough(), 4);
  const Outcome again = run_exchanges(7, rough(), 4);
  EXPECT_EQ(first.trace, again.trace);
  EXPECT_EQ(first.end, again.end);
  EXPECT_NE(first.trace, run_exchanges(8, rough(), 4).trace);
}

TEST(SimNetwork, AResetLeavesAPrefixAndIsNeverAProperEnd) {
  SimFaults faults = rough();
  faults.reset = 0.7;
  faults.reset_within = 30'000;
  int broken = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const Exchange& exchange : run_exchanges(seed, faults, 6).exchanges) {
      ASSERT_TRUE(exchange.sent.starts_with(exchange.received)) << seed;
      if (exchange.ended) {
        ASSERT_TRUE(exchange.received == exchange.sent) << seed;
      } else {
        ++broken;
        ASSERT_EQ(exchange.failure, Code::reset) << seed;
      }
    }
  }
  EXPECT_GT(broken, 20);
}

TEST(SimNetwork, ConnectsAreRefusedOrIgnoredAndDescriptorsRunOut) {
  SimFaults faults = rough();
  faults.connect_refused = 0.3;
  faults.connect_silent = 0.2;
  faults.no_descriptors = 0.2;
  int refused = 0;
  int ignored = 0;
  int short_of = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const Exchange& exchange : run_exchanges(seed, faults, 6).exchanges) {
      if (exchange.ended) continue;
      refused += exchange.failure == Code::refused;
      ignored += exchange.failure == Code::timed_out;
      short_of += exchange.failure == Code::no_descriptors;
    }
  }
  EXPECT_GT(refused, 10);
  EXPECT_GT(ignored, 5);
  EXPECT_GT(short_of, 5);
}

TEST(SimNetwork, ASendWaitsWhenThePeerDoesNotRead) {
  SimFaults faults;
  faults.receive_capacity = 10'000;
  World world(Kind::sim);
  world.network->faults = faults;
  World::Pair pair = world.pair();
  Exchange exchange;
  exchange.sent = pattern(10'001);
  world.scope.spawn(write_all, pair.client.get(), &exchange);
  world.turns(1000);
  EXPECT_EQ(world.scope.running(), 1u);
  world.scope.spawn(read_all, pair.server.get(), &exchange);
  ASSERT_TRUE(world.run([&] { return world.scope.running() == 0; }));
  EXPECT_TRUE(exchange.received == exchange.sent);
}

// What arrived and was not read turns an orderly close into a reset, as the kernel does.
TEST(SimNetwork, ClosingWithUnreadBytesResets) {
  World world(Kind::sim);
  World::Pair pair = world.pair();
  Exchange request;
  request.sent = "unread";
  world.scope.spawn(write_all, pair.client.get(), &request);
  world.turns(20);
  Exchange seen;
  world.scope.spawn(read_all, pair.client.get(), &seen);
  pair.server->close(Stream::Close::orderly);
  ASSERT_TRUE(world.run([&] { return world.scope.running() == 0; }));
  EXPECT_FALSE(seen.ended);
  EXPECT_EQ(seen.failure, Code::reset);
}

TEST(SimNetwork, TheClockJumpsOverTimeInWhichNothingHappens) {
  World world(Kind::sim);
  World::Pair pair = world.pair();
  const Instant start = world.network->now();
  Exchange exchange;
  world.scope.spawn(read_all, pair.server.get(), &exchange);
  ASSERT_TRUE(world.network->run([&] { return world.scope.running() == 0; }, kNever));
  EXPECT_EQ(exchange.failure, Code::timed_out);
  EXPECT_GE(world.network->now() - start, kStall);
  EXPECT_LT(world.network->now() - start, kStall + Millis(20));
}

}  // namespace
}  // namespace weir::io
