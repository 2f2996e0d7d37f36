// SPDX-License-Identifier: Apache-2.0
//
// The proxy in a simulated world, one seed after the other.
//
//   WEIR_SIM_SEED=N sim_test     plays one seed and prints what happens in it
//   WEIR_SIM_SEEDS=M sim_test    plays so many seeds instead of kSeeds
//   WEIR_SIM_FIRST=N             begins with this one
//   WEIR_SIM_FAILURES=N          ends after so many seeds that failed
#include <gtest/gtest.h>

#include "async/frame_pool.h"
#include "last_words.h"
#include "server/diagnostics.h"
#include "world.h"

namespace weir::sim {
namespace {

constexpr std::uint64_t kSeeds = 3000;
constexpr std::uint64_t kFailuresShown = 10;

struct Played {
  std::string description;
  std::vector<std::string> violations;
  std::uint64_t fingerprint = 0;
  std::size_t exchanges = 0;
};

std::string report(std::uint64_t seed, const Played& played) {
  std::string text = fmt::format("seed {}\n  {}\n", seed, played.description);
  for (const std::string& violation : played.violations) text += "  " + violation + "\n";
  return text + fmt::format("  replay: WEIR_SIM_SEED={} sim_test\n", seed);
}

Played play(std::uint64_t seed, Trace trace) {
  Played played;
  played.description = "(not made yet)";
  set_last_words(report(seed, played));
  pool_release();  // what is kept decides when loops look at it, and must not be of other seeds
  const std::int64_t live = pool_counts().live;
  {
    World world(seed, trace);
    played.description = world.description();
    set_last_words(report(seed, played));
    world.run();
    played = {world.description(), world.violations(), world.fingerprint(), world.exchanges()};
  }
  if (const std::int64_t more = pool_counts().live - live; more != 0) {
    played.violations.push_back(fmt::format("{} frames or pooled objects are left", more));
  }
  return played;
}

class Simulation : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    prepare_last_words();
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
