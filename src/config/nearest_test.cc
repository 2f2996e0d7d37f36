// SPDX-License-Identifier: Apache-2.0
#include "config/nearest.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

TEST(EditDistance, CountsWhatFingersDo) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("upstream", "upstream"), 0);
  EXPECT_EQ(edit_distance("upsteam", "upstream"), 1);
  EXPECT_EQ(edit_distance("upstraem", "upstream"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(Nearest, FindsWhatWasMeantAndNothingElse) {
  const std::vector<std::string_view> words = {"listen", "route", "upstream", "warning", "io"};
  EXPECT_EQ(nearest("lisetn", words), "listen");
  EXPECT_EQ(nearest("routes", words), "route");
  EXPECT_EQ(nearest("warn", words), "warning");
  EXPECT_EQ(nearest("UPSTREAM", words), "upstream");
  EXPECT_EQ(nearest("server", words), "");
  EXPECT_EQ(nearest("", words), "");
  EXPECT_EQ(nearest(std::string(10'000, 'x'), words), "");
}

}  // namespace
}  // namespace weir::config
