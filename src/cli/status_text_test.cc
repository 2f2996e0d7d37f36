// SPDX-License-Identifier: Apache-2.0
#include "cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "proxy/record.h"
#include "server/status_json.h"

namespace weir::cli {
namespace {

using testing::HasSubstr;

std::string example() {
  server::MetricsRegistry registry(2, WallTime{1'767'323'045'000'000});
  proxy::Record record;
  record.route_counts = registry.worker(1).routes[registry.route_slot("web")].load();
  record.upstream_counts = registry.worker(1).upstreams[registry.upstream_slot("app")].load();
  record.upstream = "app";
  record.status = 502;
  record.cause = Cause::upstream_refused;
  record.bytes_sent = 1536;
  proxy::observe(registry.worker(1), record);
  registry.reloaded(server::MetricsRegistry::Reload::failed, {});
  server::ProcessStatus process;
  process.version = "0.1.0";
  process.backend = "ring";
  process.pid = 42;
  process.started = WallTime{0};
  process.now = WallTime{3'700'000'000};
  process.usage.resident_bytes = 11 << 20;
  process.listens = {":8080"};
  process.upstreams = {{.name = "app",
                        .servers = {{.name = "a:80",
                                     .up = false,
                                     .failures = 3,
                                     .last_error = "no_route",
                                     .retry_in_ms = 2500}}}};
  return server::status_json(registry.snapshot(), process).dump();
}

TEST(StatusText, IsReadable) {
  const auto out = status_text(example());
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(*out, R"(Weir 0.1.0, running for 1 h 1 min, pid 42, ring
listens on :8080
memory 11.0 MiB, buffers 0 B, descriptors - of -
THE LAST RELOAD FAILED: the configuration of 2026-01-02T03:04:05.000Z is still in use

WORKER  CONNECTIONS  REQUESTS  TUNNELS  ACCEPTED  REFUSED
0                 0         0        0         0        0
1                 0         0        0         0        0

ROUTE  REQUESTS  2xx  3xx  4xx  5xx  BROKEN   IN      OUT
web           1    0    0    0    1       0  0 B  1.5 KiB

UPSTREAM  REQUESTS  ACTIVE  IDLE  CONNECTS  FAILED  REUSED  RETRIES  STATE
app              1       0     0         0       0       0        0
  a:80                   0     0                 3                   DOWN (no_route, again in 2.5 s)

CAUSE             EXCHANGES
upstream_refused          1
)");
}

TEST(StatusText, SurvivesWhatItDoesNotKnow) {
  for (const char* json :
       {"{}", R"({"workers":5,"routes":[1,null],"upstreams":{"a":1},"total":[]})",
        R"({"version":"a\u001b[2J","causes":3,"listens":"x"})"}) {
    const auto out = status_text(json);
    ASSERT_TRUE(out.has_value()) << json;
    EXPECT_EQ(out->find('\x1b'), std::string::npos);
  }
  for (const char* other : {"", "[]", "404 page not found", "{"}) {
    EXPECT_FALSE(status_text(other).has_value()) << other;
  }
}

}  // namespace
}  // namespace weir::cli
