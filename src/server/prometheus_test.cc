// SPDX-License-Identifier: Apache-2.0
#include "server/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "proxy/record.h"
#include "server/status_json.h"

namespace weir::server {
namespace {

using testing::HasSubstr;

proxy::Record example(proxy::WorkerMetrics& worker, std::uint16_t route, std::uint16_t upstream) {
  proxy::Record record;
  record.route_counts = worker.routes[route].load();
  record.upstream_counts = worker.upstreams[upstream].load();
  record.upstream = "app";
  record.status = 200;
  record.bytes_sent = 1000;
  record.bytes_received = 10;
  record.duration = Micros{2'000};
  record.first_byte = Micros{1'500};
  return record;
}

ProcessStatus example_process() {
  ProcessStatus process;
  process.version = "1.2.3";
  process.backend = "ring";
  process.pid = 42;
  process.started = WallTime{1'767'323'045'000'000};
  process.now = WallTime{1'767'323'046'500'000};
  process.usage = {
      .resident_bytes = 4096, .descriptors = 7, .descriptors_max = 99, .cpu_seconds = 1.5};
  process.certificates = {{"/etc/weir/a.pem", {"a.example"}, 1'800'000'000, 1'700'000'000}};
  process.upstreams = {{.name = "app",
                        .servers = {{.name = "127.0.0.1:3000"},
                                    {.name = "127.0.0.1:3001",
                                     .up = false,
                                     .failures = 3,
                                     .last_error = "upstream_refused",
                                     .retry_in_ms = 250}}}};
  return process;
}

TEST(MetricsRegistry, SlotsSurviveAndAreSharedByName) {
  MetricsRegistry registry(2, {});
  const auto a = registry.route_slot("a");
  const auto b = registry.route_slot("b");
  EXPECT_NE(a, b);
  EXPECT_NE(a, 0);
  EXPECT_EQ(registry.route_slot("a"), a);
  EXPECT_EQ(registry.route_slot("other"), 0);
}

TEST(MetricsRegistry, BeyondTheLastSlotEverythingIsOther) {
  MetricsRegistry registry(1, {});
  std::uint16_t last = 0;
  for (std::size_t i = 1; i < proxy::kSlotsMax; ++i)
    last = registry.route_slot("r" + std::to_string(i));
  EXPECT_EQ(last, proxy::kSlotsMax - 1);
  EXPECT_EQ(registry.route_slot("one too many"), 0);
  EXPECT_EQ(registry.route_slot("r5"), 5);
  EXPECT_EQ(registry.upstream_slot("u"), 1) << "upstreams have their own slots";
  EXPECT_NE(registry.worker(0).routes[0].load(), nullptr);
}

TEST(MetricsRegistry, SumsOverWorkers) {
  MetricsRegistry registry(2, {});
  const auto route = registry.route_slot("app");
  const auto upstream = registry.upstream_slot("app");
  proxy::observe(registry.worker(0), example(registry.worker(0), route, upstream));
  proxy::observe(registry.worker(1), example(registry.worker(1), route, upstream));
  registry.worker(0).connections_active.add(5);
  registry.worker(1).connections_active.add(2);
  // A gauge may go down on another worker than it went up on; only the sum means something.
  registry.worker(0).upstreams[upstream].load()->idle.add(1);
  registry.worker(1).upstreams[upstream].load()->idle.sub(1);
  const MetricsSnapshot all = registry.snapshot();
  EXPECT_EQ(all.routes[route].by_class[2], 2U);
  EXPECT_EQ(all.routes[route].bytes_sent, 2000U);
  EXPECT_EQ(all.upstreams[upstream].first_byte.sum_micros, 3000U);
  EXPECT_EQ(all.upstreams[upstream].idle, 0U);
  EXPECT_EQ(all.total.connections_active, 7U);
  EXPECT_EQ(all.workers[1].connections_active, 2U);
}

TEST(Prometheus, RendersCountersHistogramsAndEscapes) {
  MetricsRegistry registry(1, WallTime{1'767'323'045'000'000});
  const auto route = registry.route_slot("a\"b\\c\nd");
  auto record = example(registry.worker(0), route, registry.upstream_slot("app"));
  proxy::observe(registry.worker(0), record);
  record.duration = Micros{20'000'000};
  record.cause = Cause::upstream_truncated;
  proxy::observe(registry.worker(0), record);
  registry.reloaded(MetricsRegistry::Reload::failed, WallTime{1});
  registry.worker(0).log_lines_dropped.add(2);
  ProcessStatus process = example_process();
  process.log_lines_lost = 3;
  const std::string page = render_prometheus(registry.snapshot(), process);
  const std::string label = R"(route="a\"b\\c\nd")";
  for (const std::string& line : {
           "weir_requests_total{" + label + ",code=\"2xx\"} 2",
           "weir_requests_total{" + label + ",code=\"none\"} 0",
           "weir_request_duration_seconds_bucket{" + label + ",le=\"0.001\"} 0",
           "weir_request_duration_seconds_bucket{" + label + ",le=\"0.0025\"} 1",
           "weir_request_duration_seconds_bucket{" + label + ",le=\"10\"} 1",
           "weir_request_duration_seconds_bucket{" + label + ",le=\"+Inf\"} 2",
           "weir_request_duration_seconds_sum{" + label + "} 20.002",
           "weir_request_duration_seconds_count{" + label + "} 2",
           std::string(R"(weir_upstream_requests_total{upstream="app",code="2xx"} 2)"),
           std::string(R"(weir_upstream_server_up{upstream="app",server="127.0.0.1:3001"} 0)"),
           std::string(R"(weir_causes_total{cause="upstream_truncated"} 1)"),
           std::string("weir_access_log_dropped_total 5"),
           std::string("weir_config_last_reload_success 0"),
           std::string("weir_config_last_reload_timestamp_seconds 1767323045"),
           std::string(R"(weir_config_reloads_total{result="failure"} 1)"),
           std::string(R"(weir_build_info{version="1.2.3",backend="ring"} 1)"),
           std::string("process_resident_memory_bytes 4096"),
           std::string("process_cpu_seconds_total 1.5"),
       }) {
    EXPECT_THAT(page, HasSubstr("\n" + line + "\n"));
  }
}

/// Name and labels of a sample line; the parts of a histogram belong to its family.
std::pair<std::string, std::set<std::string>> sample_of(const std::string& line,
                                                        const std::string& family) {
  const std::size_t end = line.find_first_of("{ ");
  std::string name = line.substr(0, end);
  for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    if (name == family + std::string(suffix)) name = family;
  }
  std::set<std::string> labels;
  for (std::size_t at = line.find("=\""); at != std::string::npos; at = line.find("=\"", at + 1)) {
    const std::size_t begin = line.find_last_of("{,", at) + 1;
    labels.insert(line.substr(begin, at - begin));
  }
  labels.erase("le");
  return {name, labels};
}

TEST(Prometheus, EverySampleBelongsToTheFamilyAboveIt) {
  MetricsRegistry registry(1, {});
  registry.upstream_slot("app");
  std::istringstream page(render_prometheus(registry.snapshot(), example_process()));
  std::map<std::string, std::string> expected_labels;
  for (const auto& family : metric_families()) {
    expected_labels[std::string(family.name)] = std::string(family.labels);
  }
  std::string family;
  std::set<std::string> with_samples;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("# TYPE ")) family = line.substr(7, line.find(' ', 7) - 7);
    if (line.starts_with("#")) continue;
    const auto [name, labels] = sample_of(line, family);
    EXPECT_EQ(name, family) << line;
    with_samples.insert(name);
    std::set<std::string> documented;
    std::istringstream list(expected_labels[name]);
    for (std::string label; list >> label;) {
      documented.insert(label.substr(0, label.find(',')));
    }
    EXPECT_EQ(labels, documented) << line;
  }
  EXPECT_EQ(with_samples.size(), metric_families().size()) << "each family has a sample";
}

TEST(Prometheus, TheDocumentationHasTheSameRows) {
  std::ifstream file(WEIR_SOURCE_DIR "/docs/metrics.md");
  ASSERT_TRUE(file.is_open());
  std::vector<std::string> documented;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) break;  // the table is in the first section
    if (line.starts_with("| `")) documented.push_back(line);
  }
  std::vector<std::string> rendered;
  for (const auto& family : metric_families()) {
    rendered.push_back("| `" + std::string(family.name) + "` | " + std::string(family.type) +
                       " | " + std::string(family.labels) + " | " + std::string(family.help) +
                       " |");
  }
  EXPECT_EQ(documented, rendered);
}

TEST(StatusJson, SaysWhatAnOperatorAsks) {
  MetricsRegistry registry(2, WallTime{1'767'323'045'000'000});
  auto record =
      example(registry.worker(0), registry.route_slot("web"), registry.upstream_slot("app"));
  proxy::observe(registry.worker(1), record);
  registry.worker(1).connections_active.add(4);
  const auto json = status_json(registry.snapshot(), example_process());
  EXPECT_EQ(json["version"], "1.2.3");
  EXPECT_EQ(json["pid"], 42);
  EXPECT_EQ(json["uptime_seconds"], 1.5);
  EXPECT_EQ(json["started"], "2026-01-02T03:04:05.000Z");
  EXPECT_EQ(json["workers"][1]["connections_active"], 4);
  ASSERT_EQ(json["routes"].size(), 1U) << "\"other\" is left out while nothing was counted in it";
  EXPECT_EQ(json["routes"][0]["name"], "web");
  EXPECT_EQ(json["routes"][0]["requests"]["2xx"], 1);
  const auto& servers = json["upstreams"][0]["servers"];
  ASSERT_EQ(servers.size(), 2U);
  EXPECT_FALSE(servers[0].contains("retry_in_ms"));
  EXPECT_EQ(servers[1]["last_error"], "upstream_refused");
  EXPECT_EQ(servers[1]["retry_in_ms"], 250);
}

TEST(ProcessUsage, TheKernelAnswers) {
  const ProcessUsage usage = read_process_usage();
  EXPECT_GT(usage.resident_bytes.value_or(0), 100'000U);
  EXPECT_GE(usage.descriptors.value_or(0), 1U);
  EXPECT_GE(usage.descriptors_max.value_or(0), usage.descriptors.value_or(1));
}

}  // namespace
}  // namespace weir::server
