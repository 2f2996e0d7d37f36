// SPDX-License-Identifier: Apache-2.0
//
// A hierarchical timer wheel: arming, moving and disarming are constant time; precision is one tick
// (8 ms) and never early. One per loop. A Timer is meant to be re-armed lazily: its owner stores
// the true deadline and, when the timer fires early for it, arms it again (see Stream).
#pragma once

#include <array>
#include <cstdint>

#include "base/list.h"
#include "base/time.h"

namespace weir::io {

class TimerWheel;

/// Owned by whoever waits; disarms itself when it dies.
class Timer : public ListNode<Timer> {
 public:
  using Function = void (*)(Timer&);
  explicit Timer(Function fire = nullptr) : fire(fire) {}
  [[nodiscard]] bool armed() const { return linked(); }
  [[nodiscard]] Instant due() const { return due_; }
  void disarm() { unlink(); }

  Function fire;  ///< called by TimerWheel::advance when due; the timer is disarmed by then

 private:
  friend class TimerWheel;
  Instant due_ = kNever;
};

class TimerWheel {
 public:
  explicit TimerWheel(Instant now);

  /// Arms `timer`, or moves it. kNever disarms.
  void arm(Timer& timer, Instant due);
  /// Fires everything that is due at `now`.
  void advance(Instant now);
  /// When advance has to be called next, at the latest; kNever when nothing is armed. May be early.
  [[nodiscard]] Instant next() const;

  static constexpr std::int64_t kTickMicros = 8'000;

 private:
  static constexpr int kLevels = 5;  // 8 ms · 64^5 = 99 days; later ones wait in the last slot
  static constexpr int kSlotBits = 6;
  static constexpr std::uint64_t kSlots = 1u << kSlotBits;

  void place(Timer& timer);
  [[nodiscard]] std::uint64_t tick_of(Instant due) const;

  struct Level {
    std::array<List<Timer>, kSlots> slots;
    std::uint64_t occupied = 0;  // bit per slot; may be set for a slot that has become empty
  };
  Instant start_;
  std::uint64_t tick_ = 0;  // everything up to it has fired
  std::array<Level, kLevels> levels_;
};

}  // namespace weir::io
