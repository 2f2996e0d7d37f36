// SPDX-License-Identifier: Apache-2.0
//
// The proxy in a simulated world, one seed after the other.
//
//   WEIR_SIM_SEED=N sim_test     plays one seed and prints what happens in it
//   WEIR_SIM_SEEDS=M sim_test    plays so many seeds instead of kSeeds
//   WEIR_SIM_FIRST=N             begins with this one
//   WEIR_SIM_FAILURES=N          ends after so many seeds that failed
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "async/frame_pool.h"
#include "server/diagnostics.h"
#include "world.h"

namespace weir::sim {
namespace {

constexpr std::uint64_t kSeeds = 3000;
constexpr std::uint64_t kFailuresShown = 10;

std::optional<std::uint64_t> setting(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::nullopt : number(text);
}

// A failed assertion or a sanitizer ends the process: then this says where it was.
std::uint64_t g_seed = 0;  // NOLINT: read by a signal handler
void tell_seed(int) {
  std::array<char, 64> text{};
  const auto end = fmt::format_to_n(text.data(), text.size(), "seed {}\n", g_seed).out;
  ignore(::write(2, text.data(), static_cast<std::size_t>(end - text.data())), "last words");
}

struct Played {
  std::vector<std::string> violations;
  std::uint64_t fingerprint = 0;
  std::size_t exchanges = 0;
};

Played play(std::uint64_t seed, Trace trace) {
  g_seed = seed;
  const std::int64_t live = pool_counts().live;
  Played played;
  {
    World world(seed, trace);
    world.run();
    played = {world.violations(), world.fingerprint(), world.exchanges()};
  }
  if (const std::int64_t more = pool_counts().live - live; more != 0) {
    played.violations.push_back(fmt::format("{} frames or pooled objects are left", more));
  }
  return played;
}

std::string report(std::uint64_t seed, const Played& played) {
  std::string text = fmt::format("seed {}\n", seed);
  for (const std::string& violation : played.violations) text += "  " + violation + "\n";
  return text + fmt::format("  replay: WEIR_SIM_SEED={} sim_test\n", seed);
}

class Simulation : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGABRT, tell_seed);
    server::set_diagnostics_level(config::LogLevel::error);
  }
};

TEST_F(Simulation, EverySeedKeepsTheProperties) {
  if (const auto seed = setting("WEIR_SIM_SEED")) {
    const Played played = play(*seed, Trace::print);
    EXPECT_TRUE(played.violations.empty()) << report(*seed, played);
    return;
  }
  const std::uint64_t first = setting("WEIR_SIM_FIRST").value_or(1);
  const std::uint64_t seeds = setting("WEIR_SIM_SEEDS").value_or(kSeeds);
  const std::uint64_t shown = setting("WEIR_SIM_FAILURES").value_or(kFailuresShown);
  std::uint64_t failures = 0;
  std::size_t exchanges = 0;
  for (std::uint64_t seed = first; seed < first + seeds && failures < shown; ++seed) {
    const Played played = play(seed, Trace::no);
    exchanges += played.exchanges;
    if (played.violations.empty()) continue;
    ++failures;
    ADD_FAILURE() << report(seed, played);
  }
  fmt::print("{} exchanges in {} seeds from {}\n", exchanges, seeds, first);
}

TEST_F(Simulation, TheSameSeedIsTheSameRun) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const std::uint64_t once = play(seed, Trace::no).fingerprint;
    EXPECT_EQ(once, play(seed, Trace::no).fingerprint) << "seed " << seed;
    EXPECT_NE(once, play(seed + 10, Trace::no).fingerprint) << "seed " << seed;
  }
}

}  // namespace
}  // namespace weir::sim
