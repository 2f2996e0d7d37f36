// SPDX-License-Identifier: Apache-2.0
#include "histogram.h"

#include <algorithm>
#include <cmath>

namespace weir::bench {

// Bucket b of power p (p > 0) holds the values of (kBuckets + b) << (p - 1), that is of
// kPrecision + p bits, whose first kPrecision + 1 bits are the same.
std::size_t Histogram::index_of(std::uint64_t value) {
  value = std::min(value, (std::uint64_t{1} << kBitsMax) - 1);
  if (value < kBuckets) return value;
  const auto power = static_cast<std::size_t>(std::bit_width(value)) - kPrecision;
  return power * kBuckets + (value >> (power - 1)) - kBuckets;
}

std::uint64_t Histogram::highest_in(std::size_t index) {
  const std::size_t power = index / kBuckets;
  if (power == 0) return index;
  return ((kBuckets + index % kBuckets + 1) << (power - 1)) - 1;
}

void Histogram::record(std::uint64_t value) {
  ++counts_[index_of(value)];
  ++count_;
  max_ = std::max(max_, value);
}

std::uint64_t Histogram::percentile(double percent) const {
  if (count_ == 0) return 0;
  const double exact = percent / 100 * static_cast<double>(count_);
  // 99.9 / 100 * 1000 is a little above 999 in binary.
  const auto rank = static_cast<std::uint64_t>(std::ceil(exact - 1e-6));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    seen += counts_[i];
    if (seen > 0 && seen >= rank) return std::min(highest_in(i), max_);
  }
  return max_;
}

}  // namespace weir::bench
