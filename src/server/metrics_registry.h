// SPDX-License-Identifier: Apache-2.0
//
// Owns the counters of all workers, gives each route and upstream name its slot in them, and sums
// them for whoever asks. A name keeps its slot for the life of the process, so counters survive a
// reload; when kSlotsMax names were seen, further ones share slot 0, "other".
//
// Any thread may call; workers write to their WorkerMetrics without a lock.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "proxy/metrics.h"

namespace weir::server {

struct HistogramSum {
  std::array<std::uint64_t, proxy::kLatencyBuckets.size() + 1> buckets{};  ///< not cumulative
  std::uint64_t sum_micros = 0;
};

struct RouteSum {
  std::string name;
  std::array<std::uint64_t, 6> by_class{};
  HistogramSum duration;
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
};

struct UpstreamSum {
  std::string name;
  std::array<std::uint64_t, 6> by_class{};
  HistogramSum first_byte;
  std::uint64_t connects = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t tls_handshakes = 0;
  std::uint64_t tls_resumed = 0;
  std::uint64_t reuses = 0;
  std::uint64_t retries = 0;
  std::uint64_t active = 0;
  std::uint64_t idle = 0;
};

struct WorkerSum {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_active = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t requests_active = 0;
  std::uint64_t tunnels_active = 0;
  std::uint64_t tls_handshakes_12 = 0;
  std::uint64_t tls_handshakes_13 = 0;
  std::uint64_t tls_resumed = 0;
  std::uint64_t tls_failures = 0;
  std::uint64_t log_lines_dropped = 0;
  std::uint64_t buffer_bytes = 0;
};

/// How configurations came and went.
struct ReloadSum {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  bool last_succeeded = true;  ///< the first configuration counts as a success
  WallTime last;               ///< when a configuration was last applied
};

/// All counters at (nearly) one moment. Counters are read one by one, so two of them may disagree
/// by what happened in between.
struct MetricsSnapshot {
  WorkerSum total;
  std::vector<WorkerSum> workers;
  std::vector<RouteSum> routes;        ///< slot order: "other" first
  std::vector<UpstreamSum> upstreams;  ///< slot order: "other" first
  std::vector<std::uint64_t> causes;   ///< by value of Cause
  ReloadSum reloads;
};

class MetricsRegistry final {
 public:
  enum class Reload : std::uint8_t { succeeded, failed };

  /// `started` is the moment of the first configuration.
  MetricsRegistry(std::size_t workers, WallTime started);
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;
  ~MetricsRegistry();

  /// Counters of one worker; they live as long as the registry.
  [[nodiscard]] proxy::WorkerMetrics& worker(std::size_t index) { return *workers_[index]; }
  [[nodiscard]] std::size_t workers() const { return workers_.size(); }

  /// The slot of a name, made (with counters for every worker) when it is new; 0 when none is left.
  std::uint16_t route_slot(std::string_view name);
  std::uint16_t upstream_slot(std::string_view name);

  void reloaded(Reload result, WallTime now);

  [[nodiscard]] MetricsSnapshot snapshot() const;

 private:
  template <class Counts>
  struct Slots {
    std::vector<std::string> names;
    std::vector<std::unique_ptr<Counts>> counts;
  };
  template <class Counts>
  std::uint16_t slot(
      Slots<Counts>& slots, std::string_view name,
      std::array<std::atomic<Counts*>, proxy::kSlotsMax> proxy::WorkerMetrics::* array);

  std::vector<std::unique_ptr<proxy::WorkerMetrics>> workers_;
  mutable std::mutex mutex_;
  Slots<proxy::RouteCounts> routes_;        // under mutex_
  Slots<proxy::UpstreamCounts> upstreams_;  // under mutex_
  ReloadSum reloads_;                       // under mutex_
};

}  // namespace weir::server
