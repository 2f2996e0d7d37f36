// SPDX-License-Identifier: Apache-2.0
//
// Receives that wait for memory, on each backend: an event may let one try again that stands in the
// line of those who wait.
#include <gtest/gtest.h>

#include <array>

#include "io/io_world_test.h"

namespace weir::io {
namespace {

constexpr Millis kLong{9'000};

struct Counting : RecvOp {
  Counting() {
    callback = [](Op& op) { ++static_cast<Counting&>(op).count; };
  }
  int count = 0;
};

Task<> send_all(Stream* stream, Bytes bytes) {
  const std::array<Bytes, 4> pieces = {bytes, {}, {}, {}};
  const Result<void> sent = co_await stream->send(pieces, kLong);
  EXPECT_TRUE(sent.has_value());
}

/// Receives that wait in this order, and all memory.
class MemoryWait : public ::testing::TestWithParam<Kind> {
 protected:
  static constexpr std::size_t kWaiting = 4;

  void wait(std::size_t count) {
    ASSERT_TRUE(tight.loop.chunks.allocate(16_KiB, held));
    for (std::size_t i = 0; i < count; ++i) {
      pairs[i] = tight.pair();
      tight.scope.spawn(send_all, pairs[i].client.get(), "first");
    }
    tight.turns(10);
    for (std::size_t i = 0; i < count; ++i) {
      ops[i].window = 8_KiB;  // not of the memory that is lent to the kernel
      ASSERT_FALSE(pairs[i].server->start_recv(ops[i], kLong));
      tight.turns(3);
    }
    for (const Counting& op : ops) ASSERT_EQ(op.count, 0);
  }

  // More bytes for the one with this number, which is about to try again when memory comes back.
  void tell_and_free(std::size_t i) {
    tight.scope.spawn(send_all, pairs[i].client.get(), "second");
    for (int turn = 0; turn < 10 && tight.loop.queue.empty(); ++turn) tight.turns(1);
    held = Chunk();
  }

  World tight{GetParam(), 16_KiB};
  Chunk held;
  std::array<World::Pair, kWaiting> pairs;
  std::array<Counting, kWaiting> ops;
};

INSTANTIATE_TEST_SUITE_P(Backends, MemoryWait, ::testing::ValuesIn(kinds()),
                         [](const auto& info) { return kind_name(info.param); });

TEST_P(MemoryWait, AReceiveIsNotToldOfTheMemoryThatItTook) {
  wait(2);
  tell_and_free(1);
  ASSERT_TRUE(tight.run([&] { return ops[0].count > 0 && ops[1].count > 0; }));
  tight.turns(3);
  EXPECT_EQ(ops[0].count, 1);
  EXPECT_EQ(ops[1].count, 1);
  EXPECT_TRUE(ops[1].result->bytes().starts_with("first"));
}

TEST_P(MemoryWait, WhatIsOfferedGoesPastThoseThatHaveIt) {
  wait(4);
  tell_and_free(2);
  const auto done = [&] {
    int count = 0;
    for (const Counting& op : ops) count += op.count;
    return count;
  };
  ASSERT_TRUE(tight.run([&] { return done() == 2; }));
  tight.turns(3);
  ASSERT_EQ(done(), 2);
  for (Counting& op : ops) {
    if (op.count == 0) continue;
    op.result = Chunk();
    break;
  }
  ASSERT_TRUE(tight.run([&] { return done() == 3; }));
}

}  // namespace
}  // namespace weir::io
