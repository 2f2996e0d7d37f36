// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_client.h"

#include "proxy/config_for_test.h"
#include "proxy/upstream.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

class H2ClientTest : public ::testing::Test {
 protected:
  H2ClientTest() {
    const auto config = config_of(
        "[upstream.app]\nservers = [\"10.0.0.1:80\"]\nprotocol = \"http2\"\n[[route]]\nupstream = "
        "\"app\"\n");
    upstream.configure(config, config->upstreams.front());
    upstream.set_addresses(0, {*io::SocketAddress::from_ip("10.0.0.1", 80)});
  }
  H2ClientRequest* ask() {
    pair = world.pair();
    H2ClientRequest* request =
        H2Client::open_new(upstream, upstream.pick({}), {pair.near->release(), {}}, nullptr);
    http::RequestHead head;
    head.method_name = "GET";
    request->start(head, "/", {});
    return request;
  }
  static Task<> read(H2ClientRequest* request, Result<void>* out, bool* done) {
    std::unique_ptr<ServerHead> head;
    *out = co_await request->read_head(http::Method::get, head);
    *done = true;
  }
  static Task<> read_all(H2ClientRequest* request, std::string* out, bool* done) {
    std::unique_ptr<ServerHead> head;
    Result<void> read = co_await request->read_head(http::Method::get, head);
    while (read && !request->body().complete()) {
      Result<Piece> piece = co_await request->body().read();
      if (!piece) break;
      *out += piece->bytes;
      if (piece->last) *out += ", whole";
    }
    *done = true;
  }

  TestWorld world{Net::sim};
  UpstreamCounts counts;
  Upstream upstream{world.context, counts};
  TestWorld::Pair pair;
};

// A request is sent again only if no answer has begun, and a malformed one is one.
TEST_F(H2ClientTest, AMalformedHeadIsTheBeginOfAnAnswer) {
  H2ClientRequest* request = ask();
  Result<void> result;
  bool done = false;
  world.scope.spawn(read, request, &result, &done);
  world.turns(10);
  constexpr std::string_view kSettings("\0\0\0\x04\0\0\0\0\0", 9);
  constexpr std::string_view kNoStatus("\0\0\x05\x01\x05\0\0\0\x01\x08\x03\x32x0", 14);
  const std::string text = std::string(kSettings) + std::string(kNoStatus);
  world.scope.spawn(say, pair.far.get(), text, Then::end);
  EXPECT_TRUE(world.run([&] { return done; }));
  EXPECT_FALSE(result);
  EXPECT_TRUE(request->head_started());
  request->release(false);
  EXPECT_TRUE(world.run([&] { return world.context.scope.running() == 0; }));
}

// Also when head, body and reset come together: RFC 9113 section 8.1.1 has the length.
TEST_F(H2ClientTest, WhatIsWholeByItsLengthIsWholeThoughReset) {
  H2ClientRequest* request = ask();
  std::string body;
  bool done = false;
  world.scope.spawn(read_all, request, &body, &done);
  world.turns(10);
  constexpr std::string_view kAnswer(
      "\0\0\0\x04\0\0\0\0\0"
      "\0\0\x05\x01\x04\0\0\0\x01\x88\x0f\x0d\x01"
      "5"
      "\0\0\x05\0\0\0\0\0\x01hello"
      "\0\0\x04\x03\0\0\0\0\x01\0\0\0\0",
      9 + 14 + 14 + 13);
  world.scope.spawn(say, pair.far.get(), std::string(kAnswer), Then::end);
  EXPECT_TRUE(world.run([&] { return done; }));
  EXPECT_EQ(body, "hello, whole");
  request->release(false);
  EXPECT_TRUE(world.run([&] { return world.context.scope.running() == 0; }));
}

}  // namespace
}  // namespace weir::proxy
