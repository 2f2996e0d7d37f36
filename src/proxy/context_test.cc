// SPDX-License-Identifier: Apache-2.0
#include "proxy/context.h"

#include <gtest/gtest.h>

#include <set>

namespace weir::proxy {
namespace {

TEST(Arena, GivesBackEveryBlock) {
  const std::int64_t live = pool_counts().live;
  {
    Arena arena;
    for (const std::size_t size : {1, 100, 383, 384, 385, 5000, 100'000}) {
      char* const room = arena.allocate(size);
      std::fill_n(room, size, 'x');  // sanitizers see what is not ours
    }
    EXPECT_GT(pool_counts().live, live);
  }
  EXPECT_EQ(pool_counts().live, live);
}

TEST(Arena, ASmallExchangeNeedsNoBlock) {
  const std::uint64_t before = pool_counts().allocations;
  Arena arena;
  for (int i = 0; i < 12; ++i) arena.allocate(32);
  EXPECT_EQ(pool_counts().allocations, before);
  arena.allocate(1);
  EXPECT_EQ(pool_counts().allocations, before + 1);
}

TEST(Arena, ViewsStayWhenMoreIsAdded) {
  Arena arena;
  std::string source = "first";
  const std::string_view first = arena.copy(source);
  source = "other";
  std::string long_text(1000, 'y');
  const std::string_view joined = arena.join({first, ", ", "", long_text});
  for (int i = 0; i < 100; ++i) arena.copy(long_text);
  EXPECT_EQ(first, "first");
  EXPECT_EQ(joined, "first, " + long_text);
  EXPECT_EQ(arena.join({}), "");
  EXPECT_EQ(arena.copy(""), "");
}

TEST(TextPool, GivesTheSameRoomAgain) {
  TextPool pool;
  std::string text = pool.take();
  EXPECT_GE(text.capacity(), 2_KiB);
  text.assign(3000, 'x');
  const char* const room = text.data();
  pool.give(std::move(text));
  const std::string again = pool.take();
  EXPECT_EQ(again.data(), room);
  EXPECT_TRUE(again.empty());
}

TEST(TextPool, KeepsNeitherTheHugeNorTheTinyNorTooMany) {
  TextPool pool;
  std::string huge(1_MiB, 'x');
  const char* const room = huge.data();
  pool.give(std::move(huge));
  pool.give(std::string("tiny"));
  const std::string other = pool.take();
  EXPECT_NE(other.data(), room);
  EXPECT_GE(other.capacity(), 2_KiB);
  std::vector<std::string> many(200);
  for (std::string& text : many) text = pool.take();
  for (std::string& text : many) pool.give(std::move(text));
  std::set<const char*> kept;
  for (std::string& text : many) kept.insert((text = pool.take()).data());
  EXPECT_EQ(kept.size(), 200u);  // none was given to two
}

TEST(Random, IsXoshiroAndDependsOnItsSeed) {
  // Reference values of splitmix64(0) seeding xoshiro256**, by its authors' code.
  Random zero(0);
  EXPECT_EQ(zero.next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(zero.next(), 0xbf6e1f784956452au);
  Random one(1);
  Random again(1);
  const std::uint64_t first = one.next();
  EXPECT_EQ(first, again.next());
  EXPECT_NE(first, Random(2).next());
}

}  // namespace
}  // namespace weir::proxy
