// SPDX-License-Identifier: Apache-2.0
#include "io/timer.h"

#include <algorithm>
#include <bit>

namespace weir::io {

TimerWheel::TimerWheel(Instant now) : start_(now) {}

std::uint64_t TimerWheel::tick_of(Instant due) const {
  if (due <= start_) return 0;
  const auto micros = static_cast<std::uint64_t>((due - start_).count());
  return (micros + kTickMicros - 1) / kTickMicros;  // never early
}

void TimerWheel::arm(Timer& timer, Instant due) {
  timer.unlink();
  timer.due_ = due;
  if (due != kNever) place(timer);
}

void TimerWheel::place(Timer& timer) {
  const std::uint64_t due = std::max(tick_of(timer.due_), tick_ + 1);
  // The level is where `due` and the current tick first differ, so that a slot is visited exactly
  // when the wheel below it has turned over.
  const std::uint64_t differing = due ^ tick_;
  int level = (std::bit_width(differing) - 1) / kSlotBits;
  std::uint64_t slot = 0;
  if (level >= kLevels) {
    level = kLevels - 1;
    slot = ((tick_ >> (kSlotBits * level)) + kSlots - 1) & (kSlots - 1);
  } else {
    slot = (due >> (kSlotBits * level)) & (kSlots - 1);
  }
  Level& target = levels_[static_cast<std::size_t>(level)];
  target.slots[slot].push_back(timer);
  target.occupied |= std::uint64_t{1} << slot;
}

void TimerWheel::advance(Instant now) {
  if (now < start_) return;
  const std::uint64_t target =
      static_cast<std::uint64_t>((now - start_).count()) / static_cast<std::uint64_t>(kTickMicros);
  while (tick_ < target) {
    // Jump over ticks at which nothing can happen: to the next multiple of 64 when level 0 is
    // empty.
    if (levels_[0].occupied == 0) {
      const std::uint64_t turn = (tick_ | (kSlots - 1));
      if (turn >= target) {
        tick_ = target;
        return;
      }
      tick_ = turn;
    }
    ++tick_;
    for (int level = kLevels - 1; level >= 0; --level) {
      const int shift = kSlotBits * level;
      if ((tick_ & ((std::uint64_t{1} << shift) - 1)) != 0) continue;
      Level& here = levels_[static_cast<std::size_t>(level)];
      const std::uint64_t slot = (tick_ >> shift) & (kSlots - 1);
      here.occupied &= ~(std::uint64_t{1} << slot);
      List<Timer> due;
      due.append(here.slots[slot]);
      while (!due.empty()) {
        Timer& timer = due.pop_front();
        if (tick_of(timer.due_) <= tick_) {
          timer.fire(timer);
        } else {
          place(timer);
        }
      }
    }
  }
}

Instant TimerWheel::next() const {
  for (int level = 0; level < kLevels; ++level) {
    const Level& here = levels_[static_cast<std::size_t>(level)];
    if (here.occupied == 0) continue;
    const int shift = kSlotBits * level;
    const auto current = static_cast<int>((tick_ >> shift) & (kSlots - 1));
    const std::uint64_t ahead = std::rotr(here.occupied, (current + 1) & 63);
    const std::uint64_t steps = static_cast<std::uint64_t>(std::countr_zero(ahead)) + 1;
    const std::uint64_t tick = ((tick_ >> shift) + steps) << shift;
    return start_ + Micros(static_cast<std::int64_t>(tick) * kTickMicros);
  }
  return kNever;
}

}  // namespace weir::io
