// SPDX-License-Identifier: Apache-2.0
#include "proxy/metrics.h"

#include <algorithm>

#include "proxy/record.h"

namespace weir::proxy {
namespace {

/// 1..5 for 1xx … 5xx, 0 for none (and for what is no status at all).
std::size_t status_class(int status) {
  return status >= 100 && status < 600 ? static_cast<std::size_t>(status / 100) : 0;
}

void observe_upstream(UpstreamCounts& counts, const Record& record) {
  const bool answered = record.first_byte.count() >= 0;
  counts.by_class[answered ? status_class(record.status) : 0].add();
  if (answered) counts.first_byte.observe(record.first_byte);
  if (record.retries > 0) counts.retries.add(static_cast<std::uint64_t>(record.retries));
}

}  // namespace

void Histogram::observe(Micros value) {
  const std::int64_t micros = std::max<std::int64_t>(value.count(), 0);
  const auto bound = std::ranges::lower_bound(kLatencyBuckets, micros);
  buckets[static_cast<std::size_t>(bound - kLatencyBuckets.begin())].add();
  sum_micros.add(static_cast<std::uint64_t>(micros));
}

void observe(WorkerMetrics& metrics, const Record& record) {
  if (RouteCounts* route = record.route_counts) {
    route->by_class[status_class(record.status)].add();
    route->duration.observe(record.duration);
    route->bytes_received.add(record.bytes_received);
    route->bytes_sent.add(record.bytes_sent);
  }
  if (record.upstream_counts != nullptr) observe_upstream(*record.upstream_counts, record);
  if (record.cause != Cause::none) metrics.causes[static_cast<std::size_t>(record.cause)].add();
}

}  // namespace weir::proxy
