// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_server.h"

#include <nlohmann/json.hpp>

#include "proxy/config_for_test.h"
#include "proxy/log_sink.h"
#include "proxy/snapshot.h"
#include "proxy/upstream.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

// One connection, served as a worker serves it.
class H1ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto config = config_of(
        "[timeouts]\nclient_write = \"2s\"\n"
        "[upstream.app]\nservers = [\"10.0.0.1:80\"]\n"
        "[[route]]\nupstream = \"app\"\n");
    ASSERT_NE(config, nullptr);
    auto snapshot = std::make_shared<Snapshot>(config, std::make_shared<Router>(*config));
    RouteEntry& route = snapshot->routes.emplace_back();
    route.settings = &config->routes.front();
    route.counts = &route_counts;
    route.upstream = std::make_shared<Upstream>(world.context, upstream_counts);
    route.upstream->configure(config, config->upstreams.front());
    route.upstream->set_addresses(0, {server_address});
    world.context.snapshot = snapshot;
    world.context.log = &sink;
    io::Io& io = world.loop.io();
    const io::SocketAddress address = *io::SocketAddress::from_ip("127.0.0.1", 2000);
    servers = io.adopt_listener(*world.network->listen(server_address));
    io::Socket* listener = io.adopt_listener(*world.network->listen(address));
    world.scope.spawn(&H1ServerTest::connect, &world.loop, address, &client);
    ASSERT_TRUE(world.run([&] { return client != nullptr; }));
    io::Peer peer;
    const auto accepted = io.accept_queued(*listener, peer);
    ASSERT_TRUE(accepted && *accepted);
    io.close(*listener);
    world.scope.spawn(&H1ServerTest::run, &world.context, io.adopt(**accepted), &served);
  }

  void TearDown() override {
    world.context.snapshot.reset();
    world.loop.io().close(*servers);
  }

  /// The connection that the proxy has made to the server.
  std::unique_ptr<io::TcpStream> server() {
    std::optional<Result<int>> fd;
    io::Peer peer;
    io::Io& io = world.loop.io();
    EXPECT_TRUE(world.run([&] { return (fd = io.accept_queued(*servers, peer)).has_value(); }));
    return std::make_unique<io::TcpStream>(world.loop, io.adopt(**fd));
  }

  static Task<> connect(io::Loop* loop, io::SocketAddress address,
                        std::unique_ptr<io::TcpStream>* out) {
    Result<io::Socket*> socket = co_await io::connect(*loop, address, kPatience);
    WEIR_CHECK(socket.has_value());
    *out = std::make_unique<io::TcpStream>(*loop, *socket);
  }
  static Task<> run(Context* context, io::Socket* socket, bool* done) {
    H1Server server(*context, socket, io::Peer{}, nullptr);
    co_await server.serve();
    *done = true;
  }

  /// Sends `text` in pieces of 1000 bytes and reads the answer.
  void ask(const std::string& text) {
    for (std::size_t at = 0; at < text.size(); at += 1000) {
      world.scope.spawn(say, client.get(), text.substr(at, 1000), Then::keep);
      world.turns(5);
    }
    world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  }

  nlohmann::json logged() {
    std::string lines;
    sink.swap(lines);
    return nlohmann::json::parse(lines, nullptr, false);
  }

  TestWorld world{Net::sim};
  const io::SocketAddress server_address = *io::SocketAddress::from_ip("10.0.0.1", 80);
  RouteCounts route_counts;
  UpstreamCounts upstream_counts;
  io::Socket* servers = nullptr;
  LogSignal signal;
  LogSink sink{signal, world.metrics->log_lines_dropped};
  std::unique_ptr<io::TcpStream> client;
  Heard heard;
  bool served = false;
};

// While a head grows its buffer is replaced by larger ones.
TEST_F(H1ServerTest, WhatIsLoggedOfARefusedHeadIsWhatWasSent) {
  ask("GET /large HTTP/1.1\r\nHost: sim.test\r\nX-A: " + std::string(40'000, 'a'));
  ASSERT_TRUE(world.run([&] { return served && heard.done; }));
  const nlohmann::json line = logged();
  ASSERT_TRUE(line.is_object());
  EXPECT_EQ(line.value("cause", ""), "head_too_large");
  EXPECT_EQ(line.value("method", ""), "GET");
  EXPECT_EQ(line.value("path", ""), "/large");
}

TEST_F(H1ServerTest, WhatIsLoggedOfAHeadThatCameTooSlowlyIsWhatWasSent) {
  ask("GET /slow HTTP/1.1\r\nHost: sim.test\r\nX-A: " + std::string(20'000, 'a'));
  world.pass(Millis(11'000));
  ASSERT_TRUE(world.run([&] { return served && heard.done; }));
  const nlohmann::json line = logged();
  ASSERT_TRUE(line.is_object());
  EXPECT_EQ(line.value("cause", ""), "client_head_timeout");
  EXPECT_EQ(line.value("method", ""), "GET");
  EXPECT_EQ(line.value("path", ""), "/slow");
}

// The client reads nothing until the proxy has given up: then part of the 103 has left.
TEST_F(H1ServerTest, NothingFollowsAnInformationalResponseThatDidNotLeaveWhole) {
  world.scope.spawn(say, client.get(), std::string("GET / HTTP/1.1\r\nHost: sim.test\r\n\r\n"),
                    Then::keep);
  const auto upstream = server();
  Heard request;
  world.scope.spawn(hear, upstream.get(), 1, &request);
  ASSERT_TRUE(world.run([&] { return request.done; }));
  world.network->faults.receive_capacity = 30;
  world.scope.spawn(say, upstream.get(),
                    std::string("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), Then::keep);
  world.pass(Millis(5'000));
  world.network->faults.receive_capacity = 64_KiB;
  world.scope.spawn(say, upstream.get(),
                    std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Then::keep);
  world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  ASSERT_TRUE(world.run([&] { return served && heard.done; }));
  EXPECT_EQ(heard.text.find("200 OK"), std::string::npos) << heard.text;
  EXPECT_EQ(logged().value("cause", ""), "client_write_timeout");
}

}  // namespace
}  // namespace weir::proxy
