// SPDX-License-Identifier: Apache-2.0
#include "schedule.h"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

TEST(Schedule, SendsAtAFixedRate) {
  Schedule schedule(1000, 1e6, 0.000'004);  // each microsecond, four times
  EXPECT_FALSE(schedule.due(999));
  EXPECT_TRUE(schedule.due(1000));
  EXPECT_EQ(1000, schedule.take());
  EXPECT_FALSE(schedule.due(1999));
  EXPECT_EQ(2000, schedule.next_ns());
}

TEST(Schedule, WhatWaitedIsDueWhenItShouldHaveBeenSent) {
  Schedule schedule(0, 1000, 1);
  const std::int64_t late = 500'000'000;  // nothing could be sent for half a second
  std::int64_t expected = 0;
  while (schedule.due(late)) {
    EXPECT_EQ(expected, schedule.take());
    expected += 1'000'000;
  }
  EXPECT_EQ(501'000'000, expected);
  EXPECT_EQ(499U, schedule.left());
}

TEST(Schedule, EndsAfterItsTime) {
  Schedule schedule(0, 3000, 2);
  for (int i = 0; i < 6000; ++i) {
    ASSERT_FALSE(schedule.over());
    schedule.take();
  }
  EXPECT_TRUE(schedule.over());
  EXPECT_FALSE(schedule.due(INT64_MAX));
}

TEST(Schedule, APeriodThatIsNoWholeNumberDoesNotDrift) {
  Schedule schedule(0, 30'000, 100);
  std::int64_t last = 0;
  while (!schedule.over()) last = schedule.take();
  EXPECT_NEAR(100e9 - 1e9 / 30'000, static_cast<double>(last), 1);
}

}  // namespace
}  // namespace weir::bench
