// SPDX-License-Identifier: Apache-2.0
//
// The records of one direction of a connection, behind its handshake: bytes in, bytes out. They are
// ours and not OpenSSL's because its objects keep 15 KB per connection for them and copy each byte
// twice more; the cryptography is OpenSSL's. RFC 8446 section 5 and RFC 5246 section 6.2.3.3.
#pragma once

#include <expected>
#include <span>

#include "tls/openssl.h"
#include "tls/secrets.h"

namespace weir::tls {

enum class Content : std::uint8_t {
  change_cipher_spec = 20,
  alert = 21,
  handshake = 22,
  application = 23,
};

/// What is said to a peer before the connection ends. RFC 8446 section 6.
enum class Alert : std::uint8_t {
  close_notify = 0,
  unexpected_message = 10,
  bad_record_mac = 20,
  record_overflow = 22,
  illegal_parameter = 47,
  decode_error = 50,
  internal_error = 80,
};

inline constexpr std::size_t kRecordHeaderSize = 5;
inline constexpr std::size_t kRecordPlainMax = 16_KiB;
inline constexpr std::size_t kRecordBodyMax = kRecordPlainMax + 256;  // RFC 8446 section 5.2
inline constexpr std::size_t kRecordOverheadMax = kRecordHeaderSize + 8 + 16;

/// The size of the record that begins here, header included; 0 when its header is not here yet.
std::expected<std::size_t, Alert> record_size(Bytes begin);

/// Of one direction, after begin(). A direction that rests holds its keys and nothing else.
class Records {
 public:
  Records() = default;
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;
  ~Records() = default;

  /// `sequence`: records that were protected by this key already. `traffic`: of TLS 1.3, or empty.
  void begin(Protocol protocol, Suite suite, const RecordKey& key, const Secret& traffic,
             std::uint64_t sequence);

  /// What a record is larger than its content.
  [[nodiscard]] std::size_t overhead() const;
  /// Writes a record with all of `pieces` (at most kRecordPlainMax) to `out`, which has room for
  /// it; returns its size.
  std::size_t seal(Content type, std::span<const Bytes> pieces, char* out);

  struct Opened {
    Content type;
    std::size_t size;
  };
  /// Where in a record its protected content begins.
  [[nodiscard]] std::size_t payload_offset() const;
  /// The most content that a record of this size can have.
  [[nodiscard]] std::size_t content_max(std::size_t record) const;
  /// Opens a whole record. The content goes to `out`, which has room for content_max(), or is where
  /// it stands in the record; of a record that was tampered with there is something too.
  std::expected<Opened, Alert> open(std::span<const char> record, char* out);

  /// The next keys of the direction. Of TLS 1.3.
  void update();
  /// So many records that the key should be changed. RFC 8446 section 5.5.
  [[nodiscard]] bool worn() const;
  [[nodiscard]] Protocol protocol() const { return protocol_; }
  /// Nothing is to be sealed or opened for a while.
  void rest() { context_.reset(); }

 private:
  void prepare(std::span<const unsigned char, kNonceSize> nonce, int encrypt);
  [[nodiscard]] std::array<unsigned char, kNonceSize> nonce(const char* explicit_part) const;
  [[nodiscard]] bool has_explicit_nonce() const {
    return protocol_ == Protocol::tls12 && suite_ != Suite::chacha20_poly1305;
  }
  void authenticate(Content type, std::size_t content, const char* header);
  [[nodiscard]] const EVP_CIPHER* cipher() const;
  [[nodiscard]] const EVP_MD* hash() const;

  Protocol protocol_ = Protocol::tls13;
  Suite suite_ = Suite::aes128_gcm;
  std::uint64_t sequence_ = 0;
  CipherContextPtr context_;
  RecordKey key_;
  Secret traffic_;
};

}  // namespace weir::tls
