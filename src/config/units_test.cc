// SPDX-License-Identifier: Apache-2.0
#include "config/units.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

TEST(Duration, IsReadWithItsUnit) {
  const struct {
    std::string_view text;
    std::int64_t millis;
  } cases[] = {{"0", 0},           {"0s", 0},         {"500ms", 500},
               {"10s", 10'000},    {"2m", 120'000},   {"1h30m", 5'400'000},
               {"1d", 86'400'000}, {"1m15s", 75'000}, {"90m", 5'400'000},
               {"1s500ms", 1'500}};
  for (const auto& c : cases) {
    const auto value = parse_duration(c.text);
    ASSERT_TRUE(value) << c.text;
    EXPECT_EQ(value->count(), c.millis) << c.text;
    EXPECT_EQ(parse_duration(show_duration(*value)), *value) << c.text;
  }
}

TEST(Duration, IsRefusedOtherwise) {
  for (const std::string_view text : {"", "s", "10", "10 s", "-1s", "1.5s", "10sec", "1S", "5us",
                                      "99999999999999999999s", "10000d", "1h30"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_EQ(parse_duration("30").error().hint,
            "write \"30s\" for seconds or \"30ms\" for milliseconds");
}

TEST(Size, IsReadWithItsUnit) {
  const struct {
    std::string_view text;
    std::uint64_t bytes;
  } cases[] = {{"0", 0},         {"4096", 4096},       {"64B", 64},
               {"32KiB", 32768}, {"10MB", 10'000'000}, {"1 MiB", 1 << 20},
               {"8kB", 8000},    {"2GiB", 2ULL << 30}};
  for (const auto& c : cases) {
    const auto value = parse_size(c.text);
    ASSERT_TRUE(value) << c.text;
    EXPECT_EQ(*value, c.bytes) << c.text;
    EXPECT_EQ(parse_size(show_size(*value)), *value) << c.text;
  }
}

TEST(Size, IsRefusedOtherwise) {
  for (const std::string_view text :
       {"", "MB", "-1", "1.5MiB", "1mb", "1MiBs", "9999999999TiB", "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

}  // namespace
}  // namespace weir::config
