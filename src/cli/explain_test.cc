// SPDX-License-Identifier: Apache-2.0
#include "cli/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

namespace weir::cli {
namespace {

using testing::HasSubstr;

TEST(Explain, ACauseIsExplainedHoweverItIsWritten) {
  for (const char* word : {"upstream_refused", "UPSTREAM_REFUSED", "upstream-refused"}) {
    const Answer answer = explain(word);
    EXPECT_EQ(answer.exit_code, 0);
    EXPECT_THAT(answer.out, HasSubstr("upstream_refused: the server refused the connection."));
    EXPECT_THAT(answer.out, HasSubstr("is the application running"));
    EXPECT_THAT(answer.out, HasSubstr("answered 502"));
  }
  EXPECT_THAT(explain("tunnel_idle_timeout").out, HasSubstr("not answered"));
}

TEST(Explain, WithoutACauseAllAreListed) {
  const Answer answer = explain("");
  EXPECT_EQ(answer.exit_code, 0);
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(answer.out, '\n')), cause_count() - 1);
}

TEST(Explain, AnUnknownOneNamesTheNearestAndFails) {
  const struct {
    const char* word;
    const char* near;
  } cases[] = {{"upstream_refsued", "upstream_refused"},
               {"refused", "upstream_refused"},
               {"no_rout", "no_route"},
               {"upstream_timeout_connect", nullptr},
               {"xyzzy", nullptr},
               {"none", nullptr}};
  for (const auto& c : cases) {
    const Answer answer = explain(c.word);
    EXPECT_EQ(answer.exit_code, 1) << c.word;
    EXPECT_TRUE(answer.out.empty());
    if (c.near != nullptr) {
      EXPECT_THAT(answer.err, HasSubstr(std::string("did you mean ") + c.near + "?"));
    }
  }
  EXPECT_EQ(explain("xyzzy").err,
            "weir: there is no cause \"xyzzy\"; weir explain lists all of them\n");
}

}  // namespace
}  // namespace weir::cli
