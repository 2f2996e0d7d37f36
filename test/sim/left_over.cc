// SPDX-License-Identifier: Apache-2.0
#include "left_over.h"

#include <fmt/format.h>

namespace weir::sim {

std::vector<std::string> left_over(const proxy::WorkerMetrics& counts) {
  std::vector<std::string> found;
  const auto look = [&](std::string_view what, const proxy::Count& count) {
    if (count.get() == 0) return;
    found.push_back(
        fmt::format("{} is {} at the end", what, static_cast<std::int64_t>(count.get())));
  };
  look("connections_active", counts.connections_active);
  look("requests_active", counts.requests_active);
  look("tunnels_active", counts.tunnels_active);
  look("log_lines_dropped", counts.log_lines_dropped);
  for (const auto& slot : counts.upstreams) {
    const proxy::UpstreamCounts* upstream = slot.load();
    if (upstream == nullptr) continue;
    look("upstream active", upstream->active);
    look("upstream idle", upstream->idle);
  }
  return found;
}

}  // namespace weir::sim
