// SPDX-License-Identifier: Apache-2.0
#include "tls/certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tls/peer_for_test.h"

namespace weir::tls {
namespace {

constexpr std::int64_t kDay = 24L * 3600 * 1'000'000;

class CertificateTest : public ::testing::Test {
 protected:
  CertificateTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("weir_tls_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~CertificateTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(path(name)) << text;
    return path(name);
  }
  static std::string pem(const Certificate& certificate) {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), certificate.leaf());
    return text_of(bio.get());
  }
  static std::string key_pem(const Certificate& certificate) {
    const BioPtr bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PrivateKey(bio.get(), certificate.key(), nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(bio.get());
  }
  static std::string text_of(BIO* bio) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    return {text, static_cast<std::size_t>(size)};
  }
  // What is said first, with "error: " or "warning: " before it; empty: nothing.
  std::string load(const CertificateFiles& files, std::int64_t later = 0) {
    std::vector<Problem> problems;
    loaded = Certificate::load(files, WallTime{kTestTime.micros + later}, problems);
    if (problems.empty()) return {};
    const bool error = problems.front().kind == Problem::Kind::error;
    EXPECT_EQ(error, loaded == nullptr);
    return (error ? "error: " : "warning: ") + problems.front().text;
  }

  std::shared_ptr<const Certificate> made = Certificate::self_signed("weir.test", kTestTime);
  std::shared_ptr<const Certificate> loaded;
  std::filesystem::path folder_;
};

TEST_F(CertificateTest, OfTwoFilesOrOfOne) {
  const std::string cert = write("a.pem", pem(*made));
  const std::string key = write("a.key", key_pem(*made));
  EXPECT_EQ(load({cert, key}), "");
  EXPECT_EQ(loaded->type(), Certificate::Type::ecdsa);
  EXPECT_EQ(loaded->names(), made->names());
  EXPECT_EQ(load({write("both.pem", pem(*made) + key_pem(*made)), ""}), "");
}

TEST_F(CertificateTest, WhatIsWrongIsSaid) {
  const auto other = Certificate::self_signed("other.test", kTestTime);
  const std::string cert = write("a.pem", pem(*made));
  const std::string key = write("a.key", key_pem(*made));
  const std::string nothing = write("nothing", "nothing\n");
  const std::string wrong = write("b.key", key_pem(*other));
  std::string damaged = pem(*made);
  damaged.erase(100, 7);
  const auto starts = [](const std::string& said, const std::string& with) {
    return said.substr(0, with.size()) == with ? "" : said;
  };
  EXPECT_EQ(starts(load({path("none"), key}), "error: cannot read " + path("none") + ": No such"),
            "");
  EXPECT_EQ(starts(load({cert, path("none")}), "error: cannot read "), "");
  EXPECT_EQ(starts(load({nothing, key}), "error: " + nothing + " has no certificate"), "");
  EXPECT_EQ(starts(load({cert, nothing}), "error: " + nothing + " has no private key"), "");
  EXPECT_EQ(starts(load({cert, wrong}), "error: the key in " + wrong + " does not belong"), "");
  EXPECT_NE(load({write("d.pem", damaged), key}), "");
  EXPECT_EQ(loaded, nullptr);
}

TEST_F(CertificateTest, DatesAreLookedAt) {
  const std::string both = write("both.pem", pem(*made) + key_pem(*made));
  EXPECT_NE(load({both, ""}, 390 * kDay).find("expires soon"), std::string::npos);
  EXPECT_NE(load({both, ""}, 400 * kDay).find("has expired"), std::string::npos);
  EXPECT_NE(load({both, ""}, -2 * kDay).find("not valid before"), std::string::npos);
  EXPECT_NE(loaded, nullptr) << "it is used all the same";
}

TEST_F(CertificateTest, CoversItsNames) {
  for (const char* name :
       {"localhost", "LOCALHOST", "a.localhost", "weir.test", "Weir.Test.", "127.0.0.1", "::1"}) {
    EXPECT_TRUE(made->covers(name)) << name;
  }
  for (const char* name : {"", "a.b.localhost", ".localhost", "test", "a.weir.test", "127.0.0.2",
                           "localhost.evil.test"}) {
    EXPECT_FALSE(made->covers(name)) << name;
  }
}

TEST_F(CertificateTest, AHostNameThatCannotStandInOneIsLeftOut) {
  for (const char* host : {"a,DNS:evil.test", "", "localhost", "a b"}) {
    const auto odd = Certificate::self_signed(host, kTestTime);
    EXPECT_FALSE(odd->covers("evil.test"));
    EXPECT_TRUE(odd->covers("localhost"));
  }
}

}  // namespace
}  // namespace weir::tls
