// SPDX-License-Identifier: Apache-2.0
#include "server/worker.h"

#include <gtest/gtest.h>

namespace weir::server {
namespace {

ServerStatus server(const char* name, std::uint64_t failures, std::uint64_t active,
                    std::uint64_t idle) {
  ServerStatus status;
  status.name = name;
  status.up = failures == 0;
  status.failures = failures;
  status.last_error = failures == 0 ? "" : "upstream_refused";
  status.retry_in_ms = static_cast<std::int64_t>(failures) * 1000;
  status.active = active;
  status.idle = idle;
  return status;
}

UpstreamStatus upstream(const char* name, std::vector<ServerStatus> servers) {
  UpstreamStatus status;
  status.name = name;
  status.servers = std::move(servers);
  return status;
}

TEST(MergeStatus, OfNoWorkerIsNothing) {
  EXPECT_TRUE(merge_status({}).empty());
  EXPECT_TRUE(merge_status({{}, {}}).empty());
}

TEST(MergeStatus, AddsUpAndTakesTheWorstNews) {
  const auto merged = merge_status({{upstream("a", {server("1", 0, 2, 3), server("2", 3, 0, 0)})},
                                    {upstream("a", {server("2", 1, 1, 1), server("1", 2, 4, 5)})}});
  ASSERT_EQ(merged.size(), 1u);
  ASSERT_EQ(merged[0].servers.size(), 2u);
  const ServerStatus& one = merged[0].servers[0];
  EXPECT_EQ(one.name, "1");
  EXPECT_FALSE(one.up);  // where one worker waits to try again
  EXPECT_EQ(one.failures, 2u);
  EXPECT_EQ(one.last_error, "upstream_refused");
  EXPECT_EQ(one.retry_in_ms, 2000);
  EXPECT_EQ(one.active, 6u);
  EXPECT_EQ(one.idle, 8u);
  const ServerStatus& two = merged[0].servers[1];
  EXPECT_EQ(two.failures, 3u);
  EXPECT_EQ(two.retry_in_ms, 3000);
  EXPECT_EQ(two.active, 1u);
}

TEST(MergeStatus, AddressesThatOnlyOneWorkerKnowsAreShown) {
  const auto merged = merge_status(
      {{upstream("a", {server("1", 0, 1, 0)}), upstream("b", {})},
       {upstream("a", {server("2", 1, 1, 0)}), upstream("b", {server("3", 0, 0, 1)})}});
  ASSERT_EQ(merged.size(), 2u);
  ASSERT_EQ(merged[0].servers.size(), 2u);
  EXPECT_FALSE(merged[0].servers[1].up);
  ASSERT_EQ(merged[1].servers.size(), 1u);
  EXPECT_EQ(merged[1].servers[0].name, "3");
}

}  // namespace
}  // namespace weir::server
