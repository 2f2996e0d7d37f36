// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "proxy/config_for_test.h"
#include "proxy/log_sink.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Accept : io::AcceptOp {
  io::Io& io;
  io::Socket& listener;
  Accept(io::Io& i, io::Socket& l) : io(i), listener(l) {}
  bool await_ready() { return io.start_accept(listener, *this); }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  void await_resume() {}
};

// One connection to a proxy without servers: what it answers by itself, and what it logs.
class H1ServerTest : public ::testing::Test {
 protected:
  H1ServerTest() {
    const auto config = config_of(
        "[limits]\nhead_size = \"32KiB\"\n[timeouts]\nclient_head = \"1s\"\nclient_idle = \"1s\"\n"
        "[[route]]\nmatch.path = \"/fixed\"\nrespond = { body = \"fixed\" }\n");
    world.context.snapshot = std::make_shared<Snapshot>(config, std::make_shared<Router>(*config));
    world.context.snapshot->none.counts = &counts;
    RouteEntry& route = world.context.snapshot->routes.emplace_back();
    route.settings = &config->routes.front();
    route.counts = &counts;
    world.context.log = &log;
  }

  // Sends the pieces, each when the one before has been looked at; returns what came back.
  std::string answer_to(std::vector<std::string> pieces) {
    const io::SocketAddress address = *io::SocketAddress::from_ip("127.0.0.1", 2000);
    io::Socket* listener = world.loop.io().adopt_listener(*world.network->listen(address));
    world.scope.spawn(&H1ServerTest::serve_one, this, listener);
    Heard heard;
    served = false;
    world.scope.spawn(&H1ServerTest::ask, this, address, &pieces, &heard);
    EXPECT_TRUE(world.run([&] { return heard.done && served; }));
    return heard.text;
  }
  nlohmann::json logged() {
    std::string text;
    log.swap(text);
    return nlohmann::json::parse(text, nullptr, false);
  }

  TestWorld world{Net::sim};
  RouteCounts counts;
  LogSignal signal;
  LogSink log{signal, world.metrics->log_lines_dropped};

 private:
  static Task<> serve_one(H1ServerTest* self, io::Socket* listener) {
    io::Loop& loop = self->world.loop;
    Accept accept(loop.io(), *listener);
    co_await accept;
    loop.io().close(*listener);
    auto server = std::make_unique<H1Server>(self->world.context, loop.io().adopt(*accept.result),
                                             accept.peer, nullptr);
    co_await server->serve();
    self->served = true;
  }
  static Task<> ask(H1ServerTest* self, io::SocketAddress address, std::vector<std::string>* pieces,
                    Heard* heard) {
    Result<io::Socket*> socket = co_await io::connect(self->world.loop, address, kPatience);
    WEIR_CHECK(socket.has_value());
    io::TcpStream stream(self->world.loop, *socket);
    for (std::string& piece : *pieces) {
      co_await say(&stream, std::move(piece), Then::keep);
      // tidy: allow sleep because the clock is the simulated one
      co_await io::sleep_until(self->world.loop, self->world.loop.now() + Millis(10));
    }
    co_await hear(&stream, SIZE_MAX, heard);
    stream.close(io::Stream::Close::orderly);
  }
  bool served = false;
};

TEST_F(H1ServerTest, AnswersAndLogs) {
  const std::string answer =
      answer_to({"GET /fixed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"});
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_EQ(logged()["path"], "/fixed");
}

// The first line was read in a buffer that a larger one has replaced since.
TEST_F(H1ServerTest, LogsTheFirstLineOfAHeadThatGrewTooLarge) {
  std::vector<std::string> pieces = {"GET /grown?x=1 HTTP/1.1\r\nHost: a\r\n"};
  for (int i = 0; i < 12; ++i) pieces.push_back("X: " + std::string(3'000, 'x') + "\r\n");
  const std::string answer = answer_to(pieces);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 431 ")) << answer;
  const nlohmann::json line = logged();
  EXPECT_EQ(line["method"], "GET");
  EXPECT_EQ(line["path"], "/grown?x=1");
}

TEST_F(H1ServerTest, LogsTheFirstLineOfAHeadThatDoesNotEnd) {
  std::vector<std::string> pieces = {"GET http://b.test/slow HTTP/1.1\r\nHost: a\r\n"};
  for (int i = 0; i < 3; ++i) pieces.push_back("X: " + std::string(3'000, 'x') + "\r\n");
  const std::string answer = answer_to(pieces);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  const nlohmann::json line = logged();
  EXPECT_EQ(line["method"], "GET");
  EXPECT_EQ(line["host"], "b.test");
  EXPECT_EQ(line["path"], "http://b.test/slow");
}

std::string body_of(const std::string& response) {
  return response.substr(response.find("\r\n\r\n") + 4);
}

// RFC 9110 section 9.3.2.
TEST_F(H1ServerTest, ARefusalOfHeadHasTheLengthButNoBody) {
  for (const std::string fields :
       {"\r\n", "Host: a\r\nX A: b\r\n\r\n", "Host: a\r\nHost: b\r\n\r\n"}) {
    const std::string get = answer_to({"GET / HTTP/1.1\r\n" + fields});
    const std::string head = answer_to({"HEAD / HTTP/1.1\r\n" + fields});
    EXPECT_THAT(get, StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(head, StartsWith("HTTP/1.1 400 "));
    EXPECT_NE(body_of(get), "");
    EXPECT_EQ(body_of(head), "");
    const std::string length = "Content-Length: " + std::to_string(body_of(get).size()) + "\r\n";
    EXPECT_THAT(get, HasSubstr(length));
    EXPECT_THAT(head, HasSubstr(length));
  }
  // The target is bad before the method is looked at.
  EXPECT_EQ(body_of(answer_to({"HEAD /a b HTTP/1.1\r\nHost: a\r\n\r\n"})), "");
}

TEST_F(H1ServerTest, WhatItSaysItselfHasADate) {
  const std::string close = "Connection: close\r\n\r\n";
  EXPECT_THAT(answer_to({"GET /fixed HTTP/1.1\r\nHost: a\r\n" + close}), HasSubstr("\r\nDate: "));
  EXPECT_THAT(answer_to({"GET /fixed HTTP/1.1\r\n" + close}), HasSubstr("\r\nDate: "));
}

}  // namespace
}  // namespace weir::proxy
