// SPDX-License-Identifier: Apache-2.0
//
// For tests: a stream behind a handshake that never was, and the other side of its records, with a
// cryptography that is not that of records.cc. What a proper peer would never send can be sealed
// too.
#pragma once

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/assert.h"
#include "tls/openssl.h"
#include "tls/stream.h"

namespace weir::tls {

inline constexpr std::size_t kTestTagSize = 16;
inline constexpr std::size_t kTestExplicitSize = 8;

inline const unsigned char* bytes_of(Bytes text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
inline unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

inline std::string header(std::uint8_t type, std::size_t size) {
  return {static_cast<char>(type), 3, 3, static_cast<char>(size >> 8), static_cast<char>(size)};
}

inline std::string number64(std::uint64_t number) {
  std::string result;
  for (int shift = 56; shift >= 0; shift -= 8) result += static_cast<char>(number >> shift);
  return result;
}

/// One direction as the peer sees it. Its keys are made of `seed`.
/// Enough for a stream whose handshake is not made.
class NoContext final : public Context {
 public:
  NoContext() : Context(Side::server, kServer) {}
  [[nodiscard]] SSL_CTX* first() const override { return nullptr; }
  [[nodiscard]] const Certificate* certificate_of(const X509*) const override { return nullptr; }

 private:
  static constexpr Causes kServer = {Cause::tls_client_left, Cause::tls_handshake_failed,
                                     Cause::tls_handshake_timeout, Cause::tls_bad_record};
};

class Direction {
 public:
  Direction(Protocol protocol, Suite suite, unsigned char seed, std::uint64_t sequence)
      : protocol_(protocol), suite_(suite), sequence_(sequence) {
    if (protocol == Protocol::tls13) {
      secret_.size = suite == Suite::aes256_gcm ? 48 : 32;
      std::fill_n(secret_.bytes.begin(), secret_.size, seed);
      key_ = record_key(hash(), secret_, suite);
    } else {
      std::fill_n(key_.key.begin(), key_size(suite), seed);
      std::fill_n(key_.iv.begin(), suite == Suite::chacha20_poly1305 ? 12 : 4, seed);
    }
  }
  void begin(Records& records) const { records.begin(protocol_, suite_, key_, secret_, sequence_); }

  void update() {
    secret_ = next_secret(hash(), secret_);
    key_ = record_key(hash(), secret_, suite_);
    sequence_ = 0;
  }
  /// Leaves one out.
  void skip() { ++sequence_; }

  /// In TLS 1.3 `inner` ends with its type and padding.
  std::string seal(std::uint8_t type, Bytes inner) {
    const std::string chosen = has_explicit() ? number64(sequence_ * 0x9e3779b97f4a7c15) : "";
    std::string out = header(type, chosen.size() + inner.size() + kTestTagSize) + chosen;
    const std::size_t at = out.size();
    out.resize(at + inner.size() + kTestTagSize);
    const CipherContextPtr context = start(chosen, 1);
    int count = 0;
    authenticate(context.get(), type, inner.size(), out);
    if (!inner.empty()) {
      EVP_EncryptUpdate(context.get(), bytes_of(out) + at, &count, bytes_of(inner),
                        static_cast<int>(inner.size()));
    }
    unsigned char* tag = bytes_of(out) + at + inner.size();
    WEIR_ASSERT(EVP_EncryptFinal_ex(context.get(), tag, &count) == 1);
    WEIR_ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTestTagSize, tag) == 1);
    ++sequence_;
    return out;
  }

  /// The content of a record of the stream, and its type.
  std::string open(Bytes record, std::uint8_t& type) {
    const std::size_t nonce = has_explicit() ? kTestExplicitSize : 0;
    WEIR_ASSERT(record.size() >= kRecordHeaderSize + nonce + kTestTagSize);
    const Bytes sealed = record.substr(kRecordHeaderSize + nonce);
    std::string out(sealed.size() - kTestTagSize, '\0');
    const CipherContextPtr context = start(record.substr(kRecordHeaderSize, nonce), 0);
    int count = 0;
    type = static_cast<std::uint8_t>(record[0]);
    authenticate(context.get(), type, out.size(), record);
    EVP_DecryptUpdate(context.get(), bytes_of(out), &count, bytes_of(sealed),
                      static_cast<int>(out.size()));
    std::string tag(sealed.substr(out.size()));
    std::array<unsigned char, kTestTagSize> rest{};
    WEIR_ASSERT(
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTestTagSize, tag.data()) == 1);
    WEIR_ASSERT(EVP_DecryptFinal_ex(context.get(), rest.data(), &count) == 1);
    ++sequence_;
    if (protocol_ == Protocol::tls13) {
      WEIR_ASSERT(type == static_cast<std::uint8_t>(Content::application) && !out.empty());
      type = static_cast<std::uint8_t>(out.back());
      out.pop_back();
    }
    return out;
  }

 private:
  [[nodiscard]] const EVP_MD* hash() const {
    return suite_ == Suite::aes256_gcm ? algorithms().sha384 : algorithms().sha256;
  }
  [[nodiscard]] bool has_explicit() const {
    return protocol_ == Protocol::tls12 && suite_ != Suite::chacha20_poly1305;
  }
  [[nodiscard]] CipherContextPtr start(Bytes chosen, int encrypt) const {
    std::array<unsigned char, kNonceSize> nonce = key_.iv;
    const std::string sequence = number64(sequence_);
    for (std::size_t i = 0; i < 8; ++i) {
      const Bytes part = has_explicit() ? chosen : Bytes(sequence);
      nonce[4 + i] ^= static_cast<unsigned char>(part[i]);
    }
    const auto* cipher = suite_ == Suite::aes128_gcm   ? algorithms().aes128_gcm
                         : suite_ == Suite::aes256_gcm ? algorithms().aes256_gcm
                                                       : algorithms().chacha20_poly1305;
    CipherContextPtr context(EVP_CIPHER_CTX_new());
    WEIR_ASSERT(EVP_CipherInit_ex(context.get(), cipher, nullptr, key_.key.data(), nonce.data(),
                                  encrypt) == 1);
    return context;
  }
  void authenticate(EVP_CIPHER_CTX* context, std::uint8_t type, std::size_t size, Bytes record) {
    const std::string data = protocol_ == Protocol::tls13
                                 ? std::string(record.substr(0, kRecordHeaderSize))
                                 : number64(sequence_) + header(type, size);
    int count = 0;
    WEIR_ASSERT(EVP_CipherUpdate(context, nullptr, &count, bytes_of(data),
                                 static_cast<int>(data.size())) == 1);
  }

  Protocol protocol_;
  Suite suite_;
  std::uint64_t sequence_;
  Secret secret_;
  RecordKey key_;
};

struct BehindHandshake {
  static void begin(Stream& stream, const Direction& to, const Direction& from) {
    stream.facts_.reset(new Facts);
    to.begin(stream.receiving_);
    from.begin(stream.sending_);
  }
  /// Bytes of the protocol's own records that wait to be sent.
  static std::size_t own(const Stream& stream) { return stream.own_.size(); }
};

}  // namespace weir::tls
