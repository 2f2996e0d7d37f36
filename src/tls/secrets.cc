// SPDX-License-Identifier: Apache-2.0
#include "tls/secrets.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/assert.h"
#include "tls/openssl.h"

namespace weir::tls {
namespace {

constexpr std::size_t kSaltSize = 4;  // of AES-GCM in TLS 1.2: RFC 5288 section 3

struct Digest {
  ~Digest() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  [[nodiscard]] Bytes view() const { return {reinterpret_cast<const char*>(bytes.data()), size}; }
};

Digest hmac(const EVP_MD* hash, std::span<const unsigned char> key, Bytes data) {
  Digest result;
  WEIR_CHECK(HMAC(hash, key.data(), static_cast<int>(key.size()),
                  reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                  result.bytes.data(), &result.size) != nullptr);
  return result;
}

}  // namespace

Secret::~Secret() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

RecordKey::~RecordKey() {
  OPENSSL_cleanse(key.data(), key.size());
  OPENSSL_cleanse(iv.data(), iv.size());
}

std::size_t key_size(Suite suite) { return suite == Suite::aes128_gcm ? 16 : 32; }

void expand_label(const EVP_MD* hash, std::span<const unsigned char> secret, Bytes label,
                  std::span<unsigned char> out) {
  WEIR_ASSERT(out.size() <= static_cast<std::size_t>(EVP_MD_get_size(hash)));
  std::string info;
  info.push_back('\0');
  info.push_back(static_cast<char>(out.size()));
  info.push_back(static_cast<char>(6 + label.size()));
  info += "tls13 ";
  info += label;
  info.push_back('\0');  // no context
  info.push_back('\1');  // RFC 5869 section 2.3: the first block, and here the only one
  const Digest block = hmac(hash, secret, info);
  std::copy_n(block.bytes.begin(), out.size(), out.begin());
}

RecordKey record_key(const EVP_MD* hash, const Secret& traffic, Suite suite) {
  RecordKey result;
  expand_label(hash, traffic.view(), "key", std::span(result.key).first(key_size(suite)));
  expand_label(hash, traffic.view(), "iv", result.iv);
  return result;
}

Secret next_secret(const EVP_MD* hash, const Secret& traffic) {
  Secret result;
  result.size = traffic.size;
  expand_label(hash, traffic.view(), "traffic upd", std::span(result.bytes).first(result.size));
  return result;
}

KeyBlock key_block(const EVP_MD* hash, const Secret& master, Bytes randoms, Suite suite) {
  const std::size_t key = key_size(suite);
  const std::size_t iv = suite == Suite::chacha20_poly1305 ? kNonceSize : kSaltSize;
  const std::string seed = std::string("key expansion").append(randoms);
  std::string block;
  block.reserve(2 * (key + iv) + EVP_MAX_MD_SIZE);  // no copy is left behind
  Digest a = hmac(hash, master.view(), seed);       // RFC 5246 section 5: P_hash
  while (block.size() < 2 * (key + iv)) {
    block += hmac(hash, master.view(), std::string(a.view()) + seed).view();
    a = hmac(hash, master.view(), a.view());
  }
  KeyBlock result;
  auto take = [at = block.data()](std::span<unsigned char> out) mutable {
    std::memcpy(out.data(), at, out.size());
    at += out.size();
  };
  take(std::span(result.client.key).first(key));
  take(std::span(result.server.key).first(key));
  take(std::span(result.client.iv).first(iv));
  take(std::span(result.server.iv).first(iv));
  OPENSSL_cleanse(block.data(), block.size());
  return result;
}

}  // namespace weir::tls
