// SPDX-License-Identifier: Apache-2.0
//
// What a handshake gives to the records behind it: keys by direction, derived from secrets. RFC
// 8446 section 7, RFC 5246 section 6.3.
#pragma once

#include <openssl/types.h>

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace weir::tls {

/// How records are protected. All that Weir offers are AEADs.
enum class Suite : std::uint8_t { aes128_gcm, aes256_gcm, chacha20_poly1305 };
enum class Protocol : std::uint8_t { tls12, tls13 };

inline constexpr std::size_t kSecretSizeMax = 48;  // SHA-384
inline constexpr std::size_t kKeySizeMax = 32;
inline constexpr std::size_t kNonceSize = 12;

/// A secret of one direction (TLS 1.3), or of both (the master secret of TLS 1.2). No copy stays in
/// memory; nor does one of a key.
struct Secret {
  ~Secret();
  std::array<unsigned char, kSecretSizeMax> bytes{};
  std::uint8_t size = 0;
  [[nodiscard]] std::span<const unsigned char> view() const { return {bytes.data(), size}; }
};

struct RecordKey {
  ~RecordKey();
  std::array<unsigned char, kKeySizeMax> key{};
  std::array<unsigned char, kNonceSize> iv{};  ///< of AES-GCM in TLS 1.2 only the first four
};

[[nodiscard]] std::size_t key_size(Suite suite);

inline constexpr std::size_t kLabelSizeMax = 32;
inline constexpr std::size_t kLabelContextMax = 64;
/// HKDF-Expand-Label of RFC 8446 section 7.1, for what is not longer than the hash. `label`:
/// without "tls13 ", at most kLabelSizeMax; `context`: at most kLabelContextMax.
void expand_label(const EVP_MD* hash, std::span<const unsigned char> secret, Bytes label,
                  std::span<const unsigned char> context, std::span<unsigned char> out);
/// RFC 5869 section 2.2; `out` is as long as the hash.
void hkdf_extract(const EVP_MD* hash, std::span<const unsigned char> salt,
                  std::span<const unsigned char> keying, std::span<unsigned char> out);
/// RFC 8446 section 7.3.
RecordKey record_key(const EVP_MD* hash, const Secret& traffic, Suite suite);
/// RFC 8446 section 7.2: the secret of the direction after a KeyUpdate.
Secret next_secret(const EVP_MD* hash, const Secret& traffic);

struct KeyBlock {
  RecordKey client;
  RecordKey server;
};
/// RFC 5246 section 6.3. `randoms`: the server's and then the client's.
KeyBlock key_block(const EVP_MD* hash, const Secret& master, Bytes randoms, Suite suite);

}  // namespace weir::tls
