// SPDX-License-Identifier: Apache-2.0
#include "server/stapler.h"

#include <gtest/gtest.h>

namespace weir::server {
namespace {

constexpr std::int64_t kSeconds = 1'800'000'000;
constexpr WallTime kNow{kSeconds * 1'000'000};
constexpr std::int64_t kHour = 3600;

Millis renewed(std::int64_t from, std::int64_t until) {
  return renew_after({"", kSeconds + from, kSeconds + until}, kNow);
}

TEST(Stapler, AsksAgainWhenHalfOfTheTimeHasPassed) {
  EXPECT_EQ(renewed(0, 8 * kHour), Millis(4 * kHour * 1000));
  EXPECT_EQ(renewed(-2 * kHour, 6 * kHour), Millis(2 * kHour * 1000));
  EXPECT_EQ(renewed(0, 7 * 24 * kHour), Millis(12 * kHour * 1000)) << "twice a day at least";
  EXPECT_EQ(renewed(-8 * kHour, kHour), Millis(300'000)) << "not all the time";
  EXPECT_EQ(renewed(0, 1), Millis(300'000));
  EXPECT_EQ(renew_after({"", kSeconds, INT64_MAX}, kNow), Millis(12 * kHour * 1000));
}

}  // namespace
}  // namespace weir::server
