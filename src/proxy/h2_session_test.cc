// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_session.h"

#include <utility>
#include <vector>

#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

constexpr H2Causes kCauses{Cause::upstream_head_timeout, Cause::upstream_bad_response,
                           Cause::upstream_bad_response};

class Stream final : public H2Stream {
 public:
  Stream(io::Loop& loop, H2Flow& flow) : H2Stream(loop, flow, 0, kUpstreamBody) {}
  void field(Bytes, Bytes) override {}
  void spoiled(Cause) override {}
  void fields_complete(End) override {}
  void closed(std::uint32_t) override { open = false; }
  bool open = true;
};

// Of the side that begins streams; it closes its connection some time before it dies.
class Session final : public H2Session {
 public:
  using H2Session::Side;
  Session(Context& context, io::Socket* socket, Side side)
      : H2Session(context, Accepted{socket, {}}, side, kCauses), first(context.loop, *this) {
    begin({}, 65'535);
  }
  using H2Session::lose;
  using H2Session::takes_streams;
  void ask() {
    http::RequestHead head;
    head.method_name = "GET";
    http::H2Fields fields;
    fields.request(head, {"http", "server"}, "/", {}, {});
    submit_request(first, fields, Body::none);
  }

  void answer() {
    http::H2Fields fields;
    http::ResponseHead head;
    head.status = 204;
    fields.response(head, {}, {});
    submit_response(first, fields, Body::none);
  }

  Stream first;
  bool leaves = false;  // when its peer says something
  bool closed = false;
  bool failed = false;

 private:
  H2Stream* begin_stream(std::int32_t id) override {
    first.id = id;
    return &first;
  }
  [[nodiscard]] bool busy() const override { return first.id > 0 && first.open; }
  void connection_failed(Error) override {
    failed = true;
    first.open = false;
  }
  void peer_ended() override {}
  void settings_came() override {
    if (leaves) go_away(Goaway::last, NGHTTP2_NO_ERROR);
  }
  void going_away() override {}
  void over() override {
    stream().close(io::Stream::Close::orderly);
    closed = true;
  }
  [[nodiscard]] Millis write_stall() const override { return kPatience; }
  [[nodiscard]] Millis idle_stall() const override { return Millis(0); }
  [[nodiscard]] std::size_t head_size_max() const override { return 4_KiB; }
  [[nodiscard]] Millis head_timeout() const override { return Millis(1'000); }
};

constexpr char kHeaders = 1;
constexpr char kReset = 3;
constexpr char kSettings = 4;
constexpr char kPing = 6;
constexpr char kGoaway = 7;
constexpr char kEndStream = 1;
constexpr char kEndHeaders = 4;

std::string frame(char type, char flags, char stream, std::string_view payload) {
  std::string bytes = {0, 0, static_cast<char>(payload.size()), type, flags, 0, 0, 0, stream};
  return bytes += payload;
}

class H2SessionTest : public ::testing::Test {
 protected:
  void begin(Session::Side side = Session::Side::client) {
    pair = world.pair();
    session.emplace(world.context, pair.near->release(), side);
    world.scope.spawn(hear, pair.far.get(), SIZE_MAX, &heard);
  }
  void peer_says(std::string text) {
    world.scope.spawn(say, pair.far.get(), std::move(text), Then::keep);
  }

  TestWorld world{Net::sim};
  TestWorld::Pair pair;
  std::optional<Session> session;
  Heard heard;
};

// The deadline of a head ends with it, also when the codec does not take it.
TEST_F(H2SessionTest, AMalformedHeadEndsNothingButItsStream) {
  begin();
  session->ask();
  constexpr std::string_view kNoStatus = "\x08\x03\x32x0";
  peer_says(frame(kSettings, 0, 0, "") + frame(kHeaders, kEndStream | kEndHeaders, 1, kNoStatus));
  EXPECT_TRUE(world.run([&] { return !session->first.open; }));
  world.pass(Millis(1'100));
  EXPECT_TRUE(session->takes_streams());
  session->lose({Code::cancelled, Cause::none, 0, "test"});
  EXPECT_TRUE(world.run([&] { return session->closed && heard.done; }));
}

// Pieces that have arrived are told one after the other, and the end comes between them.
TEST_F(H2SessionTest, WhatArrivesBehindTheEndIsNotLookedAt) {
  world.network->faults.short_read = 1;
  world.network->faults.short_bytes_max = 1;
  begin();
  session->leaves = true;
  const std::string ping = frame(kPing, 0, 0, "12345678");
  peer_says(frame(kSettings, 0, 0, "") + ping + ping);
  EXPECT_TRUE(world.run([&] { return session->closed && heard.done; }));
  EXPECT_FALSE(session->failed);
}

// RFC 9113 section 6.8: a server that warns takes what was on its way.
TEST_F(H2SessionTest, ARequestThatWaitsIsSentBeforeAWarningIsRead) {
  const std::string warning = frame(kGoaway, 0, 0, std::string_view("\x7f\xff\xff\xff\0\0\0\0", 8));
  for (int turns = 1; turns < 12; ++turns) {
    heard = {};
    begin();
    peer_says(frame(kSettings, 0, 0, "") + warning);
    world.turns(turns);
    if (!session->takes_streams()) break;
    session->ask();
    world.turns(5);
    EXPECT_TRUE(session->first.open) << turns;
    session->lose({Code::cancelled, Cause::none, 0, "test"});
    EXPECT_TRUE(world.run([&] { return session->closed && heard.done; }));
  }
  EXPECT_FALSE(session->takes_streams());
  session->lose({Code::cancelled, Cause::none, 0, "test"});
  EXPECT_TRUE(world.run([&] { return session->closed && heard.done; }));
}

// What a client says at the end must not break what it has not read.
TEST_F(H2SessionTest, AServerLetsItsClientReadTheEnd) {
  begin(Session::Side::server);
  peer_says("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, ""));
  session->leaves = true;
  EXPECT_TRUE(world.run([&] { return heard.done; }));
  EXPECT_TRUE(heard.ended);
  EXPECT_FALSE(session->closed);
  pair.far->close(io::Stream::Close::orderly);
  EXPECT_TRUE(world.run([&] { return session->closed; }));
}

// An answer that is complete says of a request that the rest of it is not wanted, behind itself.
TEST_F(H2SessionTest, AnAnswerIsSentBeforeTheRestOfItsRequestIsRefused) {
  begin(Session::Side::server);
  // POST http / with an authority.
  constexpr std::string_view kPost = "\x83\x86\x84\x41\x01h";
  peer_says("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, "") +
            frame(kHeaders, kEndHeaders, 1, kPost));
  EXPECT_TRUE(world.run([&] { return session->first.id == 1; }));
  session->answer();
  session->refuse_rest(session->first);
  EXPECT_TRUE(world.run([&] { return !session->first.open; }));
  world.turns(5);
  const std::size_t head =
      heard.text.find(frame(kHeaders, kEndHeaders | kEndStream, 1, "").substr(3));
  const std::size_t reset = heard.text.find(frame(kReset, 0, 1, std::string(4, '\0')));
  EXPECT_LT(head, reset);
  EXPECT_NE(reset, std::string::npos);
  session->lose({Code::cancelled, Cause::none, 0, "test"});
  EXPECT_TRUE(world.run([&] { return session->closed && heard.done; }));
}

}  // namespace
}  // namespace weir::proxy
