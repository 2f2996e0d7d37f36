// SPDX-License-Identifier: Apache-2.0
#include "base/free_list.h"

#include <gtest/gtest.h>

#include <array>

namespace weir {
namespace {

struct alignas(void*) Block {
  std::array<char, 64> bytes;
};

TEST(FreeList, GivesWhatWasUsedLastFirst) {
  std::array<Block, 2> blocks;
  FreeList list;
  EXPECT_EQ(list.pop(), nullptr);
  list.push(&blocks[0]);
  list.push(&blocks[1]);
  EXPECT_EQ(list.size(), 2u);
  EXPECT_EQ(list.pop(), &blocks[1]);
  EXPECT_EQ(list.pop(), &blocks[0]);
  EXPECT_EQ(list.pop(), nullptr);
  EXPECT_EQ(list.size(), 0u);
}

TEST(FreeList, KnowsHowManyWereNeverNeeded) {
  std::array<Block, 8> blocks;
  FreeList list;
  for (Block& block : blocks) list.push(&block);
  EXPECT_EQ(list.take_unused(), 0u);  // it was empty
  for (int i = 0; i < 3; ++i) list.pop();
  for (int i = 0; i < 3; ++i) list.push(&blocks[static_cast<std::size_t>(i)]);
  EXPECT_EQ(list.take_unused(), 5u);  // three were needed at once
  EXPECT_EQ(list.take_unused(), 8u);  // and since then none
}

}  // namespace
}  // namespace weir
