// SPDX-License-Identifier: Apache-2.0
//
// What every backend has to do alike. Each scenario runs on each of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "io/io_world_test.h"

namespace weir::io {
namespace {

constexpr Millis kLong{9'000};
constexpr Error kWhy{Code::cancelled, Cause::none, 0, "test"};

class IoContract : public ::testing::TestWithParam<Kind> {
 protected:
  IoContract() : world(GetParam()) {}
  World world;
};

INSTANTIATE_TEST_SUITE_P(Backends, IoContract, ::testing::ValuesIn(kinds()),
                         [](const auto& info) { return kind_name(info.param); });

std::array<Bytes, 4> one(Bytes bytes) { return {bytes, {}, {}, {}}; }

struct Outcome {
  bool done = false;
  Error error{};  // where != nullptr: it failed
  std::string bytes;
  bool end = false;
};

Task<> send_all(Stream* stream, Bytes bytes, Millis stall, Outcome* out) {
  const std::array<Bytes, 4> pieces = one(bytes);
  const Result<void> sent = co_await stream->send(pieces, stall);
  if (!sent) out->error = sent.error();
  out->done = true;
}

Task<> recv_once(Stream* stream, std::size_t window, Millis stall, Outcome* out) {
  Result<Chunk> chunk = co_await stream->recv(window, stall);
  if (chunk) {
    out->bytes += chunk->bytes();
    out->end = chunk->empty();
  } else {
    out->error = chunk.error();
  }
  out->done = true;
}

// Reads until the end, an error, or `limit` bytes; pauses before each read.
Task<> recv_all(Stream* stream, std::size_t window, std::size_t limit, Millis pause, Outcome* out) {
  while (out->bytes.size() < limit) {
    // tidy: allow sleep because a slow reader is what is tested
    if (pause.count() > 0) co_await sleep_until(stream->loop(), stream->loop().now() + pause);
    Result<Chunk> chunk = co_await stream->recv(window, kLong);
    if (!chunk) {
      out->error = chunk.error();
      break;
    }
    out->bytes += chunk->bytes();
    out->end = chunk->empty();
    if (out->end) break;
  }
  out->done = true;
}

Task<> connect_to(World* world, SocketAddress target, Millis timeout, Outcome* out) {
  Result<Socket*> socket = co_await connect(world->loop, target, timeout);
  if (socket) {
    world->loop.io().close(**socket);
  } else {
    out->error = socket.error();
  }
  out->done = true;
}

TEST_P(IoContract, BytesPassInBothDirections) {
  World::Pair pair = world.pair();
  Outcome sent, received, answered, answer;
  world.scope.spawn(recv_once, pair.server.get(), kWindowHead, kLong, &received);
  world.scope.spawn(send_all, pair.client.get(), Bytes("ping"), kLong, &sent);
  ASSERT_TRUE(world.run([&] { return received.done && sent.done; }));
  EXPECT_EQ(received.bytes, "ping");
  world.scope.spawn(send_all, pair.server.get(), Bytes("pong"), kLong, &answered);
  world.scope.spawn(recv_once, pair.client.get(), kWindowHead, kLong, &answer);
  ASSERT_TRUE(world.run([&] { return answer.done && answered.done; }));
  EXPECT_EQ(answer.bytes, "pong");
}

Task<> send_pieces(Stream* stream, Outcome* out) {
  std::array<Bytes, 4> pieces = {Bytes("one,"), Bytes(), Bytes("two,"), Bytes("three")};
  const Result<void> sent = co_await stream->send(pieces, kLong, SendOp::More::yes);
  EXPECT_TRUE(sent.has_value());
  pieces = {Bytes(), Bytes(), Bytes(), Bytes(".")};
  const Result<void> last = co_await stream->send(pieces, kLong);
  EXPECT_TRUE(last.has_value());
  stream->shutdown_write();
  out->done = true;
}

TEST_P(IoContract, PiecesLeaveInOrder) {
  World::Pair pair = world.pair();
  Outcome sent, received;
  world.scope.spawn(send_pieces, pair.client.get(), &sent);
  world.scope.spawn(recv_all, pair.server.get(), kWindowHead, std::size_t{100}, Millis(0),
                    &received);
  ASSERT_TRUE(world.run([&] { return received.done && sent.done; }));
  EXPECT_EQ(received.bytes, "one,two,three.");
}

TEST_P(IoContract, ASendWaitsForASlowReaderAndLosesNothing) {
  World::Pair pair = world.small_pair();
  const std::string body = pattern(4_MiB);
  Outcome sent, received;
  world.scope.spawn(send_all, pair.client.get(), Bytes(body), kLong, &sent);
  world.turns(100);
  EXPECT_FALSE(sent.done);
  world.scope.spawn(recv_all, pair.server.get(), kWindowHead, body.size(), Millis(0), &received);
  ASSERT_TRUE(world.run([&] { return received.done && sent.done; }));
  EXPECT_EQ(sent.error.where, nullptr);
  EXPECT_TRUE(received.bytes == body);
}

class IoWindow : public ::testing::TestWithParam<std::tuple<Kind, std::size_t>> {};
INSTANTIATE_TEST_SUITE_P(Windows, IoWindow,
                         ::testing::Combine(::testing::ValuesIn(kinds()),
                                            ::testing::Values(1_KiB, 4_KiB, 8_KiB, 16_KiB, 64_KiB,
                                                              256_KiB)),
                         [](const auto& info) {
                           return kind_name(std::get<0>(info.param)) +
                                  std::to_string(std::get<1>(info.param));
                         });

TEST_P(IoWindow, EachWindowDeliversTheSameBytes) {
  World world(std::get<0>(GetParam()));
  World::Pair pair = world.pair();
  const std::string body = pattern(2_MiB + 123);
  Outcome sent, received;
  world.scope.spawn(recv_all, pair.server.get(), std::get<1>(GetParam()), body.size(), Millis(0),
                    &received);
  world.scope.spawn(send_all, pair.client.get(), Bytes(body), kLong, &sent);
  ASSERT_TRUE(world.run([&] { return received.done && sent.done; }));
  EXPECT_TRUE(received.bytes == body);
}

TEST_P(IoContract, AnEndIsAnEmptyChunkEachTime) {
  World::Pair pair = world.pair();
  pair.client->close(Stream::Close::orderly);
  for (const std::size_t window : {4_KiB, 64_KiB, 4_KiB}) {
    Outcome end;
    world.scope.spawn(recv_once, pair.server.get(), window, kLong, &end);
    ASSERT_TRUE(world.run([&] { return end.done; }));
    EXPECT_TRUE(end.end);
  }
}

TEST_P(IoContract, AfterAHalfCloseTheOtherDirectionGoesOn) {
  World::Pair pair = world.pair();
  Outcome asked, question, answered, answer;
  world.scope.spawn(send_all, pair.client.get(), Bytes("question"), kLong, &asked);
  ASSERT_TRUE(world.run([&] { return asked.done; }));
  pair.client->shutdown_write();
  world.scope.spawn(recv_all, pair.server.get(), kWindowHead, 1_MiB, Millis(0), &question);
  ASSERT_TRUE(world.run([&] { return question.done; }));
  EXPECT_TRUE(question.end);
  EXPECT_EQ(question.bytes, "question");
  const std::string body = pattern(300'000);
  world.scope.spawn(send_all, pair.server.get(), Bytes(body), kLong, &answered);
  world.scope.spawn(recv_all, pair.client.get(), 16_KiB, body.size(), Millis(0), &answer);
  ASSERT_TRUE(world.run([&] { return answer.done && answered.done; }));
  EXPECT_TRUE(answer.bytes == body);
}

TEST_P(IoContract, AResetIsAnErrorForAReceiveThatWaits) {
  for (const std::size_t window : {4_KiB, 64_KiB}) {
    World::Pair pair = world.pair();
    Outcome received;
    world.scope.spawn(recv_once, pair.server.get(), window, kLong, &received);
    world.turns(3);
    pair.client->close(Stream::Close::reset);
    ASSERT_TRUE(world.run([&] { return received.done; }));
    EXPECT_FALSE(received.end);
    EXPECT_EQ(received.error.code, Code::reset);
  }
}

Task<> send_until_error(Stream* stream, Outcome* out) {
  while (out->error.where == nullptr) {
    const std::array<Bytes, 4> pieces = one("more");
    const Result<void> sent = co_await stream->send(pieces, kLong);
    if (!sent) out->error = sent.error();
    co_await yield(stream->loop().queue);
  }
  out->done = true;
}

TEST_P(IoContract, WhatArrivedBeforeAResetIsReceived) {
  World::Pair pair = world.pair();
  Outcome sent;
  world.scope.spawn(send_all, pair.client.get(), "before", kLong, &sent);
  ASSERT_TRUE(world.run([&] { return sent.done; }));
  pair.client->close(Stream::Close::reset);
  Outcome received;
  world.scope.spawn(recv_all, pair.server.get(), kWindowHead, std::size_t{100}, Millis(0),
                    &received);
  ASSERT_TRUE(world.run([&] { return received.done; }));
  EXPECT_EQ(received.bytes, "before");
  EXPECT_EQ(received.error.code, Code::reset);
  pair.server->close(Stream::Close::orderly);
}

// The kernel tells of a reset once. When a send has met it, a receive sees what looks like an end.
TEST_P(IoContract, AResetThatASendHasMetIsNoEndForTheReceive) {
  for (const std::size_t window : {4_KiB, 64_KiB}) {
    World::Pair pair = world.pair();
    pair.client->close(Stream::Close::reset);
    Outcome sent, received;
    world.scope.spawn(send_until_error, pair.server.get(), &sent);
    ASSERT_TRUE(world.run([&] { return sent.done; }));
    EXPECT_EQ(sent.error.code, Code::reset);
    world.scope.spawn(recv_once, pair.server.get(), window, kLong, &received);
    ASSERT_TRUE(world.run([&] { return received.done; }));
    EXPECT_FALSE(received.end);
    EXPECT_EQ(received.error.code, Code::reset);
  }
}

TEST_P(IoContract, AReceiveThatTimedOutLosesNoByte) {
  World::Pair pair = world.pair();
  for (const std::size_t window : {4_KiB, 64_KiB, 4_KiB}) {
    Outcome late, sent, received;
    world.scope.spawn(recv_once, pair.server.get(), window, Millis(20), &late);
    ASSERT_TRUE(world.run([&] { return late.done; }));
    EXPECT_EQ(late.error.code, Code::timed_out);
    world.scope.spawn(send_all, pair.client.get(), Bytes("after all"), kLong, &sent);
    ASSERT_TRUE(world.run([&] { return sent.done; }));
    world.turns(5);
    world.scope.spawn(recv_all, pair.server.get(), window, std::size_t{9}, Millis(0), &received);
    ASSERT_TRUE(world.run([&] { return received.done; }));
    EXPECT_EQ(received.bytes, "after all");
  }
}

TEST_P(IoContract, ASendToAPeerThatNeverReadsTimesOut) {
  World::Pair pair = world.small_pair();
  const std::string body = pattern(8_MiB);
  Outcome sent;
  world.scope.spawn(send_all, pair.client.get(), Bytes(body), Millis(50), &sent);
  ASSERT_TRUE(world.run([&] { return sent.done; }));
  EXPECT_EQ(sent.error.code, Code::timed_out);
}

TEST_P(IoContract, ASendStallIsCountedFromTheLastProgress) {
  World::Pair pair = world.small_pair();
  const std::string body = pattern(2_MiB);
  Outcome sent, received;
  world.scope.spawn(send_all, pair.client.get(), Bytes(body), Millis(600), &sent);
  // At least 32 pauses of 40 ms: more than the stall in total.
  world.scope.spawn(recv_all, pair.server.get(), 64_KiB, body.size(), Millis(40), &received);
  ASSERT_TRUE(world.run([&] { return received.done && sent.done; }));
  EXPECT_EQ(sent.error.where, nullptr);
  EXPECT_TRUE(received.bytes == body);
}

TEST_P(IoContract, CancelEndsBothDirectionsAndEverythingLater) {
  World::Pair pair = world.small_pair();
  const std::string body = pattern(8_MiB);
  Outcome sent, received, later;
  world.scope.spawn(send_all, pair.client.get(), Bytes(body), kLong, &sent);
  world.scope.spawn(recv_once, pair.client.get(), kWindowHead, kLong, &received);
  world.turns(20);
  ASSERT_FALSE(sent.done || received.done);
  pair.client->cancel(kWhy);
  ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
  EXPECT_EQ(sent.error.code, Code::cancelled);
  EXPECT_EQ(received.error.code, Code::cancelled);
  world.scope.spawn(recv_once, pair.client.get(), kWindowHead, kLong, &later);
  EXPECT_TRUE(later.done);
  EXPECT_EQ(later.error.code, Code::cancelled);
}

TEST_P(IoContract, CancellingAReceiveLeavesTheStreamUsable) {
  World::Pair pair = world.pair();
  Outcome first, sent, second;
  world.scope.spawn(recv_once, pair.server.get(), kWindowHead, kLong, &first);
  world.turns(3);
  pair.server->cancel_recv(kWhy);
  world.scope.spawn(send_all, pair.client.get(), Bytes("bytes"), kLong, &sent);
  ASSERT_TRUE(world.run([&] { return first.done && sent.done; }));
  EXPECT_EQ(first.error.code, Code::cancelled);
  world.turns(5);
  world.scope.spawn(recv_all, pair.server.get(), 64_KiB, std::size_t{5}, Millis(0), &second);
  ASSERT_TRUE(world.run([&] { return second.done; }));
  EXPECT_EQ(second.bytes, "bytes");
}

TEST_P(IoContract, NobodyListeningRefuses) {
  Outcome outcome;
  world.scope.spawn(connect_to, &world, world.nobody(), kLong, &outcome);
  ASSERT_TRUE(world.run([&] { return outcome.done; }));
  EXPECT_EQ(outcome.error.code, Code::refused);
}

TEST_P(IoContract, AConnectThatIsNotAnsweredTimesOut) {
  Outcome outcome;
  world.scope.spawn(connect_to, &world, world.silent(), Millis(30), &outcome);
  ASSERT_TRUE(world.run([&] { return outcome.done; }));
  EXPECT_EQ(outcome.error.code, Code::timed_out);
}

template <class Kind>
struct Counting : Kind {
  Counting() {
    this->callback = [](Op& op) { ++static_cast<Counting&>(op).count; };
  }
  int count = 0;
};

TEST_P(IoContract, AConnectCanBeCancelled) {
  Counting<ConnectOp> op;
  op.target = world.silent();
  ASSERT_FALSE(world.loop.io().start_connect(op));
  world.turns(3);
  world.loop.io().cancel_connect(op, kWhy);
  ASSERT_TRUE(world.run([&] { return op.count > 0; }));
  EXPECT_EQ(op.result.error().code, Code::cancelled);
  world.loop.io().cancel_connect(op, kWhy);  // complete: no effect
  world.turns(3);
  EXPECT_EQ(op.count, 1);
}

TEST_P(IoContract, AnAcceptCanBeCancelledAndStartedAgain) {
  const World::Listening listening = world.listen();
  Counting<AcceptOp> first;
  if (world.loop.io().start_accept(*listening.socket, first)) FAIL() << "nobody connected";
  world.turns(2);
  world.loop.io().cancel_recv(*listening.socket, kWhy);
  ASSERT_TRUE(world.run([&] { return first.count > 0; }));
  EXPECT_EQ(first.result.error().code, Code::cancelled);
  std::unique_ptr<TcpStream> client, server;
  world.scope.spawn(connect_one, &world, listening.address, &client);
  world.turns(5);
  world.scope.spawn(accept_one, &world, listening.socket, &server);
  ASSERT_TRUE(world.run([&] { return client && server; }));
  EXPECT_EQ(first.count, 1);
}

TEST_P(IoContract, AnAcceptedConnectionTellsItsPeer) {
  const World::Listening listening = world.listen();
  Counting<AcceptOp> op;
  std::unique_ptr<TcpStream> client;
  const bool at_once = world.loop.io().start_accept(*listening.socket, op);
  world.scope.spawn(connect_one, &world, listening.address, &client);
  ASSERT_TRUE(world.run([&] { return client && (at_once || op.count > 0); }));
  ASSERT_TRUE(op.result.has_value());
  EXPECT_EQ(op.peer.text(), "127.0.0.1");
  EXPECT_NE(op.peer.port, 0);
  Socket* socket = world.loop.io().adopt(*op.result);
  EXPECT_EQ(world.loop.io().local_end(*socket).text(), "127.0.0.1");
  EXPECT_EQ(world.loop.io().local_end(*socket).port, listening.address.port());
  TcpStream server(world.loop, socket);
}

TEST_P(IoContract, CloseForgetsAReceiveThatIsUnderWay) {
  for (const std::size_t window : {4_KiB, 64_KiB}) {
    World::Pair pair = world.pair();
    Counting<RecvOp> op;
    op.window = window;
    ASSERT_FALSE(pair.server->start_recv(op, kLong));
    world.turns(3);
    Outcome sent, end;
    world.scope.spawn(send_all, pair.client.get(), Bytes("unread"), kLong, &sent);
    pair.server->close(Stream::Close::orderly);
    world.scope.spawn(recv_all, pair.client.get(), kWindowHead, 1_MiB, Millis(0), &end);
    ASSERT_TRUE(world.run([&] { return sent.done && end.done; }));
    world.turns(3);
    EXPECT_EQ(op.count, 0);
  }
}

TEST_P(IoContract, AListenerCanBeClosedWithAnAcceptUnderWay) {
  Counting<AcceptOp> op;
  {
    World local(GetParam());
    const World::Listening listening = local.listen();
    ASSERT_FALSE(local.loop.io().start_accept(*listening.socket, op));
    local.turns(3);
  }  // the world closes the listener, and turns
  EXPECT_EQ(op.count, 0);
}

TEST_P(IoContract, AReceiveWaitsForMemoryAndGoesOnWhenItComesBack) {
  World tight(GetParam(), 8_KiB);
  World::Pair pair = tight.pair();
  for (const std::size_t window : {4_KiB, 64_KiB}) {
    Outcome sent, received;
    {
      Chunk first;
      Chunk second;
      ASSERT_TRUE(tight.loop.chunks.allocate(4_KiB, first));
      ASSERT_TRUE(tight.loop.chunks.allocate(4_KiB, second));
      tight.scope.spawn(send_all, pair.client.get(), Bytes("bytes"), kLong, &sent);
      ASSERT_TRUE(tight.run([&] { return sent.done; }));
      tight.scope.spawn(recv_once, pair.server.get(), window, kLong, &received);
      tight.turns(10);
      EXPECT_FALSE(received.done);
    }
    ASSERT_TRUE(tight.run([&] { return received.done; }));
    EXPECT_EQ(received.bytes, "bytes");
  }
}

// Memory that a cancelled receive was woken for must wake the next one.
TEST_P(IoContract, MemoryThatACancelledReceiveWasOfferedGoesToTheNext) {
  World tight(GetParam(), 4_KiB);
  World::Pair one_pair = tight.pair();
  World::Pair other = tight.pair();
  Outcome sent, first, second;
  {
    Chunk held;
    ASSERT_TRUE(tight.loop.chunks.allocate(4_KiB, held));
    tight.scope.spawn(send_all, one_pair.client.get(), Bytes("a"), kLong, &sent);
    tight.scope.spawn(send_all, other.client.get(), Bytes("b"), kLong, &sent);
    tight.turns(10);
    tight.scope.spawn(recv_once, one_pair.server.get(), kWindowHead, kLong, &first);
    tight.scope.spawn(recv_once, other.server.get(), kWindowHead, kLong, &second);
    tight.turns(10);
    EXPECT_FALSE(first.done || second.done);
  }
  one_pair.server->cancel_recv(kWhy);
  ASSERT_TRUE(tight.run([&] { return first.done && second.done; }));
  EXPECT_EQ(first.error.code, Code::cancelled);
  EXPECT_EQ(second.bytes, "b");
}

TEST_P(IoContract, AMessageFromAnotherThreadEndsTheWait) {
  int received = 0;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) world.loop.post([&] { ++received; });
  });
  if (world.network) other.join();  // virtual time does not wait for threads
  EXPECT_TRUE(world.run([&] { return received == 100; }));
  if (!world.network) other.join();
}

TEST_P(IoContract, ReadableAndWritableAreTold) {
  World::Pair pair = world.pair();
  Io& io = world.loop.io();
  Socket& server = *pair.server->plain_socket();
  Counting<PollOp> writable;
  if (!io.start_writable(server, writable)) {
    ASSERT_TRUE(world.run([&] { return writable.count > 0; }));
  }
  EXPECT_TRUE(writable.result.has_value());
  io.clear_readable(server);
  Counting<PollOp> readable;
  ASSERT_FALSE(io.start_readable(server, readable));
  world.turns(5);
  EXPECT_EQ(readable.count, 0);
  Outcome sent;
  world.scope.spawn(send_all, pair.client.get(), Bytes("x"), kLong, &sent);
  ASSERT_TRUE(world.run([&] { return readable.count > 0 && sent.done; }));
  EXPECT_TRUE(readable.result.has_value());
}

TEST_P(IoContract, APollCanBeCancelledAndAReceiveFollow) {
  World::Pair pair = world.pair();
  Io& io = world.loop.io();
  Socket& server = *pair.server->plain_socket();
  io.clear_readable(server);
  Counting<PollOp> readable;
  ASSERT_FALSE(io.start_readable(server, readable));
  world.turns(2);
  io.cancel_recv(server, kWhy);
  ASSERT_TRUE(world.run([&] { return readable.count > 0; }));
  EXPECT_EQ(readable.result.error().code, Code::cancelled);
  Outcome sent, received;
  world.scope.spawn(recv_once, pair.server.get(), kWindowHead, kLong, &received);
  world.scope.spawn(send_all, pair.client.get(), Bytes("x"), kLong, &sent);
  ASSERT_TRUE(world.run([&] { return received.done && sent.done; }));
  EXPECT_EQ(received.bytes, "x");
}

TEST_P(IoContract, ThousandsOfSocketsAtOnce) {
  constexpr std::size_t kPairs = 2000;
  std::vector<World::Pair> pairs;
  for (std::size_t i = 0; i < kPairs; ++i) pairs.push_back(world.pair());
  std::vector<Outcome> sent(kPairs), received(kPairs);
  const std::string body = pattern(5000);
  for (std::size_t i = 0; i < kPairs; ++i) {
    world.scope.spawn(recv_all, pairs[i].server.get(), kWindowHead, std::size_t{5000 - 7},
                      Millis(0), &received[i]);
  }
  world.turns(3);
  for (std::size_t i = 0; i < kPairs; ++i) {
    world.scope.spawn(send_all, pairs[i].client.get(), Bytes(body).substr(i % 7), kLong, &sent[i]);
  }
  ASSERT_TRUE(world.run(
      [&] { return std::ranges::all_of(received, [](const Outcome& o) { return o.done; }); }));
  for (std::size_t i = 0; i < kPairs; ++i) {
    ASSERT_EQ(received[i].error.where, nullptr);
    ASSERT_TRUE(body.substr(i % 7).starts_with(received[i].bytes));
  }
  ASSERT_TRUE(world.run([&] { return world.scope.running() == 0; }));
}

}  // namespace
}  // namespace weir::io
