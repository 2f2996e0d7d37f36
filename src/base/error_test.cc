// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace weir {
namespace {

TEST(Cause, EveryRowIsFoundByItsNameAndSaysWhatToDo) {
  for (std::size_t i = 1; i < cause_count(); ++i) {
    const auto cause = static_cast<Cause>(i);
    const CauseText& text = describe(cause);
    EXPECT_EQ(cause_from_name(text.name), cause);
    EXPECT_FALSE(text.what.empty()) << text.name;
    EXPECT_FALSE(text.advice.empty()) << text.name;
    EXPECT_TRUE(text.http_status == 0 || (text.http_status >= 400 && text.http_status < 600));
  }
  EXPECT_EQ(cause_from_name("no_such_cause"), Cause::none);
}

TEST(Error, SystemErrorsAreClassifiedByWhatTheyMeanForAStream) {
  EXPECT_EQ(os_error(EPIPE, "send").code, Code::reset);
  EXPECT_EQ(os_error(ECONNREFUSED, "connect").code, Code::refused);
  EXPECT_EQ(os_error(EMFILE, "accept").code, Code::no_descriptors);
  EXPECT_EQ(os_error(EINVAL, "send").code, Code::os);
  EXPECT_EQ(os_error(EINVAL, "send").os_errno, EINVAL);
}

}  // namespace
}  // namespace weir
