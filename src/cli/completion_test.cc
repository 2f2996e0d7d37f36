// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/commands.h"

namespace weir::cli {
namespace {

using testing::HasSubstr;

TEST(Completion, EveryShellKnowsEveryCommandAndOption) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion_script(shell);
    ASSERT_TRUE(script.has_value());
    for (const auto& command : commands()) {
      EXPECT_THAT(*script, HasSubstr(std::string(command.name)));
      for (const auto& option : command.options) {
        EXPECT_THAT(*script, HasSubstr(std::string(option.name.substr(2)))) << shell;
        EXPECT_EQ(option.help.find('\''), std::string_view::npos) << "would end the quotes";
      }
    }
    EXPECT_THAT(*script, HasSubstr("upstream_refused"));
  }
  EXPECT_FALSE(completion_script("tcsh").has_value());
}

/// What bash offers for a command line.
std::string bash_offers(const std::string& words, int index) {
  std::string file = (std::filesystem::temp_directory_path() / "weir-completion-XXXXXX").string();
  const int fd = mkstemp(file.data());
  if (fd < 0) return {};
  close(fd);
  std::ofstream(file) << *completion_script("bash") << "COMP_WORDS=(" << words
                      << ")\nCOMP_CWORD=" << index
                      << "\ncompopt() { :; }\n_weir\necho \"${COMPREPLY[*]}\"\n";
  std::string out;
  FILE* pipe = popen(("bash " + file + " 2>&1").c_str(), "r");
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) out += static_cast<char>(c);
  pclose(pipe);
  std::filesystem::remove(file);
  return out;
}

TEST(Completion, BashOffersWhatFits) {
  EXPECT_EQ(bash_offers("weir st", 1), "status stop\n");
  EXPECT_EQ(bash_offers("weir run --io r", 3), "ring\n");
  EXPECT_EQ(bash_offers("weir status --j", 2), "--json\n");
  EXPECT_EQ(bash_offers("weir completion ''", 2), "bash zsh fish\n");
  EXPECT_EQ(bash_offers("weir explain no_", 2), "no_route\n");
}

TEST(Manual, NamesEveryCommandAndOption) {
  std::ostringstream file;
  file << std::ifstream(WEIR_SOURCE_DIR "/docs/weir.1").rdbuf();
  const std::string page = file.str();
  for (const auto& command : commands()) {
    EXPECT_THAT(page, HasSubstr("\n.It Cm " + std::string(command.name)));
    for (const auto& option : command.options) {
      EXPECT_THAT(page, HasSubstr("Fl \\-" + std::string(option.name.substr(2)))) << command.name;
    }
  }
}

}  // namespace
}  // namespace weir::cli
