// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "proxy/config_for_test.h"
#include "proxy/log_sink.h"
#include "proxy/snapshot.h"
#include "proxy/upstream.h"
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
    accepted = false;
    world.scope.spawn(&H1ServerTest::ask, this, address, &pieces, &heard);
    EXPECT_TRUE(world.run([&] { return heard.done && accepted && connections.empty(); }));
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
    auto* server = new H1Server(self->world.context,
                                {loop.io().adopt(*accept.result), accept.peer, {}}, nullptr);
    self->connections.push_back(*server);
    server->start();
    self->accepted = true;
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
  bool accepted = false;
  List<Connection> connections;
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

std::size_t occurrences(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
  return count;
}

// One connection before one server.
class ForwardingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto config = config_of(
        "[timeouts]\nclient_write = \"2s\"\n[limits]\nbody_size = 1000\n"
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
    world.scope.spawn(&ForwardingTest::connect, &world.loop, address, &client);
    ASSERT_TRUE(world.run([&] { return client != nullptr; }));
    io::Peer peer;
    const auto accepted = io.accept_queued(*listener, peer);
    ASSERT_TRUE(accepted && *accepted);
    io.close(*listener);
    auto* server = new H1Server(world.context, {io.adopt(**accepted), {}, {}}, nullptr);
    connections.push_back(*server);
    server->start();
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
  List<Connection> connections;
};

// What runs in between is started by what the client says.
TEST_F(ForwardingTest, AConnectionThatWaitsHasNoCoroutine) {
  const std::string get = "GET / HTTP/1.1\r\nHost: sim.test\r\n\r\n";
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  const Scope& scope = world.context.scope;
  world.turns(3);
  EXPECT_EQ(scope.running(), 0u);
  EXPECT_FALSE(connections.front().idle());  // it is fresh
  Heard request;
  std::unique_ptr<io::TcpStream> upstream;
  std::size_t answers = 0;
  world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  for (const std::string& asked : {get, get + get, get}) {
    world.scope.spawn(say, client.get(), asked, Then::keep);
    for (std::size_t i = 0; i < asked.size() / get.size(); ++i) {
      if (upstream == nullptr) {
        upstream = server();
        world.scope.spawn(hear, upstream.get(), SIZE_MAX, &request);
      }
      ASSERT_TRUE(world.run([&] { return occurrences(request.text, "GET / ") == answers + 1; }));
      EXPECT_GT(scope.running(), 0u);
      EXPECT_FALSE(connections.front().idle());
      world.scope.spawn(say, upstream.get(), ok, Then::keep);
      ++answers;
      ASSERT_TRUE(world.run([&] { return occurrences(heard.text, "200 OK") == answers; }));
    }
    ASSERT_TRUE(world.run([&] { return scope.running() == 0; }));
    EXPECT_TRUE(connections.front().idle());
    EXPECT_EQ(world.loop.chunks.used(), 0u);
  }
  connections.front().drain();
  ASSERT_TRUE(world.run([&] { return connections.empty(); }));
  EXPECT_EQ(scope.running(), 0u);
  EXPECT_EQ(upstream_counts.connects.get(), 1u);
  upstream->cancel({Code::cancelled, Cause::none, 0, "test"});
  ASSERT_TRUE(world.run([&] { return heard.done && request.done; }));
  EXPECT_TRUE(heard.ended);
}

TEST_F(ForwardingTest, AConnectionThatWaitsCanBeEnded) {
  world.turns(3);
  connections.front().abort({Code::cancelled, Cause::cancelled, 0, "test"});
  EXPECT_FALSE(connections.front().idle());  // not to be chosen twice
  EXPECT_FALSE(connections.empty());         // never from inside the call
  ASSERT_TRUE(world.run([&] { return connections.empty(); }));
  world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  ASSERT_TRUE(world.run([&] { return heard.done; }));
  EXPECT_TRUE(heard.text.empty());
}

// The client reads nothing until the proxy has given up: then part of the 103 has left.
TEST_F(ForwardingTest, NothingFollowsAnInformationalResponseThatDidNotLeaveWhole) {
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
  ASSERT_TRUE(world.run([&] { return connections.empty() && heard.done; }));
  EXPECT_EQ(heard.text.find("200 OK"), std::string::npos) << heard.text;
  EXPECT_EQ(logged().value("cause", ""), "client_write_timeout");
}

// Only the end tells a client of HTTP/1.0 that it has all of a response of unknown length.
TEST_F(ForwardingTest, AResponseThatEndsWithItsDirectionDoesNotWaitForTheRequest) {
  world.scope.spawn(say, client.get(),
                    std::string("POST / HTTP/1.0\r\nContent-Length: 100\r\n\r\nsome"), Then::keep);
  const auto upstream = server();
  world.scope.spawn(
      say, upstream.get(),
      std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
      Then::keep);
  world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  ASSERT_TRUE(world.run([&] { return heard.done; }));
  EXPECT_TRUE(heard.ended);
  EXPECT_FALSE(connections.empty());
  EXPECT_TRUE(heard.text.ends_with("\r\n\r\na")) << heard.text;
  Heard request;
  world.scope.spawn(say, client.get(), std::string(96, '.'), Then::keep);
  world.scope.spawn(hear, upstream.get(), SIZE_MAX, &request);
  ASSERT_TRUE(world.run([&] { return request.text.ends_with(std::string(96, '.')); }));
  client->close(io::Stream::Close::orderly);
  ASSERT_TRUE(world.run([&] { return connections.empty() && request.done; }));
  EXPECT_EQ(logged().value("cause", ""), "");
}

// The last of the response is on its way when the request turns out to be too large.
TEST_F(ForwardingTest, AWholeResponseIsNoFailure) {
  world.scope.spawn(
      say, client.get(),
      std::string("POST / HTTP/1.1\r\nHost: sim.test\r\nTransfer-Encoding: chunked\r\n\r\n"),
      Then::keep);
  const auto upstream = server();
  Heard request;
  world.scope.spawn(hear, upstream.get(), SIZE_MAX, &request);
  ASSERT_TRUE(world.run([&] { return request.text.ends_with("\r\n\r\n"); }));
  world.network->faults.receive_capacity = 60;  // the server's fits, the proxy's does not
  world.scope.spawn(say, upstream.get(),
                    std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), Then::keep);
  world.pass(Millis(100));
  world.network->faults.receive_capacity = 64_KiB;
  world.scope.spawn(say, client.get(), "7d0\r\n" + std::string(2'000, '.'), Then::keep);
  world.pass(Millis(100));
  world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  ASSERT_TRUE(world.run([&] { return request.done && heard.done; }));
  client->close(io::Stream::Close::orderly);
  ASSERT_TRUE(world.run([&] { return connections.empty(); }));
  EXPECT_TRUE(heard.text.ends_with("\r\n\r\nhello")) << heard.text;
  EXPECT_EQ(logged().value("cause", ""), "");
}

// Nobody reads the rest of what is answered so, and how long it is is not known.
TEST_F(ForwardingTest, AConnectionThatEndsBecauseOfAnUnreadRequestIsNotPromised) {
  world.scope.spawn(say, client.get(),
                    std::string("PUT / HTTP/1.1\r\nHost: sim.test\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"),
                    Then::keep);
  const auto upstream = server();
  world.scope.spawn(say, upstream.get(), std::string("HTTP/1.1 304 Not Modified\r\n\r\n"),
                    Then::keep);
  world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  ASSERT_TRUE(world.run([&] { return heard.text.ends_with("\r\n\r\n"); }));
  EXPECT_THAT(heard.text, HasSubstr("Connection: close"));
  client->cancel({Code::cancelled, Cause::none, 0, "test"});
  ASSERT_TRUE(world.run([&] { return heard.done; }));
  client->close(io::Stream::Close::orderly);
  ASSERT_TRUE(world.run([&] { return connections.empty(); }));
}

// The client is slow, and the server ends its connection meanwhile: that is known before the next
// request, which has come already, although no receive completes at once.
TEST_F(ForwardingTest, TheEndOfAConnectionWithoutABodyToReadIsLookedFor) {
  const std::string head = "HEAD / HTTP/1.1\r\nHost: sim.test\r\n\r\n";
  world.network->faults.deferred = 1;
  world.scope.spawn(say, client.get(), head + head, Then::keep);
  const auto upstream = server();
  Heard first;
  world.scope.spawn(hear, upstream.get(), SIZE_MAX, &first);
  ASSERT_TRUE(world.run([&] { return !first.text.empty(); }));
  const std::string once = first.text;
  world.network->faults.receive_capacity = 60;
  world.scope.spawn(say, upstream.get(), std::string("HTTP/1.1 200 OK\r\n\r\n"), Then::end);
  world.pass(Millis(100));
  world.network->faults.receive_capacity = 64_KiB;
  world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  const auto second = server();
  ASSERT_TRUE(world.run([&] { return first.done; }));
  EXPECT_EQ(first.text, once);
  second->close(io::Stream::Close::reset);
  client->cancel({Code::cancelled, Cause::none, 0, "test"});
  ASSERT_TRUE(world.run([&] { return heard.done; }));
  client->close(io::Stream::Close::reset);
  ASSERT_TRUE(world.run([&] { return connections.empty(); }));
}

// Its deadline has passed, and the timer is a moment late.
TEST_F(ForwardingTest, AnIdleConnectionWhoseTimeHasPassedIsNotUsedAgain) {
  const std::string get = "GET / HTTP/1.1\r\nHost: sim.test\r\n\r\n";
  world.scope.spawn(say, client.get(), get, Then::keep);
  const auto first = server();
  Heard first_heard;
  world.scope.spawn(hear, first.get(), SIZE_MAX, &first_heard);
  world.scope.spawn(say, first.get(), std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                    Then::keep);
  world.scope.spawn(hear, client.get(), SIZE_MAX, &heard);
  ASSERT_TRUE(world.run([&] { return upstream_counts.idle.get() == 1; }));
  const std::string once = first_heard.text;
  const Micros passed = Millis(60'000) + Micros(30);
  world.network->faults.delay_min = world.network->faults.delay_max = passed;
  world.scope.spawn(say, client.get(), get, Then::keep);
  world.turns(1);
  world.network->faults.delay_min = world.network->faults.delay_max = Micros(0);
  world.pass(Millis(60'100));
  EXPECT_EQ(first_heard.text, once);
  EXPECT_TRUE(first_heard.ended);
  const auto second = server();
  second->close(io::Stream::Close::reset);
  client->cancel({Code::cancelled, Cause::none, 0, "test"});
  ASSERT_TRUE(world.run([&] { return heard.done; }));
  client->close(io::Stream::Close::reset);
  ASSERT_TRUE(world.run([&] { return connections.empty(); }));
}

}  // namespace
}  // namespace weir::proxy
