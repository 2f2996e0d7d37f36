// SPDX-License-Identifier: Apache-2.0
//
// The real backends behave as the simulated one, on which everything else is proved: the same
// scripts of clients and servers are played on each, and what each exchange has shown to its
// client, to its server and in the access log must be the same, byte by byte.
//
//   WEIR_SAME_SEED=N same_test   plays one seed and prints what it shows on `sim`
//   WEIR_SAME_SEEDS=M same_test  plays so many seeds instead of kSeeds
#include <gtest/gtest.h>

#include "io/ring_io.h"
#include "io/select_backend.h"
#include "last_words.h"
#include "server/diagnostics.h"
#include "transcript.h"
#include "world.h"

namespace weir::sim {
namespace {

constexpr std::uint64_t kSeeds = 100;

// What ends alike wherever it is played: nobody is in a hurry, nothing breaks, and nothing depends
// on who was faster.
Swarm draw_compared(Draw& draw, std::uint64_t /*seed*/, std::size_t /*servers*/) {
  Swarm swarm;
  swarm.compared = true;
  if (draw.chance(0.5)) swarm.weather = Weather::stormy;  // peers fail; the network does not
  swarm.clients = 1 + draw.below(6);
  if (draw.chance(0.2)) swarm.client_requests_max = 1 + draw.below(4);
  if (draw.chance(0.2)) swarm.server_requests_max = 1 + draw.below(4);
  if (draw.chance(0.5)) swarm.head_size = 4_KiB + draw.below(28_KiB);
  swarm.narrow = draw.chance(0.5);
  if (swarm.narrow) swarm.faults.receive_capacity = 1'000 + draw.below(64'000);
  swarm.malformed = 0.1;
  if (draw.chance(0.3)) swarm.padded = 0.01 * static_cast<double>(1 + draw.below(50));
  draw_http2(draw, swarm);
  return swarm;
}

std::string replay(std::uint64_t seed) {
  return fmt::format("seed {}\n  replay: WEIR_SAME_SEED={} same_test\n", seed, seed);
}

Transcripts play(std::uint64_t seed, On on) {
  set_last_words(fmt::format("on {}, {}", name(on), replay(seed)));
  World world(seed, Trace::no, draw_compared, on);
  world.run();
  for (const std::string& violation : world.violations()) {
    ADD_FAILURE() << "on " << name(on) << ": " << violation << "\n" << replay(seed);
  }
  return transcripts(world);
}

class Same : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    prepare_last_words();
    server::set_diagnostics_level(config::LogLevel::error);
  }
};

/// True: the seed has shown the same on both.
bool compare(std::uint64_t seed, const Transcripts& simulated, On on) {
  const std::string difference = first_difference(simulated, "sim", play(seed, on), name(on));
  if (!difference.empty()) ADD_FAILURE() << difference << replay(seed);
  return difference.empty();
}

TEST_F(Same, EveryBackendShowsTheSame) {
  std::vector<On> real = {On::epoll};
  if (const Result<void> tested = io::ring_self_test()) {
    real.push_back(On::ring);
  } else {
    fmt::print("NOT COMPARED: ring. This machine does not give it: {}\n",
               io::describe(tested.error()));
  }
  const std::optional<std::uint64_t> one = setting("WEIR_SAME_SEED");
  const std::uint64_t first = one.value_or(1);
  const std::uint64_t seeds = one ? 1 : setting("WEIR_SAME_SEEDS").value_or(kSeeds);
  std::size_t exchanges = 0;
  for (std::uint64_t seed = first; seed < first + seeds && !HasFailure(); ++seed) {
    const Transcripts simulated = play(seed, On::sim);
    exchanges += simulated.size();
    if (one) {
      for (const auto& [id, text] : simulated) fmt::print("{}", text);
    }
    for (const On on : real) compare(seed, simulated, on);
  }
  fmt::print("{} exchanges in {} seeds from {}\n", exchanges, seeds, first);
}

}  // namespace
}  // namespace weir::sim
