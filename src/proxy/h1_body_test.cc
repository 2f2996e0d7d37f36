// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_body.h"

#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

using http::BodyLength;

struct ReadBody {
  std::string text;
  std::size_t pieces = 0;
  std::size_t largest = 0;
  Error error{};
  bool last = false;
  bool done = false;
};

Task<> read_all(H1BodyReader* reader, ReadBody* out) {
  for (;;) {
    const Result<Piece> piece = co_await reader->read();
    if (!piece) {
      out->error = piece.error();
      break;
    }
    out->text += piece->bytes;
    out->largest = std::max(out->largest, piece->bytes.size());
    ++out->pieces;
    out->last = piece->last;
    if (piece->last) break;
  }
  out->done = true;
}

class BodyReaderTest : public ::testing::Test {
 protected:
  void begin(const BodyLength& length, Millis stall = kPatience) {
    reader.begin(length, http::HeadLimits{}, stall);
  }
  ReadBody read(const std::string& sent, Then then, std::size_t piece = 0) {
    ReadBody out;
    world.scope.spawn(read_all, &reader, &out);
    if (piece == 0) {
      world.scope.spawn(say, pair.far.get(), sent, then);
    } else {
      for (std::size_t at = 0; at < sent.size(); at += piece) {
        const bool last = at + piece >= sent.size();
        world.scope.spawn(say, pair.far.get(), sent.substr(at, piece), last ? then : Then::keep);
        world.turns(4);
      }
    }
    EXPECT_TRUE(world.run([&] { return out.done; }));
    return out;
  }
  [[nodiscard]] std::string left() {
    input.unpin();
    return std::string(input.view());
  }

  TestWorld world{Net::sim};
  TestWorld::Pair pair{world.pair()};
  Input input{*pair.near};
  H1BodyReader reader{input, pair.near.get(), kUpstreamBody};
};

struct BodyCase {
  const char* what;
  BodyLength length;
  const char* sent;
  Then then;
  const char* body;
  Cause cause;
};

// Every framing, whole and in pieces of each size: the outcome is the same.
TEST(BodyReader, FramingsAndTheirEnds) {
  const BodyCase cases[] = {
      {"none", BodyLength::none(), "", Then::keep, "", Cause::none},
      {"empty", BodyLength::known(0), "", Then::keep, "", Cause::none},
      {"known", BodyLength::known(5), "hello", Then::keep, "hello", Cause::none},
      {"known and more", BodyLength::known(5), "hellonext", Then::keep, "hello", Cause::none},
      {"known, cut", BodyLength::known(6), "hello", Then::end, "hello", Cause::upstream_truncated},
      {"chunked", BodyLength::chunked(), "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", Then::keep,
       "hello!", Cause::none},
      {"chunked, no last chunk", BodyLength::chunked(), "5\r\nhello\r\n", Then::end, "hello",
       Cause::upstream_truncated},
      {"chunked, cut in a chunk", BodyLength::chunked(), "5\r\nhel", Then::end, "hel",
       Cause::upstream_truncated},
      {"chunked, cut in the trailers", BodyLength::chunked(), "1\r\nx\r\n0\r\nA: b\r\n", Then::end,
       "x", Cause::upstream_truncated},
      {"chunked, malformed", BodyLength::chunked(), "zz\r\n", Then::keep, "",
       Cause::upstream_bad_chunk},
      {"until close", BodyLength::until_close(), "all of it", Then::end, "all of it", Cause::none},
      {"until close, nothing", BodyLength::until_close(), "", Then::end, "", Cause::none},
  };
  for (const BodyCase& c : cases) {
    const std::string sent(c.sent);
    for (std::size_t piece = 0; piece <= sent.size(); ++piece) {
      SCOPED_TRACE(std::string(c.what) + " by " + std::to_string(piece));
      TestWorld world(Net::sim);
      TestWorld::Pair pair = world.pair();
      Input input(*pair.near);
      H1BodyReader reader(input, nullptr, kUpstreamBody);
      reader.begin(c.length, http::HeadLimits{}, kPatience);
      ReadBody out;
      world.scope.spawn(read_all, &reader, &out);
      const std::size_t step = piece == 0 ? std::max<std::size_t>(sent.size(), 1) : piece;
      for (std::size_t at = 0; at == 0 || at < sent.size(); at += step) {
        const bool last = at + step >= sent.size();
        world.scope.spawn(say, pair.far.get(), sent.substr(at, step), last ? c.then : Then::keep);
        world.turns(3);
      }
      ASSERT_TRUE(world.run([&] { return out.done; }));
      EXPECT_EQ(out.text, c.body);
      EXPECT_EQ(out.error.cause, c.cause);
      EXPECT_EQ(out.last, c.cause == Cause::none);
      EXPECT_EQ(reader.complete(), c.cause == Cause::none);
      EXPECT_EQ(reader.received(), std::string_view(c.body).size());
    }
  }
}

TEST_F(BodyReaderTest, WhatIsBehindTheBodyIsLeft) {
  begin(BodyLength::chunked());
  const ReadBody out = read("3\r\nabc\r\n0\r\nX-T: 1\r\n\r\nGET /next", Then::keep);
  EXPECT_EQ(out.text, "abc");
  EXPECT_EQ(left(), "GET /next");
  ASSERT_EQ(reader.trailers().size(), 1u);
  EXPECT_EQ(reader.trailers().begin()->value, "1");
}

TEST_F(BodyReaderTest, AResetIsATruncationEvenUntilClose) {
  for (const BodyLength& length :
       {BodyLength::known(100), BodyLength::chunked(), BodyLength::until_close()}) {
    TestWorld::Pair other = world.pair();
    Input from(*other.near);
    H1BodyReader body(from, nullptr, kUpstreamBody);
    body.begin(length, http::HeadLimits{}, kPatience);
    ReadBody out;
    world.scope.spawn(read_all, &body, &out);
    world.scope.spawn(say, other.far.get(), "4\r\nabcd", Then::keep);
    world.turns(5);
    world.scope.spawn(say, other.far.get(), "", Then::reset);
    ASSERT_TRUE(world.run([&] { return out.done; }));
    EXPECT_EQ(out.error.cause, Cause::upstream_truncated);
    EXPECT_FALSE(body.complete());
    other.near->close(io::Stream::Close::orderly);
  }
}

TEST_F(BodyReaderTest, TheDeadlineIsOfAStallAndNotOfTheBody) {
  begin(BodyLength::known(100), Millis(1000));
  ReadBody out;
  world.scope.spawn(read_all, &reader, &out);
  for (int i = 0; i < 5; ++i) {
    world.scope.spawn(say, pair.far.get(), std::string("x"), Then::keep);
    world.pass(Millis(900));
    EXPECT_FALSE(out.done) << i;
  }
  world.pass(Millis(200));
  ASSERT_TRUE(out.done);
  EXPECT_EQ(out.error.cause, Cause::upstream_body_timeout);
  EXPECT_EQ(out.text, "xxxxx");
  EXPECT_TRUE(reader.failed());
  begin(BodyLength::known(1));
  EXPECT_FALSE(reader.failed());
}

TEST_F(BodyReaderTest, ALimitIsOfTheBodysBytes) {
  begin(BodyLength::chunked());
  reader.limit(6, Cause::body_too_large);
  EXPECT_EQ(read("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", Then::keep).error.cause, Cause::none);
  begin(BodyLength::chunked());
  reader.limit(5, Cause::body_too_large);
  EXPECT_EQ(read("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", Then::keep).error.cause,
            Cause::body_too_large);
}

TEST_F(BodyReaderTest, TheWindowGrowsForAStreamAndShrinksForATrickle) {
  world.network->faults.receive_capacity = 1_MiB;
  begin(BodyLength::until_close());
  ReadBody out;
  world.scope.spawn(say, pair.far.get(), std::string(4_MiB, 'b'), Then::keep);
  world.scope.spawn(read_all, &reader, &out);
  ASSERT_TRUE(world.run([&] { return out.text.size() == 4_MiB; }));
  EXPECT_EQ(out.largest, kWindowMax);
  EXPECT_LT(out.pieces, 40u);  // 16, 32, 64, 128 KiB and then 256
  for (int i = 0; i < 10; ++i) {
    world.scope.spawn(say, pair.far.get(), std::string("trickle"), Then::keep);
    world.turns(5);
  }
  out.largest = 0;
  world.network->faults.receive_capacity = 64_KiB;
  world.scope.spawn(say, pair.far.get(), std::string(16_KiB, 'c'), Then::end);
  ASSERT_TRUE(world.run([&] { return out.done; }));
  EXPECT_EQ(out.largest, 8_KiB);  // 4 KiB, doubled once by being filled
  EXPECT_TRUE(out.last);
}

TEST_F(BodyReaderTest, ASmallKnownBodyTakesNoMoreMemoryThanItNeeds) {
  begin(BodyLength::known(1000));
  world.scope.spawn(say, pair.far.get(), std::string(1000, 'x'), Then::keep);
  ReadBody out;
  world.scope.spawn(read_all, &reader, &out);
  ASSERT_TRUE(world.run([&] { return out.done; }));
  EXPECT_EQ(world.loop.chunks.used(), 4_KiB);
  input.unpin();
  EXPECT_EQ(world.loop.chunks.used(), 0u);
}

TEST_F(BodyReaderTest, ATunnelIsIdleOnlyWhenBothDirectionsAre) {
  Activity activity;
  reader.begin_tunnel(activity, Millis(1000));
  ReadBody out;
  world.scope.spawn(read_all, &reader, &out);
  for (int i = 0; i < 5; ++i) {
    world.pass(Millis(600));
    activity.moved = world.loop.now();  // the other direction
    EXPECT_FALSE(out.done) << i;
  }
  world.pass(Millis(2100));
  ASSERT_TRUE(out.done);
  EXPECT_EQ(out.error.cause, Cause::tunnel_idle_timeout);
}

// --- writing ----------------------------------------------------------------------------------

struct Wrote {
  Result<void> result;
  bool done = false;
};

Task<> write_body(H1BodyWriter* writer, std::vector<std::string> pieces, std::string last,
                  const http::FieldList* trailers, Wrote* out) {
  for (const std::string& piece : pieces) {
    out->result = co_await writer->write(piece);
    if (!out->result) break;
  }
  if (out->result) out->result = co_await writer->finish(last, trailers);
  out->done = true;
}

class BodyWriterTest : public ::testing::Test {
 protected:
  std::string write(const BodyLength& length, std::vector<std::string> pieces, std::string last,
                    const http::FieldList* trailers = nullptr) {
    writer.new_head() = "HEAD\r\n\r\n";
    writer.begin(length, kPatience);
    EXPECT_FALSE(writer.complete());
    Heard heard;
    Wrote wrote;
    world.scope.spawn(write_body, &writer, std::move(pieces), std::move(last), trailers, &wrote);
    EXPECT_TRUE(world.run([&] { return wrote.done; }));
    EXPECT_TRUE(wrote.result.has_value());
    EXPECT_TRUE(writer.complete());
    pair.near->shutdown_write();
    world.scope.spawn(hear, pair.far.get(), SIZE_MAX, &heard);
    EXPECT_TRUE(world.run([&] { return heard.done; }));
    return heard.text;
  }
  TextPool texts;
  TestWorld world{Net::sim};
  TestWorld::Pair pair{world.pair()};
  H1BodyWriter writer{*pair.near, pair.near.get(), texts};
};

TEST_F(BodyWriterTest, Known) {
  EXPECT_EQ(write(BodyLength::known(7), {"ab", "cde"}, "fg"), "HEAD\r\n\r\nabcdefg");
  EXPECT_EQ(writer.sent(), 7u);
}

TEST_F(BodyWriterTest, KnownAndEmpty) {
  EXPECT_EQ(write(BodyLength::known(0), {}, ""), "HEAD\r\n\r\n");
}

TEST_F(BodyWriterTest, Chunked) {
  EXPECT_EQ(write(BodyLength::chunked(), {"ab", std::string(17, 'c')}, "d"),
            "HEAD\r\n\r\n2\r\nab\r\n11\r\n" + std::string(17, 'c') + "\r\n1\r\nd\r\n0\r\n\r\n");
  EXPECT_EQ(writer.sent(), 20u);
}

TEST_F(BodyWriterTest, ChunkedAndEmptyWithTrailers) {
  http::FieldList trailers;
  trailers.push_back({"X-Sum", "42"});
  EXPECT_EQ(write(BodyLength::chunked(), {}, "", &trailers), "HEAD\r\n\r\n0\r\nX-Sum: 42\r\n\r\n");
}

TEST_F(BodyWriterTest, UntilClose) {
  EXPECT_EQ(write(BodyLength::until_close(), {"a"}, "b"), "HEAD\r\n\r\nab");
}

TEST_F(BodyWriterTest, WithoutABodyNothingOfItIsSent) {
  EXPECT_EQ(write(BodyLength::none(), {"not for HEAD"}, "nor this"), "HEAD\r\n\r\n");
  EXPECT_EQ(writer.sent(), 0u);
}

TEST_F(BodyWriterTest, APeerThatDoesNotReadIsAStall) {
  writer.begin(BodyLength::until_close(), Millis(500));
  Wrote wrote;
  std::vector<std::string> pieces = {std::string(1_MiB, 'x')};
  world.scope.spawn(write_body, &writer, std::move(pieces), std::string(), nullptr, &wrote);
  world.pass(Millis(450));
  EXPECT_FALSE(wrote.done);
  world.pass(Millis(200));
  ASSERT_TRUE(wrote.done);
  EXPECT_EQ(wrote.result.error().code, Code::timed_out);
  EXPECT_FALSE(writer.complete());
}

}  // namespace
}  // namespace weir::proxy
