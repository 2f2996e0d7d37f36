// SPDX-License-Identifier: Apache-2.0
//
// TLS streams behind their handshake, with a peer that seals also what no proper one would.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "io/io_world_test.h"
#include "tls/records_for_test.h"

namespace weir::tls {
namespace {

using io::pattern;
using io::World;
using Close = io::Stream::Close;
using More = io::SendOp::More;

constexpr std::uint8_t kAlert = 21, kHandshake = 22, kApplication = 23;
constexpr Bytes kUpdate("\x18\0\0\1\0", 5);
constexpr Bytes kUpdateAsked("\x18\0\0\1\1", 5);

class StreamRecordsTest : public ::testing::TestWithParam<Protocol> {
 protected:
  struct Recv : io::RecvOp {
    bool under_way = false;
    bool done = false;
  };
  struct Send : io::SendOp {
    bool under_way = false;
  };

  StreamRecordsTest() {
    recv.callback = [](io::Op& op) {
      auto& self = static_cast<Recv&>(static_cast<io::RecvOp&>(op));
      self.under_way = false;
      self.done = true;
    };
    send_op.callback = [](io::Op& op) {
      static_cast<Send&>(static_cast<io::SendOp&>(op)).under_way = false;
    };
    begin();
  }

  void begin(std::uint64_t sent = 0) {
    stream.reset();
    recv.under_way = recv.done = false;
    pair = world.pair();
    to = Direction(GetParam(), Suite::aes128_gcm, 1, 0);
    from = Direction(GetParam(), Suite::aes128_gcm, 2, sent);
    stream = std::make_unique<Stream>(std::make_shared<const NoContext>(), *pair.server);
    BehindHandshake::begin(*stream, to, from);
  }
  [[nodiscard]] bool tls13() const { return GetParam() == Protocol::tls13; }
  void settle(Millis time = Millis(1)) {
    world.network->run([] { return false; }, world.network->now() + time);
  }

  // The peer.
  std::string seal(std::uint8_t type, Bytes content, std::size_t padding = 0) {
    if (!tls13()) return to.seal(type, content);
    std::string inner(content);
    inner.append(1, static_cast<char>(type)).append(padding, '\0');
    std::string record = to.seal(kApplication, inner);
    if (type == kHandshake) to.update();
    return record;
  }
  void put(Bytes bytes) {
    ASSERT_EQ(pair.client->try_send(bytes, More::no), bytes.size());
    settle();
  }
  // All that it is sent until nothing comes: content, and of other records what they are.
  std::string peer_reads() {
    std::string all;
    io::RecvOp op;
    op.callback = [](io::Op&) {};
    op.window = 64_KiB;
    for (;;) {
      settle();
      if (!pair.client->start_recv(op, Millis(0))) break;
      if (!op.result || op.result->empty()) return all + opened() + "<FIN>";
      inbound += op.result->bytes();
      op.result = io::Chunk();
      all += opened();
    }
    pair.client->cancel_recv(Error{Code::cancelled, Cause::none, 0, "test"});
    settle();
    return all;
  }
  std::string opened() {
    std::string all;
    for (;;) {
      const std::size_t size = record_size(inbound).value();
      if (size == 0 || size > inbound.size()) return all;
      std::uint8_t type = 0;
      const std::string content = from.open(Bytes(inbound).substr(0, size), type);
      inbound.erase(0, size);
      if (type == kApplication) all += content;
      if (type == kAlert) all += "<alert " + std::to_string(content.at(1)) + ">";
      if (type != kHandshake) continue;
      EXPECT_EQ(content, kUpdate);
      all += "<update>";
      from.update();
    }
  }

  // The user. Its receives are given until nothing comes.
  std::string user_reads() {
    std::string all;
    for (;;) {
      if (!recv.under_way && !recv.done) {
        recv.window = 64_KiB;
        recv.done = stream->start_recv(recv, Millis(0));
        recv.under_way = !recv.done;
      }
      settle();
      if (!std::exchange(recv.done, false)) return all;
      if (!recv.result) return all + "<" + std::string(name(recv.result.error().code)) + ">";
      if (recv.result->empty()) return all + "<end>";
      all += recv.result->bytes();
      recv.result = io::Chunk();
    }
  }
  void user_sends(Bytes bytes, More more = More::no) {
    send_op.pieces = {bytes, {}, {}, {}};
    send_op.more = more;
    send_op.under_way = !stream->start_send(send_op, Millis(0));
    settle();
  }
  // So that fewer bytes than a record has find room, until the peer reads.
  std::string user_fills() {
    world.network->faults.receive_capacity = 3'000;
    const std::string text(tls13() ? 2'930 : 2'905, 'f');
    user_sends(text);
    EXPECT_FALSE(send_op.under_way);
    return text;
  }

  World world{io::Kind::sim};
  World::Pair pair;
  Direction to{GetParam(), Suite::aes128_gcm, 1, 0};
  Direction from{GetParam(), Suite::aes128_gcm, 2, 0};
  Recv recv;
  Send send_op;
  std::unique_ptr<Stream> stream;
  std::string inbound;
};

INSTANTIATE_TEST_SUITE_P(Versions, StreamRecordsTest,
                         ::testing::Values(Protocol::tls12, Protocol::tls13), [](const auto& info) {
                           return info.param == Protocol::tls12 ? "Tls12" : "Tls13";
                         });

TEST_P(StreamRecordsTest, ContentPasses) {
  put(seal(kApplication, "asked"));
  EXPECT_EQ(user_reads(), "asked");
  user_sends("answered", More::end);
  EXPECT_EQ(peer_reads(), "answered<alert 0>");
  put(seal(kAlert, Bytes("\1\0", 2)));
  EXPECT_EQ(user_reads(), "<end>");
}

// Those of RFC 8446 and RFC 5246; 0: nothing of this version.
TEST_P(StreamRecordsTest, OffencesHaveTheirAlerts) {
  struct Case {
    int alert12;
    int alert13;
    std::uint8_t type;  // 0: as it is
    std::string content;
    std::size_t padding = 0;
  };
  const std::vector<Case> cases = {
      {22, 22, kApplication, std::string(kRecordPlainMax + 1, 'x')},
      {0, 22, kApplication, "x", kRecordPlainMax},
      {10, 10, kAlert, ""},
      {50, 50, kAlert, "\1"},
      {10, 10, kHandshake, ""},
      {10, 47, kHandshake, std::string("\x18\0\0\1\2", 5)},
      {10, 10, kHandshake, std::string(kUpdate) + std::string(kUpdate)},
      {10, 10, kHandshake, std::string("\1\0\0\0", 4)},
      {10, 10, 20, "\1"},
      {0, 10, 24, "heartbeat"},
      {20, 10, 0, std::string("\x14\3\3\0\1\1", 6)},
      {20, 10, 0, std::string("\x15\3\3\0\2\2\x28", 7)},
      {20, 20, 0, std::string("\x17\3\3\0\3abc", 8)},
      {22, 22, 0, std::string("\x17\3\3\x41\1", 5)},
      {10, 10, 0, "GET / HTTP/1.1\r\n"},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& each = cases[i];
    const int alert = tls13() ? each.alert13 : each.alert12;
    if (alert == 0) continue;
    begin();
    put(seal(kApplication, "content"));
    put(each.type == 0 ? each.content : seal(each.type, each.content, each.padding));
    put(seal(kApplication, "behind it"));
    EXPECT_EQ(user_reads(), "content<reset>") << i;
    EXPECT_EQ(recv.result.error().cause, Cause::tls_bad_record) << i;
    EXPECT_EQ(user_reads(), "<reset>") << i;
    EXPECT_EQ(peer_reads(), "<alert " + std::to_string(alert) + ">") << i;
    user_sends("more");
    EXPECT_FALSE(send_op.result.has_value()) << i;
  }
}

TEST_P(StreamRecordsTest, PaddingAsLongAsARecordPasses) {
  put(seal(kApplication, "x", kRecordPlainMax - 1));
  put(seal(kApplication, std::string(kRecordPlainMax, 'y')));
  EXPECT_EQ(user_reads(), "x" + std::string(kRecordPlainMax, 'y'));
}

TEST_P(StreamRecordsTest, AlertsThatAreNoEndPass) {
  put(seal(kAlert, Bytes("\1\x5a", 2)) + seal(kApplication, "still "));
  if (!tls13()) put(seal(kAlert, Bytes("\1\x64", 2)));
  put(seal(kApplication, "here"));
  EXPECT_EQ(user_reads(), "still here");
  put(seal(kAlert, tls13() ? Bytes("\1\x64", 2) : Bytes("\2\x5a", 2)));
  EXPECT_EQ(user_reads(), "<reset>");
  EXPECT_EQ(peer_reads(), "") << "a fatal alert has no answer";
}

TEST_P(StreamRecordsTest, RecordsThatBringNothingAreCounted) {
  std::string all;
  for (int round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < kEmptyRecordsMax; ++i) all += seal(kApplication, "");
    all += seal(kApplication, "x");
  }
  put(all);
  EXPECT_EQ(user_reads(), "xx");
  all.clear();
  for (unsigned i = 0; i <= kEmptyRecordsMax; ++i) all += seal(kApplication, "");
  put(all);
  EXPECT_EQ(user_reads(), "<reset>");
  EXPECT_EQ(peer_reads(), "<alert 10>");
}

// Last words that could not leave at once are tried again some time later, when a send may be under
// way.
TEST_P(StreamRecordsTest, LastWordsThatWaitCutNoSend) {
  if (!tls13()) return;
  const std::string filling = user_fills();
  put(seal(kHandshake, kUpdateAsked) + seal(kApplication, "x"));
  EXPECT_EQ(user_reads(), "x");
  EXPECT_GT(BehindHandshake::own(*stream), 0u);
  EXPECT_EQ(peer_reads(), filling);
  put(seal(kApplication, "y"));
  EXPECT_EQ(user_reads(), "y");  // and with its wait they have left
  EXPECT_EQ(BehindHandshake::own(*stream), 0u);
  const std::string body = pattern(50'000);
  user_sends(body, More::end);
  EXPECT_TRUE(send_op.under_way);
  settle(Millis(2 * kLastWordsMillis));
  EXPECT_EQ(peer_reads(), "<update>" + body + "<alert 0>");
  EXPECT_FALSE(send_op.under_way);
  EXPECT_TRUE(send_op.result.has_value());
}

TEST_P(StreamRecordsTest, AnswersToAPeerThatDoesNotReadDoNotPileUp) {
  if (!tls13()) return;
  const std::string filling = user_fills();
  for (int i = 0; i < 200; ++i) {
    put(seal(kHandshake, kUpdateAsked) + seal(kApplication, "x"));
    EXPECT_EQ(user_reads(), "x");
    EXPECT_LE(BehindHandshake::own(*stream), 64u);
  }
  std::string sent = peer_reads();
  settle(Millis(2 * kLastWordsMillis));
  sent += peer_reads();
  EXPECT_EQ(sent, filling + "<update><update>");
}

TEST_P(StreamRecordsTest, AnOffenceEndsTheSendThatIsUnderWay) {
  user_fills();
  const std::string body = pattern(1_MiB);
  user_sends(body);
  EXPECT_TRUE(send_op.under_way);
  std::string damaged = seal(kApplication, "x");
  damaged.back() ^= 1;
  put(damaged);
  EXPECT_EQ(user_reads(), "<reset>");
  const std::string sent = peer_reads();
  EXPECT_TRUE(sent.ends_with("<alert 20>"));
  EXPECT_LT(sent.size(), body.size() / 2);
  EXPECT_FALSE(send_op.under_way);
  ASSERT_FALSE(send_op.result.has_value());
  EXPECT_EQ(send_op.result.error().cause, Cause::tls_bad_record);
}

TEST_P(StreamRecordsTest, AnEndFollowsAnAlertThatHasToWait) {
  const std::string filling = user_fills();
  put("what is this?");
  EXPECT_EQ(user_reads(), "<reset>");
  stream->shutdown_write();
  const std::string sent = peer_reads();
  settle(Millis(2 * kLastWordsMillis));
  EXPECT_EQ(sent + peer_reads(), filling + "<alert 10><FIN>");
}

TEST_P(StreamRecordsTest, AFatalAlertEndsTheSendThatIsUnderWay) {
  user_fills();
  const std::string body = pattern(1_MiB);
  user_sends(body, More::end);
  put(seal(kAlert, Bytes("\2\x28", 2)));
  EXPECT_EQ(user_reads(), "<reset>");
  const std::string sent = peer_reads();
  EXPECT_EQ(sent.find("<alert"), std::string::npos);
  EXPECT_LT(sent.size(), body.size() / 2);
  EXPECT_FALSE(send_op.result.has_value());
}

TEST_P(StreamRecordsTest, WhatStandsBehindTheEndIsNotKept) {
  put(seal(kAlert, Bytes("\1\0", 2)) + std::string(3'000, 'x'));
  EXPECT_EQ(user_reads(), "<end>");
  EXPECT_EQ(world.loop.chunks.used(), 0u);
}

// And not what it is said to become.
TEST_P(StreamRecordsTest, ARecordThatHasBegunHoldsWhatHasCome) {
  const std::string content = pattern(kRecordPlainMax);
  const std::string record = seal(kApplication, content) + seal(kApplication, "next");
  std::string given;
  std::size_t most = 0;
  for (std::size_t at = 0; at < record.size();) {
    const std::size_t size = at < 40 ? 1 : 1'000;
    put(Bytes(record).substr(at, size));
    at += size;
    given += user_reads();
    if (at <= 3'000) EXPECT_EQ(world.loop.chunks.used(), 4_KiB) << at;
    most = std::max(most, world.loop.chunks.used());
  }
  EXPECT_LE(most, 32_KiB);
  EXPECT_TRUE(given == content + "next");
  EXPECT_EQ(world.loop.chunks.used(), 0u);
}

TEST_P(StreamRecordsTest, AKeyIsChangedBeforeItIsWorn) {
  begin((1u << 23) - 2);
  user_sends(std::string(5'000, 'x'));
  std::string sent = peer_reads();
  const std::size_t at = std::min(sent.find("<update>"), sent.size());
  EXPECT_EQ(at < sent.size(), tls13());
  EXPECT_EQ(sent.erase(at, 8), std::string(5'000, 'x'));
}

}  // namespace
}  // namespace weir::tls
