// SPDX-License-Identifier: Apache-2.0
#include "config/shortcut.h"

#include <gtest/gtest.h>

#include "config/dump.h"
#include "config/load.h"

namespace weir::config {
namespace {

TEST(ProxyConfig, IsWhatTheFileWouldSay) {
  const auto config = proxy_config("8080", {"localhost:3000", "http://10.0.0.1"});
  ASSERT_TRUE(config) << config.error().message;
  const Loaded loaded = load_text(R"(
[[listen]]
address = ":8080"
[upstream.app]
servers = ["localhost:3000", "10.0.0.1:80"]
[[route]]
upstream = "app"
)",
                                  "weir.toml");
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(dump(**config, Show::all), dump(*loaded.config, Show::all));
}

TEST(ProxyConfig, RefusesWithASentence) {
  EXPECT_EQ(proxy_config(":x", {"localhost:1"}).error().message, "\"x\" is not a port");
  EXPECT_FALSE(proxy_config(":8080", {}));
  EXPECT_FALSE(proxy_config(":8080", {"localhost:3000", "https://localhost"}));
}

}  // namespace
}  // namespace weir::config
