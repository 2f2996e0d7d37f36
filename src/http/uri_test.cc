// SPDX-License-Identifier: Apache-2.0
#include "http/uri.h"

#include <gtest/gtest.h>

namespace weir::http {
namespace {

TEST(NormalizePath, FollowsRfc3986) {
  struct Case {
    std::string_view path;
    std::string_view normal;
  };
  for (const auto& [path, normal] : std::initializer_list<Case>{
           {"/", "/"},
           {"*", "*"},
           {"/a/b", "/a/b"},
           {"//a//b//", "//a//b//"},
           {"/%41%7e%2d", "/A~-"},
           {"/%2f%3a%c3%a9", "/%2F%3A%C3%A9"},
           {"/%2F", "/%2F"},
           {"/%252e", "/%252e"},
           {"/100%", "/100%"},
           {"/%", "/%"},
           {"/%4", "/%4"},
           {"/%zz%4", "/%zz%4"},
           {"/a/.", "/a/"},
           {"/a/./b", "/a/b"},
           {"/a/..", "/"},
           {"/a/../b", "/b"},
           {"/a/b/../../c", "/c"},
           {"/..", "/"},
           {"/../../a", "/a"},
           {"/a/../../..", "/"},
           {"/a/%2e%2E/b", "/b"},
           {"/a/.%2e/b", "/b"},
           {"/a/%2e/b", "/a/b"},
           {"/a//../b", "/a/b"},
           {"/a/.b/..c/d..", "/a/.b/..c/d.."},
           {"/...", "/..."},
           {"/a/..%2fb", "/a/..%2Fb"},
           {"/mid/content=5/../6", "/mid/6"},
       }) {
    std::string out;
    const std::string_view result = normalize_path(path, out);
    EXPECT_EQ(result, normal) << path;
    EXPECT_EQ(result.data() == path.data(), path == normal) << path;
    std::string again;
    EXPECT_EQ(normalize_path(result, again), normal) << path;
  }
}

TEST(QueryValue, FindsTheFirstAndDecodes) {
  const std::string_view query = "a=1&b=x+y%21&empty=&flag&&a=2&%63=3&d=%zz%4&e=f=g";
  std::string out;
  const auto value = [&](std::string_view name) {
    return query_value(query, name, out).value_or("(none)");
  };
  EXPECT_EQ(value("a"), "1");
  EXPECT_EQ(value("b"), "x y!");
  EXPECT_EQ(value("empty"), "");
  EXPECT_EQ(value("flag"), "");
  EXPECT_EQ(value("c"), "3");
  EXPECT_EQ(value("d"), "%zz%4");
  EXPECT_EQ(value("e"), "f=g");
  EXPECT_EQ(value("A"), "(none)");
  EXPECT_EQ(value(""), "(none)");
  EXPECT_EQ(value("aa"), "(none)");
  EXPECT_FALSE(query_value("", "a", out));
}

TEST(SplitHostPort, TakesApart) {
  EXPECT_EQ(split_host_port("a.b:80")->host, "a.b");
  EXPECT_EQ(split_host_port("a.b:80")->port, 80);
  EXPECT_EQ(split_host_port("a.b")->port, std::nullopt);
  EXPECT_EQ(split_host_port("a.b:")->port, std::nullopt);
  EXPECT_EQ(split_host_port("[::1]:8080")->host, "[::1]");
  EXPECT_EQ(split_host_port("[::1]:8080")->port, 8080);
  EXPECT_EQ(split_host_port("a:00080")->port, 80);
  // What is refused is listed with the Host field, in h1_request_test.cc.
  EXPECT_FALSE(split_host_port(""));
  EXPECT_FALSE(split_host_port("u@a"));
}

}  // namespace
}  // namespace weir::http
