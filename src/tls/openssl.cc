// SPDX-License-Identifier: Apache-2.0
#include "tls/openssl.h"

#include <openssl/err.h>

#include <ctime>

#include "base/assert.h"

namespace weir::tls {
namespace {

const EVP_CIPHER* cipher(const char* name) {
  const EVP_CIPHER* found = EVP_CIPHER_fetch(nullptr, name, nullptr);
  WEIR_CHECK(found != nullptr);
  return found;
}

const EVP_MD* digest(const char* name) {
  const EVP_MD* found = EVP_MD_fetch(nullptr, name, nullptr);
  WEIR_CHECK(found != nullptr);
  return found;
}

}  // namespace

const Algorithms& algorithms() {
  static const Algorithms fetched = {
      cipher("AES-128-GCM"), cipher("AES-256-GCM"), cipher("ChaCha20-Poly1305"),
      cipher("AES-256-CBC"), digest("SHA2-256"),    digest("SHA2-384"),
  };
  return fetched;
}

std::int64_t seconds(const ASN1_TIME* time) {
  std::tm broken{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &broken) != 1) return 0;
  return timegm(&broken);
}

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

}  // namespace weir::tls
