// SPDX-License-Identifier: Apache-2.0
#include "tls/context.h"

#include "base/assert.h"
#include "tls/certificate.h"

namespace weir::tls {
namespace {

// Mozilla's intermediate recommendation, version 5.7, without DHE, which no peer of today needs.
// All are AEADs, which records.h relies on. AES-128 is first because it is the fastest; a client
// whose first choice is ChaCha20 (a phone) gets that.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";

}  // namespace

void configure_protocol(SSL_CTX* context, Protocol version_min) {
  SSL_CTX_set_min_proto_version(context,
                                version_min == Protocol::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  WEIR_CHECK(SSL_CTX_set_cipher_list(context, kCiphers12) == 1);
  WEIR_CHECK(SSL_CTX_set_ciphersuites(context, kCiphers13) == 1);
  WEIR_CHECK(SSL_CTX_set1_groups_list(context, kGroups) == 1);
}

bool use_certificate(SSL_CTX* context, const Certificate& certificate) {
  bool good = SSL_CTX_use_certificate(context, certificate.leaf()) == 1 &&
              SSL_CTX_use_PrivateKey(context, certificate.key()) == 1;
  for (const X509Ptr& each : certificate.chain()) {
    good = good && SSL_CTX_add1_chain_cert(context, each.get()) == 1;
  }
  return good;
}

}  // namespace weir::tls
