// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_server.h"

#include "proxy/config_for_test.h"
#include "proxy/log_sink.h"
#include "proxy/snapshot.h"
#include "proxy/upstream.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

// One connection to a proxy without servers.
class H2ServerTest : public ::testing::Test {
 protected:
  H2ServerTest() {
    const auto config =
        config_of("[[route]]\nmatch.path = \"/fixed\"\nrespond = { body = \"" + body + "\" }\n");
    world.context.snapshot = std::make_shared<Snapshot>(config, std::make_shared<Router>(*config));
    world.context.snapshot->none.counts = &counts;
    RouteEntry& route = world.context.snapshot->routes.emplace_back();
    route.settings = &config->routes.front();
    route.counts = &counts;
    world.context.log = &log;
  }
  void begin() {
    pair = world.pair();
    auto* server = new H2Server(world.context, {pair.near->release(), {}, {}}, nullptr);
    connections.push_back(*server);
    server->start();
  }
  [[nodiscard]] bool idle() { return connections.front().idle(); }

  void say_preface(std::string_view more = {}) {
    constexpr std::string_view kSettings("\0\0\0\x04\0\0\0\0\0", 9);
    world.scope.spawn(
        say, pair.far.get(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(kSettings) + std::string(more),
        Then::keep);
  }

  static constexpr std::string_view kGet{
      "\0\0\x0d\x01\x05\0\0\0\x01\x82\x86\x04\x06/fixed\x41\x01h", 22};
  const std::string body = std::string(12'000, '~');
  TestWorld world{Net::sim};
  RouteCounts counts;
  LogSignal signal;
  LogSink log{signal, world.metrics->log_lines_dropped};
  TestWorld::Pair pair;
  Heard heard;
  List<Connection> connections;
};

// What is idle may be ended at any time, and its client has got all that it asked for.
TEST_F(H2ServerTest, IsNotIdleBeforeItsAnswersHaveLeft) {
  world.network->faults.receive_capacity = 300;
  begin();
  say_preface(kGet);
  world.turns(30);
  EXPECT_EQ(counts.by_class[2].get(), 1u);
  EXPECT_FALSE(idle());
  world.scope.spawn(hear, pair.far.get(), SIZE_MAX, &heard);
  EXPECT_TRUE(world.run([&] { return heard.text.find(body) != std::string::npos; }));
  world.turns(10);
  EXPECT_FALSE(idle()) << "its client may open windows";
  EXPECT_TRUE(world.run([&] { return idle(); }));
  connections.front().abort({Code::cancelled, Cause::none, 0, "idle"});
  EXPECT_TRUE(world.run([&] { return heard.done && connections.empty(); }));
  EXPECT_TRUE(heard.ended);
  EXPECT_NE(heard.text.find(body), std::string::npos);
}

// What leaves gives memory back, so a frame that is due is never smaller than its output.
TEST_F(H2ServerTest, AFrameFitsHoweverLittleMemoryThereIs) {
  world.loop.chunks.set_budget(64_KiB);
  std::vector<io::Chunk> taken;
  while (world.loop.chunks.has_room(16_KiB)) {
    ASSERT_TRUE(world.loop.chunks.allocate(4_KiB, taken.emplace_back()));
  }
  begin();
  say_preface(kGet);
  world.scope.spawn(hear, pair.far.get(), SIZE_MAX, &heard);
  EXPECT_TRUE(world.run([&] { return heard.text.find(body) != std::string::npos; }));
  connections.front().abort({Code::cancelled, Cause::none, 0, "end"});
  EXPECT_TRUE(world.run([&] { return heard.done && connections.empty(); }));
}

TEST_F(H2ServerTest, OneThatAsksNothingMayGoAfterAMoment) {
  begin();
  say_preface();
  world.turns(10);
  EXPECT_FALSE(idle());
  world.pass(Millis(1'100));
  EXPECT_TRUE(idle());
  connections.front().abort({Code::cancelled, Cause::none, 0, "idle"});
  EXPECT_FALSE(idle()) << "it would be taken for another one";
  EXPECT_TRUE(world.run([&] { return connections.empty(); }));
}

TEST_F(H2ServerTest, OneThatAsksNothingDoesNotLastByOtherFrames) {
  constexpr std::string_view kPing("\0\0\x08\x06\0\0\0\0\0pingping", 17);
  begin();
  world.scope.spawn(hear, pair.far.get(), SIZE_MAX, &heard);
  say_preface();
  int pings = 0;
  for (; !heard.done && pings < 40; ++pings) {
    world.scope.spawn(say, pair.far.get(), std::string(kPing), Then::keep);
    world.pass(Millis(500));
  }
  EXPECT_TRUE(heard.done);
  EXPECT_GE(pings, 18) << "timeouts.client_head is 10 s";
  EXPECT_TRUE(world.run([&] { return connections.empty(); }));
}

}  // namespace
}  // namespace weir::proxy
