// SPDX-License-Identifier: Apache-2.0
#include "cli/status_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

namespace weir::cli {
namespace {

using nlohmann::json;

/// What came over a socket is shown on a terminal: no control bytes.
std::string printable(std::string text) {
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return text;
}

const json& member(const json& object, const char* name) {
  static const json kNothing;
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() ? *found : kNothing;
}

std::string text(const json& value) {
  if (value.is_string()) return printable(value.get<std::string>());
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_integer()) return fmt::format("{}", value.get<std::int64_t>());
  if (value.is_number()) return fmt::format("{:.1f}", value.get<double>());
  return "-";
}

std::string size_text(const json& value) {
  if (!value.is_number()) return "-";
  constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double size = value.get<double>();
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < kUnits.size()) {
    size /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", size) : fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string uptime_text(const json& value) {
  if (!value.is_number()) return "-";
  const auto seconds = static_cast<std::int64_t>(value.get<double>());
  if (seconds >= 86'400) return fmt::format("{} d {} h", seconds / 86'400, seconds / 3'600 % 24);
  if (seconds >= 3'600) return fmt::format("{} h {} min", seconds / 3'600, seconds / 60 % 60);
  if (seconds >= 60) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} s", seconds);
}

enum class Last : std::uint8_t { number, text };

/// Columns as wide as their widest cell; the first to the left, numbers to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> titles, Last last = Last::number) : last_(last) {
    rows_.push_back(std::move(titles));
  }

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print(std::string& out) const {
    if (rows_.size() < 2) return;
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    out += '\n';
    for (const auto& row : rows_) {
      std::string line = fmt::format("{:<{}}", row[0], widths[0]);
      for (std::size_t i = 1; i < row.size(); ++i) {
        const bool left = last_ == Last::text && i + 1 == row.size();
        line += left ? "  " + row[i] : fmt::format("  {:>{}}", row[i], widths[i]);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
  }

 private:
  Last last_;
  std::vector<std::vector<std::string>> rows_;
};

void print_head(std::string& out, const json& status) {
  const json& config = member(status, "config");
  const json& process = member(status, "process");
  const auto to = std::back_inserter(out);
  fmt::format_to(to, "Weir {}, {} for {}, pid {}, {}\n", text(member(status, "version")),
                 text(member(status, "state")), uptime_text(member(status, "uptime_seconds")),
                 text(member(status, "pid")), text(member(status, "backend")));
  for (const auto& listen : member(status, "listens")) {
    fmt::format_to(to, "listens on {}\n", text(listen));
  }
  fmt::format_to(to, "memory {}, buffers {}, descriptors {} of {}\n",
                 size_text(member(process, "resident_bytes")),
                 size_text(member(member(status, "total"), "buffer_bytes")),
                 text(member(process, "descriptors")), text(member(process, "descriptors_max")));
  if (member(config, "last_reload_succeeded") == false) {
    fmt::format_to(to, "THE LAST RELOAD FAILED: the configuration of {} is still in use\n",
                   text(member(config, "applied")));
  }
  const json& dropped = member(status, "access_log_dropped");
  if (dropped.is_number() && dropped != 0) {
    fmt::format_to(to, "{} access log lines were dropped\n", text(dropped));
  }
}

void print_workers(std::string& out, const json& status) {
  Table table({"WORKER", "CONNECTIONS", "REQUESTS", "TUNNELS", "ACCEPTED", "REFUSED"});
  int number = 0;
  for (const auto& worker : member(status, "workers")) {
    table.add({fmt::format("{}", number++), text(member(worker, "connections_active")),
               text(member(worker, "requests_active")), text(member(worker, "tunnels_active")),
               text(member(worker, "connections_accepted")),
               text(member(worker, "connections_refused"))});
  }
  table.print(out);
}

void print_routes(std::string& out, const json& status) {
  Table table({"ROUTE", "REQUESTS", "2xx", "3xx", "4xx", "5xx", "BROKEN", "IN", "OUT"});
  for (const auto& route : member(status, "routes")) {
    const json& requests = member(route, "requests");
    table.add({text(member(route, "name")), text(member(requests, "total")),
               text(member(requests, "2xx")), text(member(requests, "3xx")),
               text(member(requests, "4xx")), text(member(requests, "5xx")),
               text(member(requests, "none")), size_text(member(route, "bytes_received")),
               size_text(member(route, "bytes_sent"))});
  }
  table.print(out);
}

std::string server_state(const json& server) {
  if (member(server, "up") == true) return "up";
  const json& wait = member(server, "retry_in_ms");
  const std::string again =
      wait.is_number() ? fmt::format(", again in {:.1f} s", wait.get<double>() / 1000) : "";
  return fmt::format("DOWN ({}{})", text(member(server, "last_error")), again);
}

void print_upstreams(std::string& out, const json& status) {
  Table table({"UPSTREAM", "REQUESTS", "ACTIVE", "IDLE", "CONNECTS", "FAILED", "REUSED", "RETRIES",
               "STATE"},
              Last::text);
  for (const auto& upstream : member(status, "upstreams")) {
    table.add({text(member(upstream, "name")), text(member(member(upstream, "requests"), "total")),
               text(member(upstream, "active")), text(member(upstream, "idle")),
               text(member(upstream, "connects")), text(member(upstream, "connect_failures")),
               text(member(upstream, "reuses")), text(member(upstream, "retries")), ""});
    for (const auto& server : member(upstream, "servers")) {
      table.add({"  " + text(member(server, "name")), "", text(member(server, "active")),
                 text(member(server, "idle")), "", text(member(server, "failures")), "", "",
                 server_state(server)});
    }
  }
  table.print(out);
}

void print_causes(std::string& out, const json& status) {
  Table table({"CAUSE", "EXCHANGES"});
  const json& causes = member(status, "causes");
  if (!causes.is_object()) return;
  for (const auto& [name, count] : causes.items()) table.add({printable(name), text(count)});
  table.print(out);
}

}  // namespace

std::expected<std::string, std::string> status_text(std::string_view bytes) {
  const json status = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return std::unexpected("the answer is not a status of Weir");
  std::string out;
  print_head(out, status);
  print_workers(out, status);
  print_routes(out, status);
  print_upstreams(out, status);
  print_causes(out, status);
  return out;
}

}  // namespace weir::cli
