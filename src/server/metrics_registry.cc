// SPDX-License-Identifier: Apache-2.0
#include "server/metrics_registry.h"

#include <algorithm>

#include "base/assert.h"

namespace weir::server {
namespace {

constexpr std::string_view kOther = "other";

void add(HistogramSum& sum, const proxy::Histogram& histogram) {
  for (std::size_t i = 0; i < sum.buckets.size(); ++i) sum.buckets[i] += histogram.buckets[i].get();
  sum.sum_micros += histogram.sum_micros.get();
}

void add(std::array<std::uint64_t, 6>& sum, const std::array<proxy::Count, 6>& counts) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += counts[i].get();
}

void add(RouteSum& sum, const proxy::RouteCounts& counts) {
  add(sum.by_class, counts.by_class);
  add(sum.duration, counts.duration);
  sum.bytes_received += counts.bytes_received.get();
  sum.bytes_sent += counts.bytes_sent.get();
}

void add(UpstreamSum& sum, const proxy::UpstreamCounts& counts) {
  add(sum.by_class, counts.by_class);
  add(sum.first_byte, counts.first_byte);
  sum.connects += counts.connects.get();
  sum.connect_failures += counts.connect_failures.get();
  sum.tls_handshakes += counts.tls_handshakes.get();
  sum.tls_resumed += counts.tls_resumed.get();
  sum.reuses += counts.reuses.get();
  sum.retries += counts.retries.get();
  sum.active += counts.active.get();
  sum.idle += counts.idle.get();
}

WorkerSum read(const proxy::WorkerMetrics& metrics) {
  return {.connections_accepted = metrics.connections_accepted.get(),
          .connections_active = metrics.connections_active.get(),
          .connections_refused = metrics.connections_refused.get(),
          .requests_active = metrics.requests_active.get(),
          .tunnels_active = metrics.tunnels_active.get(),
          .tls_handshakes_12 = metrics.tls_handshakes_12.get(),
          .tls_handshakes_13 = metrics.tls_handshakes_13.get(),
          .tls_resumed = metrics.tls_resumed.get(),
          .tls_failures = metrics.tls_failures.get(),
          .log_lines_dropped = metrics.log_lines_dropped.get(),
          .buffer_bytes = metrics.buffer_bytes.get()};
}

void add(WorkerSum& sum, const WorkerSum& worker) {
  sum.connections_accepted += worker.connections_accepted;
  sum.connections_active += worker.connections_active;
  sum.connections_refused += worker.connections_refused;
  sum.requests_active += worker.requests_active;
  sum.tunnels_active += worker.tunnels_active;
  sum.tls_handshakes_12 += worker.tls_handshakes_12;
  sum.tls_handshakes_13 += worker.tls_handshakes_13;
  sum.tls_resumed += worker.tls_resumed;
  sum.tls_failures += worker.tls_failures;
  sum.log_lines_dropped += worker.log_lines_dropped;
  sum.buffer_bytes += worker.buffer_bytes;
}

template <class Sum, class Counts>
std::vector<Sum> sum_slots(const std::vector<std::string>& names,
                           const std::vector<std::unique_ptr<Counts>>& counts,
                           std::size_t workers) {
  std::vector<Sum> sums(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    sums[i].name = names[i];
    for (std::size_t w = 0; w < workers; ++w) add(sums[i], *counts[i * workers + w]);
  }
  return sums;
}

}  // namespace

MetricsRegistry::MetricsRegistry(std::size_t workers, WallTime started) {
  WEIR_ASSERT(workers > 0);
  for (std::size_t i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<proxy::WorkerMetrics>());
  }
  reloads_.last = started;
  route_slot(kOther);
  upstream_slot(kOther);
}

MetricsRegistry::~MetricsRegistry() = default;

template <class Counts>
std::uint16_t MetricsRegistry::slot(
    Slots<Counts>& slots, std::string_view name,
    std::array<std::atomic<Counts*>, proxy::kSlotsMax> proxy::WorkerMetrics::* array) {
  const std::lock_guard lock(mutex_);
  const auto known = std::ranges::find(slots.names, name);
  if (known != slots.names.end()) {
    return static_cast<std::uint16_t>(known - slots.names.begin());
  }
  const std::size_t index = slots.names.size();
  if (index == proxy::kSlotsMax) return 0;
  slots.names.emplace_back(name);
  for (const auto& worker : workers_) {
    slots.counts.push_back(std::make_unique<Counts>());
    ((*worker).*array)[index].store(slots.counts.back().get(), std::memory_order_release);
  }
  return static_cast<std::uint16_t>(index);
}

std::uint16_t MetricsRegistry::route_slot(std::string_view name) {
  return slot(routes_, name, &proxy::WorkerMetrics::routes);
}

std::uint16_t MetricsRegistry::upstream_slot(std::string_view name) {
  return slot(upstreams_, name, &proxy::WorkerMetrics::upstreams);
}

void MetricsRegistry::reloaded(Reload result, WallTime now) {
  const std::lock_guard lock(mutex_);
  reloads_.last_succeeded = result == Reload::succeeded;
  if (result == Reload::succeeded) {
    ++reloads_.succeeded;
    reloads_.last = now;
  } else {
    ++reloads_.failed;
  }
}

MetricsSnapshot MetricsRegistry::snapshot() const {
  const std::lock_guard lock(mutex_);
  MetricsSnapshot all;
  all.causes.resize(cause_count());
  for (const auto& worker : workers_) {
    add(all.total, all.workers.emplace_back(read(*worker)));
    for (std::size_t i = 0; i < all.causes.size(); ++i) all.causes[i] += worker->causes[i].get();
  }
  all.routes = sum_slots<RouteSum>(routes_.names, routes_.counts, workers_.size());
  all.upstreams = sum_slots<UpstreamSum>(upstreams_.names, upstreams_.counts, workers_.size());
  all.reloads = reloads_;
  return all;
}

}  // namespace weir::server
