// SPDX-License-Identifier: Apache-2.0
#include "http/date.h"

#include <gtest/gtest.h>

#include <limits>

namespace weir::http {
namespace {

TEST(FormatDate, IsFixdate) {
  struct Case {
    std::int64_t seconds;
    std::string_view text;
  };
  for (const auto& [seconds, text] : std::initializer_list<Case>{
           {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
           {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
           {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
           {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
           {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
           {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT"},
           {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
           {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
           {std::numeric_limits<std::int64_t>::max(), "Fri, 31 Dec 9999 23:59:59 GMT"},
           {std::numeric_limits<std::int64_t>::min(), "Sat, 01 Jan 0000 00:00:00 GMT"},
       }) {
    std::array<char, kDateSize> space;
    EXPECT_EQ(format_date(seconds, space), text);
  }
}

}  // namespace
}  // namespace weir::http
