// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_server.h"

#include <gtest/gtest.h>

#include "proxy/config_for_test.h"
#include "proxy/snapshot.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

// One connection of a client to an H1Server with one route of a fixed answer.
class Front {
 public:
  Front() : world_(Net::epoll), config_(config_of("[[route]]\nrespond = { body = \"hello\" }\n")) {
    const auto router = std::make_shared<const Router>(*config_);
    world_.context.snapshot = std::make_shared<Snapshot>(config_, router);
    world_.context.snapshot->routes.emplace_back().settings = &config_->routes.front();
  }

  // All that comes back for these bytes, up to the end of the connection.
  std::string answer(const std::string& bytes) {
    int ends[2];
    WEIR_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    io::Peer peer;
    peer.unix_socket = true;
    H1Server server(world_.context, world_.loop.io().adopt(ends[0]), peer, nullptr);
    io::TcpStream client(world_.loop, world_.loop.io().adopt(ends[1]));
    Heard heard;
    world_.scope.spawn(&Front::serve, &server);
    world_.scope.spawn(&say, &client, bytes, Then::end);
    world_.scope.spawn(&hear, &client, std::size_t{100'000}, &heard);
    EXPECT_TRUE(world_.run([&] { return heard.done; })) << bytes;
    client.close(io::Stream::Close::orderly);
    EXPECT_TRUE(world_.run([&] { return world_.scope.running() == 0; })) << bytes;
    return heard.text;
  }

 private:
  static Task<> serve(H1Server* server) { co_await server->serve(); }

  TestWorld world_;
  std::shared_ptr<const config::Config> config_;
};

std::string body_of(const std::string& response) {
  return response.substr(response.find("\r\n\r\n") + 4);
}

bool has(const std::string& response, std::string_view text) {
  return response.find(text) != std::string::npos;
}

TEST(H1Server, ARefusalOfHeadHasTheLengthButNoBody) {
  Front front;
  for (const std::string fields :
       {"\r\n", "Host: a\r\nX A: b\r\n\r\n", "Host: a\r\nHost: b\r\n\r\n"}) {
    const std::string get = front.answer("GET / HTTP/1.1\r\n" + fields);
    const std::string head = front.answer("HEAD / HTTP/1.1\r\n" + fields);
    EXPECT_TRUE(get.starts_with("HTTP/1.1 400 ")) << get;
    EXPECT_TRUE(head.starts_with("HTTP/1.1 400 ")) << head;
    EXPECT_NE(body_of(get), "");
    EXPECT_EQ(body_of(head), "");
    const std::string length = "Content-Length: " + std::to_string(body_of(get).size()) + "\r\n";
    EXPECT_TRUE(has(get, length)) << get;
    EXPECT_TRUE(has(head, length)) << head;
  }
  // The target is bad before the method is looked at.
  EXPECT_EQ(body_of(front.answer("HEAD /a b HTTP/1.1\r\nHost: a\r\n\r\n")), "");
}

TEST(H1Server, WhatItSaysItselfHasADate) {
  Front front;
  EXPECT_TRUE(has(front.answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\nDate: "));
  EXPECT_TRUE(has(front.answer("GET / HTTP/1.1\r\n\r\n"), "\r\nDate: "));
}

}  // namespace
}  // namespace weir::proxy
