// SPDX-License-Identifier: Apache-2.0
#include "proxy/preamble.h"

#include <gtest/gtest.h>

#include "proxy/config_for_test.h"
#include "proxy/snapshot.h"
#include "proxy/world_for_test.h"
#include "tls/client_hello_for_test.h"

namespace weir::proxy {
namespace {

using namespace std::literals;

const std::string kHeader = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const std::string kHello = tls::bytes_of(tls::kHelloOpenssl13);  // of a.example

class PreambleTest : public testing::Test {
 protected:
  PreambleTest() {
    const auto config = config_of("[timeouts]\nclient_head = '5s'\n[[route]]\nrespond = 404");
    world.context.snapshot = std::make_shared<Snapshot>(config, nullptr);
    world.context.snapshot->none.counts = &counts;
    upstreams["a"] = std::make_shared<Upstream>(world.context, upstream_counts);
  }
  ~PreambleTest() override {
    upstreams.clear();
    world.context.snapshot.reset();
  }

  std::shared_ptr<const PreambleRules> rules(std::vector<config::Passthrough> entries,
                                             std::string tcp = {}) {
    config::Listen listen;
    listen.proxy_protocol.networks.push_back({{}, 0});  // everybody
    listen.passthrough = std::move(entries);
    listen.tcp_upstream = std::move(tcp);
    return preamble_rules(listen, upstreams);
  }

  /// "client destination name upstream|bytes" as they are handed on, or a cause, or "" when it
  /// ended without a word. The pieces are said a little apart.
  std::string outcome(const std::shared_ptr<const PreambleRules>& rules,
                      std::vector<std::string> pieces, Then then = Then::keep) {
    TestWorld::Pair pair = world.pair();
    handed.clear();
    const Preamble::Successor successor{&PreambleTest::succeed, this, 1, false};
    auto* preamble = new Preamble(world.context, {pair.near->release(), {}, {}}, rules, successor);
    preamble->start();
    Heard heard;
    world.scope.spawn(&PreambleTest::talk, pair.far.get(), &pieces, then, &heard);
    EXPECT_TRUE(world.run([&] { return heard.done; }));
    told = heard.text;
    for (std::size_t i = 1; i < world.metrics->causes.size(); ++i) {
      if (world.metrics->causes[i].get() == 0) continue;
      EXPECT_EQ(handed, "");
      handed = describe(static_cast<Cause>(i)).name;
      world.metrics->causes[i].set(0);
    }
    EXPECT_EQ(world.metrics->connections_active.get(), 0u);
    return handed;
  }

  TestWorld world{Net::sim};
  RouteCounts counts;
  UpstreamCounts upstream_counts;
  std::map<std::string, std::shared_ptr<Upstream>> upstreams;
  std::string handed;
  std::string told;  // to the client

 private:
  static Connection* succeed(const Preamble::Successor& self, Accepted accepted,
                             std::shared_ptr<Upstream> upstream) {
    std::string& out = static_cast<PreambleTest*>(self.worker)->handed;
    out = accepted.peer.text() + ' ';
    const io::Peer* told = told_of(accepted.arrival.get());
    out += (told != nullptr ? told->text() : "-") + ' ';
    out += accepted.say().name + ' ' + (upstream ? "a" : "-") + '|';
    out.append(accepted.unread.bytes.data(), accepted.unread.bytes.size());
    io::Loop& loop = static_cast<PreambleTest*>(self.worker)->world.loop;
    io::TcpStream(loop, accepted.socket).close(io::Stream::Close::orderly);
    return nullptr;
  }
  static Task<> talk(io::TcpStream* stream, std::vector<std::string>* pieces, Then then,
                     Heard* heard) {
    for (std::string& piece : *pieces) {
      co_await say(stream, std::move(piece), Then::keep);
      // tidy: allow sleep because the clock is the simulated one
      co_await io::sleep_until(stream->loop(), stream->loop().now() + Millis(1));
    }
    if (then == Then::end) stream->shutdown_write();
    co_await hear(stream, SIZE_MAX, heard);
  }
};

TEST_F(PreambleTest, HandsOnWhatIsBehindAHeaderAtEveryCut) {
  const auto only_header = rules({});
  const std::string all = kHeader + "GET";
  const std::string expected = "192.0.2.7 198.51.100.1  -|";
  EXPECT_EQ(outcome(only_header, {all}), expected + "GET");
  for (std::size_t cut = 1; cut < all.size(); ++cut) {
    // It makes way as soon as the header is whole; what comes later is for the one that follows.
    const std::string rest = cut < kHeader.size() ? "GET" : all.substr(kHeader.size(), cut - 45);
    EXPECT_EQ(outcome(only_header, {all.substr(0, cut), all.substr(cut)}), expected + rest) << cut;
  }
}

TEST_F(PreambleTest, HandsOnTheWholeClientHelloAtEveryCut) {
  const auto both = rules({{{"a.example"}, {}, "a"}});
  const std::string all = kHeader + kHello;
  const std::string expected = "192.0.2.7 198.51.100.1 a.example a|" + kHello;
  EXPECT_EQ(outcome(both, {all}), expected);
  for (std::size_t cut = 1; cut < all.size(); ++cut) {
    EXPECT_EQ(outcome(both, {all.substr(0, cut), all.substr(cut)}), expected) << cut;
  }
  std::vector<std::string> bytes;
  for (const char c : all) bytes.emplace_back(1, c);
  EXPECT_EQ(outcome(both, bytes), expected);
}

TEST_F(PreambleTest, WhatIsForNoEntryIsServedOrClosed) {
  const std::vector<config::Passthrough> other = {{{"b.example"}, {}, "a"}};
  const std::string own = "PROXY UNKNOWN\r\n";
  EXPECT_EQ(outcome(rules(other, "a"), {own + kHello}), ":: - a.example -|" + kHello);
  EXPECT_EQ(outcome(rules(other, "a"), {own + "GET"}), ":: -  -|GET");
  EXPECT_EQ(told, "");
  EXPECT_EQ(outcome(rules(other), {own + kHello}), "passthrough_unmatched");
  EXPECT_EQ(told, "\x15\x03\x03\0\x02\x02\x70"sv);
  EXPECT_EQ(outcome(rules(other), {own + "GET"}), "client_hello_missing");
  EXPECT_EQ(told, "");
}

TEST_F(PreambleTest, WaitsForSoLongInTotal) {
  EXPECT_EQ(outcome(rules({}), {}), "proxy_header_timeout");
  EXPECT_EQ(outcome(rules({}), {"PROXY"}), "proxy_header_timeout");
  const auto both = rules({{{"a.example"}, {}, "a"}}, "a");
  EXPECT_EQ(outcome(both, {kHeader}), "client_hello_timeout");
  EXPECT_EQ(outcome(both, {kHeader + kHello.substr(0, 99)}), "client_hello_timeout");
  std::vector<std::string> drip(800, "x");  // for longer, a byte with each turn of the wheel
  drip.front() = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\x00"s;
  EXPECT_EQ(outcome(rules({}), drip), "proxy_header_timeout");
}

TEST_F(PreambleTest, SaysWhatWasWrong) {
  EXPECT_EQ(outcome(rules({}), {"GET / HTTP/1.1\r\n"}), "proxy_header_missing");
  EXPECT_EQ(outcome(rules({}), {"PROXY TCP9\r\n"}), "proxy_header_malformed");
  EXPECT_EQ(outcome(rules({}), {"PROXY"}, Then::end), "client_closed");
  EXPECT_EQ(outcome(rules({}), {}, Then::end), "");
  EXPECT_EQ(outcome(rules({{{"a.example"}, {}, "a"}}), {kHeader}, Then::end), "client_closed");
}

TEST(PreambleRules, AreForThePeersThatAreNamed) {
  config::Listen listen;
  EXPECT_EQ(preamble_rules(listen, {}), nullptr);
  listen.proxy_protocol.unix_sockets = true;
  io::Peer peer;
  EXPECT_FALSE(preamble_rules(listen, {})->apply_to(peer));
  peer.unix_socket = true;
  EXPECT_TRUE(preamble_rules(listen, {})->apply_to(peer));
}

}  // namespace
}  // namespace weir::proxy
