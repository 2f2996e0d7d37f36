// SPDX-License-Identifier: Apache-2.0
//
// test/golden/NAME.toml against NAME.expected: what a person is told, then the configuration as
// Weir understood it. With WEIR_GOLDEN_UPDATE=1 the expected files are written; read the
// difference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/dump.h"
#include "config/load.h"

namespace weir::config {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(WEIR_SOURCE_DIR "/test/golden")) {
    if (entry.path().extension() == ".toml") names.push_back(entry.path().stem());
  }
  std::ranges::sort(names);
  return names;
}

class Golden : public testing::TestWithParam<std::string> {
 protected:
  // Messages then name files without the path of the source tree.
  void SetUp() override { fs::current_path(WEIR_SOURCE_DIR "/test/golden"); }
};

TEST_P(Golden, SaysWhatIsExpected) {
  const Loaded loaded = load_file(GetParam() + ".toml");
  std::string got = render(loaded.diagnostics, Color::no);
  if (loaded.config) got += dump(*loaded.config);
  const std::string expected = GetParam() + ".expected";
  if (std::getenv("WEIR_GOLDEN_UPDATE") != nullptr) std::ofstream(expected) << got;
  ASSERT_TRUE(fs::exists(expected));
  EXPECT_EQ(got, read(expected));
}

TEST_P(Golden, ADumpReadsBackToTheSameConfiguration) {
  const Loaded loaded = load_file(GetParam() + ".toml");
  if (!loaded.config) return;
  for (const Show show : {Show::changed, Show::all}) {
    const std::string text = dump(*loaded.config, show);
    const Loaded again = load_text(text, "dump");
    ASSERT_TRUE(again.config) << text << render(again.diagnostics, Color::no);
    EXPECT_EQ(dump(*again.config, show), text);
  }
}

std::string test_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

INSTANTIATE_TEST_SUITE_P(Files, Golden, testing::ValuesIn(cases()), test_name);

TEST(GoldenFiles, ThereAreMany) { EXPECT_GE(cases().size(), 40U); }

}  // namespace
}  // namespace weir::config
