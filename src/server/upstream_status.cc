// SPDX-License-Identifier: Apache-2.0
//
// What the workers know of the servers, each by itself and all together.
#include <algorithm>

#include "server/worker.h"

namespace weir::server {

std::vector<UpstreamStatus> Worker::upstream_status() const {
  std::vector<UpstreamStatus> all;
  for (const auto& [name, upstream] : upstreams_) {
    UpstreamStatus& entry = all.emplace_back();
    entry.name = name;
    for (const std::string& unresolved : upstream->unresolved_servers()) {
      ServerStatus& server = entry.servers.emplace_back();
      server.name = unresolved;
      server.up = false;
      server.last_error = describe(Cause::upstream_unresolved).name;
    }
    for (const auto& endpoint : upstream->endpoints()) {
      ServerStatus& server = entry.servers.emplace_back();
      server.name = endpoint->name;
      server.failures = static_cast<std::uint64_t>(endpoint->failures);
      if (endpoint->failures > 0) {
        server.last_error = describe(proxy::connect_cause(endpoint->last_error).cause).name;
      }
      const auto wait = std::chrono::duration_cast<Millis>(endpoint->retry_at - loop_.now());
      server.retry_in_ms = std::max<std::int64_t>(wait.count(), 0);
      server.up = endpoint->failures == 0;
      server.active = endpoint->active;
      server.idle = endpoint->idle_count;
    }
  }
  return all;
}

std::vector<UpstreamStatus> merge_status(const std::vector<std::vector<UpstreamStatus>>& parts) {
  std::vector<UpstreamStatus> all = parts.empty() ? std::vector<UpstreamStatus>{} : parts.front();
  for (std::size_t worker = 1; worker < parts.size(); ++worker) {
    for (const UpstreamStatus& part : parts[worker]) {
      const auto upstream = std::ranges::find(all, part.name, &UpstreamStatus::name);
      if (upstream == all.end()) continue;  // all workers have the same ones
      for (const ServerStatus& seen : part.servers) {
        const auto server = std::ranges::find(upstream->servers, seen.name, &ServerStatus::name);
        if (server == upstream->servers.end()) {
          upstream->servers.push_back(seen);
          continue;
        }
        server->active += seen.active;
        server->idle += seen.idle;
        if (seen.failures > server->failures) {
          server->failures = seen.failures;
          server->last_error = seen.last_error;
          server->retry_in_ms = seen.retry_in_ms;
          server->up = false;
        }
      }
    }
  }
  return all;
}

}  // namespace weir::server
