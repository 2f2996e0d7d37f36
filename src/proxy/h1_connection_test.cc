// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_server.h"

#include <nlohmann/json.hpp>

#include "proxy/config_for_test.h"
#include "proxy/log_sink.h"
#include "proxy/snapshot.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

// One connection, served as a worker serves it.
class H1ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto config = config_of("[[route]]\nrespond = 200\n");
    ASSERT_NE(config, nullptr);
    world.context.snapshot = std::make_shared<Snapshot>(config, std::make_shared<Router>(*config));
    world.context.log = &sink;
    const io::SocketAddress address = *io::SocketAddress::from_ip("127.0.0.1", 2000);
    io::Io& io = world.loop.io();
    io::Socket* listener = io.adopt_listener(*world.network->listen(address));
    world.scope.spawn(&H1ServerTest::connect, &world.loop, address, &client);
    ASSERT_TRUE(world.run([&] { return client != nullptr; }));
    io::Peer peer;
    const auto accepted = io.accept_queued(*listener, peer);
    ASSERT_TRUE(accepted && *accepted);
    io.close(*listener);
    world.scope.spawn(&H1ServerTest::run, &world.context, io.adopt(**accepted), &served);
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

}  // namespace
}  // namespace weir::proxy
