// SPDX-License-Identifier: Apache-2.0
#include "io/timer.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace weir::io {
namespace {

struct Probe : Timer {
  Probe() : Timer([](Timer& t) { ++static_cast<Probe&>(t).fired; }) {}
  int fired = 0;
};

constexpr Instant at(std::int64_t micros) { return Instant(Micros(micros)); }
constexpr std::int64_t kTick = TimerWheel::kTickMicros;

TEST(TimerWheel, FiresAtItsTimeAndNeverEarly) {
  // Delays around every border between the levels.
  for (std::int64_t ticks : {1, 2, 63, 64, 65, 4095, 4096, 4097, 262'143, 262'144, 300'000}) {
    for (std::int64_t start : {0, 1, 63, 64, 1000}) {
      TimerWheel wheel(at(7));
      wheel.advance(at(7 + start * kTick));
      Probe probe;
      const Instant due = at(7 + (start + ticks) * kTick);
      wheel.arm(probe, due);
      EXPECT_LE(wheel.next(), due);
      wheel.advance(due - Micros(1));
      EXPECT_EQ(probe.fired, 0) << ticks << " from " << start;
      wheel.advance(due);
      EXPECT_EQ(probe.fired, 1) << ticks << " from " << start;
    }
  }
}

TEST(TimerWheel, FollowingNextReachesEveryTimer) {
  std::mt19937 random(1);
  TimerWheel wheel(at(0));
  std::vector<std::unique_ptr<Probe>> probes;
  for (int i = 0; i < 500; ++i) {
    probes.push_back(std::make_unique<Probe>());
    wheel.arm(*probes.back(), at(static_cast<std::int64_t>(random() % 400'000'000)));
  }
  int steps = 0;
  for (Instant now = wheel.next(); now != kNever; now = wheel.next()) {
    wheel.advance(now);
    ASSERT_LT(++steps, 5000);
  }
  for (const auto& probe : probes) EXPECT_EQ(probe->fired, 1);
}

TEST(TimerWheel, ATimerCanBeMovedAndDisarmed) {
  TimerWheel wheel(at(0));
  Probe moved;
  Probe disarmed;
  wheel.arm(moved, at(10 * kTick));
  wheel.arm(disarmed, at(10 * kTick));
  wheel.arm(moved, at(20 * kTick));
  disarmed.disarm();
  wheel.advance(at(15 * kTick));
  EXPECT_EQ(moved.fired + disarmed.fired, 0);
  wheel.advance(at(20 * kTick));
  EXPECT_EQ(moved.fired, 1);
  EXPECT_EQ(disarmed.fired, 0);
}

struct Again : Timer {
  Again(TimerWheel& wheel)
      : Timer([](Timer& t) {
          auto& self = static_cast<Again&>(t);
          if (++self.fired < 5) self.wheel.arm(self, self.due() + Micros(kTick));
        }),
        wheel(wheel) {}
  TimerWheel& wheel;
  int fired = 0;
};

TEST(TimerWheel, ATimerMayArmItselfAgainWhenItFires) {
  TimerWheel wheel(at(0));
  Again again(wheel);
  wheel.arm(again, at(kTick));
  wheel.advance(at(100 * kTick));
  EXPECT_EQ(again.fired, 5);
}

}  // namespace
}  // namespace weir::io
