// SPDX-License-Identifier: Apache-2.0
#include "histogram.h"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 100; ++value) histogram.record(value);
  EXPECT_EQ(50U, histogram.percentile(50));
  EXPECT_EQ(99U, histogram.percentile(99));
  EXPECT_EQ(100U, histogram.percentile(99.9));
  EXPECT_EQ(100U, histogram.max());
  EXPECT_EQ(100U, histogram.count());
}

TEST(Histogram, LargeValuesAreLessThanOnePercentTooHighAndNeverTooLow) {
  for (std::uint64_t value = 1; value < std::uint64_t{1} << 39; value += value / 7 + 1) {
    Histogram histogram;
    histogram.record(value);
    histogram.record(std::uint64_t{1} << 39);
    const std::uint64_t seen = histogram.percentile(50);
    ASSERT_GE(seen, value);
    ASSERT_LE(seen, value + value / 100);
  }
}

TEST(Histogram, NeighboursAcrossAPowerOfTwoKeepTheirOrder) {
  for (unsigned bits = 1; bits < Histogram::kBitsMax; ++bits) {
    const std::uint64_t edge = std::uint64_t{1} << bits;
    Histogram histogram;
    histogram.record(edge - 1);
    histogram.record(edge * 2);
    EXPECT_EQ(edge - 1, histogram.percentile(50)) << bits;
  }
}

TEST(Histogram, AnUpperPercentileIsNoHigherThanTheMaximum) {
  Histogram histogram;
  histogram.record(1'000'001);
  EXPECT_EQ(1'000'001U, histogram.percentile(99.9));
}

TEST(Histogram, ThePercentileCountsFromBelow) {
  Histogram histogram;
  for (int i = 0; i < 999; ++i) histogram.record(10);
  histogram.record(5'000'000);
  EXPECT_EQ(10U, histogram.percentile(99.9));
  EXPECT_EQ(5'000'000U, histogram.percentile(99.91));
}

TEST(Histogram, WhatIsTooLongCountsAsTheLongest) {
  Histogram histogram;
  histogram.record(UINT64_MAX);
  EXPECT_EQ((std::uint64_t{1} << Histogram::kBitsMax) - 1, histogram.percentile(50));
}

TEST(Histogram, NothingRecordedIsZero) { EXPECT_EQ(0U, Histogram{}.percentile(50)); }

}  // namespace
}  // namespace weir::bench
