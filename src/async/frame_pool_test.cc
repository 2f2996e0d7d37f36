// SPDX-License-Identifier: Apache-2.0
#include "async/frame_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace weir {
namespace {

struct Taken {
  char* at;
  std::size_t size;
  char fill;
};

Taken take(std::size_t size, char fill) {
  auto* at = static_cast<char*>(pool_allocate(size));
  std::memset(at, fill, size);
  return {at, size, fill};
}

void give(const Taken& taken) {
  for (std::size_t i = 0; i < taken.size; ++i) ASSERT_EQ(taken.at[i], taken.fill);
  pool_free(taken.at, taken.size);
}

TEST(FramePool, BlocksAreApartAndStayAsTheyAreWhateverIsTrimmed) {
  std::minstd_rand random(1);
  std::vector<Taken> all;
  for (int round = 0; round < 200; ++round) {
    // Bursts of different depth, so that slabs become empty, half empty and full again.
    const std::size_t wanted = random() % 2000;
    while (all.size() < wanted) {
      all.push_back(take(1 + random() % 5000, static_cast<char>(random())));
      if (detail::kPoolFrames && all.back().size <= 4096) {
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(all.back().at) % 64, 0u);
      }
    }
    while (all.size() > wanted) {
      std::swap(all[random() % all.size()], all.back());
      give(all.back());
      all.pop_back();
    }
    pool_trim();
  }
  while (!all.empty()) {
    give(all.back());
    all.pop_back();
  }
  EXPECT_EQ(pool_used_bytes(), 0u);
  pool_release();
}

TEST(FramePool, WhatWasNeededStays) {
  if (!detail::kPoolFrames) return;
  pool_release();
  const auto burst = [](std::size_t count) {
    std::vector<Taken> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(take(100, 'x'));
    const PoolCounts counts = pool_counts();
    for (const Taken& each : all) give(each);
    return counts.misses;
  };
  std::uint64_t misses = burst(5000);
  EXPECT_TRUE(pool_trim());  // all were needed: worth another look
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(burst(5000), misses);
    EXPECT_TRUE(pool_trim());
  }
  EXPECT_FALSE(pool_trim());  // none were: gone
  EXPECT_GT(burst(5000), misses + 4000);
}

TEST(FramePool, CountsWhatIsInUse) {
  if (!detail::kPoolFrames) return;
  const std::size_t before = pool_used_bytes();
  const Taken taken = take(65, 'x');
  EXPECT_EQ(pool_used_bytes() - before, 128u);
  give(taken);
  EXPECT_EQ(pool_used_bytes(), before);
}

}  // namespace
}  // namespace weir
