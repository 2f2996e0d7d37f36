// SPDX-License-Identifier: Apache-2.0
#include "tls.h"

#include <openssl/err.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace weir::bench {
namespace {

constexpr std::size_t kReadAhead = 64 * 1024;  // what one receive may bring
constexpr const char* kName = "bench.test";

void require(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "%s\n", what);
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

/// RFC 7301: the first of the client's that is known here.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  constexpr std::string_view kKnown = "\x02h2\x08http/1.1";
  auto* out = const_cast<unsigned char*>(*chosen);
  const auto* known = reinterpret_cast<const unsigned char*>(kKnown.data());
  // It prefers the order of its first list.
  const int found = SSL_select_next_proto(&out, size, offered, offered_size, known, kKnown.size());
  *chosen = out;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/// Takes the session over.
int keep_session(SSL* connection, SSL_SESSION* session) {
  static_cast<SessionPointer*>(SSL_get_app_data(connection))->reset(session);
  return 1;
}

}  // namespace

Tls::Tls(const SSL_METHOD* method) : context_(SSL_CTX_new(method)) {
  SSL_CTX* context = context_.get();
  require(context != nullptr && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1 &&
              SSL_CTX_set1_groups_list(context, "X25519") == 1,
          "TLS");
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadAhead);
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's write knows no MSG_NOSIGNAL
}

Tls Tls::client(const std::string& protocol, Tickets tickets) {
  Tls tls(TLS_client_method());
  const std::string offered = static_cast<char>(protocol.size()) + protocol;
  require(SSL_CTX_set_alpn_protos(tls.context_.get(),
                                  reinterpret_cast<const unsigned char*>(offered.data()),
                                  static_cast<unsigned>(offered.size())) == 0,
          "ALPN");
  if (tickets == Tickets::use) {
    SSL_CTX_set_session_cache_mode(tls.context_.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls.context_.get(), keep_session);
  }
  return tls;
}

Tls Tls::server(const std::string& certificate, const std::string& key) {
  Tls tls(TLS_server_method());
  SSL_CTX* context = tls.context_.get();
  require(SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) == 1 &&
              SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1,
          "--certificate, --key");
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  return tls;
}

SslPointer Tls::connection(int fd, SessionPointer& session) const {
  SslPointer made(SSL_new(context_.get()));
  require(made != nullptr && SSL_set_fd(made.get(), fd) == 1, "SSL_new");
  if (SSL_is_server(made.get()) == 1) {
    SSL_set_accept_state(made.get());
    return made;
  }
  SSL_set_connect_state(made.get());
  SSL_set_tlsext_host_name(made.get(), kName);
  SSL_set_app_data(made.get(), &session);
  if (session != nullptr) {
    // A copy, as OpenSSL takes what was used for spent, and h2o gives no new ticket for one that is
    // taken.
    const SessionPointer copy(SSL_SESSION_dup(session.get()));
    SSL_set_session(made.get(), copy.get());
  }
  return made;
}

}  // namespace weir::bench
