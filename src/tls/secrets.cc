// SPDX-License-Identifier: Apache-2.0
#include "tls/secrets.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/assert.h"
#include "tls/openssl.h"

namespace weir::tls {
namespace {

constexpr std::size_t kBlockSizeMax = 128;  // SHA-384
constexpr std::size_t kSaltSize = 4;        // of AES-GCM in TLS 1.2: RFC 5288 section 3

struct Digest {
  ~Digest() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  [[nodiscard]] Bytes view() const { return {reinterpret_cast<const char*>(bytes.data()), size}; }
};

// Of this thread, used again: making one costs more than most of what is hashed here.
EVP_MD_CTX* hashing() {
  thread_local const DigestContextPtr context(EVP_MD_CTX_new());
  WEIR_CHECK(context != nullptr);
  return context.get();
}

// H(pad(key) + data): half of an HMAC. RFC 2104 section 2.
void hash_padded(const EVP_MD* hash, std::span<const unsigned char> key, unsigned char pad,
                 Bytes data, Digest& out) {
  std::array<unsigned char, kBlockSizeMax> block;
  const auto size = static_cast<std::size_t>(EVP_MD_get_block_size(hash));
  WEIR_ASSERT(key.size() <= size && size <= block.size());
  std::memset(block.data(), pad, size);
  for (std::size_t i = 0; i < key.size(); ++i) block[i] ^= key[i];
  EVP_MD_CTX* context = hashing();
  const bool good = EVP_DigestInit_ex(context, hash, nullptr) == 1 &&
                    EVP_DigestUpdate(context, block.data(), size) == 1 &&
                    EVP_DigestUpdate(context, data.data(), data.size()) == 1 &&
                    EVP_DigestFinal_ex(context, out.bytes.data(), &out.size) == 1;
  WEIR_CHECK(good);
  OPENSSL_cleanse(block.data(), size);
}

// Keys are not longer than a block. OpenSSL's own sets itself up from nothing each time.
Digest hmac(const EVP_MD* hash, std::span<const unsigned char> key, Bytes data) {
  Digest inner;
  Digest result;
  hash_padded(hash, key, 0x36, data, inner);
  hash_padded(hash, key, 0x5c, inner.view(), result);
  WEIR_CHECK(EVP_DigestInit_ex(hashing(), hash, nullptr) == 1);  // its state was the result
  return result;
}

}  // namespace

Secret::~Secret() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

RecordKey::~RecordKey() {
  OPENSSL_cleanse(key.data(), key.size());
  OPENSSL_cleanse(iv.data(), iv.size());
}

std::size_t key_size(Suite suite) { return suite == Suite::aes128_gcm ? 16 : 32; }

// HkdfLabel, and behind it the number of the first block, which here is the only one (RFC 5869
// section 2.3).
void expand_label(const EVP_MD* hash, std::span<const unsigned char> secret, Bytes label,
                  std::span<const unsigned char> context, std::span<unsigned char> out) {
  WEIR_ASSERT(out.size() <= static_cast<std::size_t>(EVP_MD_get_size(hash)));
  WEIR_ASSERT(label.size() <= kLabelSizeMax && context.size() <= kLabelContextMax);
  constexpr Bytes kPrefix = "tls13 ";
  std::array<char, 5 + kPrefix.size() + kLabelSizeMax + kLabelContextMax> info;
  char* at = info.data();
  *at++ = '\0';
  *at++ = static_cast<char>(out.size());
  *at++ = static_cast<char>(kPrefix.size() + label.size());
  at = std::ranges::copy(kPrefix, at).out;
  at = std::ranges::copy(label, at).out;
  *at++ = static_cast<char>(context.size());
  at = std::ranges::copy(context, at).out;
  *at++ = '\1';
  const Digest block = hmac(hash, secret, {info.data(), at});
  std::copy_n(block.bytes.begin(), out.size(), out.begin());
}

void hkdf_extract(const EVP_MD* hash, std::span<const unsigned char> salt,
                  std::span<const unsigned char> keying, std::span<unsigned char> out) {
  const Digest extracted =
      hmac(hash, salt, {reinterpret_cast<const char*>(keying.data()), keying.size()});
  WEIR_ASSERT(out.size() == extracted.size);
  std::copy_n(extracted.bytes.begin(), out.size(), out.begin());
}

RecordKey record_key(const EVP_MD* hash, const Secret& traffic, Suite suite) {
  RecordKey result;
  expand_label(hash, traffic.view(), "key", {}, std::span(result.key).first(key_size(suite)));
  expand_label(hash, traffic.view(), "iv", {}, result.iv);
  return result;
}

Secret next_secret(const EVP_MD* hash, const Secret& traffic) {
  Secret result;
  result.size = traffic.size;
  expand_label(hash, traffic.view(), "traffic upd", {}, std::span(result.bytes).first(result.size));
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
