// SPDX-License-Identifier: Apache-2.0
#include "server/status_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "proxy/access_log.h"

namespace weir::server {
namespace {

using nlohmann::json;

std::string rfc3339(WallTime time) {
  std::string text;
  proxy::append_rfc3339(text, time);
  return text;
}

json classes_json(const std::array<std::uint64_t, 6>& by_class) {
  return {{"total", std::accumulate(by_class.begin(), by_class.end(), std::uint64_t{0})},
          {"none", by_class[0]},
          {"1xx", by_class[1]},
          {"2xx", by_class[2]},
          {"3xx", by_class[3]},
          {"4xx", by_class[4]},
          {"5xx", by_class[5]}};
}

json worker_json(const WorkerSum& worker) {
  return {{"connections_accepted", worker.connections_accepted},
          {"connections_active", worker.connections_active},
          {"connections_refused", worker.connections_refused},
          {"requests_active", worker.requests_active},
          {"tunnels_active", worker.tunnels_active},
          {"buffer_bytes", worker.buffer_bytes}};
}

json route_json(const RouteSum& route) {
  return {{"name", route.name},
          {"requests", classes_json(route.by_class)},
          {"bytes_received", route.bytes_received},
          {"bytes_sent", route.bytes_sent},
          {"duration_seconds_sum", static_cast<double>(route.duration.sum_micros) / 1e6}};
}

json server_json(const ServerStatus& server) {
  json out = {{"name", server.name},         {"up", server.up},
              {"failures", server.failures}, {"last_error", server.last_error},
              {"active", server.active},     {"idle", server.idle}};
  if (!server.up) out["retry_in_ms"] = server.retry_in_ms;
  return out;
}

json upstream_json(const UpstreamSum& upstream, const ProcessStatus& process) {
  json out = {{"name", upstream.name},         {"requests", classes_json(upstream.by_class)},
              {"connects", upstream.connects}, {"connect_failures", upstream.connect_failures},
              {"reuses", upstream.reuses},     {"retries", upstream.retries},
              {"active", upstream.active},     {"idle", upstream.idle},
              {"servers", json::array()}};
  const auto status = std::ranges::find(process.upstreams, upstream.name, &UpstreamStatus::name);
  if (status == process.upstreams.end()) return out;
  for (const auto& server : status->servers) out["servers"].push_back(server_json(server));
  return out;
}

json config_json(const MetricsSnapshot& metrics, const ProcessStatus& process) {
  return {{"files", process.files},
          {"last_reload_succeeded", metrics.reloads.last_succeeded},
          {"applied", rfc3339(metrics.reloads.last)},
          {"reloads_succeeded", metrics.reloads.succeeded},
          {"reloads_failed", metrics.reloads.failed}};
}

json usage_json(const ProcessUsage& usage) {
  json out = {{"cpu_seconds", usage.cpu_seconds}};
  if (usage.resident_bytes) out["resident_bytes"] = *usage.resident_bytes;
  if (usage.descriptors) out["descriptors"] = *usage.descriptors;
  if (usage.descriptors_max) out["descriptors_max"] = *usage.descriptors_max;
  return out;
}

json causes_json(const std::vector<std::uint64_t>& causes) {
  json out = json::object();
  for (std::size_t i = 1; i < causes.size(); ++i) {
    if (causes[i] > 0) out[std::string(describe(static_cast<Cause>(i)).name)] = causes[i];
  }
  return out;
}

json certificates_json(const std::vector<CertificateStatus>& certificates) {
  json out = json::array();
  for (const CertificateStatus& each : certificates) {
    out.push_back({{"file", each.file},
                   {"names", each.names},
                   {"expires", rfc3339(WallTime{each.expires * 1'000'000})}});
    if (each.stapled_until) {
      out.back()["ocsp_until"] = rfc3339(WallTime{*each.stapled_until * 1'000'000});
    }
  }
  return out;
}

template <class Sum>
bool idle_other(const Sum& sum) {
  return sum.name == "other" && std::ranges::all_of(sum.by_class, [](auto n) { return n == 0; });
}

}  // namespace

json status_json(const MetricsSnapshot& metrics, const ProcessStatus& process) {
  json out = {
      {"version", process.version},
      {"state", process.state},
      {"pid", process.pid},
      {"backend", process.backend},
      {"started", rfc3339(process.started)},
      {"uptime_seconds", static_cast<double>(process.now.micros - process.started.micros) / 1e6},
      {"config", config_json(metrics, process)},
      {"process", usage_json(process.usage)},
      {"listens", process.listens},
      {"total", worker_json(metrics.total)},
      {"access_log_dropped", metrics.total.log_lines_dropped + process.log_lines_lost},
      {"causes", causes_json(metrics.causes)}};
  out["certificates"] = certificates_json(process.certificates);
  out["workers"] = json::array();
  for (const auto& worker : metrics.workers) out["workers"].push_back(worker_json(worker));
  out["routes"] = json::array();
  for (const auto& route : metrics.routes) {
    if (!idle_other(route)) out["routes"].push_back(route_json(route));
  }
  out["upstreams"] = json::array();
  for (const auto& upstream : metrics.upstreams) {
    if (!idle_other(upstream)) out["upstreams"].push_back(upstream_json(upstream, process));
  }
  return out;
}

}  // namespace weir::server
