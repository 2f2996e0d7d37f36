// SPDX-License-Identifier: Apache-2.0
//
// Handshake and records against OpenSSL, in memory.
#include "tls/records.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "tls/handshake.h"
#include "tls/peer_for_test.h"

namespace weir::tls {
namespace {

class RecordsTest : public ::testing::TestWithParam<Dialect> {
 protected:
  // Both sides, as far as they come. True: both are done.
  bool shake() {
    for (int round = 0; round < 10; ++round) {
      const bool peer_done = peer.shake();
      std::string bytes = rest + peer.output();
      Bytes input = bytes;
      std::string output;
      if (!done) {
        const auto step = handshake.step(input, output, kTestTime);
        if (!step) {
          error = step.error();
          peer.feed(output);
          return false;
        }
        done = *step == Handshake::Step::done;
        if (done) handshake.begin_records(receiving, sending);
      }
      rest = input;
      peer.feed(output);
      if (done && peer_done) return true;
    }
    return false;
  }

  std::string seal(Content type, Bytes content) {
    std::string out(content.size() + sending.overhead(), '\0');
    const std::array<Bytes, 3> pieces = {content.substr(0, content.size() / 2), Bytes(),
                                         content.substr(content.size() / 2)};
    EXPECT_EQ(sending.seal(type, pieces, out.data()), out.size());
    return out;
  }

  // Opens the records in `bytes`; nothing but content may come.
  std::string open(std::string bytes) {
    std::string all;
    Bytes left = bytes;
    while (!left.empty()) {
      const auto size = record_size(left);
      EXPECT_TRUE(size.has_value() && *size > 0 && *size <= left.size());
      std::string content(receiving.content_max(*size), '\0');
      const auto opened = receiving.open({left.data(), *size}, content.data());
      EXPECT_TRUE(opened.has_value());
      if (!opened) break;
      EXPECT_EQ(opened->type, Content::application);
      all += content.substr(0, opened->size);
      left.remove_prefix(*size);
    }
    return all;
  }

  std::shared_ptr<const ServerContext> context = test_context();
  PeerContext peers{GetParam()};
  Peer peer{peers};
  Handshake handshake{context};
  Records receiving;
  Records sending;
  std::string rest;
  Error error;
  bool done = false;
};

INSTANTIATE_TEST_SUITE_P(Dialects, RecordsTest, ::testing::ValuesIn(kDialects),
                         [](const auto& info) { return info.param.name; });

TEST_P(RecordsTest, ContentPassesInBothDirections) {
  ASSERT_TRUE(shake());
  const std::string text(5'000, 'x');
  for (int i = 0; i < 3; ++i) {
    peer.write(text);
    peer.write("!");
    EXPECT_EQ(open(peer.output()), text + "!");
    peer.feed(seal(Content::application, text) + seal(Content::application, "?"));
    EXPECT_EQ(peer.read(), text + "?");
  }
}

TEST_P(RecordsTest, EachSizePasses) {
  ASSERT_TRUE(shake());
  for (const std::size_t size : {1u, 2u, 15u, 16u, 17u, 255u, 1'369u, 16'383u, 16'384u}) {
    const std::string text(size, static_cast<char>('a' + size % 26));
    peer.write(text);
    EXPECT_EQ(open(peer.output()), text);
    peer.feed(seal(Content::application, text));
    EXPECT_EQ(peer.read(), text);
  }
}

TEST_P(RecordsTest, FactsAreThoseOfTheHandshake) {
  const unsigned char alpn[] = "\x08http/1.1";
  SSL_set_alpn_protos(peer.ssl.get(), alpn, 9);
  ASSERT_TRUE(shake());
  const auto facts = handshake.take_facts();
  EXPECT_EQ(facts->alpn, "http/1.1");
  EXPECT_EQ(facts->server_name, "localhost");
  EXPECT_EQ(facts->cipher, GetParam().cipher);
  EXPECT_EQ(facts->version, GetParam().version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
  EXPECT_FALSE(facts->resumed);
  ASSERT_NE(facts->shown, nullptr);
  EXPECT_TRUE(facts->shown->covers("localhost"));
  EXPECT_EQ(facts->peer, nullptr);
}

TEST_P(RecordsTest, ASessionIsResumedWithATicket) {
  ASSERT_TRUE(shake());
  peer.read();
  ASSERT_NE(peers.session, nullptr);
  Handshake again(context);
  Peer second(peers);
  bool over = false;
  for (int round = 0; round < 10 && !over; ++round) {
    second.shake();
    std::string bytes = second.output();
    Bytes input = bytes;
    std::string output;
    const auto step = again.step(input, output, kTestTime);
    ASSERT_TRUE(step.has_value()) << step.error().where;
    over = *step == Handshake::Step::done;
    second.feed(output);
  }
  second.shake();
  EXPECT_EQ(SSL_session_reused(second.ssl.get()), 1);
  EXPECT_TRUE(again.take_facts()->resumed);
  again.begin_records(receiving, sending);
  second.write("resumed");
  EXPECT_EQ(open(second.output()), "resumed");
  second.feed(seal(Content::application, "yes"));
  EXPECT_EQ(second.read(), "yes");
}

TEST_P(RecordsTest, ADamagedRecordIsNotOpened) {
  ASSERT_TRUE(shake());
  peer.write("content");
  const std::string record = peer.output();
  for (const std::size_t at : {kRecordHeaderSize, record.size() / 2, record.size() - 1}) {
    std::string damaged = record;
    damaged[at] ^= 1;
    std::string out(damaged.size(), '\0');
    const auto opened = receiving.open({damaged.data(), damaged.size()}, out.data());
    ASSERT_FALSE(opened.has_value()) << at;
    EXPECT_EQ(opened.error(), Alert::bad_record_mac);
  }
  EXPECT_EQ(open(record), "content");  // nothing was counted of those
}

TEST_P(RecordsTest, ARecordIsOpenedWhereItStands) {
  ASSERT_TRUE(shake());
  peer.write("in its place");
  std::string record = peer.output();
  char* content = record.data() + receiving.payload_offset();
  const auto opened = receiving.open({record.data(), record.size()}, content);
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(std::string_view(content, opened->size), "in its place");
}

TEST_P(RecordsTest, TheEndIsSaidAndUnderstood) {
  ASSERT_TRUE(shake());
  peer.feed(seal(Content::alert, Bytes("\1\0", 2)));
  EXPECT_EQ(peer.read(), "");
  EXPECT_TRUE(peer.ended);
  SSL_shutdown(peer.ssl.get());
  std::string record = peer.output();
  std::string out(record.size(), '\0');
  const auto opened = receiving.open({record.data(), record.size()}, out.data());
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->type, Content::alert);
  EXPECT_EQ(out.substr(0, opened->size), std::string("\1\0", 2));
}

TEST_P(RecordsTest, KeysChangeInBothDirections) {
  if (GetParam().version != TLS1_3_VERSION) return;
  ASSERT_TRUE(shake());
  for (int i = 0; i < 3; ++i) {
    SSL_key_update(peer.ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
    peer.write("new");
    std::string bytes = peer.output();
    const std::size_t size = *record_size(bytes);
    std::string out(size, '\0');
    const auto opened = receiving.open({bytes.data(), size}, out.data());
    ASSERT_TRUE(opened.has_value());
    ASSERT_EQ(opened->type, Content::handshake);
    receiving.update();
    EXPECT_EQ(open(bytes.substr(size)), "new");
    peer.feed(seal(Content::handshake, Bytes("\x18\0\0\1\0", 5)));
    sending.update();
    peer.feed(seal(Content::application, "too"));
    EXPECT_EQ(peer.read(), "too");
  }
}

template <class T>
bool is_wiped() {
  alignas(T) std::array<unsigned char, sizeof(T)> memory{};
  T* made = new (memory.data()) T;
  for (unsigned char& byte : memory) byte = 0x5a;
  std::destroy_at(made);
  // All but the size of a secret.
  return std::ranges::count(memory, 0x5a) <= 1;
}

TEST(Secrets, AreNotLeftInMemory) {
  EXPECT_TRUE(is_wiped<Secret>());
  EXPECT_TRUE(is_wiped<RecordKey>());
}

TEST(RecordSize, IsThatOfTheHeader) {
  EXPECT_EQ(record_size(""), 0u);
  EXPECT_EQ(record_size(Bytes("\x17\3\3\0", 4)), 0u);
  EXPECT_EQ(record_size(Bytes("\x17\3\3\0\x11", 5)), 22u);
  EXPECT_EQ(record_size(Bytes("\x17\3\3\x41\0", 5)), 16'645u);
  EXPECT_EQ(record_size(Bytes("\x17\3\3\x41\1", 5)), std::unexpected(Alert::record_overflow));
  EXPECT_EQ(record_size(Bytes("\x13\3\3\0\1", 5)), std::unexpected(Alert::unexpected_message));
  EXPECT_EQ(record_size("GET / HTTP/1.1"), std::unexpected(Alert::unexpected_message));
}

}  // namespace
}  // namespace weir::tls
