// SPDX-License-Identifier: Apache-2.0
#include "config/pattern.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

namespace weir::config {
namespace {

TEST(CompileRegex, AnchoredFindsTheWholeTextOnlyWhicheverFunctionIsCalled) {
  const auto regex = compile_regex("a|ab", Anchored::yes);
  ASSERT_TRUE(regex);
  EXPECT_TRUE(re2::RE2::PartialMatch("ab", **regex));
  EXPECT_TRUE(re2::RE2::FullMatch("a", **regex));
  EXPECT_FALSE(re2::RE2::PartialMatch("xab", **regex));
  EXPECT_FALSE(re2::RE2::PartialMatch("ab\n", **regex));
}

TEST(CompileRegex, ADotMatchesBytesThatAreNotUtf8) {
  const auto regex = compile_regex("/.*", Anchored::yes);
  ASSERT_TRUE(regex);
  EXPECT_TRUE(re2::RE2::FullMatch("/\xFF\x80", **regex));
}

TEST(CompileRegex, AParenthesisThatEscapesTheAnchorsIsAnError) {
  EXPECT_FALSE(compile_regex("a)|(b", Anchored::yes));
}

TEST(ParsePath, TellsTheFormsApart) {
  using Kind = PathMatch::Kind;
  const struct {
    std::string_view text;
    Kind kind;
    std::string_view value;
  } cases[] = {
      {"/", Kind::exact, "/"},
      {"/a/", Kind::exact, "/a/"},
      {"/a/b", Kind::exact, "/a/b"},
      {"/a/**", Kind::prefix, "/a"},
      {"/**", Kind::any, ""},
      {"*", Kind::any, ""},
      {"~/a[0-9]", Kind::regex, "/a[0-9]"},
  };
  for (const auto& c : cases) {
    const auto path = parse_path(c.text);
    ASSERT_TRUE(path) << c.text;
    EXPECT_EQ(path->kind, c.kind) << c.text;
    EXPECT_EQ(path->value, c.value) << c.text;
    EXPECT_EQ(path->regex != nullptr, c.kind == Kind::regex) << c.text;
  }
}

TEST(ParseHost, LowersAndKeepsThePort) {
  EXPECT_EQ(parse_host("Example.COM:8080"), "example.com:8080");
  EXPECT_EQ(parse_host("*.Example.com"), "*.example.com");
  EXPECT_EQ(parse_host("[::1]:80"), "[::1]:80");
  EXPECT_EQ(parse_host("[::1]"), "[::1]");
  EXPECT_EQ(parse_host("*"), "");
  for (const std::string_view text : {"", "*.", "a*.com", "*a.com", "a/b", "a b", "a:0", "a:x",
                                      "*.a:80", ".a", "a..b", ":80", "::1"}) {
    EXPECT_FALSE(parse_host(text)) << text;
  }
}

TEST(ParsePrefix, HasNoSlashAtItsEnd) {
  EXPECT_EQ(parse_prefix("/api/"), "/api");
  EXPECT_EQ(parse_prefix("/api/**"), "/api");
  EXPECT_EQ(parse_prefix("/"), "");
  for (const std::string_view text : {"", "api", "/a?b", "/a b", "/a*"}) {
    EXPECT_FALSE(parse_prefix(text)) << text;
  }
}

TEST(IsFieldValue, RefusesWhatWouldEndTheLine) {
  EXPECT_TRUE(is_field_value("a b\tc \xC3\xA4"));
  using std::string_view_literals::operator""sv;
  for (const std::string_view text : {"a\rb", "a\nb", "\x7F"}) EXPECT_FALSE(is_field_value(text));
  EXPECT_FALSE(is_field_value("a\0b"sv));
}

}  // namespace
}  // namespace weir::config
