// SPDX-License-Identifier: Apache-2.0
#include "io/splice.h"

#include <gtest/gtest.h>

#include "io/io_world_test.h"

namespace weir::io {
namespace {

constexpr Millis kLong{9'000};
constexpr std::uint64_t kToTheEnd = UINT64_MAX;

struct Outcome {
  bool done = false;
  Result<std::uint64_t> moved;
  std::uint64_t taken = 0;
  std::uint64_t passed = 0;
  Spliced why = Spliced::limit;
  std::string received;
  bool ended = false;
};

Task<> splice(TcpStream* source, TcpStream* sink, std::uint64_t limit, Millis stall,
              PipePool* pipes, Outcome* out) {
  Splice work{*source, *sink, *pipes, limit, stall, stall};
  const Result<Spliced> spliced = co_await splice_bytes(work);
  out->moved = work.passed;
  if (!spliced) out->moved = fail(spliced.error());
  out->taken = work.taken;
  out->passed = work.passed;
  if (spliced) out->why = *spliced;
  if (spliced) sink->shutdown_write();
  out->done = true;
}

Task<> feed(TcpStream* stream, const std::string* bytes, Stream::Close how) {
  const std::array<Bytes, 4> pieces = {*bytes, {}, {}, {}};
  const Result<void> sent = co_await stream->send(pieces, kLong);
  if (sent && how == Stream::Close::orderly) stream->shutdown_write();
}

Task<> collect(TcpStream* stream, std::size_t limit, Millis pause, Outcome* out) {
  while (out->received.size() < limit) {
    // tidy: allow sleep because a slow reader is what is tested
    if (pause.count() > 0) co_await sleep_until(stream->loop(), stream->loop().now() + pause);
    Result<Chunk> chunk = co_await stream->recv(256_KiB, kLong);
    if (!chunk) break;
    out->ended = chunk->empty();
    if (out->ended) break;
    out->received += chunk->bytes();
  }
  out->done = true;
}

std::vector<Kind> splicing_kinds() {
  std::vector<Kind> result = kinds();
  std::erase(result, Kind::sim);
  return result;
}

// in.client → in.server ⇒ out.client → out.server
class SpliceTest : public ::testing::TestWithParam<Kind> {
 protected:
  SpliceTest() : world(GetParam()), in(world.pair()), out(world.small_pair()) {}
  PipePool pipes;
  World world;
  World::Pair in;
  World::Pair out;
  Outcome spliced;
  Outcome read;
};
INSTANTIATE_TEST_SUITE_P(Backends, SpliceTest, ::testing::ValuesIn(splicing_kinds()),
                         [](const auto& info) { return kind_name(info.param); });

TEST_P(SpliceTest, AllBytesPassASlowReaderUntilTheEnd) {
  const std::string body = pattern(2_MiB + 17);
  world.scope.spawn(splice, in.server.get(), out.client.get(), kToTheEnd, kLong, &pipes, &spliced);
  world.scope.spawn(feed, in.client.get(), &body, Stream::Close::orderly);
  world.scope.spawn(collect, out.server.get(), body.size() + 1, Millis(2), &read);
  ASSERT_TRUE(world.run([&] { return spliced.done && read.done; }));
  ASSERT_TRUE(spliced.moved.has_value());
  EXPECT_EQ(*spliced.moved, body.size());
  EXPECT_TRUE(read.ended);
  EXPECT_TRUE(read.received == body);
  EXPECT_EQ(pipes.in_use(), 0u);
}

TEST_P(SpliceTest, NothingIsTakenBeyondTheLimit) {
  const std::string body = pattern(1_MiB);
  constexpr std::size_t kLimit = 700'001;
  Outcome rest;
  world.scope.spawn(feed, in.client.get(), &body, Stream::Close::orderly);
  world.scope.spawn(splice, in.server.get(), out.client.get(), kLimit, kLong, &pipes, &spliced);
  world.scope.spawn(collect, out.server.get(), body.size(), Millis(0), &read);
  ASSERT_TRUE(world.run([&] { return spliced.done && read.done; }));
  EXPECT_EQ(*spliced.moved, kLimit);
  EXPECT_TRUE(read.received == body.substr(0, kLimit));
  world.scope.spawn(collect, in.server.get(), body.size(), Millis(0), &rest);
  ASSERT_TRUE(world.run([&] { return rest.done; }));
  EXPECT_TRUE(rest.received == body.substr(kLimit));
}

// A receive that was cancelled may have left bytes with the backend; they are the first to pass.
TEST_P(SpliceTest, BytesOfACancelledReceiveComeFirst) {
  const std::string body = pattern(900'000);
  Outcome cancelled;
  world.scope.spawn(collect, in.server.get(), std::size_t{1}, Millis(0), &cancelled);
  world.turns(3);
  in.server->cancel_recv(Error{Code::cancelled, Cause::none, 0, "test"});
  world.scope.spawn(feed, in.client.get(), &body, Stream::Close::orderly);
  ASSERT_TRUE(world.run([&] { return cancelled.done; }));
  world.turns(5);
  world.scope.spawn(splice, in.server.get(), out.client.get(), kToTheEnd, kLong, &pipes, &spliced);
  world.scope.spawn(collect, out.server.get(), body.size() + 1, Millis(0), &read);
  ASSERT_TRUE(world.run([&] { return spliced.done && read.done; }));
  EXPECT_EQ(*spliced.moved, body.size());
  EXPECT_TRUE(read.received == body);
}

TEST_P(SpliceTest, BothDirectionsOfATunnelAtOnce) {
  const std::string there = pattern(2_MiB);
  const std::string back = pattern(2_MiB + 5);
  Outcome spliced_back, read_back;
  world.scope.spawn(splice, in.server.get(), out.client.get(), kToTheEnd, kLong, &pipes, &spliced);
  world.scope.spawn(splice, out.client.get(), in.server.get(), kToTheEnd, kLong, &pipes,
                    &spliced_back);
  world.scope.spawn(feed, in.client.get(), &there, Stream::Close::orderly);
  world.scope.spawn(feed, out.server.get(), &back, Stream::Close::orderly);
  world.scope.spawn(collect, out.server.get(), there.size() + 1, Millis(0), &read);
  world.scope.spawn(collect, in.client.get(), back.size() + 1, Millis(1), &read_back);
  ASSERT_TRUE(world.run([&] { return world.scope.running() == 0; }));
  EXPECT_TRUE(read.received == there);
  EXPECT_TRUE(read_back.received == back);
}

TEST_P(SpliceTest, WhenTheSourceBreaksWhatItGaveIsDelivered) {
  const std::string body = pattern(100'000);
  world.scope.spawn(splice, in.server.get(), out.client.get(), kToTheEnd, kLong, &pipes, &spliced);
  world.scope.spawn(feed, in.client.get(), &body, Stream::Close::reset);
  world.scope.spawn(collect, out.server.get(), body.size(), Millis(0), &read);
  ASSERT_TRUE(world.run([&] { return read.done; }));
  in.client->close(Stream::Close::reset);
  ASSERT_TRUE(world.run([&] { return spliced.done; }));
  ASSERT_FALSE(spliced.moved.has_value());
  EXPECT_EQ(spliced.moved.error().code, Code::reset);
  EXPECT_FALSE(sink_failed(spliced.moved.error()));
  EXPECT_TRUE(read.received == body);
}

TEST_P(SpliceTest, AStalledSinkIsTheSinksFailureAndAStalledSourceIsNot) {
  const std::string body = pattern(16_MiB);
  world.scope.spawn(feed, in.client.get(), &body, Stream::Close::reset);
  world.scope.spawn(splice, in.server.get(), out.client.get(), kToTheEnd, Millis(50), &pipes,
                    &spliced);
  ASSERT_TRUE(world.run([&] { return spliced.done; }));
  ASSERT_FALSE(spliced.moved.has_value());
  EXPECT_EQ(spliced.moved.error().code, Code::timed_out);
  EXPECT_TRUE(sink_failed(spliced.moved.error()));
  // A pipe holds what one splice brought, and no more.
  EXPECT_GT(spliced.passed, 0u);
  EXPECT_LE(spliced.taken - spliced.passed, kSplicePipeSize);
  Outcome idle;
  World::Pair other = world.pair();
  world.scope.spawn(splice, other.server.get(), other.server.get(), kToTheEnd, Millis(50), &pipes,
                    &idle);
  ASSERT_TRUE(world.run([&] { return idle.done; }));
  EXPECT_EQ(idle.moved.error().code, Code::timed_out);
  EXPECT_FALSE(sink_failed(idle.moved.error()));
  in.client->cancel(Error{Code::cancelled, Cause::none, 0, "test"});
  ASSERT_TRUE(world.run([&] { return world.scope.running() == 0; }));
}

Task<> drip(TcpStream* stream, std::size_t count, Outcome* seen) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string bytes = pattern(1000);
    const std::array<Bytes, 4> pieces = {bytes, {}, {}, {}};
    const Result<void> sent = co_await stream->send(pieces, kLong);
    if (!sent) co_return;
    while (seen->received.size() < (i + 1) * bytes.size() && !seen->done) {
      co_await yield(stream->loop().queue);
    }
  }
}

// Each drop is on its way before the next one comes, so that no two of them are moved at once.
TEST_P(SpliceTest, ATrickleIsLeftToCopying) {
  world.scope.spawn(splice, in.server.get(), out.client.get(), kToTheEnd, kLong, &pipes, &spliced);
  world.scope.spawn(collect, out.server.get(), kSpliceThinMax * 1000 + 1, Millis(0), &read);
  world.scope.spawn(drip, in.client.get(), kSpliceThinMax, &read);
  ASSERT_TRUE(world.run([&] { return spliced.done && read.done; }));
  EXPECT_EQ(spliced.why, Spliced::copy);
  EXPECT_EQ(spliced.taken, kSpliceThinMax * 1000);
  EXPECT_EQ(spliced.passed, kSpliceThinMax * 1000);
}

TEST_P(SpliceTest, WhoWaitsForASlowSourceHoldsNoPipe) {
  const std::string body = pattern(100'000);
  world.scope.spawn(splice, in.server.get(), out.client.get(), kToTheEnd, kLong, &pipes, &spliced);
  world.scope.spawn(feed, in.client.get(), &body, Stream::Close::reset);
  world.scope.spawn(collect, out.server.get(), body.size(), Millis(0), &read);
  ASSERT_TRUE(world.run([&] { return read.done; }));
  ASSERT_TRUE(world.run([&] { return pipes.in_use() == 0; }));
  EXPECT_FALSE(spliced.done);
  in.client->shutdown_write();
  ASSERT_TRUE(world.run([&] { return spliced.done; }));
  EXPECT_EQ(spliced.why, Spliced::ended);
}

Task<> splice_one_way(TcpStream* source, TcpStream* sink, Instant* moved_at, PipePool* pool,
                      Outcome* out) {
  Splice work{*source, *sink, *pool, kToTheEnd, Millis(20), kLong, moved_at};
  const Result<Spliced> moved = co_await splice_bytes(work);
  if (!moved) out->moved = fail(moved.error());
  out->done = true;
}

TEST_P(SpliceTest, OneDirectionMayBeSilentWhileTheOtherOneMoves) {
  Instant moved = kNever;  // as if it moved all the time
  world.scope.spawn(splice_one_way, in.server.get(), out.client.get(), &moved, &pipes, &spliced);
  // Twice as long as it may be silent by itself.
  World::Pair silent = world.pair();
  Instant never{};
  for (int i = 0; i < 2; ++i) {
    Outcome other;
    world.scope.spawn(splice_one_way, silent.server.get(), silent.server.get(), &never, &pipes,
                      &other);
    ASSERT_TRUE(world.run([&] { return other.done; }));
  }
  EXPECT_FALSE(spliced.done);
  moved = Instant{};
  ASSERT_TRUE(world.run([&] { return spliced.done; }));
  EXPECT_EQ(spliced.moved.error().code, Code::timed_out);
}

TEST_P(SpliceTest, WithoutAPipeNothingIsMoved) {
  PipePool none(0);
  world.scope.spawn(splice, in.server.get(), out.client.get(), kToTheEnd, kLong, &none, &spliced);
  ASSERT_TRUE(spliced.done);
  EXPECT_EQ(spliced.why, Spliced::copy);
  EXPECT_EQ(spliced.taken, 0u);
}

TEST(PipePool, KeepsEmptyPipesOnly) {
  PipePool pool(2);
  const Pipe first = *pool.take();
  const Pipe second = *pool.take();
  EXPECT_FALSE(pool.take().has_value());
  EXPECT_GE(first.capacity, PipePool::kCapacityMin);
  pool.give_back(first, PipePool::State::empty);
  EXPECT_EQ(pool.take()->read_end, first.read_end);
  pool.give_back(first, PipePool::State::unknown);
  pool.give_back(second, PipePool::State::unknown);
  EXPECT_EQ(pool.in_use(), 0u);
}

}  // namespace
}  // namespace weir::io
