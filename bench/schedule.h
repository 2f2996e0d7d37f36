// SPDX-License-Identifier: Apache-2.0
//
// When requests are to be sent: a fixed rate that does not care whether the answers come (an open
// loop). A request that finds no free connection stays in the schedule, and its latency counts from
// when it should have been sent; otherwise a proxy that stalls would be asked less, and look good.
#pragma once

#include <cmath>
#include <cstdint>

namespace weir::bench {

class Schedule {
 public:
  /// `rate` requests a second from `start_ns` on, for `seconds`.
  Schedule(std::int64_t start_ns, double rate, double seconds)
      : start_ns_(start_ns),
        period_ns_(1e9 / rate),
        total_(static_cast<std::uint64_t>(std::llround(rate * seconds))) {}

  /// Nothing is left to be sent.
  [[nodiscard]] bool over() const { return taken_ == total_; }
  /// When the next request should be sent. Computed from the start: nothing adds up.
  [[nodiscard]] std::int64_t next_ns() const {
    return start_ns_ + std::llround(period_ns_ * static_cast<double>(taken_));
  }
  [[nodiscard]] bool due(std::int64_t now_ns) const { return !over() && next_ns() <= now_ns; }
  /// Takes the next request; returns when it should have been sent.
  std::int64_t take() {
    const std::int64_t at = next_ns();
    ++taken_;
    return at;
  }
  [[nodiscard]] std::uint64_t left() const { return total_ - taken_; }

 private:
  std::int64_t start_ns_;
  double period_ns_;
  std::uint64_t total_;
  std::uint64_t taken_ = 0;
};

}  // namespace weir::bench
