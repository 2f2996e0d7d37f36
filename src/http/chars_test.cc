// SPDX-License-Identifier: Apache-2.0
//
// What looks at several bytes at once, compared with the table, which looks at one.
#include "http/chars.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::http {
namespace {

std::size_t first_not(std::string_view s, std::uint8_t classes) {
  std::size_t at = 0;
  while (at < s.size() && is(s[at], classes)) ++at;
  return at;
}

TEST(SeveralBytesAtOnce, SayWhatTheTableSays) {
  for (std::size_t size = 0; size <= 50; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, byte % 2 == 0 ? 'z' : '~');
        text[at] = static_cast<char>(byte);
        const char* const end = text.data() + size;
        ASSERT_EQ(find_name_end(text.data(), end) - text.data(), first_not(text, kToken));
        ASSERT_EQ(find_field_stop(text.data(), end) - text.data(), first_not(text, kFieldByte));
        const bool tab = byte == '\t';  // may be called one that cannot stand there
        const bool all = all_field_bytes(text);
        ASSERT_TRUE(all == all_of_class(text, kFieldByte) || (tab && !all)) << size << " " << byte;
      }
    }
  }
}

TEST(SeveralBytesAtOnce, LettersOfBothCasesAreUsual) {
  const std::string_view letters =
      "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-[`@{abcdefghijklmnop";
  const char* const end = letters.data() + letters.size();
  EXPECT_EQ(letters[static_cast<std::size_t>(find_name_end(letters.data(), end) - letters.data())],
            '[');
}

}  // namespace
}  // namespace weir::http
