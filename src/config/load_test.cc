// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

constexpr std::string_view kSmall = R"(
[[listen]]
address = ":8080"

[upstream.app]
servers = ["127.0.0.1:3000", "127.0.0.1:3001"]

[[route]]
match = { host = "example.com", path = "/api/**" }
upstream = "app"
)";

TEST(Load, ASmallFileBecomesAConfig) {
  const Loaded loaded = load_text(kSmall, "weir.toml");
  ASSERT_TRUE(loaded.config) << render(loaded.diagnostics, Color::no);
  EXPECT_TRUE(loaded.diagnostics.empty());
  ASSERT_EQ(loaded.config->listens.size(), 1U);
  EXPECT_EQ(loaded.config->listens[0].address.text(), ":8080");
  ASSERT_EQ(loaded.config->upstreams.size(), 1U);
  EXPECT_EQ(loaded.config->upstreams[0].servers[1].address.text(), "127.0.0.1:3001");
  ASSERT_EQ(loaded.config->routes.size(), 1U);
  EXPECT_EQ(loaded.config->routes[0].name, "example.com/api/**");
  EXPECT_EQ(loaded.config->routes[0].match.paths.at(0).value, "/api");
}

TEST(Load, AMistypedSettingIsShownWithItsPlaceAndTheNearestName) {
  std::string text(kSmall);
  text.replace(text.rfind("upstream"), 8, "upsteam");
  const Loaded loaded = load_text(text, "weir.toml");
  EXPECT_FALSE(loaded.config);
  const std::string shown = render(loaded.diagnostics, Color::no);
  EXPECT_NE(shown.find("weir.toml:10:1: error: unknown setting \"upsteam\" in [[route]]"),
            std::string::npos)
      << shown;
  EXPECT_NE(shown.find("did you mean \"upstream\"?"), std::string::npos) << shown;
}

}  // namespace
}  // namespace weir::config
