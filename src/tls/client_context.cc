// SPDX-License-Identifier: Apache-2.0
#include "tls/client_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>

#include "base/assert.h"
#include "tls/handshake.h"
#include "tls/key_schedule.h"

namespace weir::tls {
namespace {

// Debian, Ubuntu, Arch; Fedora and its relatives. OpenSSL's own default is a folder that is looked
// into during handshakes, which would block.
constexpr std::array kSystemFiles = {"/etc/ssl/certs/ca-certificates.crt",
                                     "/etc/pki/tls/certs/ca-bundle.crt"};
constexpr Causes kCauses = {Cause::upstream_tls_failed, Cause::upstream_tls_failed,
                            Cause::upstream_connect_timeout, Cause::upstream_tls_failed};

bool is_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> bytes;
  return inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

Handshake& of(const SSL* ssl) { return *static_cast<Handshake*>(SSL_get_app_data(ssl)); }

int learn_session(SSL* ssl, SSL_SESSION* session) {
  return of(ssl).learn_session(session) ? 1 : 0;  // 1: the reference is taken over
}

}  // namespace

std::shared_ptr<const Authorities> Authorities::load(const std::string& file,
                                                     std::vector<Problem>& problems) {
  StorePtr store(X509_STORE_new());
  WEIR_CHECK(store != nullptr);
  if (X509_STORE_load_file(store.get(), file.c_str()) != 1) {
    add_error(problems,
              "the authorities of servers cannot be read from " + file + ": " + openssl_reason());
    return nullptr;
  }
  // What is named is trusted, whether it is a root or not.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return std::shared_ptr<const Authorities>(new Authorities(std::move(store)));
}

std::shared_ptr<const Authorities> Authorities::of_system(std::vector<Problem>& problems) {
  const bool named = ::getenv("SSL_CERT_FILE") != nullptr || ::getenv("SSL_CERT_DIR") != nullptr;
  for (const char* file : kSystemFiles) {
    if (!named && ::access(file, R_OK) == 0) return load(file, problems);
  }
  StorePtr store(X509_STORE_new());
  WEIR_CHECK(store != nullptr);
  if (X509_STORE_set_default_paths(store.get()) != 1) {
    add_error(problems,
              "the system's authorities cannot be read: " + openssl_reason() +
                  "; install ca-certificates, or name a file with tls = { ca = \"ca.pem\" }");
    return nullptr;
  }
  return std::shared_ptr<const Authorities>(new Authorities(std::move(store)));
}

ClientContext::ClientContext(ClientSettings settings)
    : Context(Side::client, kCauses),
      settings_(std::move(settings)),
      context_(new_context(TLS_client_method())) {}

std::shared_ptr<const ClientContext> ClientContext::make(ClientSettings settings,
                                                         std::vector<Problem>& problems) {
  std::shared_ptr<ClientContext> made(new ClientContext(std::move(settings)));
  if (!made->build(problems)) return nullptr;
  return made;
}

bool ClientContext::build(std::vector<Problem>& problems) {
  SSL_CTX* context = context_.get();
  configure_protocol(context, settings_.version_min);
  // Sessions are remembered by KnownServer.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, learn_session);
  if (!settings_.alpn.empty()) {
    std::string offered(1, static_cast<char>(settings_.alpn.size()));
    offered += settings_.alpn;
    WEIR_CHECK(SSL_CTX_set_alpn_protos(context,
                                       reinterpret_cast<const unsigned char*>(offered.data()),
                                       static_cast<unsigned>(offered.size())) == 0);
  }
  if (settings_.authorities != nullptr) {
    SSL_CTX_set1_cert_store(context, settings_.authorities->store());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (settings_.certificate == nullptr || use_certificate(context, *settings_.certificate)) {
    return true;
  }
  add_error(problems, "the certificate in " + settings_.certificate->file() +
                          " cannot be shown to servers: " + openssl_reason());
  return false;
}

void ClientContext::prepare(SSL* ssl, const KnownServer& server) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  if (is_address(server.name)) {
    WEIR_CHECK(X509_VERIFY_PARAM_set1_ip_asc(rules, server.name.c_str()) == 1);
  } else {
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    WEIR_CHECK(X509_VERIFY_PARAM_set1_host(rules, server.name.data(), server.name.size()) == 1);
    WEIR_CHECK(SSL_set_tlsext_host_name(ssl, server.name.c_str()) == 1);
  }
  if (server.session != nullptr && SSL_SESSION_is_resumable(server.session.get()) == 1) {
    SSL_set_session(ssl, server.session.get());
  }
}

// Of a session that was resumed the certificate is the one that was verified when it began.
Result<void> ClientContext::accept(const SSL* ssl) const {
  if (settings_.alpn == "h2") {
    const unsigned char* alpn = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &size);
    if (size != settings_.alpn.size()) {
      return fail(Cause::upstream_tls_failed, "the server does not offer HTTP/2 (ALPN h2)");
    }
  }
  if (settings_.pins.empty()) return {};
  const X509* leaf = SSL_get0_peer_certificate(ssl);
  const X509_PUBKEY* key = leaf == nullptr ? nullptr : X509_get_X509_PUBKEY(leaf);
  unsigned char* bytes = nullptr;
  const int size = key == nullptr ? -1 : i2d_X509_PUBKEY(key, &bytes);
  Pin pin{};
  const bool hashed = size > 0 && EVP_Digest(bytes, static_cast<std::size_t>(size), pin.data(),
                                             nullptr, algorithms().sha256, nullptr) == 1;
  OPENSSL_free(bytes);
  if (hashed && std::ranges::find(settings_.pins, pin) != settings_.pins.end()) return {};
  return fail(Cause::upstream_tls_certificate, "the server's key is none of the pins");
}

}  // namespace weir::tls
