// SPDX-License-Identifier: Apache-2.0
//
// Counters of one worker. Written by that worker only and read by any thread: relaxed atomics, no
// read-modify-write, so a count costs what a plain increment costs. The reader sums over workers.
// Cardinality is bounded: one slot per route and upstream of the configuration, at most kSlotsMax,
// the rest share slot 0 ("other").
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace weir::proxy {

struct Record;

/// A counter or gauge with one writer.
class Count {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(std::uint64_t n = 1) { add(~n + 1); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Upper bounds of the latency buckets, in microseconds; one more bucket holds the rest.
inline constexpr std::array<std::int64_t, 14> kLatencyBuckets = {
    500,     1'000,   2'500,   5'000,     10'000,    25'000,    50'000,
    100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000};

struct Histogram {
  std::array<Count, kLatencyBuckets.size() + 1> buckets;
  Count sum_micros;
  void observe(Micros value);
};

struct RouteCounts {
  std::array<Count, 6> by_class;  ///< [1..5]: 1xx … 5xx; [0]: no response was sent
  Histogram duration;
  Count bytes_received;
  Count bytes_sent;
};

struct UpstreamCounts {
  std::array<Count, 6> by_class;  ///< responses of its servers
  Histogram first_byte;           ///< request sent to response head
  Count connects;                 ///< new connections
  Count connect_failures;
  Count tls_handshakes;  ///< that succeeded
  Count tls_resumed;     ///< of these
  Count reuses;          ///< requests sent on a kept connection
  Count retries;
  Count active;  ///< exchanges now
  Count idle;    ///< kept connections now
};

inline constexpr std::size_t kSlotsMax = 1024;

/// Everything one worker counts. Slots are made by the control thread when a configuration is
/// applied, under names, and live as long as the process: counters survive a reload.
struct WorkerMetrics {
  Count connections_accepted;
  Count connections_active;
  Count connections_refused;  ///< over limits.connections
  Count requests_active;
  Count tunnels_active;
  Count tls_handshakes_12;  ///< that succeeded, by version
  Count tls_handshakes_13;
  Count tls_resumed;  ///< of these
  Count tls_failures;
  Count log_lines_dropped;
  Count buffer_bytes;
  std::vector<Count> causes = std::vector<Count>(cause_count());
  std::array<std::atomic<RouteCounts*>, kSlotsMax> routes{};
  std::array<std::atomic<UpstreamCounts*>, kSlotsMax> upstreams{};
};

/// Counts an exchange that has ended: its route (class, duration, bytes), its upstream (class of
/// the response, first byte, retries; [0] when no head came) and its cause. What is not in a Record
/// (connects, reuses, gauges) is counted where it happens.
void observe(WorkerMetrics& metrics, const Record& record);

}  // namespace weir::proxy
