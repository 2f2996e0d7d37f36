// SPDX-License-Identifier: Apache-2.0
#include "server/tls_store.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

namespace weir::server {
namespace {

constexpr WallTime kNow{1'800'000'000LL * 1'000'000};

class TlsStoreTest : public ::testing::Test {
 protected:
  TlsStoreTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("weir_store_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    config::Listen& listen = config_.listens.emplace_back();
    listen.address.port = 443;
    listen.tls.emplace().certificates = {{path("a.pem"), ""}, {path("b.pem"), ""}};
    write("a.pem", "a.test");
    write("b.pem", "b.test");
  }
  ~TlsStoreTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const char* host) {
    const auto made = tls::Certificate::self_signed(host, kNow);
    const std::string fresh = path(name) + ".new";
    FILE* file = std::fopen(fresh.c_str(), "w");
    PEM_write_X509(file, made->leaf());
    PEM_write_PrivateKey(file, made->key(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    std::filesystem::rename(fresh, path(name));
  }
  void spoil(const std::string& name) { std::ofstream(path(name)) << "nothing\n"; }
  TlsContexts load() {
    problems_.clear();
    return store_.load(config_, kNow, problems_);
  }
  std::size_t errors() const {
    return static_cast<std::size_t>(
        std::ranges::count(problems_, tls::Problem::Kind::error, &tls::Problem::kind));
  }

  std::filesystem::path folder_;
  config::Config config_;
  TlsStore store_{kNow};
  std::vector<tls::Problem> problems_;
};

TEST_F(TlsStoreTest, OneForEachListener) {
  config_.listens.emplace_back();
  config_.listens.emplace_back().tls.emplace().self_signed = true;
  const TlsContexts loaded = load();
  const auto& contexts = loaded.listeners;
  ASSERT_EQ(contexts.size(), 3u);
  EXPECT_TRUE(problems_.empty());
  EXPECT_EQ(contexts[0]->settings().certificates.size(), 2u);
  EXPECT_EQ(contexts[1], nullptr);
  EXPECT_EQ(contexts[2]->settings().certificates.front()->file(), "self-signed");
  EXPECT_EQ(store_.certificates().size(), 3u);
}

TEST_F(TlsStoreTest, ABadOneBreaksOnlyItself) {
  spoil("a.pem");
  const TlsContexts loaded = load();
  const auto& contexts = loaded.listeners;
  EXPECT_EQ(errors(), 1u);
  ASSERT_NE(contexts[0], nullptr);
  ASSERT_EQ(contexts[0]->settings().certificates.size(), 1u);
  EXPECT_TRUE(contexts[0]->settings().certificates.front()->covers("b.test"));
  spoil("b.pem");
  TlsStore fresh(kNow);
  problems_.clear();
  EXPECT_EQ(fresh.load(config_, kNow, problems_).listeners[0], nullptr);
  EXPECT_GE(errors(), 3u);
}

TEST_F(TlsStoreTest, WhatWasReadBeforeStays) {
  const auto before = load().listeners[0]->settings().certificates;
  spoil("a.pem");
  const TlsContexts loaded = load();
  const auto& contexts = loaded.listeners;
  ASSERT_EQ(contexts[0]->settings().certificates.size(), 2u);
  EXPECT_EQ(contexts[0]->settings().certificates[0], before[0]);
  EXPECT_NE(contexts[0]->settings().certificates[1], before[1]) << "was read again";
}

TEST_F(TlsStoreTest, ChangesAreSeen) {
  load();
  EXPECT_FALSE(store_.changed());
  write("a.pem", "a.test");
  EXPECT_TRUE(store_.changed());
  load();
  EXPECT_FALSE(store_.changed());
  std::ofstream(path("b.pem.ocsp")) << "new";
  EXPECT_TRUE(store_.changed());
  load();
  std::filesystem::remove(path("b.pem"));
  EXPECT_TRUE(store_.changed());
}

// A pool is kept while what its connections were made with is the same.
TEST_F(TlsStoreTest, AnUpstreamKeepsItsContextUntilSomethingChanges) {
  config_.upstreams.resize(2);
  config_.upstreams[1].name = "plain";
  config::Upstream& upstream = config_.upstreams[0];
  upstream.name = "app";
  upstream.tls.emplace().ca = path("a.pem");
  config_.routes.emplace_back().upstream = "app";
  const TlsContexts first = load();
  ASSERT_EQ(first.upstreams.size(), 2u);
  ASSERT_NE(first.upstreams[0], nullptr);
  EXPECT_EQ(first.upstreams[1], nullptr);
  EXPECT_EQ(load().upstreams[0], first.upstreams[0]);
  write("a.pem", "other.test");
  EXPECT_TRUE(store_.changed());
  const TlsContexts second = load();
  EXPECT_NE(second.upstreams[0], first.upstreams[0]);
  upstream.protocol = config::UpstreamProtocol::http2;
  const TlsContexts third = load();
  EXPECT_NE(third.upstreams[0], second.upstreams[0]);
  EXPECT_EQ(third.upstreams[0]->settings().alpn, "h2");
  config_.routes.clear();
  EXPECT_EQ(load().upstreams[0]->settings().alpn, "") << "whatever passes through TCP";
  config_.routes.emplace_back().upstream = "app";
  const TlsContexts fourth = load();
  spoil("a.pem");
  EXPECT_EQ(load().upstreams[0], fourth.upstreams[0]) << "what was read before stays in use";
  TlsStore fresh(kNow);
  problems_.clear();
  EXPECT_EQ(fresh.load(config_, kNow, problems_).upstreams[0], nullptr);
  EXPECT_GE(errors(), 1u);
}

TEST_F(TlsStoreTest, ACertificateForServersIsReportedAfterEachLoad) {
  config::Upstream& upstream = config_.upstreams.emplace_back();
  upstream.name = "app";
  upstream.tls.emplace().ca = path("a.pem");
  upstream.tls->cert = path("c.pem");
  write("c.pem", "c.test");
  load();
  EXPECT_EQ(store_.certificates().size(), 3u);
  load();
  EXPECT_EQ(store_.certificates().size(), 3u);
}

// What it had under a name is of no use to another upstream that gets the name later.
TEST_F(TlsStoreTest, AnUpstreamThatIsGoneIsForgotten) {
  config::Upstream& upstream = config_.upstreams.emplace_back();
  upstream.name = "app";
  upstream.tls.emplace().ca = path("a.pem");
  ASSERT_NE(load().upstreams[0], nullptr);
  const std::vector<config::Upstream> upstreams = std::exchange(config_.upstreams, {});
  load();
  config_.upstreams = upstreams;
  spoil("a.pem");
  EXPECT_EQ(load().upstreams[0], nullptr);
}

TEST_F(TlsStoreTest, WhatAnAuthoritySaysIsKeptOverALoad) {
  const auto certificate = [](const TlsContexts& all) {
    return all.listeners[0]->settings().certificates.front();
  };
  const auto first = certificate(load());
  ASSERT_EQ(store_.to_staple().size(), 2u);
  EXPECT_EQ(first->ocsp(), nullptr);
  const auto said = std::make_shared<const tls::OcspResponse>("said", 0, 1'900'000'000);
  first->set_ocsp(said);
  EXPECT_EQ(store_.certificates().front().stapled_until, said->until);
  const auto second = certificate(load());
  EXPECT_NE(second, first);
  EXPECT_EQ(second->ocsp(), said);
  EXPECT_EQ(second->digest(), first->digest());
  write("a.pem", "a.test");  // renewed
  EXPECT_EQ(certificate(load())->ocsp(), nullptr);
  config_.listens.front().tls->ocsp = false;
  load();
  EXPECT_TRUE(store_.to_staple().empty());
}

TEST_F(TlsStoreTest, TheSelfSignedOneIsKept) {
  config_.listens.front().tls.emplace().self_signed = true;
  const auto first = load().listeners[0]->settings().certificates.front();
  EXPECT_EQ(load().listeners[0]->settings().certificates.front(), first);
}

}  // namespace
}  // namespace weir::server
