// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "config/config.h"
#include "config/dump.h"
#include "config/load.h"

namespace weir::config {
namespace {

std::string read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void expect_committed(const std::string& path, const std::string& generated) {
  if (std::getenv("WEIR_GOLDEN_UPDATE") != nullptr) std::ofstream(path) << generated;
  EXPECT_TRUE(read(path) == generated)
      << path << " is not what the table says: run config_test with WEIR_GOLDEN_UPDATE=1";
}

TEST(Settings, TheReferenceIsWhatTheTableSays) {
  expect_committed(WEIR_SOURCE_DIR "/docs/settings.md", settings_markdown());
}

TEST(Settings, TheSchemaIsWhatTheTableSays) {
  expect_committed(WEIR_SOURCE_DIR "/docs/weir.schema.json", settings_json_schema());
}

/// A default-constructed object of each section with plain fields.
struct Defaults {
  Config top;
  Limits limits;
  Timeouts timeouts;
  AccessLog access_log;
  Listen listen;
  Tls tls;
  Upstream upstream;
  UpstreamTls server_tls;
  Server server;
  Route route;
  FixedResponse respond;

  const void* of(Section section) const {
    switch (section) {
      case Section::top: return &top;
      case Section::limits: return &limits;
      case Section::timeouts: return &timeouts;
      case Section::access_log: return &access_log;
      case Section::listen: return &listen;
      case Section::tls: return &tls;
      case Section::upstream: return &upstream;
      case Section::server_tls: return &server_tls;
      case Section::server: return &server;
      case Section::route: return &route;
      case Section::respond: return &respond;
      case Section::none:
      case Section::tcp:
      case Section::passthrough:
      case Section::certificate:
      case Section::match:
      case Section::redirect:
      case Section::rewrite:
      case Section::headers: break;
    }
    return nullptr;
  }
};

TEST(Settings, DefaultsInTheTableAreThoseOfConfig) {
  const Defaults defaults;
  int compared = 0;
  for (const Setting& setting : all_settings()) {
    if (setting.show == nullptr) continue;
    const void* object = defaults.of(setting.section);
    ASSERT_NE(object, nullptr) << setting.name;
    EXPECT_EQ(setting.show(setting, object), setting.fallback)
        << title(setting.section) << " " << setting.name;
    ++compared;
  }
  EXPECT_GT(compared, 35);
}

TEST(Settings, DefaultsOfOtherSettingsAreThoseOfConfig) {
  EXPECT_EQ(find_setting(Section::listen, "unix_mode")->fallback, "0660");
  EXPECT_EQ(Listen().unix_mode, 0660U);
  EXPECT_EQ(find_setting(Section::respond, "content_type")->fallback, FixedResponse().content_type);
  EXPECT_EQ(find_setting(Section::redirect, "status")->fallback, std::to_string(Redirect().status));
  EXPECT_EQ(find_setting(Section::top, "workers")->fallback, "auto");
  EXPECT_EQ(Config().workers, 0);
  EXPECT_EQ(find_setting(Section::top, "access_log")->fallback, AccessLog().to);
}

TEST(Settings, EachStandsOnceAndSaysWhatItDoes) {
  std::set<std::pair<Section, std::string_view>> seen;
  for (const Setting& setting : all_settings()) {
    EXPECT_TRUE(seen.emplace(setting.section, setting.name).second) << setting.name;
    EXPECT_TRUE(setting.help.ends_with('.')) << setting.name;
  }
}

TEST(Settings, EverySectionIsReachableInTheSchema) {
  const auto schema = nlohmann::json::parse(settings_json_schema());
  EXPECT_EQ(schema["definitions"].size(), all_sections().size() - 1);
  const std::string text = schema.dump();
  for (const auto& [name, definition] : schema["definitions"].items()) {
    EXPECT_NE(text.find("#/definitions/" + name + "\""), std::string::npos) << name;
  }
}

TEST(Settings, TheExampleLoadsWithoutDiagnostics) {
  const Loaded loaded = load_file(WEIR_SOURCE_DIR "/docs/examples/weir.toml");
  EXPECT_EQ(render(loaded.diagnostics, Color::no), "");
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(loaded.config->routes.front().name, "api");
}

}  // namespace
}  // namespace weir::config
