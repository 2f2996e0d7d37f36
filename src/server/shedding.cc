// SPDX-License-Identifier: Apache-2.0
#include "server/shedding.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/limits.h"

namespace weir::server {
namespace {

constexpr Error kIdle{Code::no_descriptors, Cause::overload_connections, 0, "shed"};
constexpr Error kStalled{Code::no_memory, Cause::overload_memory, 0, "shed"};

}  // namespace

bool shed_idle(List<proxy::Connection>& connections) {
  proxy::Connection* oldest = nullptr;
  connections.for_each([&](proxy::Connection& connection) {
    if (oldest == nullptr && connection.idle()) oldest = &connection;
  });
  if (oldest == nullptr) return false;
  oldest->abort(kIdle);
  return true;
}

std::size_t shed_stalled(List<proxy::Connection>& connections) {
  std::vector<std::pair<Micros, proxy::Connection*>> stalled;
  connections.for_each([&](proxy::Connection& connection) {
    const Micros stall = connection.stall();
    if (stall >= Millis(kStallShedMillis)) stalled.emplace_back(stall, &connection);
  });
  const std::size_t count = std::min(stalled.size(), kStalledShed);
  const auto longest = stalled.begin() + static_cast<std::ptrdiff_t>(count);
  std::ranges::partial_sort(stalled, longest, std::ranges::greater{});
  for (auto it = stalled.begin(); it != longest; ++it) it->second->abort(kStalled);
  return count;
}

}  // namespace weir::server
