// SPDX-License-Identifier: Apache-2.0
#include "proxy/pump.h"

#include <csignal>

#include "io/splice.h"
#include "proxy/h1_body.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

using http::BodyLength;
using Side = Pumped::Side;

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 31 + (i >> 9)) & 0xff);
  return text;
}

struct Outcome {
  Pumped pumped;
  bool done = false;
};

Task<> pump_to(BodyReader* reader, BodyWriter* writer, io::Loop* loop, io::PipePool* pipes,
               Outcome* out) {
  out->pumped = co_await pump(*reader, *writer, *loop, pipes);
  out->done = true;
}

// sender.far → sender.near ⇒ sink.near → sink.far
class PumpTest : public ::testing::Test {
 protected:
  explicit PumpTest(Net net = Net::sim) : world(net) {}

  void start(const BodyLength& from, const BodyLength& to, io::PipePool* through = nullptr,
             Millis stall = kPatience) {
    reader.begin(from, http::HeadLimits{}, stall);
    writer.new_head() = "HEAD;";
    writer.begin(to, stall);
    world.scope.spawn(pump_to, &reader, &writer, &world.loop, through, &out);
  }
  void send(const std::string& text, Then then = Then::keep) {
    world.scope.spawn(say, sender.far.get(), text, then);
  }
  void listen() { world.scope.spawn(hear, sink.far.get(), SIZE_MAX, &heard); }
  // Runs it out and closes the sink, so that all that was passed on is heard.
  void end() {
    ASSERT_TRUE(world.run([&] { return out.done; }));
    sink.near->close(io::Stream::Close::orderly);
    ASSERT_TRUE(world.run([&] { return heard.done; }));
  }
  void stop_listening() {
    if (!heard.done) sink.near->close(io::Stream::Close::orderly);
    world.run([&] { return heard.done; });
  }

  TestWorld world;
  TestWorld::Pair sender{world.pair()};
  TestWorld::Pair sink{world.pair()};
  Input input{*sender.near};
  TextPool texts;
  H1BodyReader reader{input, sender.near.get(), kUpstreamBody};
  H1BodyWriter writer{*sink.near, sink.near.get(), texts};
  io::PipePool pipes;
  Outcome out;
  Heard heard;
};

TEST_F(PumpTest, EveryFramingToEveryOther) {
  const std::string body = pattern(100'000);
  struct From {
    BodyLength length;
    std::string sent;
    Then then;
  };
  const From sources[] = {
      {BodyLength::known(body.size()), body, Then::keep},
      {BodyLength::chunked(), "186a0\r\n" + body + "\r\n0\r\n\r\n", Then::keep},
      {BodyLength::until_close(), body, Then::end},
  };
  for (const From& source : sources) {
    for (const BodyLength& to :
         {BodyLength::known(body.size()), BodyLength::chunked(), BodyLength::until_close()}) {
      TestWorld::Pair from = world.pair();
      TestWorld::Pair into = world.pair();
      Input bytes(*from.near);
      H1BodyReader in(bytes, nullptr, kUpstreamBody);
      H1BodyWriter on(*into.near, nullptr, texts);
      in.begin(source.length, http::HeadLimits{}, kPatience);
      on.begin(to, kPatience);
      Outcome result;
      Heard text;
      world.scope.spawn(say, from.far.get(), source.sent, source.then);
      world.scope.spawn(hear, into.far.get(), SIZE_MAX, &text);
      world.scope.spawn(pump_to, &in, &on, &world.loop, nullptr, &result);
      ASSERT_TRUE(world.run([&] { return result.done; }));
      EXPECT_EQ(result.pumped.failed, Side::none);
      EXPECT_TRUE(in.complete());
      EXPECT_TRUE(on.complete());
      EXPECT_EQ(on.sent(), body.size());
      into.near->close(io::Stream::Close::orderly);
      ASSERT_TRUE(world.run([&] { return text.done; }));
      if (to.kind != BodyLength::Kind::chunked) EXPECT_TRUE(text.text == body);
      if (to.kind == BodyLength::Kind::chunked) EXPECT_TRUE(text.text.ends_with("\r\n0\r\n\r\n"));
    }
  }
  out.done = heard.done = true;
}

TEST_F(PumpTest, TheHeadLeavesBeforeABodyThatTakesItsTime) {
  start(BodyLength::known(4), BodyLength::known(4));
  listen();
  ASSERT_TRUE(world.run([&] { return heard.text == "HEAD;"; }));
  send("body");
  end();
  EXPECT_EQ(heard.text, "HEAD;body");
}

TEST_F(PumpTest, ASourceThatFailsIsTheReadersFaultAndWhatCameIsPassedOn) {
  start(BodyLength::known(10), BodyLength::known(10));
  listen();
  send("12345", Then::end);
  end();
  EXPECT_EQ(out.pumped.failed, Side::reader);
  EXPECT_EQ(out.pumped.error.cause, Cause::upstream_truncated);
  EXPECT_EQ(heard.text, "HEAD;12345");
  EXPECT_FALSE(writer.complete());
}

TEST_F(PumpTest, ASinkThatIsGoneIsTheWritersFault) {
  start(BodyLength::until_close(), BodyLength::until_close());
  sink.far->close(io::Stream::Close::reset);
  send(std::string(8_MiB, 'x'));
  ASSERT_TRUE(world.run([&] { return out.done; }));
  EXPECT_EQ(out.pumped.failed, Side::writer);
  EXPECT_EQ(out.pumped.error.code, Code::reset);
  sender.near->close(io::Stream::Close::reset);
  world.turns(10);
}

TEST_F(PumpTest, ASinkThatDoesNotReadHoldsTheSourceBack) {
  start(BodyLength::until_close(), BodyLength::until_close(), nullptr, Millis(1000));
  send(pattern(8_MiB));
  ASSERT_TRUE(world.run([&] { return out.done; }));
  EXPECT_EQ(out.pumped.failed, Side::writer);
  EXPECT_EQ(out.pumped.error.code, Code::timed_out);
  EXPECT_LT(reader.received(), 1_MiB);
  EXPECT_LE(world.loop.chunks.used(), kWindowMax);
  sender.near->close(io::Stream::Close::reset);
  world.turns(10);
}

TEST_F(PumpTest, ManySmallWritesOnAShortNetwork) {
  world.network->faults.short_read = 0.5;
  world.network->faults.short_write = 0.5;
  world.network->faults.deferred = 0.3;
  const std::string body = pattern(50'000);
  start(BodyLength::known(body.size()), BodyLength::chunked());
  listen();
  send(body);
  ASSERT_TRUE(world.run([&] { return out.done; }));
  EXPECT_EQ(out.pumped.failed, Side::none);
  EXPECT_EQ(writer.sent(), body.size());
  stop_listening();
  EXPECT_TRUE(heard.text.ends_with("\r\n0\r\n\r\n"));
}

class SpliceTest : public PumpTest {
 protected:
  SpliceTest() : PumpTest(Net::epoll) {
    ::signal(SIGPIPE, SIG_IGN);  // splice(2) knows no MSG_NOSIGNAL; the program ignores it as well
  }
};

TEST_F(SpliceTest, BulkGoesByPipeAndIsTheSame) {
  const std::string body = pattern(5_MiB + 3);
  start(BodyLength::known(body.size()), BodyLength::known(body.size()), &pipes);
  listen();
  send(body + "next");
  end();
  EXPECT_EQ(out.pumped.failed, Side::none);
  EXPECT_TRUE(heard.text == "HEAD;" + body);
  EXPECT_EQ(writer.sent(), body.size());
  EXPECT_EQ(reader.received(), body.size());
  EXPECT_TRUE(world.run([&] { return input.arrived(); }));  // and nothing beyond it was taken
  EXPECT_EQ(pipes.in_use(), 0u);
}

TEST_F(SpliceTest, AKnownLengthThatIsBulkGoesByPipeFromTheFirstBytes) {
  const std::string body = pattern(8_MiB);
  start(BodyLength::known(body.size()), BodyLength::known(body.size()), &pipes);
  send(body);
  ASSERT_TRUE(world.run([&] { return pipes.in_use() == 1; }));  // nobody listens: it stays filled
  EXPECT_LT(reader.received(), 128_KiB);
  listen();
  end();
  EXPECT_EQ(out.pumped.failed, Side::none);
  EXPECT_TRUE(heard.text == "HEAD;" + body);
}

TEST_F(SpliceTest, WhatMayExceedItsLimitIsCopied) {
  reader.begin(BodyLength::until_close(), http::HeadLimits{}, kPatience);
  EXPECT_NE(reader.plain_run().stream, nullptr);
  reader.limit(1_MiB, Cause::body_too_large);
  EXPECT_EQ(reader.plain_run().stream, nullptr);
  reader.begin(BodyLength::known(1_MiB), http::HeadLimits{}, kPatience);
  reader.limit(1_MiB, Cause::body_too_large);  // the length says that it does not
  EXPECT_NE(reader.plain_run().stream, nullptr);
  input.arm(kWindowHead);  // and so is what a receive is under way for
  EXPECT_EQ(reader.plain_run().stream, nullptr);
  out.done = true;
}

TEST_F(SpliceTest, WhatIsStillToComeOfAStalledBodyIsNotToBeWaitedFor) {
  start(BodyLength::known(100'000), BodyLength::known(100'000), &pipes, Millis(50));
  send(pattern(40'000));
  listen();
  end();
  EXPECT_EQ(out.pumped.failed, Side::reader);
  EXPECT_EQ(out.pumped.error.code, Code::timed_out);
  EXPECT_TRUE(reader.failed());
}

TEST_F(SpliceTest, UntilTheEndOfTheStream) {
  const std::string body = pattern(3_MiB);
  start(BodyLength::until_close(), BodyLength::until_close(), &pipes);
  listen();
  send(body, Then::end);
  end();
  EXPECT_EQ(out.pumped.failed, Side::none);
  EXPECT_TRUE(reader.complete());
  EXPECT_TRUE(heard.text == "HEAD;" + body);
}

TEST_F(SpliceTest, ATruncatedBulkBodyIsTheReadersFault) {
  const std::string body = pattern(3_MiB);
  start(BodyLength::known(4_MiB), BodyLength::known(4_MiB), &pipes);
  listen();
  send(body, Then::end);
  end();
  EXPECT_EQ(out.pumped.failed, Side::reader);
  EXPECT_EQ(out.pumped.error.cause, Cause::upstream_truncated);
  EXPECT_FALSE(writer.complete());
  EXPECT_TRUE(heard.text == "HEAD;" + body);
}

TEST_F(SpliceTest, ASinkThatLeavesIsTheWritersFault) {
  start(BodyLength::until_close(), BodyLength::until_close(), &pipes);
  world.scope.spawn(hear, sink.far.get(), 2_MiB, &heard);
  send(pattern(16_MiB));
  ASSERT_TRUE(world.run([&] { return heard.done; }));
  sink.far->close(io::Stream::Close::orderly);
  ASSERT_TRUE(world.run([&] { return out.done; }));
  EXPECT_EQ(out.pumped.failed, Side::writer);
  EXPECT_GE(writer.sent(), 2_MiB - 5);  // what was heard but for the head is counted
  EXPECT_GE(reader.received(), writer.sent());
  sender.near->close(io::Stream::Close::reset);
  world.turns(10);
  EXPECT_EQ(pipes.in_use(), 0u);
}

TEST_F(SpliceTest, ChunkedBulkIsCopied) {
  const std::string body = pattern(2_MiB);
  start(BodyLength::known(body.size()), BodyLength::chunked(), &pipes);
  listen();
  send(body);
  end();
  EXPECT_EQ(writer.sent(), body.size());
  EXPECT_TRUE(heard.text.ends_with("\r\n0\r\n\r\n"));
}

}  // namespace
}  // namespace weir::proxy
