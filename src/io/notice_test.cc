// SPDX-License-Identifier: Apache-2.0
#include "io/notice.h"

#include <gtest/gtest.h>

#include "async/scope.h"
#include "io/sim_io.h"

namespace weir::io {
namespace {

class NoticeTest : public ::testing::Test {
 protected:
  NoticeTest() { loop.attach(make_sim_io(loop, network)); }

  static Task<> wait(NoticeTest* self, Millis stall) {
    self->told = co_await self->notice.wait(stall);
    ++self->resumed;
  }
  void turns(int count) { network.rounds(count); }
  void pass(Millis time) {
    const Instant until = loop.io().now() + time;
    bool over = false;
    scope.spawn(&NoticeTest::idle, this, until, &over);
    EXPECT_TRUE(network.run([&] { return over; }, until + Millis(100)));
  }
  static Task<> idle(NoticeTest* self, Instant until, bool* over) {
    // tidy: allow sleep because the clock is the simulated one
    co_await sleep_until(self->loop, until);
    *over = true;
  }

  SimNetwork network{1};
  Loop loop{1_MiB};
  Scope scope{loop.queue};
  Notice notice{loop};
  int resumed = 0;
  bool told = false;
};

TEST_F(NoticeTest, ANoticeResumesInItsOwnTime) {
  scope.spawn(&NoticeTest::wait, this, Millis(0));
  turns(3);
  EXPECT_EQ(resumed, 0);
  notice.give();
  notice.give();
  EXPECT_EQ(resumed, 0);  // never from inside the call
  turns(3);
  EXPECT_EQ(resumed, 1);
  EXPECT_TRUE(told);
}

TEST_F(NoticeTest, NobodyWaitsAndNothingIsKept) {
  notice.give();
  scope.spawn(&NoticeTest::wait, this, Millis(0));
  turns(3);
  EXPECT_EQ(resumed, 0);
  notice.give();
  turns(3);
  EXPECT_EQ(resumed, 1);
}

TEST_F(NoticeTest, ItIsLate) {
  scope.spawn(&NoticeTest::wait, this, Millis(100));
  pass(Millis(50));
  EXPECT_EQ(resumed, 0);
  pass(Millis(60));
  EXPECT_EQ(resumed, 1);
  EXPECT_FALSE(told);
}

TEST_F(NoticeTest, AWaitThatWasToldLeavesNoTimer) {
  scope.spawn(&NoticeTest::wait, this, Millis(100));
  turns(1);
  notice.give();
  turns(2);
  scope.spawn(&NoticeTest::wait, this, Millis(0));
  pass(Millis(200));
  EXPECT_EQ(resumed, 1);
  notice.give();
  turns(2);
  EXPECT_EQ(resumed, 2);
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace weir::io
