// SPDX-License-Identifier: Apache-2.0
#include "io/chunk.h"

#include <gtest/gtest.h>

#include <vector>

#include "async/frame_pool.h"
#include "io/io_world_test.h"

namespace weir::io {
namespace {

#if __has_feature(address_sanitizer)
constexpr bool kKept = false;  // there every chunk is memory of its own
#else
constexpr bool kKept = true;
#endif

std::vector<Chunk> take(ChunkPool& pool, std::size_t count, std::size_t size) {
  std::vector<Chunk> chunks(count);
  for (Chunk& chunk : chunks) EXPECT_TRUE(pool.allocate(size, chunk));
  return chunks;
}

TEST(ChunkPool, KeepsWhatIsNeededAndGivesBackTheRest) {
  ChunkPool pool(64_MiB);
  take(pool, 1000, 4_KiB).clear();
  EXPECT_EQ(pool.used(), 0u);
  EXPECT_EQ(pool.kept(), kKept ? 1000 * 4_KiB : 0);
  EXPECT_EQ(pool.trim(), kKept);  // all were needed since the start
  take(pool, 300, 4_KiB).clear();
  EXPECT_EQ(pool.kept(), kKept ? 1000 * 4_KiB : 0);
  EXPECT_EQ(pool.trim(), kKept);
  EXPECT_EQ(pool.kept(), kKept ? 300 * 4_KiB : 0);
  EXPECT_FALSE(pool.trim());  // nothing more to give back
  EXPECT_EQ(pool.kept(), kKept ? kFreeChunksKept * 4_KiB : 0);
}

TEST(ChunkPool, LargeOnesAreNotKeptForLong) {
  ChunkPool pool(64_MiB);
  take(pool, 2, 256_KiB).clear();
  pool.trim();
  pool.trim();
  EXPECT_EQ(pool.kept(), 0u);
}

TEST(ChunkPool, WhatIsKeptAndWhatIsUsedAreWithinTheBudget) {
  ChunkPool pool(1_MiB);
  take(pool, 180, 4_KiB).clear();
  const std::vector<Chunk> large = take(pool, 3, 256_KiB);
  EXPECT_LE(pool.used() + pool.kept(), 1_MiB);
}

TEST(ChunkPool, MovedChunksHaveOneOwner) {
  ChunkPool pool(1_MiB);
  std::vector<Chunk> chunks = take(pool, 2, 4_KiB);
  chunks[0].grow(100);
  chunks[1] = std::move(chunks[0]);
  EXPECT_EQ(pool.used(), 4_KiB);
  EXPECT_EQ(chunks[1].size(), 100u);
  Chunk third(std::move(chunks[1]));
  EXPECT_EQ(third.size(), 100u);
  EXPECT_EQ(chunks[1].capacity(), 0u);
  third.clear();
  EXPECT_EQ(pool.used(), 0u);
}

// A burst has ended, and nothing else happens: what it needed goes back to the system all the same.
TEST(Loop, MemoryOfABurstGoesBack) {
  if (!kKept) return;
  World world(Kind::sim, 64_MiB);
  world.turns(1);
  take(world.loop.chunks, 1000, 4_KiB).clear();
  std::vector<void*> frames(1000);
  for (void*& frame : frames) frame = pool_allocate(640);
  for (void* frame : frames) pool_free(frame, 640);
  Resume nothing(std::noop_coroutine());
  world.loop.queue.push(nothing);
  ASSERT_TRUE(world.run([&] { return world.loop.chunks.kept() == kFreeChunksKept * 4_KiB; }));
  const PoolCounts before = pool_counts();
  for (void*& frame : frames) frame = pool_allocate(640);
  const std::size_t slab = 64_KiB / 640;  // what goes back goes in pieces
  EXPECT_GE(pool_counts().misses - before.misses, frames.size() - kFreeFramesKept - 2 * slab);
  for (void* frame : frames) pool_free(frame, 640);
}

}  // namespace
}  // namespace weir::io
