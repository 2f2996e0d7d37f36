// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream.h"

#include <map>

#include "proxy/config_for_test.h"
#include "proxy/upstream_lease.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

io::SocketAddress address(int host, std::uint16_t port = 80) {
  return *io::SocketAddress::from_ip("10.0.0." + std::to_string(host), port);
}

std::string servers(std::string_view list, std::string_view more = "") {
  return "[upstream.app]\nservers = [" + std::string(list) + "]\n" + std::string(more) +
         "\n[[route]]\nupstream = \"app\"\n";
}

class UpstreamTest : public ::testing::Test {
 protected:
  // Takes over the configuration; each server has the addresses of its place in `all`, or its own.
  void configure(const std::string& toml) {
    const auto config = config_of(toml);
    ASSERT_NE(config, nullptr);
    upstream.configure(config, config->upstreams.front());
    for (std::size_t i = 0; i < config->upstreams.front().servers.size(); ++i) {
      const config::Address& of = config->upstreams.front().servers[i].address;
      if (of.kind == config::Address::Kind::ip) {
        upstream.set_addresses(i, {*io::SocketAddress::from_ip(of.host, of.port)});
      }
    }
  }
  std::shared_ptr<Endpoint> endpoint(const std::string& name) {
    for (const auto& each : upstream.endpoints()) {
      if (each->name == name) return each;
    }
    return nullptr;
  }
  std::string pick(std::initializer_list<const Endpoint*> tried = {}) {
    const auto chosen = upstream.pick({tried.begin(), tried.size()});
    return chosen == nullptr ? "-" : chosen->name;
  }
  std::map<std::string, int> picks(int count) {
    std::map<std::string, int> result;
    for (int i = 0; i < count; ++i) ++result[pick()];
    return result;
  }

  TestWorld world{Net::sim};
  UpstreamCounts counts;
  Upstream upstream{world.context, counts};
};

using Counts = std::map<std::string, int>;

TEST_F(UpstreamTest, RoundRobinGivesEachItsWeight) {
  configure(
      servers("{ address = '10.0.0.1:80', weight = 5 }, '10.0.0.2:80', "
              "{ address = '10.0.0.3:80', weight = 2 }"));
  EXPECT_EQ(picks(80), (Counts{{"10.0.0.1:80", 50}, {"10.0.0.2:80", 10}, {"10.0.0.3:80", 20}}));
}

TEST_F(UpstreamTest, RoundRobinIsSmooth) {
  configure(servers("{ address = '10.0.0.1:80', weight = 3 }, '10.0.0.2:80'"));
  // Never more than its weight in a row, wherever it begins.
  int in_a_row = 0;
  for (int i = 0; i < 40; ++i) {
    in_a_row = pick() == "10.0.0.1:80" ? in_a_row + 1 : 0;
    EXPECT_LE(in_a_row, 3);
  }
}

TEST_F(UpstreamTest, MoreServersThanAnyWindowAllGetTheirShare) {
  configure(servers("'many.test:80'"));
  std::vector<io::SocketAddress> many;
  for (int i = 0; i < 600; ++i)
    many.push_back(address(1 + i % 200, static_cast<std::uint16_t>(i + 1)));
  upstream.set_addresses(0, many);
  const Counts all = picks(1200);
  EXPECT_EQ(all.size(), 600u);
  for (const auto& [name, count] : all) EXPECT_EQ(count, 2) << name;
}

TEST_F(UpstreamTest, LeastConnectionsLooksAtLoadPerWeight) {
  configure(servers("{ address = '10.0.0.1:80', weight = 4 }, '10.0.0.2:80'",
                    "balance = 'least_connections'"));
  endpoint("10.0.0.1:80")->active = 2;
  endpoint("10.0.0.2:80")->active = 0;
  EXPECT_EQ(picks(20), (Counts{{"10.0.0.1:80", 20}}));  // (2+1)/4 < (0+1)/1
  endpoint("10.0.0.1:80")->active = 5;
  EXPECT_EQ(picks(20), (Counts{{"10.0.0.2:80", 20}}));
}

TEST_F(UpstreamTest, LeastConnectionsSpreadsEqualLoads) {
  configure(servers("'10.0.0.1:80', '10.0.0.2:80'", "balance = 'least_connections'"));
  for (const auto& [name, count] : picks(200)) EXPECT_GT(count, 50) << name;
}

TEST_F(UpstreamTest, ABackupServesOnlyWhenTheOthersRest) {
  configure(servers("'10.0.0.1:80', '10.0.0.2:80', { address = '10.0.0.9:80', backup = true }"));
  EXPECT_EQ(picks(10).count("10.0.0.9:80"), 0u);
  const Error refused{Code::refused, Cause::none, 0, "connect"};
  upstream.failed(*endpoint("10.0.0.1:80"), refused);
  EXPECT_EQ(picks(10), (Counts{{"10.0.0.2:80", 10}}));
  upstream.failed(*endpoint("10.0.0.2:80"), refused);
  EXPECT_EQ(picks(10), (Counts{{"10.0.0.9:80", 10}}));
  // All rest: the one whose rest is over soonest, and never one that this request has tried.
  upstream.failed(*endpoint("10.0.0.9:80"), refused);
  upstream.failed(*endpoint("10.0.0.1:80"), refused);
  EXPECT_EQ(pick(), "10.0.0.2:80");
  EXPECT_EQ(pick({endpoint("10.0.0.2:80").get()}), "10.0.0.9:80");
  upstream.worked(*endpoint("10.0.0.1:80"));
  EXPECT_EQ(picks(10), (Counts{{"10.0.0.1:80", 10}}));
}

TEST_F(UpstreamTest, WhatWasTriedIsNotPickedAgain) {
  configure(servers("'10.0.0.1:80', '10.0.0.2:80'"));
  const auto one = endpoint("10.0.0.1:80");
  const auto two = endpoint("10.0.0.2:80");
  EXPECT_EQ(pick({one.get()}), "10.0.0.2:80");
  EXPECT_EQ(pick({one.get(), two.get()}), "-");
  configure(servers("'10.0.0.1:80'"));
  EXPECT_EQ(pick(), "10.0.0.1:80");
  EXPECT_EQ(pick({one.get()}), "-");
}

TEST_F(UpstreamTest, AFailedServerRestsTwiceAsLongEachTime) {
  configure(servers("'10.0.0.1:80', '10.0.0.2:80'", "retry_after = '1s'\nretry_after_max = '5s'"));
  const auto one = endpoint("10.0.0.1:80");
  const Error timed_out{Code::timed_out, Cause::none, 0, "connect"};
  for (const int seconds : {1, 2, 4, 5, 5}) {
    upstream.failed(*one, timed_out);
    EXPECT_EQ(one->retry_at - world.loop.now(), Micros(seconds * 1'000'000));
  }
  for (int i = 0; i < 100; ++i) upstream.failed(*one, timed_out);  // no overflow either
  EXPECT_EQ(one->retry_at - world.loop.now(), Micros(5'000'000));
  EXPECT_EQ(picks(4), (Counts{{"10.0.0.2:80", 4}}));
  world.pass(Millis(5'001));
  EXPECT_EQ(picks(4).size(), 2u);
  upstream.worked(*one);
  upstream.failed(*one, timed_out);
  EXPECT_EQ(one->retry_at - world.loop.now(), Micros(1'000'000));
  EXPECT_EQ(counts.connect_failures.get(), 106u);
}

TEST_F(UpstreamTest, AFirstRestBeyondTheLongestIsTheLongest) {
  configure(servers("'10.0.0.1:80'", "retry_after = '1h'\nretry_after_max = '1h'"));
  upstream.failed(*endpoint("10.0.0.1:80"), Error{Code::refused, Cause::none, 0, "connect"});
  upstream.failed(*endpoint("10.0.0.1:80"), Error{Code::refused, Cause::none, 0, "connect"});
  EXPECT_EQ(endpoint("10.0.0.1:80")->retry_at - world.loop.now(), Micros(3'600'000'000));
}

TEST_F(UpstreamTest, NewAddressesKeepTheEndpointsThatStay) {
  configure(servers("'name.test:80'"));
  EXPECT_TRUE(upstream.unresolved());
  EXPECT_EQ(pick(), "-");
  upstream.set_addresses(0, {address(1), address(2)});
  const auto two = endpoint("10.0.0.2:80");
  two->active = 3;
  upstream.failed(*two, Error{Code::refused, Cause::none, 0, "connect"});
  const int current = two->current;
  upstream.set_addresses(0, {address(3), address(2)});
  EXPECT_EQ(endpoint("10.0.0.2:80"), two);
  EXPECT_EQ(two->active, 3u);
  EXPECT_EQ(two->failures, 1);
  EXPECT_EQ(two->current, current);  // its turn does not begin anew
  EXPECT_EQ(endpoint("10.0.0.1:80"), nullptr);
  EXPECT_FALSE(two->retired);
  upstream.set_addresses(0, {});
  EXPECT_TRUE(two->retired);
  EXPECT_TRUE(upstream.unresolved());
}

TEST_F(UpstreamTest, AServerThatComesBackIsNotRetired) {
  configure(servers("'name.test:80'"));
  upstream.set_addresses(0, {address(1)});
  upstream.set_addresses(0, {address(2)});
  upstream.set_addresses(0, {address(1)});
  EXPECT_FALSE(endpoint("10.0.0.1:80")->retired);
}

TEST_F(UpstreamTest, TwoNamesOfOneAddressAreOneServer) {
  configure(servers("{ address = 'a.test:80', backup = true }, 'b.test:80', '10.0.0.7:80'"));
  upstream.set_addresses(0, {address(1), address(1)});
  upstream.set_addresses(1, {address(1)});
  EXPECT_EQ(upstream.endpoints().size(), 2u);
  EXPECT_FALSE(endpoint("10.0.0.1:80")->backup);
  EXPECT_EQ(picks(10), (Counts{{"10.0.0.1:80", 5}, {"10.0.0.7:80", 5}}));
  upstream.set_addresses(1, {address(2)});
  EXPECT_TRUE(endpoint("10.0.0.1:80")->backup);
  EXPECT_FALSE(endpoint("10.0.0.1:80")->retired);
}

TEST_F(UpstreamTest, AReloadKeepsWhatIsKnownOfItsServers) {
  configure(servers("'name.test:80', '10.0.0.5:80', '10.0.0.6:80'"));
  upstream.set_addresses(0, {address(1)});
  const auto named = endpoint("10.0.0.1:80");
  const auto literal = endpoint("10.0.0.5:80");
  literal->current = 17;
  upstream.failed(*literal, Error{Code::refused, Cause::none, 0, "connect"});
  const Instant retry_at = literal->retry_at;
  configure(servers("{ address = '10.0.0.5:80', weight = 3 }, '10.0.0.8:80', 'name.test:80'"));
  EXPECT_EQ(endpoint("10.0.0.5:80"), literal);
  EXPECT_EQ(literal->weight, 3);
  EXPECT_EQ(literal->retry_at, retry_at);
  EXPECT_EQ(literal->current, 17);
  EXPECT_EQ(endpoint("10.0.0.1:80"), named);  // at another place, still resolved
  EXPECT_EQ(endpoint("10.0.0.6:80"), nullptr);
  EXPECT_EQ(upstream.endpoints().size(), 3u);
}

// --- the pool ---------------------------------------------------------------------------------

class PoolTest : public UpstreamTest {
 protected:
  void SetUp() override {
    where = *io::SocketAddress::from_ip("10.0.0.1", 80);
    listener = world.loop.io().adopt_listener(*world.network->listen(where));
    configure(servers("'10.0.0.1:80', '10.0.0.2:80'", "idle_max = 2\nidle_timeout = '3s'"));
    one = endpoint("10.0.0.1:80");
  }
  void TearDown() override {
    upstream.close_idle();
    world.loop.io().close(*listener);
    world.turns(3);
    EXPECT_EQ(one->active, 0u);
    EXPECT_EQ(counts.active.get(), 0u);
    EXPECT_EQ(counts.idle.get(), one->idle_count);
  }
  static Task<> lease(PoolTest* self, std::shared_ptr<Endpoint> from, UpstreamLease* out,
                      Result<void>* outcome) {
    *out = UpstreamLease::of_kept(self->upstream, from, nullptr, Instant::min());
    if (!*out) {
      Connecting connecting;
      Result<Accepted> connected = co_await self->upstream.connect(*from, connecting, nullptr);
      if (connected) {
        *out = UpstreamLease::of_new(self->upstream, from, std::move(*connected), nullptr,
                                     config::UpstreamProtocol::http1);
      } else {
        *outcome = fail(connected.error());
      }
    }
    self->finished = true;
  }
  Result<void> acquire(UpstreamLease& out, const std::shared_ptr<Endpoint>& from) {
    Result<void> outcome;
    finished = false;
    world.scope.spawn(&PoolTest::lease, this, from, &out, &outcome);
    EXPECT_TRUE(world.run([&] { return finished; }));
    return outcome;
  }

  io::SocketAddress where;
  io::Socket* listener = nullptr;
  std::shared_ptr<Endpoint> one;
  bool finished = false;
};

TEST_F(PoolTest, ALeaseCountsWhileItLastsOnAllPaths) {
  UpstreamLease a;
  UpstreamLease b;
  ASSERT_TRUE(acquire(a, one));
  ASSERT_TRUE(acquire(b, one));
  EXPECT_EQ(one->active, 2u);
  EXPECT_EQ(counts.active.get(), 2u);
  EXPECT_EQ(counts.connects.get(), 2u);
  a = std::move(b);  // the first one is released by that
  EXPECT_EQ(one->active, 1u);
  a.release(false);
  a.release(false);
  EXPECT_EQ(one->active, 0u);
  EXPECT_EQ(one->idle_count, 0u);
  UpstreamLease none;
  EXPECT_FALSE(acquire(none, endpoint("10.0.0.2:80")));  // nobody listens there
  EXPECT_EQ(endpoint("10.0.0.2:80")->active, 0u);
  EXPECT_EQ(counts.active.get(), 0u);
}

TEST_F(PoolTest, AnUnusedConnectionIsNotKeptAsIfItHadAnswered) {
  UpstreamLease a;
  ASSERT_TRUE(acquire(a, one));
  const TestRequest request(TestRequest::lines("POST /", "Host: h\nContent-Length: 5"));
  a->start(request.head, "/", {});
  a.release(true);  // its request was not sent
  EXPECT_EQ(one->idle_count, 0u);
}

TEST_F(PoolTest, NamesNoDescriptorAsWhatItIs) {
  EXPECT_EQ(connect_cause(Error{Code::no_descriptors, Cause::none, 0, "x"}).cause,
            Cause::overload_connections);
  EXPECT_EQ(connect_cause(Error{Code::refused, Cause::none, 0, "x"}).cause,
            Cause::upstream_refused);
  EXPECT_EQ(connect_cause(Error{Code::timed_out, Cause::none, 0, "x"}).cause,
            Cause::upstream_connect_timeout);
  EXPECT_EQ(connect_cause(Error{Code::os, Cause::none, 0, "x"}).cause, Cause::upstream_unreachable);
}

}  // namespace
}  // namespace weir::proxy
