// SPDX-License-Identifier: Apache-2.0
#include "tls/key_schedule.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include <array>
#include <string>
#include <vector>

#include "tls/secrets.h"

namespace weir::tls {
namespace {

using KdfPtr = std::unique_ptr<EVP_KDF, Freeing<EVP_KDF_free>>;
using KdfContextPtr = std::unique_ptr<EVP_KDF_CTX, Freeing<EVP_KDF_CTX_free>>;

struct Told {
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  std::string hash = "SHA2-256";
  std::string key = {};
  std::string salt = {};
  std::string label = {};
  std::string data = {};
};

class KeyScheduleTest : public ::testing::Test {
 protected:
  // What a provider derives; empty: it has refused.
  static std::string derive(const char* query, Told told, std::size_t size) {
    const KdfPtr kdf(EVP_KDF_fetch(nullptr, "TLS13-KDF", query));
    EXPECT_NE(kdf, nullptr) << query;
    const KdfContextPtr context(EVP_KDF_CTX_new(kdf.get()));
    std::string prefix = "tls13 ";
    std::vector<OSSL_PARAM> params = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &told.mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, told.hash.data(), 0)};
    const auto add = [&](const char* name, std::string& value) {
      if (!value.empty()) {
        params.push_back(OSSL_PARAM_construct_octet_string(name, value.data(), value.size()));
      }
    };
    add(OSSL_KDF_PARAM_KEY, told.key);
    add(OSSL_KDF_PARAM_SALT, told.salt);
    add(OSSL_KDF_PARAM_PREFIX, prefix);
    add(OSSL_KDF_PARAM_LABEL, told.label);
    add(OSSL_KDF_PARAM_DATA, told.data);
    params.push_back(OSSL_PARAM_construct_end());
    std::string out(size, '\0');
    const bool good = EVP_KDF_derive(context.get(), reinterpret_cast<unsigned char*>(out.data()),
                                     size, params.data()) == 1;
    return good ? out : std::string();
  }

  const SslContextPtr loaded_ = new_context(TLS_server_method());
};

// OpenSSL's own says the same.
TEST_F(KeyScheduleTest, DerivesWhatOpenSslDoes) {
  constexpr int kExtract = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
  constexpr int kExpand = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  int rows = 0;
  for (const auto& [hash, size] : {std::pair{"SHA2-256", 32u}, std::pair{"SHA2-384", 48u}}) {
    const std::string secret(size, '\x5a');
    const std::string digest(size, '\x77');
    const std::vector<std::pair<Told, std::size_t>> table = {
        {{kExtract, hash}, size},
        {{kExtract, hash, "", secret, "derived"}, size},
        {{kExtract, hash, "shared by both", secret, "derived"}, size},
        {{kExtract, hash, std::string(66, 'k'), "", "derived"}, size},
        {{kExpand, hash, secret, "", "c hs traffic", digest}, size},
        {{kExpand, hash, secret, "", "key"}, 16},
        {{kExpand, hash, secret, "", "iv"}, 12},
        {{kExpand, hash, secret, "", "finished"}, size},
        {{kExpand, hash, secret, "", "resumption", std::string(8, '\0')}, size},
    };
    for (const auto& [told, out] : table) {
      const std::string expected = derive("provider=default", told, out);
      EXPECT_EQ(expected.size(), out);
      EXPECT_EQ(derive("?provider=weir", told, out), expected) << hash << ' ' << rows;
      ++rows;
    }
  }
  EXPECT_EQ(rows, 18);
}

TEST_F(KeyScheduleTest, RefusesWhatTlsNeverAsks) {
  const std::string secret(32, 's');
  EXPECT_EQ(derive("provider=weir", {.hash = "SHA1", .key = secret, .label = "key"}, 16), "");
  EXPECT_EQ(derive("provider=weir", {.label = "key"}, 16), "") << "no key";
  EXPECT_EQ(derive("provider=weir", {.key = secret, .label = "key"}, 33), "");
  EXPECT_EQ(derive("provider=weir", {.key = secret, .label = std::string(33, 'l')}, 16), "");
  EXPECT_EQ(derive("provider=weir", {.key = secret, .data = std::string(65, 'd')}, 16), "");
  EXPECT_EQ(
      derive("provider=weir", {.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, .key = secret}, 32),
      "");
}

TEST_F(KeyScheduleTest, TellsItsWatcher) {
  struct Watcher final : SecretWatcher {
    std::vector<std::string> labels;
    void secret_derived(Bytes label, std::span<const unsigned char> secret) override {
      labels.push_back(std::string(label) + ' ' + std::to_string(secret.size()));
    }
  } outer, inner;
  const Told told{.key = std::string(32, 's'), .label = "c ap traffic"};
  const WatchSecrets watch(outer);
  {
    const WatchSecrets nested(inner);
    derive("?provider=weir", told, 32);
  }
  derive("?provider=weir", {.key = std::string(32, 's'), .label = "iv"}, 12);
  EXPECT_EQ(inner.labels, std::vector<std::string>{"c ap traffic 32"});
  EXPECT_EQ(outer.labels, std::vector<std::string>{"iv 12"});
}

}  // namespace
}  // namespace weir::tls
