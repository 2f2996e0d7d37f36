// SPDX-License-Identifier: Apache-2.0
//
// Units of time. Instants are milliseconds of a monotonic clock that belongs to a loop (virtual in
// the simulator), so they are comparable within one process only.
#pragma once

#include <chrono>
#include <cstdint>

namespace weir {

using Millis = std::chrono::duration<std::int64_t, std::milli>;
using Micros = std::chrono::duration<std::int64_t, std::micro>;

/// A point of the loop's monotonic clock, in microseconds.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Micros>;

inline constexpr Instant kNever = Instant::max();

/// Wall-clock time in microseconds since the epoch; only for logs and Date.
struct WallTime {
  std::int64_t micros = 0;
};

}  // namespace weir
