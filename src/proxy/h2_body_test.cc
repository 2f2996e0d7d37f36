// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_body.h"

#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

struct CountingFlow final : H2Flow {
  void consumed(std::int32_t, std::size_t count) override { given_back += count; }
  void resume(std::int32_t) override { ++resumed; }
  std::uint32_t widen(std::int32_t, std::uint32_t window) override {
    const std::uint32_t more = std::min(window, room);
    room -= more;
    return more;
  }
  void narrow(std::uint32_t by) override { room += by; }
  std::size_t given_back = 0;
  std::uint32_t room = 128 * 1024;
  int resumed = 0;
};

class H2BodyTest : public ::testing::Test {
 protected:
  static Task<> read_one(H2BodyTest* self) {
    const Result<Piece> piece = co_await self->reader->read();
    self->done = true;
    if (piece) {
      self->text = std::string(piece->bytes);
      self->last = piece->last;
    } else {
      self->error = piece.error();
    }
  }
  std::string read() {
    done = last = false;
    text.clear();
    error = {};
    world.scope.spawn(&H2BodyTest::read_one, this);
    world.turns(3);
    return text;
  }
  static Task<> send(H2BodyTest* self, std::string bytes, bool finish) {
    const Result<void> sent =
        finish ? co_await self->writer.finish(bytes, nullptr) : co_await self->writer.write(bytes);
    self->done = true;
    if (!sent) self->error = sent.error();
  }
  void write(std::string bytes, bool finish = false) {
    done = false;
    error = {};
    world.scope.spawn(&H2BodyTest::send, this, std::move(bytes), finish);
    world.turns(3);
  }
  void begin(Millis stall = Millis(100)) {
    reader->begin(1, H2BodyReader::Expect::body, stall);
    writer.begin(1, stall);
  }

  TestWorld world{Net::sim};
  CountingFlow flow;
  std::unique_ptr<H2BodyReader> reader =
      std::make_unique<H2BodyReader>(world.loop, flow, kUpstreamBody);
  H2BodyWriter writer{world.loop, flow};
  std::string text;
  Error error{};
  bool last = false;
  bool done = false;
};

TEST_F(H2BodyTest, TheWindowOpensWhenAPieceWasRead) {
  begin();
  ASSERT_TRUE(reader->receive("hello"));
  ASSERT_TRUE(reader->receive(" you"));
  EXPECT_EQ(read(), "hello you");  // small pieces share a chunk
  EXPECT_EQ(flow.given_back, 0u);  // it is still looked at
  ASSERT_TRUE(reader->receive("more"));
  EXPECT_EQ(read(), "more");
  EXPECT_EQ(flow.given_back, 9u);
  reader->end();
  EXPECT_EQ(read(), "");
  EXPECT_TRUE(last);
  EXPECT_EQ(flow.given_back, 13u);
}

TEST_F(H2BodyTest, WhatNobodyReadIsGivenBackInTheEnd) {
  begin();
  ASSERT_TRUE(reader->receive(std::string(50'000, 'x')));
  EXPECT_LE(world.loop.chunks.used(), 64_KiB);
  EXPECT_EQ(read().size(), kWindowStart);
  reader.reset();
  EXPECT_EQ(flow.given_back, 50'000u);
  EXPECT_EQ(world.loop.chunks.used(), 0u);
}

TEST_F(H2BodyTest, ASilentPeerIsNotWaitedForLonger) {
  begin();
  read();
  EXPECT_FALSE(done);
  world.pass(Millis(110));
  EXPECT_TRUE(done);
  EXPECT_EQ(error.cause, Cause::upstream_body_timeout);
}

TEST_F(H2BodyTest, APeerThatTakesMayBeSilent) {
  begin();
  reader->listen_beside(writer.moved());
  read();
  world.pass(Millis(60));
  writer.took(0);  // nothing: no sign of life
  world.pass(Millis(20));
  write("hello");
  writer.took(5);
  world.pass(Millis(80));
  EXPECT_FALSE(reader->ready());
  world.pass(Millis(120));
  EXPECT_TRUE(reader->ready());
  EXPECT_EQ(error.cause, Cause::upstream_body_timeout);
}

TEST_F(H2BodyTest, AStreamThatBreaksIsTruncated) {
  begin();
  read();
  reader->fail({Code::reset, Cause::none, 0, "stream"});
  world.turns(3);
  EXPECT_EQ(error.cause, Cause::upstream_truncated);
  read();
  EXPECT_EQ(error.cause, Cause::upstream_truncated);
}

TEST_F(H2BodyTest, WhatCameBeforeABreakIsGivenAndIsNotTheWhole) {
  begin();
  ASSERT_TRUE(reader->receive("part"));
  reader->fail({Code::reset, Cause::none, 0, "stream"});
  reader->end();  // of a body that was spoiled
  EXPECT_EQ(read(), "part");
  EXPECT_FALSE(last);
  EXPECT_FALSE(reader->complete());
  read();
  EXPECT_EQ(error.cause, Cause::upstream_truncated);
}

TEST_F(H2BodyTest, AWholeBodyStaysWhole) {
  begin();
  ASSERT_TRUE(reader->receive("all"));
  reader->end();
  reader->fail({Code::closed, Cause::none, 0, "connection"});
  EXPECT_EQ(read(), "all");
  EXPECT_TRUE(last);
}

TEST_F(H2BodyTest, ALimit) {
  begin();
  reader->limit(4, Cause::body_too_large);
  ASSERT_TRUE(reader->receive("four"));
  EXPECT_EQ(read(), "four");
  ASSERT_TRUE(reader->receive("5"));
  read();
  EXPECT_EQ(error.cause, Cause::body_too_large);
}

// What the budget has let in is not lost for want of another buffer; but clients can make much of
// little.
TEST_F(H2BodyTest, NoMemory) {
  constexpr std::size_t kBudget = 64_KiB;
  TestWorld small(Net::sim, kBudget);
  io::Chunk all;
  ASSERT_TRUE(small.loop.chunks.allocate(kBudget, all));
  std::vector<std::unique_ptr<H2BodyReader>> readers;
  const auto receive = [&](std::string_view bytes, const BodyCauses& causes, bool hold_all) {
    readers.push_back(std::make_unique<H2BodyReader>(small.loop, flow, causes));
    if (hold_all) readers.back()->hold_all();
    readers.back()->begin(1, H2BodyReader::Expect::body, Millis(0));
    return readers.back()->receive(bytes);
  };
  std::size_t taken = 0;
  while (receive("a little", kClientBody, false)) ++taken;
  EXPECT_EQ(taken, 3u) << "an eighth, and one";
  EXPECT_EQ(small.loop.chunks.used(), kBudget + 12_KiB);
  EXPECT_TRUE(receive("a little", kUpstreamBody, true));
  readers.clear();
  EXPECT_TRUE(receive("a little", kClientBody, false));
}

TEST_F(H2BodyTest, NothingIsGivenBehindWhatWasLeftOut) {
  begin();
  ASSERT_TRUE(reader->receive("part"));
  reader->fail({Code::no_memory, Cause::overload_memory, 0, "body"});
  EXPECT_FALSE(reader->receive("behind"));
  EXPECT_EQ(flow.given_back, 6u);
  EXPECT_EQ(read(), "part");
  read();
  EXPECT_EQ(error.cause, Cause::overload_memory);
  EXPECT_EQ(flow.given_back, 10u);
}

// The window grows as long as whole ones come and are read at once, and is given back in the end.
TEST_F(H2BodyTest, AWindowThatIsReadAtOnceGrows) {
  begin(Millis(0));
  const auto come = [&](std::size_t bytes) {
    for (; bytes > 0; bytes -= std::min<std::size_t>(bytes, 16'384)) {
      ASSERT_TRUE(reader->receive(std::string(std::min<std::size_t>(bytes, 16'384), 'x')));
      read();
    }
    world.scope.spawn(&H2BodyTest::read_one, this);  // and waits
    ASSERT_TRUE(reader->receive("."));
    world.turns(3);
  };
  come(60'000);
  EXPECT_EQ(flow.room, 128u * 1024) << "not yet";
  come(6'000);
  EXPECT_EQ(flow.room, 64u * 1024);
  come(66'000);
  EXPECT_EQ(flow.room, 64u * 1024) << "a whole window of those that it has now";
  come(66'000);
  EXPECT_EQ(flow.room, 0u);
  reader.reset();
  EXPECT_EQ(flow.room, 128u * 1024);
}

TEST_F(H2BodyTest, AWindowThatIsNotReadStays) {
  begin(Millis(0));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(reader->receive(std::string(16'384, 'x')));
    ASSERT_TRUE(reader->receive(std::string(16'384, 'x')));
    read();  // something waits at any time
  }
  EXPECT_EQ(flow.room, 128u * 1024);
}

TEST_F(H2BodyTest, AWriteWaitsUntilItWasTaken) {
  begin();
  write("hello");
  EXPECT_EQ(flow.resumed, 1);
  EXPECT_EQ(writer.waiting(), "hello");
  writer.took(3);
  world.turns(3);
  EXPECT_FALSE(done);
  EXPECT_EQ(writer.waiting(), "lo");
  writer.took(2);
  world.turns(3);
  EXPECT_TRUE(done);
  EXPECT_EQ(writer.sent(), 5u);
}

TEST_F(H2BodyTest, TheDeadlineBeginsAnewWithEachByte) {
  begin();
  write("hello");
  world.pass(Millis(80));
  writer.took(1);
  world.pass(Millis(80));
  EXPECT_FALSE(done);
  world.pass(Millis(120));
  EXPECT_TRUE(done);
  EXPECT_EQ(error.code, Code::timed_out);
}

TEST_F(H2BodyTest, ABodyThatWasGivenUpNeverEnds) {
  begin();
  write("the end", true);
  EXPECT_TRUE(writer.last());
  world.pass(Millis(110));
  EXPECT_TRUE(done);
  EXPECT_EQ(error.code, Code::timed_out);
  // Nothing waits, but this is not the end of the message.
  EXPECT_TRUE(writer.waiting().empty());
  EXPECT_FALSE(writer.last());
  EXPECT_FALSE(writer.complete());
}

TEST_F(H2BodyTest, AFinish) {
  begin();
  write("the end", true);
  writer.took(7);
  world.turns(3);
  EXPECT_FALSE(done);  // until the frame that says so has left
  writer.sent_last();
  world.turns(3);
  EXPECT_TRUE(done);
  EXPECT_EQ(error.where, nullptr);
  EXPECT_TRUE(writer.complete());
}

TEST_F(H2BodyTest, OneDirectionOfATunnelMayBeSilent) {
  Activity activity;
  begin();
  reader->begin_tunnel(activity, Millis(100));
  writer.begin_tunnel(activity, Millis(100));
  read();
  // Not ended before: RFC 9113 has no body of a tunnel.
  EXPECT_FALSE(done);
  world.pass(Millis(60));
  activity.moved = world.loop.now();  // the other direction
  world.pass(Millis(60));
  EXPECT_FALSE(done);
  world.pass(Millis(120));
  EXPECT_TRUE(done);
  EXPECT_EQ(error.cause, Cause::tunnel_idle_timeout);
}

}  // namespace
}  // namespace weir::proxy
