// SPDX-License-Identifier: Apache-2.0
//
// The other side of TLS for tests: OpenSSL as a client between two strings.
#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <string>

#include "base/bytes.h"
#include "tls/openssl.h"
#include "tls/server_context.h"

namespace weir::tls {

inline constexpr WallTime kTestTime{1'800'000'000LL * 1'000'000};

/// One way in which a client may speak.
struct Dialect {
  const char* name;
  int version;
  const char* cipher;
};
inline constexpr std::array<Dialect, 6> kDialects = {{
    {"Tls13Aes128", TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256"},
    {"Tls13Aes256", TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384"},
    {"Tls13ChaCha20", TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256"},
    {"Tls12Aes128", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {"Tls12Aes256", TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384"},
    {"Tls12ChaCha20", TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305"},
}};

inline std::shared_ptr<const ServerContext> test_context(ServerSettings settings = {}) {
  if (settings.certificates.empty()) {
    settings.certificates.push_back(Certificate::self_signed("weir.test", kTestTime));
  }
  std::vector<Problem> problems;
  auto made =
      ServerContext::make(std::move(settings), std::make_shared<TicketKeys>(kTestTime), problems);
  for (const Problem& problem : problems) ADD_FAILURE() << problem.text;
  return made;
}

/// A client's context, for as many clients as want to resume each other's sessions.
class PeerContext {
 public:
  explicit PeerContext(const Dialect& dialect = kDialects[0])
      : context(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX* raw = context.get();
    SSL_CTX_set_min_proto_version(raw, dialect.version);
    SSL_CTX_set_max_proto_version(raw, dialect.version);
    const int good = dialect.version == TLS1_3_VERSION
                         ? SSL_CTX_set_ciphersuites(raw, dialect.cipher)
                         : SSL_CTX_set_cipher_list(raw, dialect.cipher);
    EXPECT_EQ(good, 1);
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(raw, this);
    SSL_CTX_sess_set_new_cb(raw, [](SSL* ssl, SSL_SESSION* got) {
      auto* self = static_cast<PeerContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      if (self->session != nullptr) SSL_SESSION_free(self->session);
      self->session = got;
      return 1;
    });
  }
  ~PeerContext() {
    if (session != nullptr) SSL_SESSION_free(session);
  }
  PeerContext(const PeerContext&) = delete;
  PeerContext& operator=(const PeerContext&) = delete;

  SslContextPtr context;
  SSL_SESSION* session = nullptr;  ///< the last that a server gave
};

class Peer {
 public:
  explicit Peer(PeerContext& context, const char* server_name = "localhost")
      : ssl(SSL_new(context.context.get())) {
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl.get(), in_, out_);
    SSL_set_connect_state(ssl.get());
    if (server_name != nullptr) SSL_set_tlsext_host_name(ssl.get(), server_name);
    if (context.session != nullptr) SSL_set_session(ssl.get(), context.session);
  }

  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  // Without a proper end OpenSSL would not resume the session.
  ~Peer() { SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }

  /// Bytes of the server, and those for it.
  void feed(Bytes bytes) { BIO_write(in_, bytes.data(), static_cast<int>(bytes.size())); }
  std::string output() {
    std::string result(BIO_ctrl_pending(out_), '\0');
    if (!result.empty()) BIO_read(out_, result.data(), static_cast<int>(result.size()));
    return result;
  }
  /// True when the handshake is complete on this side.
  bool shake() { return SSL_do_handshake(ssl.get()) == 1; }
  void write(Bytes bytes) {
    if (bytes.empty()) return;
    EXPECT_EQ(SSL_write(ssl.get(), bytes.data(), static_cast<int>(bytes.size())),
              static_cast<int>(bytes.size()));
  }
  /// All that can be read now. `ended`, `failed`: what came behind it.
  std::string read() {
    std::string result;
    for (;;) {
      std::array<char, 16384> piece;
      const int count = SSL_read(ssl.get(), piece.data(), piece.size());
      if (count > 0) {
        result.append(piece.data(), static_cast<std::size_t>(count));
        continue;
      }
      const int error = SSL_get_error(ssl.get(), count);
      ended = error == SSL_ERROR_ZERO_RETURN;
      failed = error == SSL_ERROR_SSL;
      if (failed) reason = ERR_reason_error_string(ERR_peek_error());
      ERR_clear_error();
      return result;
    }
  }

  SslPtr ssl;
  bool ended = false;
  bool failed = false;
  std::string reason;

 private:
  BIO* in_ = nullptr;  // of ssl
  BIO* out_ = nullptr;
};

}  // namespace weir::tls
