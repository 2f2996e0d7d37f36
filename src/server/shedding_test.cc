// SPDX-License-Identifier: Apache-2.0
#include "server/shedding.h"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "base/limits.h"

namespace weir::server {
namespace {

class Stub final : public proxy::Connection {
 public:
  Stub(bool idle, Millis stall) : idle_(idle), stall_(stall) {}
  void start() override {}
  void drain() override {}
  void abort(Error why) override { ended = why.cause; }
  [[nodiscard]] bool idle() const override { return idle_; }
  [[nodiscard]] Micros stall() const override { return stall_; }

  Cause ended = Cause::none;

 private:
  bool idle_;
  Millis stall_;
};

class SheddingTest : public testing::Test {
 protected:
  Stub& add(bool idle, Millis stall) {
    Stub& stub = stubs_.emplace_back(idle, stall);
    list.push_back(stub);
    return stub;
  }
  List<proxy::Connection> list;

 private:
  std::deque<Stub> stubs_;
};

TEST_F(SheddingTest, TheOldestIdleOneMakesRoom) {
  Stub& busy = add(false, Millis(0));
  Stub& first = add(true, Millis(0));
  Stub& second = add(true, Millis(0));
  EXPECT_TRUE(shed_idle(list));
  EXPECT_EQ(busy.ended, Cause::none);
  EXPECT_EQ(first.ended, Cause::overload_connections);
  EXPECT_EQ(second.ended, Cause::none);
}

TEST_F(SheddingTest, NobodyIsIdle) {
  EXPECT_FALSE(shed_idle(list));
  Stub& busy = add(false, Millis(kStallShedMillis));
  EXPECT_FALSE(shed_idle(list));
  EXPECT_EQ(busy.ended, Cause::none);
}

TEST_F(SheddingTest, WhoMovedLatelyStays) {
  Stub& moving = add(false, Millis(0));
  Stub& slow = add(false, Millis(kStallShedMillis - 1));
  EXPECT_EQ(shed_stalled(list), 0U);
  Stub& stalled = add(false, Millis(kStallShedMillis));
  EXPECT_EQ(shed_stalled(list), 1U);
  EXPECT_EQ(stalled.ended, Cause::overload_memory);
  EXPECT_EQ(moving.ended, Cause::none);
  EXPECT_EQ(slow.ended, Cause::none);
}

TEST_F(SheddingTest, TheLongestStalledGoFirst) {
  std::vector<Stub*> all;
  for (std::size_t i = 0; i < kStalledShed * 2; ++i) {
    const auto turn = static_cast<int>(i * 7 % (kStalledShed * 2));
    all.push_back(&add(false, Millis(kStallShedMillis + turn)));
  }
  EXPECT_EQ(shed_stalled(list), kStalledShed);
  for (const Stub* stub : all) {
    const bool long_one = stub->stall() >= Millis(kStallShedMillis + int{kStalledShed});
    EXPECT_EQ(stub->ended, long_one ? Cause::overload_memory : Cause::none);
  }
}

}  // namespace
}  // namespace weir::server
