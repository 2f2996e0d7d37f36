// SPDX-License-Identifier: Apache-2.0
#include "server/stapler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "io/system_socket.h"
#include "proxy/world_for_test.h"
#include "tls/party_for_test.h"

namespace weir::server {
namespace {

constexpr std::int64_t kSeconds = 1'800'000'000;
constexpr WallTime kNow{kSeconds * 1'000'000};
constexpr std::int64_t kHour = 3600;

Millis renewed(std::int64_t from, std::int64_t until) {
  return renew_after({"", kSeconds + from, kSeconds + until}, kNow);
}

TEST(Renewal, WhenHalfOfTheTimeHasPassed) {
  EXPECT_EQ(renewed(0, 8 * kHour), Millis(4 * kHour * 1000));
  EXPECT_EQ(renewed(-2 * kHour, 6 * kHour), Millis(2 * kHour * 1000));
  EXPECT_EQ(renewed(0, 7 * 24 * kHour), Millis(12 * kHour * 1000)) << "twice a day at least";
  EXPECT_EQ(renewed(-8 * kHour, kHour), Millis(300'000)) << "not all the time";
  EXPECT_EQ(renewed(0, 1), Millis(300'000));
}

// Responders on the simulated network, whose connections nobody serves.
class StaplerTest : public ::testing::Test {
 protected:
  StaplerTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("weir_stapler_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~StaplerTest() override {
    stapler.stop();
    EXPECT_TRUE(world.run([&] { return world.scope.running() == 0; }));
    for (io::Socket* listener : listeners_) world.loop.io().close(*listener);
    std::filesystem::remove_all(folder_);
  }

  enum class Chain : std::uint8_t { whole, leaf_only };
  std::shared_ptr<const tls::Certificate> certificate(const tls::Party& party, Chain chain) {
    const std::string path = (folder_ / "certificate.pem").string();
    std::ofstream(path) << pem_of(party) << (chain == Chain::whole ? pem_of(authority) : "")
                        << key_pem_of(party);
    std::vector<tls::Problem> problems;
    auto loaded = tls::Certificate::load({path, ""}, io::wall_now(), problems);
    EXPECT_NE(loaded, nullptr);
    return loaded;
  }
  tls::Party party(std::int64_t serial, const std::string& host = "10.0.0.9") const {
    return make_party("leaf.test", &authority, serial,
                      {{NID_info_access, "OCSP;URI:http://" + host + "/"},
                       {NID_subject_alt_name, "DNS:leaf.test"}});
  }
  void listen(const char* ip) {
    const io::SocketAddress address = *io::SocketAddress::from_ip(ip, 80);
    listeners_.push_back(world.loop.io().adopt_listener(*world.network->listen(address)));
  }

  proxy::TestWorld world{proxy::Net::sim};
  const tls::Party authority = tls::make_authority("authority");
  std::vector<std::string> asked;
  Stapler stapler{world.loop, world.scope, [this](const config::Address& address) {
                    asked.push_back(address.host);
                    return std::vector{*io::SocketAddress::from_ip(address.host, address.port)};
                  }};

 private:
  std::filesystem::path folder_;
  std::vector<io::Socket*> listeners_;
};

TEST_F(StaplerTest, WaitsTwiceAsLongAfterEachFailure) {
  stapler.watch({certificate(party(42), Chain::whole)});
  world.turns(5);
  EXPECT_EQ(asked.size(), 1u);
  for (const Millis wait : {Millis(30'000), Millis(60'000), Millis(120'000)}) {
    const std::size_t before = asked.size();
    world.pass(wait - Millis(5'000));
    EXPECT_EQ(asked.size(), before);
    world.pass(Millis(6'000));
    EXPECT_EQ(asked.size(), before + 1);
  }
}

// Of a certificate that stays, in a file that has lost what comes behind it.
TEST_F(StaplerTest, WithoutTheIssuerNobodyIsAsked) {
  const tls::Party leaf = party(42);
  stapler.watch({certificate(leaf, Chain::leaf_only), certificate(leaf, Chain::whole)});
  world.turns(5);
  EXPECT_EQ(asked.size(), 1u);
  stapler.watch({certificate(leaf, Chain::leaf_only)});
  world.pass(Millis(120'000));
  EXPECT_EQ(asked.size(), 1u);
}

TEST_F(StaplerTest, WhoReplacesThoseThatHangIsAskedAtOnce) {
  listen("10.0.0.9");
  Stapler::Certificates hanging;
  for (int serial = 0; serial < 12; ++serial) {
    hanging.push_back(certificate(party(100 + serial), Chain::whole));
  }
  stapler.watch(hanging);
  world.turns(20);
  EXPECT_EQ(asked.size(), 8u) << "so many at once";
  stapler.watch({certificate(party(42, "10.0.0.8"), Chain::whole)});
  world.pass(Millis(100));
  EXPECT_EQ(asked.back(), "10.0.0.8");
}

TEST_F(StaplerTest, AReloadDoesNotAskAgainWhileOneIsAsked) {
  listen("10.0.0.9");
  const tls::Party leaf = party(42);
  stapler.watch({certificate(leaf, Chain::whole)});
  world.turns(20);
  stapler.watch({certificate(leaf, Chain::whole)});
  world.turns(20);
  EXPECT_EQ(asked.size(), 1u);
  EXPECT_EQ(world.scope.running(), 1u);
  world.pass(Millis(41'000));  // its time is over, and the wait behind it
  EXPECT_EQ(asked.size(), 2u);
}

TEST_F(StaplerTest, AFileThatHoldsGoesFirst) {
  const auto one = certificate(party(42), Chain::whole);
  const std::int64_t now = io::wall_now().micros / 1'000'000;
  one->set_ocsp(std::make_shared<const tls::OcspResponse>("of a file", now, now + 60));
  stapler.watch({one});
  world.pass(Millis(50'000));
  EXPECT_TRUE(asked.empty());
  world.pass(Millis(15'000));
  EXPECT_EQ(asked.size(), 1u);
}

}  // namespace
}  // namespace weir::server
