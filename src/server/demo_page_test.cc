// SPDX-License-Identifier: Apache-2.0
#include "server/demo_page.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/utf8.h"

namespace weir::server {
namespace {

TEST(DemoPage, IsTheFile) {
  std::ostringstream file;
  file << std::ifstream(WEIR_SOURCE_DIR "/src/server/demo_page.html").rdbuf();
  EXPECT_EQ(demo_page(), file.str());
  EXPECT_TRUE(demo_page().starts_with("<!doctype html>"));
  EXPECT_TRUE(is_utf8(demo_page()));
}

TEST(DemoPage, WorksWithoutANetwork) {
  for (const char* outside : {"src=\"http", "href=\"http", "url(http", "@import", "//cdn"}) {
    EXPECT_EQ(demo_page().find(outside), std::string_view::npos) << outside;
  }
}

TEST(DemoPage, AsksForThePathsOfTheOrigin) {
  for (const char* path : {"/demo/headers", "/demo/bytes/", "/demo/slow", "/demo/events",
                           "/demo/upload", "/demo/echo", "/demo/stats"}) {
    EXPECT_NE(demo_page().find(path), std::string_view::npos) << path;
  }
}

}  // namespace
}  // namespace weir::server
