// SPDX-License-Identifier: Apache-2.0
//
// Ownership of OpenSSL's objects, and its algorithms, fetched once: OpenSSL 3.0 looks an algorithm
// up under a lock each time that it is named, which is what makes its handshakes slow.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>

namespace weir::tls {

template <auto Free>
struct Freeing {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using SslPtr = std::unique_ptr<SSL, Freeing<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Freeing<SSL_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Freeing<BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freeing<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Freeing<X509_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, Freeing<SSL_SESSION_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, Freeing<EVP_MD_CTX_free>>;
using CipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, Freeing<EVP_CIPHER_CTX_free>>;

/// Immutable; lives until the process ends.
struct Algorithms {
  const EVP_CIPHER* aes128_gcm;
  const EVP_CIPHER* aes256_gcm;
  const EVP_CIPHER* chacha20_poly1305;
  const EVP_CIPHER* aes256_cbc;
  const EVP_MD* sha256;
  const EVP_MD* sha384;
};
const Algorithms& algorithms();

/// Since the epoch; 0: it is none.
std::int64_t seconds(const ASN1_TIME* time);

/// Why the last call has failed, and no trace of it for others to find.
std::string openssl_reason();

}  // namespace weir::tls
