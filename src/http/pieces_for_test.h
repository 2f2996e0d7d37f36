// SPDX-License-Identifier: Apache-2.0
//
// Runs an incremental parser over the same bytes whole, byte by byte, and cut in two at every
// point, and checks that the outcome is the same. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace weir::http {

/// `feed(bytes, sizes)` gives the parser the pieces of `bytes` that have these sizes, one after the
/// other, and describes what came out. Returns the description for the bytes as a whole.
template <class Feed>
std::string outcome_of_all_cuts(std::string_view bytes, Feed&& feed) {
  constexpr std::size_t kCutsMax = 500;  // long inputs are cut at as many points, evenly spread
  const std::string whole = feed(bytes, std::vector<std::size_t>{bytes.size()});
  const std::string bytewise = feed(bytes, std::vector<std::size_t>(bytes.size(), 1));
  EXPECT_EQ(bytewise, whole) << "byte by byte";
  const std::size_t stride = bytes.size() / kCutsMax + 1;
  for (std::size_t cut = 1; cut < bytes.size(); cut += stride) {
    const std::string in_two = feed(bytes, std::vector<std::size_t>{cut, bytes.size() - cut});
    EXPECT_EQ(in_two, whole) << "cut at " << cut;
    if (in_two != whole) break;
  }
  return whole;
}

}  // namespace weir::http
