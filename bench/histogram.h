// SPDX-License-Identifier: Apache-2.0
//
// Latencies by the million in a fixed amount of memory: a bucket for each value up to 2^kPrecision,
// and from there kBuckets for each power of two, so that a percentile is less than 1 % too high and
// never too low.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir::bench {

class Histogram {
 public:
  static constexpr unsigned kPrecision = 7;
  /// 2^40 ns are 18 minutes; what is longer counts as that.
  static constexpr unsigned kBitsMax = 40;

  void record(std::uint64_t value);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  /// The least value that `percent` of the recorded ones do not exceed, rounded up to the end of
  /// its bucket but never above max(). 0 when nothing was recorded.
  [[nodiscard]] std::uint64_t percentile(double percent) const;

 private:
  static constexpr std::size_t kBuckets = std::size_t{1} << kPrecision;
  static constexpr std::size_t kSize = kBuckets * (kBitsMax - kPrecision + 1);
  static std::size_t index_of(std::uint64_t value);
  static std::uint64_t highest_in(std::size_t index);

  std::array<std::uint64_t, kSize> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace weir::bench
