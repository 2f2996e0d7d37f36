// SPDX-License-Identifier: Apache-2.0
#include "proxy/metrics.h"

#include <gtest/gtest.h>

#include "proxy/record.h"

namespace weir::proxy {
namespace {

TEST(Histogram, ABoundBelongsToItsBucketAndTheLastHoldsTheRest) {
  Histogram histogram;
  histogram.observe(Micros{0});
  histogram.observe(Micros{500});
  histogram.observe(Micros{501});
  histogram.observe(Micros{10'000'000});
  histogram.observe(Micros{10'000'001});
  histogram.observe(Micros{-5});
  EXPECT_EQ(histogram.buckets[0].get(), 3U);
  EXPECT_EQ(histogram.buckets[1].get(), 1U);
  EXPECT_EQ(histogram.buckets[kLatencyBuckets.size() - 1].get(), 1U);
  EXPECT_EQ(histogram.buckets[kLatencyBuckets.size()].get(), 1U);
  EXPECT_EQ(histogram.sum_micros.get(), 500U + 501U + 10'000'000U + 10'000'001U);
}

TEST(Count, IsAGaugeToo) {
  Count count;
  count.add(3);
  count.sub();
  EXPECT_EQ(count.get(), 2U);
}

TEST(Observe, CountsTheExchangeOnceInEveryPlace) {
  WorkerMetrics metrics;
  RouteCounts route;
  UpstreamCounts upstream;
  Record record;
  record.route_counts = &route;
  record.upstream_counts = &upstream;
  record.upstream = "app";
  record.status = 404;
  record.bytes_sent = 10;
  record.bytes_received = 20;
  record.first_byte = Micros{700};
  record.duration = Micros{900};
  record.retries = 1;
  observe(metrics, record);
  EXPECT_EQ(route.by_class[4].get(), 1U);
  EXPECT_EQ(route.duration.buckets[1].get(), 1U);
  EXPECT_EQ(route.bytes_sent.get(), 10U);
  EXPECT_EQ(route.bytes_received.get(), 20U);
  EXPECT_EQ(upstream.by_class[4].get(), 1U);
  EXPECT_EQ(upstream.first_byte.sum_micros.get(), 700U);
  EXPECT_EQ(upstream.retries.get(), 1U);

  record.status = 502;
  record.cause = Cause::upstream_refused;
  record.first_byte = Micros{-1};
  record.retries = 0;
  observe(metrics, record);
  EXPECT_EQ(route.by_class[5].get(), 1U);
  EXPECT_EQ(upstream.by_class[0].get(), 1U) << "Weir's own 502 is no response of the upstream";
  EXPECT_EQ(metrics.causes[static_cast<std::size_t>(Cause::upstream_refused)].get(), 1U);
}

TEST(Observe, ASlotThatIsNotThereIsNotCounted) {
  WorkerMetrics metrics;
  Record record;
  record.upstream = "gone";
  record.status = 200;
  observe(metrics, record);
  for (const Count& cause : metrics.causes) EXPECT_EQ(cause.get(), 0U);
}

}  // namespace
}  // namespace weir::proxy
