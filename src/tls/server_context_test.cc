// SPDX-License-Identifier: Apache-2.0
#include "tls/server_context.h"

#include <gtest/gtest.h>

#include "tls/handshake.h"
#include "tls/peer_for_test.h"

namespace weir::tls {
namespace {

constexpr std::int64_t kHour = 3600L * 1'000'000;

/// A handshake between a client and a context, as far as it comes.
struct Shaken {
  Shaken(const std::shared_ptr<const ServerContext>& context, PeerContext& peers,
         const char* server_name, WallTime now = kTestTime)
      : peer(peers, server_name), handshake(context) {
    for (int round = 0; round < 10 && !done && error.where == nullptr; ++round) {
      peer.shake();
      std::string bytes = peer.output();
      Bytes input = bytes;
      std::string output;
      const auto step = handshake.step(input, output, now);
      peer.feed(output);
      if (!step) {
        error = step.error();
      } else {
        done = *step == ServerHandshake::Step::done;
      }
    }
    if (done) {
      peer.shake();
      peer.read();
      facts = handshake.take_facts();
    }
  }
  Peer peer;
  ServerHandshake handshake;
  bool done = false;
  Error error{};
  std::unique_ptr<Facts> facts;
};

TEST(ServerContext, ShowsTheCertificateOfTheName) {
  ServerSettings settings;
  for (const char* name : {"one.test", "two.test"}) {
    settings.certificates.push_back(Certificate::self_signed(name, kTestTime));
  }
  const Certificate* one = settings.certificates[0].get();
  const Certificate* two = settings.certificates[1].get();
  const auto context = test_context(settings);
  PeerContext peers;
  struct Case {
    const char* name;
    const Certificate* shown;
  };
  for (const Case& each : {Case{"one.test", one}, Case{"two.test", two}, Case{"TWO.test", two},
                           Case{"other.test", one}, Case{"a.localhost", one}, Case{nullptr, one}}) {
    Shaken shaken(context, peers, each.name);
    ASSERT_TRUE(shaken.done);
    EXPECT_EQ(shaken.facts->shown, each.shown) << (each.name == nullptr ? "" : each.name);
  }
}

TEST(ServerContext, WithoutACertificateThereIsNone) {
  std::vector<Problem> problems;
  EXPECT_EQ(ServerContext::make({}, std::make_shared<TicketKeys>(kTestTime), problems), nullptr);
  EXPECT_EQ(problems.size(), 1u);
}

TEST(ServerContext, FailuresHaveTheirCauses) {
  ServerSettings settings;
  settings.version_min = Protocol::tls13;
  const auto context = test_context(settings);
  PeerContext old(kDialects[3]);
  EXPECT_EQ(Shaken(context, old, "localhost").error.cause, Cause::tls_handshake_failed);
  PeerContext suspicious;
  SSL_CTX_set_verify(suspicious.context.get(), SSL_VERIFY_PEER, nullptr);
  EXPECT_EQ(Shaken(context, suspicious, "localhost").error.cause, Cause::tls_certificate_rejected);
}

TEST(ServerContext, ATicketIsOfItsKindOfListener) {
  const auto tickets = std::make_shared<TicketKeys>(kTestTime);
  std::vector<Problem> problems;
  ServerSettings settings;
  settings.certificates.push_back(Certificate::self_signed("weir.test", kTestTime));
  const auto first = ServerContext::make(settings, tickets, problems);
  const auto second = ServerContext::make(settings, tickets, problems);
  for (const Dialect& dialect : {kDialects[0], kDialects[3]}) {
    PeerContext peers(dialect);
    Shaken(first, peers, "localhost");
    ASSERT_NE(peers.session, nullptr);
    EXPECT_TRUE(Shaken(second, peers, "localhost").facts->resumed) << dialect.name;
  }
}

TEST(ServerContext, AnotherKeyShareIsAskedFor) {
  const auto context = test_context();
  PeerContext peers;
  SSL_CTX_set1_groups_list(peers.context.get(), "X448:P-384");
  Shaken shaken(context, peers, "localhost");
  ASSERT_TRUE(shaken.done) << shaken.error.where;
  Records receiving;
  Records sending;
  shaken.handshake.begin_records(receiving, sending);
  shaken.peer.write("after all");
  std::string record = shaken.peer.output();
  const std::size_t size = *record_size(record);
  std::string content(size, '\0');
  const auto opened = receiving.open({record.data(), size}, content.data());
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(content.substr(0, opened->size), "after all");
}

TEST(TicketKeys, RotateAndAreAcceptedForAWhile) {
  const auto at = [](std::int64_t hours) { return WallTime{kTestTime.micros + hours * kHour}; };
  TicketKeys keys(at(0));
  const auto first = keys.at(at(11))->front().name;
  EXPECT_EQ(keys.at(at(11))->size(), 1u);
  const auto second = keys.at(at(13));
  EXPECT_NE(second->front().name, first);
  EXPECT_EQ(second->back().name, first);
  keys.at(at(26));
  EXPECT_EQ(keys.at(at(39))->size(), kTicketKeysMax);
  EXPECT_NE(keys.at(at(39))->back().name, first) << "it is forgotten";
}

TEST(TicketKeys, ATicketOfAnEarlierKeyIsRenewed) {
  const auto context = test_context();
  const auto at = [](std::int64_t hours) { return WallTime{kTestTime.micros + hours * kHour}; };
  PeerContext peers(kDialects[3]);
  Shaken(context, peers, "localhost", at(0));
  EXPECT_TRUE(Shaken(context, peers, "localhost", at(11)).facts->resumed);
  EXPECT_TRUE(Shaken(context, peers, "localhost", at(13)).facts->resumed);
  EXPECT_FALSE(Shaken(context, peers, "localhost", at(90)).facts->resumed);
}

}  // namespace
}  // namespace weir::tls
