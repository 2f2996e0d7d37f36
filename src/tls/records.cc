// SPDX-License-Identifier: Apache-2.0
#include "tls/records.h"

#include <cstring>

#include "base/assert.h"

namespace weir::tls {
namespace {

constexpr std::size_t kTagSize = 16;
constexpr std::size_t kExplicitNonceSize = 8;
// AES-GCM is good for 2^24.5 full records; a key is changed long before.
constexpr std::uint64_t kRecordsPerKey = 1u << 23;

const unsigned char* bytes_of(const char* text) {
  return reinterpret_cast<const unsigned char*>(text);
}
unsigned char* bytes_of(char* text) { return reinterpret_cast<unsigned char*>(text); }

void put_header(char* out, Content type, std::size_t size) {
  out[0] = static_cast<char>(type);
  out[1] = 3;
  out[2] = 3;
  out[3] = static_cast<char>(size >> 8);
  out[4] = static_cast<char>(size & 0xff);
}

void put_sequence(char* out, std::uint64_t sequence) {
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(sequence >> (56 - 8 * i));
}

}  // namespace

std::expected<std::size_t, Alert> record_size(Bytes begin) {
  if (begin.size() < kRecordHeaderSize) return 0;
  const auto type = static_cast<unsigned char>(begin[0]);
  const bool known = type >= static_cast<unsigned char>(Content::change_cipher_spec) &&
                     type <= static_cast<unsigned char>(Content::application);
  if (!known || begin[1] != 3) return std::unexpected(Alert::unexpected_message);
  const std::size_t size = (static_cast<std::size_t>(static_cast<unsigned char>(begin[3])) << 8) +
                           static_cast<unsigned char>(begin[4]);
  if (size > kRecordBodyMax) return std::unexpected(Alert::record_overflow);
  return kRecordHeaderSize + size;
}

void Records::begin(Protocol protocol, Suite suite, const RecordKey& key, const Secret& traffic,
                    std::uint64_t sequence) {
  protocol_ = protocol;
  suite_ = suite;
  key_ = key;
  traffic_ = traffic;
  sequence_ = sequence;
  context_.reset();
}

const EVP_CIPHER* Records::cipher() const {
  switch (suite_) {
    case Suite::aes128_gcm: return algorithms().aes128_gcm;
    case Suite::aes256_gcm: return algorithms().aes256_gcm;
    case Suite::chacha20_poly1305: return algorithms().chacha20_poly1305;
  }
  WEIR_UNREACHABLE("suite");
}

const EVP_MD* Records::hash() const {
  return suite_ == Suite::aes256_gcm ? algorithms().sha384 : algorithms().sha256;
}

std::size_t Records::overhead() const {
  if (protocol_ == Protocol::tls13) return kRecordHeaderSize + 1 + kTagSize;
  return kRecordHeaderSize + (has_explicit_nonce() ? kExplicitNonceSize : 0) + kTagSize;
}

std::size_t Records::payload_offset() const {
  return kRecordHeaderSize + (has_explicit_nonce() ? kExplicitNonceSize : 0);
}

std::size_t Records::content_max(std::size_t record) const {
  return record < overhead() ? 0 : record - overhead();
}

bool Records::worn() const { return protocol_ == Protocol::tls13 && sequence_ >= kRecordsPerKey; }

// RFC 8446 section 5.3, RFC 7905 section 2; RFC 5288 section 3 for the explicit one.
std::array<unsigned char, kNonceSize> Records::nonce(const char* explicit_part) const {
  std::array<unsigned char, kNonceSize> result = key_.iv;
  if (has_explicit_nonce()) {
    std::memcpy(result.data() + 4, explicit_part, kExplicitNonceSize);
    return result;
  }
  for (std::size_t i = 0; i < 8; ++i) {
    result[4 + i] ^= static_cast<unsigned char>(sequence_ >> (56 - 8 * i));
  }
  return result;
}

void Records::prepare(std::span<const unsigned char, kNonceSize> nonce, int encrypt) {
  const bool fresh = context_ == nullptr;
  if (fresh) context_.reset(EVP_CIPHER_CTX_new());
  WEIR_CHECK(EVP_CipherInit_ex(context_.get(), fresh ? cipher() : nullptr, nullptr,
                               fresh ? key_.key.data() : nullptr, nonce.data(), encrypt) == 1);
}

// The data that is authenticated and not encrypted. RFC 8446 section 5.2, RFC 5246 section 6.2.3.3.
void Records::authenticate(Content type, std::size_t content, const char* header) {
  int count = 0;
  if (protocol_ == Protocol::tls13) {
    WEIR_CHECK(EVP_CipherUpdate(context_.get(), nullptr, &count, bytes_of(header),
                                kRecordHeaderSize) == 1);
    return;
  }
  std::array<char, 8 + kRecordHeaderSize> data;
  put_sequence(data.data(), sequence_);
  put_header(data.data() + 8, type, content);
  WEIR_CHECK(
      EVP_CipherUpdate(context_.get(), nullptr, &count, bytes_of(data.data()), data.size()) == 1);
}

std::size_t Records::seal(Content type, std::span<const Bytes> pieces, char* out) {
  std::size_t content = 0;
  for (const Bytes& piece : pieces) content += piece.size();
  WEIR_ASSERT(content <= kRecordPlainMax);
  const bool inner_type = protocol_ == Protocol::tls13;
  const std::size_t size = overhead() + content;
  put_header(out, inner_type ? Content::application : type, size - kRecordHeaderSize);
  if (has_explicit_nonce()) put_sequence(out + kRecordHeaderSize, sequence_);
  prepare(nonce(out + kRecordHeaderSize), 1);
  authenticate(type, content, out);
  EVP_CIPHER_CTX* context = context_.get();
  unsigned char* at = bytes_of(out + payload_offset());
  int count = 0;
  for (const Bytes& piece : pieces) {
    if (piece.empty()) continue;
    WEIR_CHECK(EVP_EncryptUpdate(context, at, &count, bytes_of(piece.data()),
                                 static_cast<int>(piece.size())) == 1);
    at += count;
  }
  if (inner_type) {
    const auto byte = static_cast<unsigned char>(type);
    WEIR_CHECK(EVP_EncryptUpdate(context, at, &count, &byte, 1) == 1);
    at += count;
  }
  WEIR_CHECK(EVP_EncryptFinal_ex(context, at, &count) == 1);
  at += count;
  WEIR_CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, at) == 1);
  WEIR_ASSERT(at + kTagSize == bytes_of(out + size));
  ++sequence_;
  return size;
}

std::expected<Records::Opened, Alert> Records::open(std::span<const char> record, char* out) {
  auto type = static_cast<Content>(record[0]);
  const bool inner_type = protocol_ == Protocol::tls13;
  if (inner_type && type != Content::application) {
    return std::unexpected(Alert::unexpected_message);
  }
  if (record.size() < overhead()) return std::unexpected(Alert::bad_record_mac);
  std::size_t content = content_max(record.size());  // with padding: RFC 8446 section 5.4
  if (content > kRecordPlainMax) return std::unexpected(Alert::record_overflow);
  prepare(nonce(record.data() + kRecordHeaderSize), 0);
  authenticate(type, content, record.data());
  EVP_CIPHER_CTX* context = context_.get();
  const unsigned char* from = bytes_of(record.data() + payload_offset());
  int count = 0;
  if (content > 0) {
    WEIR_CHECK(EVP_DecryptUpdate(context, bytes_of(out), &count, from, static_cast<int>(content)) ==
               1);
  }
  unsigned char last = 0;
  if (inner_type) {
    WEIR_CHECK(EVP_DecryptUpdate(context, &last, &count, from + content, 1) == 1);
  }
  const char* tag = record.data() + record.size() - kTagSize;
  WEIR_CHECK(
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagSize, const_cast<char*>(tag)) == 1);
  std::array<unsigned char, kTagSize> rest;
  if (EVP_DecryptFinal_ex(context, rest.data(), &count) != 1) {
    return std::unexpected(Alert::bad_record_mac);
  }
  ++sequence_;
  if (inner_type) {
    // The type stands behind the content, before as much padding as the peer likes.
    while (last == 0 && content > 0) last = static_cast<unsigned char>(out[--content]);
    if (last == 0) return std::unexpected(Alert::unexpected_message);
    type = static_cast<Content>(last);
  }
  return Opened{type, content};
}

void Records::update() {
  WEIR_ASSERT(protocol_ == Protocol::tls13);
  traffic_ = next_secret(hash(), traffic_);
  key_ = record_key(hash(), traffic_, suite_);
  sequence_ = 0;
  context_.reset();
}

}  // namespace weir::tls
