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

// Only there in a build with sanitizers.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace weir::sim {
namespace {

constexpr std::uint64_t kSeeds = 3000;
constexpr std::uint64_t kFailuresShown = 10;

std::optional<std::uint64_t> setting(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::nullopt : number(text);
}

// A failed assertion, a sanitizer or a turn that never ends ends the process: then this says where
// it was.
constexpr unsigned kHangSeconds = 300;  // of one seed, in real time
std::array<char, 2048> g_last_words{};  // NOLINT: read by signal handlers
std::size_t g_last_size = 0;            // NOLINT
void tell_seed() { ignore(::write(2, g_last_words.data(), g_last_size), "last words"); }
void on_abort(int) { tell_seed(); }
void on_alarm(int) {
  constexpr std::string_view kText = "it hangs: a turn of a loop does not end\n";
  ignore(::write(2, kText.data(), kText.size()), "last words");
  std::abort();
}
void prepare_last_words(std::uint64_t seed, std::string_view description) {
  const auto made = fmt::format_to_n(g_last_words.data(), g_last_words.size(),
                                     "seed {}\n  {}\n  replay: WEIR_SIM_SEED={} sim_test\n", seed,
                                     description, seed);
  g_last_size = static_cast<std::size_t>(made.out - g_last_words.data());
}

struct Played {
  std::string description;
  std::vector<std::string> violations;
  std::uint64_t fingerprint = 0;
  std::size_t exchanges = 0;
};

Played play(std::uint64_t seed, Trace trace) {
  prepare_last_words(seed, "(not made yet)");
  ::alarm(kHangSeconds);
  const std::int64_t live = pool_counts().live;
  Played played;
  {
    World world(seed, trace);
    prepare_last_words(seed, world.description());
    world.run();
    played = {world.description(), world.violations(), world.fingerprint(), world.exchanges()};
  }
  if (const std::int64_t more = pool_counts().live - live; more != 0) {
    played.violations.push_back(fmt::format("{} frames or pooled objects are left", more));
  }
  return played;
}

std::string report(std::uint64_t seed, const Played& played) {
  std::string text = fmt::format("seed {}\n  {}\n", seed, played.description);
  for (const std::string& violation : played.violations) text += "  " + violation + "\n";
  return text + fmt::format("  replay: WEIR_SIM_SEED={} sim_test\n", seed);
}

class Simulation : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGABRT, on_abort);
    std::signal(SIGALRM, on_alarm);
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(tell_seed);
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
