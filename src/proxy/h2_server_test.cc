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

  const std::string body = std::string(1'000, '~');
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
  constexpr std::string_view kGet("\0\0\x0d\x01\x05\0\0\0\x01\x82\x86\x04\x06/fixed\x41\x01h", 22);
  constexpr std::string_view kSettings("\0\0\0\x04\0\0\0\0\0", 9);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(kSettings);
  world.scope.spawn(say, pair.far.get(), preface + std::string(kGet), Then::keep);
  world.turns(30);
  EXPECT_EQ(counts.by_class[2].get(), 1u);
  EXPECT_FALSE(idle());
  world.scope.spawn(hear, pair.far.get(), SIZE_MAX, &heard);
  EXPECT_TRUE(world.run([&] { return idle(); }));
  connections.front().abort({Code::cancelled, Cause::none, 0, "idle"});
  EXPECT_TRUE(world.run([&] { return heard.done && connections.empty(); }));
  EXPECT_TRUE(heard.ended);
  EXPECT_NE(heard.text.find(body), std::string::npos);
}

}  // namespace
}  // namespace weir::proxy
