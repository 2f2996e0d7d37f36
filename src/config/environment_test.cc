// SPDX-License-Identifier: Apache-2.0
#include "config/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace weir::config {
namespace {

TEST(Expand, ReplacesVariables) {
  ASSERT_EQ(setenv("WEIR_TEST_SET", "value", 1), 0);
  ASSERT_EQ(setenv("WEIR_TEST_EMPTY", "", 1), 0);
  ASSERT_EQ(unsetenv("WEIR_TEST_UNSET"), 0);
  const struct {
    std::string_view text, expected;
  } cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"${WEIR_TEST_SET}", "value"},
      {"a${WEIR_TEST_SET}b${WEIR_TEST_SET}", "avaluebvalue"},
      {"[${WEIR_TEST_EMPTY}]", "[]"},
      {"${WEIR_TEST_EMPTY:-d}", "d"},
      {"${WEIR_TEST_UNSET:-a:-b}", "a:-b"},
      {"${WEIR_TEST_UNSET:-}", ""},
      {"^v[0-9]+$", "^v[0-9]+$"},
      {"$HOME $1", "$HOME $1"},
      {"$${X} $$", "${X} $"},
      {"{host}", "{host}"},
  };
  for (const auto& c : cases) EXPECT_EQ(expand(c.text), c.expected) << c.text;
}

TEST(Expand, NamesTheFragmentAtFault) {
  ASSERT_EQ(unsetenv("WEIR_TEST_UNSET"), 0);
  for (const std::string_view text :
       {"${WEIR_TEST_UNSET}", "${}", "${1X}", "${A B:-c}", "${OPEN"}) {
    const auto result = expand(std::string("x ") + std::string(text));
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().fragment, text);
  }
}

TEST(EscapeDollars, IsUndoneByExpand) {
  for (const std::string_view text : {"", "$", "$$", "$$$", "${X}", "$${X}", "a$b", "{$}"}) {
    EXPECT_EQ(expand(escape_dollars(text)), text) << text;
  }
}

}  // namespace
}  // namespace weir::config
