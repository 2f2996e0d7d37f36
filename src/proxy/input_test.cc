// SPDX-License-Identifier: Apache-2.0
#include "proxy/input.h"

#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

constexpr std::size_t kHeadMax = 36_KiB;

struct More {
  bool done = false;
  Result<bool> result;
};

Task<> more(Input* input, std::size_t window, Millis stall, More* out) {
  out->result = co_await input->more(window, stall);
  out->done = true;
}

Task<> more_behind(Input* input, std::size_t size_max, Millis stall, More* out) {
  out->result = co_await input->more_behind(size_max, stall);
  out->done = true;
}

struct Watched final : Input::Watcher {
  void input_arrived() override { ++told; }
  int told = 0;
};

class InputTest : public ::testing::TestWithParam<Net> {
 protected:
  void say_far(const std::string& text, Then then = Then::keep) {
    world.scope.spawn(say, pair.far.get(), text, then);
  }
  // One more(), which must come to an end.
  More get(std::size_t window = kWindowHead, Millis stall = kPatience) {
    More out;
    world.scope.spawn(more, &input, window, stall, &out);
    EXPECT_TRUE(world.run([&] { return out.done; }));
    return out;
  }
  More get_behind(std::size_t size_max = kHeadMax) {
    More out;
    world.scope.spawn(more_behind, &input, size_max, kPatience, &out);
    EXPECT_TRUE(world.run([&] { return out.done; }));
    return out;
  }
  void arrive() {
    EXPECT_TRUE(world.run([&] { return input.arrived(); }));
  }
  [[nodiscard]] std::size_t held() const { return world.loop.chunks.used(); }

  TestWorld world{GetParam()};
  TestWorld::Pair pair{world.pair()};
  Input input{*pair.near};
};
INSTANTIATE_TEST_SUITE_P(Nets, InputTest, ::testing::Values(Net::sim, Net::epoll));

TEST_P(InputTest, AHeadInPiecesBecomesOneRun) {
  std::string all;
  for (int i = 0; i < 40; ++i) {
    const std::string piece(1 + static_cast<std::size_t>(i) * 37, static_cast<char>('a' + i % 26));
    say_far(piece);
    const More got = get_behind();
    ASSERT_TRUE(got.result.has_value() && *got.result);
    all += piece;
    ASSERT_EQ(input.view(), all);
  }
  EXPECT_LE(held(), 64_KiB);
  io::Chunk head = input.pin(1000);
  EXPECT_EQ(input.view(), all.substr(1000));
  input.unpin(std::move(head));
  EXPECT_EQ(input.view(), all.substr(1000));
  input.consume(all.size() - 1000);
  input.unpin();
  EXPECT_EQ(held(), 0u);
}

TEST_P(InputTest, ThePinnedHeadStaysWhileTheBodyIsRead) {
  say_far("HEAD+body");
  ASSERT_TRUE(get().result.value());
  const Bytes head = input.view().substr(0, 5);
  io::Chunk pinned = input.pin(5);
  EXPECT_EQ(input.view(), "body");
  input.consume(4);
  for (const char* piece : {"more", "and more"}) {
    say_far(piece);
    ASSERT_TRUE(get().result.value());
    EXPECT_EQ(input.view(), piece);
    EXPECT_EQ(head, "HEAD+");
    input.consume(input.view().size());
  }
  EXPECT_EQ(held(), 8_KiB);
  input.unpin(std::move(pinned));
  EXPECT_EQ(held(), 0u);  // and the piece that is consumed goes as well
}

TEST_P(InputTest, PipelinedRequestsOfOneReceiveComeOneAfterTheOther) {
  say_far("one;two;three");
  ASSERT_TRUE(get().result.value());
  for (const char* rest : {"two;three", "three"}) {
    io::Chunk head = input.pin(4);
    EXPECT_EQ(input.view(), rest);
    input.unpin(std::move(head));
    EXPECT_EQ(input.view(), rest);
  }
  say_far("+rest;four");
  ASSERT_TRUE(get_behind().result.value());
  EXPECT_EQ(input.view(), "three+rest;four");
  io::Chunk head = input.pin(11);
  input.consume(4);
  EXPECT_EQ(held(), 4_KiB);
  input.unpin(std::move(head));
  EXPECT_EQ(held(), 0u);
}

TEST_P(InputTest, AWaitingConnectionHoldsNoBuffer) {
  say_far("x");
  ASSERT_TRUE(get().result.value());
  input.consume(1);
  More out;
  world.scope.spawn(more, &input, kWindowHead, kPatience, &out);
  world.turns(3);
  EXPECT_FALSE(out.done);
  EXPECT_EQ(held(), 0u);
  say_far("", Then::end);
  ASSERT_TRUE(world.run([&] { return out.done; }));
  EXPECT_FALSE(*out.result);
}

TEST_P(InputTest, AReceiveInAdvanceKeepsTheBytesOfTheLastPiece) {
  say_far("last piece");
  ASSERT_TRUE(get().result.value());
  const Bytes piece = input.view();
  input.consume(piece.size());
  input.arm(kWindowHead);
  say_far("the next request");
  arrive();
  EXPECT_EQ(piece, "last piece");
  EXPECT_TRUE(get().result.value());
  EXPECT_EQ(input.view(), "the next request");
  input.consume(input.view().size());
  input.unpin();
}

TEST_P(InputTest, ArmingTwiceOrOverBytesDoesNothing) {
  say_far("abc");
  ASSERT_TRUE(get().result.value());
  input.arm(kWindowHead);
  world.turns(3);
  EXPECT_FALSE(input.arrived());
  input.consume(3);
  input.arm(kWindowHead);
  input.arm(kWindowHead);
  say_far("d");
  arrive();
  input.arm(kWindowHead);
  ASSERT_TRUE(get().result.value());
  EXPECT_EQ(input.view(), "d");
  input.consume(1);
  input.unpin();
}

TEST_P(InputTest, TheWatcherIsToldOnceAndNeverFromInside) {
  Watched watched;
  input.watch(&watched);
  input.arm(kWindowHead);
  world.turns(3);
  EXPECT_EQ(watched.told, 0);
  say_far("ahead");
  arrive();
  world.turns(5);
  EXPECT_EQ(watched.told, 1);
  EXPECT_FALSE(input.ended());
  // Whoever begins to watch what has arrived is told as well, later.
  Watched second;
  input.watch(&second);
  EXPECT_EQ(second.told, 0);
  world.turns(3);
  EXPECT_EQ(second.told, 1);
  // Who takes the bytes need not be told of them.
  input.watch(&second);
  EXPECT_TRUE(get().result.value());
  world.turns(3);
  EXPECT_EQ(second.told, 1);
  EXPECT_EQ(input.view(), "ahead");
  input.watch(nullptr);
  input.consume(5);
  input.unpin();
}

TEST_P(InputTest, AWatcherThatLeftIsNotTold) {
  Watched watched;
  say_far("x");
  input.arm(kWindowHead);
  arrive();
  input.watch(&watched);
  input.watch(nullptr);
  world.turns(5);
  EXPECT_EQ(watched.told, 0);
  ASSERT_TRUE(get().result.value());
  input.consume(1);
  input.unpin();
}

TEST_P(InputTest, TheEndIsSeenAndStays) {
  Watched watched;
  input.watch(&watched);
  input.arm(kWindowHead);
  say_far("", Then::end);
  ASSERT_TRUE(world.run([&] { return watched.told > 0; }));
  EXPECT_TRUE(input.ended());
  EXPECT_FALSE(input.failure().has_value());
  for (int i = 0; i < 3; ++i) {
    const More got = get();
    ASSERT_TRUE(got.result.has_value());
    EXPECT_FALSE(*got.result);
  }
  EXPECT_EQ(watched.told, 1);
}

TEST_P(InputTest, ADeadlineEndsTheWaitAndNotTheConnection) {
  More got = get(kWindowHead, Millis(20));
  ASSERT_FALSE(got.result.has_value());
  EXPECT_EQ(got.result.error().code, Code::timed_out);
  EXPECT_FALSE(input.ended());
  say_far("late");
  got = get();
  ASSERT_TRUE(got.result.has_value());
  EXPECT_EQ(input.view(), "late");
  input.consume(4);
  input.unpin();
}

TEST_P(InputTest, ACancelledReceiveIsNotTheEndEither) {
  More out;
  world.scope.spawn(more, &input, kWindowHead, kPatience, &out);
  world.turns(2);
  pair.near->cancel_recv(Error{Code::cancelled, Cause::none, 0, "test"});
  ASSERT_TRUE(world.run([&] { return out.done; }));
  EXPECT_EQ(out.result.error().code, Code::cancelled);
  EXPECT_FALSE(input.ended());
  say_far("still here");
  const More got = get();
  ASSERT_TRUE(got.result.has_value());
  EXPECT_EQ(input.view(), "still here");
  input.consume(10);
  input.unpin();
}

TEST_P(InputTest, ACancelledConnectionStaysCancelled) {
  pair.near->cancel(Error{Code::cancelled, Cause::none, 0, "test"});
  for (int i = 0; i < 2; ++i) {
    const More got = get();
    ASSERT_FALSE(got.result.has_value());
    EXPECT_EQ(got.result.error().code, Code::cancelled);
  }
}

// Memory that is used up: heads that cannot grow are refused, and nothing waits for ever.
TEST(InputBudget, AHeadThatFindsNoMemoryIsRefused) {
  TestWorld world(Net::sim, 8_KiB);
  TestWorld::Pair pair = world.pair();
  Input input(*pair.near);
  const auto push = [&](std::size_t size) {
    world.scope.spawn(say, pair.far.get(), std::string(size, 'h'), Then::keep);
    More out;
    world.scope.spawn(more_behind, &input, kHeadMax, kPatience, &out);
    EXPECT_TRUE(world.run([&] { return out.done; }));
    return out.result;
  };
  ASSERT_TRUE(push(4_KiB).has_value());
  const Result<bool> second = push(1);  // neither room behind it nor memory for a larger buffer
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::no_memory);
  input.consume(input.view().size());
  input.unpin();
  EXPECT_EQ(world.loop.chunks.used(), 0u);
}

}  // namespace
}  // namespace weir::proxy
