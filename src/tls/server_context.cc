// SPDX-License-Identifier: Apache-2.0
#include "tls/server_context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "tls/handshake.h"
#include "tls/key_schedule.h"

namespace weir::tls {
namespace {

constexpr long kTicketSeconds = 12L * 3600;
constexpr Causes kCauses = {Cause::tls_client_left, Cause::tls_handshake_failed,
                            Cause::tls_handshake_timeout, Cause::tls_bad_record};

}  // namespace

// What OpenSSL calls during a handshake. The stream's Handshake is the SSL's app data.
struct ServerCallbacks {
  static Handshake& of(const SSL* ssl) {
    auto* handshake = static_cast<Handshake*>(SSL_get_app_data(ssl));
    WEIR_ASSERT(handshake != nullptr);
    return *handshake;
  }

  static const ServerContext& server(const SSL* ssl) {
    return static_cast<const ServerContext&>(of(ssl).context());
  }

  static int choose_certificate(SSL* ssl, int*, void*) {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX* context = server(ssl).find(name);
    if (context != SSL_get_SSL_CTX(ssl)) SSL_set_SSL_CTX(ssl, context);
    return SSL_TLSEXT_ERR_OK;
  }

  static int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* size,
                             const unsigned char* offered, unsigned offered_size, void*) {
    const std::vector<unsigned char>& own = server(ssl).alpn_;
    unsigned char* chosen = nullptr;
    const int result = SSL_select_next_proto(
        &chosen, size, own.data(), static_cast<unsigned>(own.size()), offered, offered_size);
    if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301 3.2
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
  }

  static int staple(SSL* ssl, void*) {
    const Handshake& handshake = of(ssl);
    const Certificate* shown = server(ssl).certificate_of(SSL_get_certificate(ssl));
    const auto response = shown == nullptr ? nullptr : shown->ocsp();
    if (response == nullptr || !response->valid(handshake.now())) return SSL_TLSEXT_ERR_NOACK;
    const std::string& der = response->der;
    void* copy = OPENSSL_memdup(der.data(), der.size());
    if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(der.size()));
    return SSL_TLSEXT_ERR_OK;
  }

  // SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 0 for a ticket that is not ours, 1, or 2 for one whose
  // client should get a newer one.
  static int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                        EVP_MAC_CTX* mac, int encrypt) {
    const Handshake& handshake = of(ssl);
    const auto keys = server(ssl).tickets_->at(handshake.now());
    const TicketKey* key = &keys->front();
    if (encrypt == 1) {
      std::memcpy(name, key->name.data(), key->name.size());
      if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(algorithms().aes256_cbc)) != 1) return -1;
    } else {
      const auto found = std::ranges::find_if(*keys, [&](const TicketKey& each) {
        return std::memcmp(name, each.name.data(), each.name.size()) == 0;
      });
      if (found == keys->end()) return 0;
      key = &*found;
    }
    char digest[] = "SHA256";
    const std::array<OSSL_PARAM, 3> params = {
        OSSL_PARAM_construct_octet_string(
            OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(key->hmac.data()), key->hmac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_END};
    const bool good = EVP_MAC_CTX_set_params(mac, params.data()) == 1 &&
                      EVP_CipherInit_ex(cipher, algorithms().aes256_cbc, nullptr,
                                        key->cipher.data(), iv, encrypt) == 1;
    if (!good) return -1;
    return key == &keys->front() ? 1 : 2;
  }
};

ServerContext::ServerContext(ServerSettings settings, std::shared_ptr<TicketKeys> tickets)
    : Context(Side::server, kCauses),
      settings_(std::move(settings)),
      tickets_(std::move(tickets)) {}

std::shared_ptr<const ServerContext> ServerContext::make(ServerSettings settings,
                                                         std::shared_ptr<TicketKeys> tickets,
                                                         std::vector<Problem>& problems) {
  std::shared_ptr<ServerContext> made(new ServerContext(std::move(settings), std::move(tickets)));
  if (!made->build(problems)) return nullptr;
  return made;
}

bool ServerContext::build(std::vector<Problem>& problems) {
  for (const std::string& protocol : settings_.alpn) {
    alpn_.push_back(static_cast<unsigned char>(protocol.size()));
    alpn_.insert(alpn_.end(), protocol.begin(), protocol.end());
  }
  if (settings_.certificates.empty()) {
    add_error(problems, "there is no certificate that can be used");
    return false;
  }
  const Choices choices = choices_of_names();
  for (const auto& [name, choice] : choices) {
    SSL_CTX* context = context_of(choice, problems);
    if (context == nullptr) return false;
    names_.emplace(name, context);
  }
  const std::vector<std::string>& first = settings_.certificates.front()->names();
  default_ = context_of(first.empty() ? Choice{0} : choices.at(first.front()), problems);
  return default_ != nullptr;
}

// Of two certificates of one type for one name the first is used.
ServerContext::Choices ServerContext::choices_of_names() const {
  Choices choices;
  for (std::size_t i = 0; i < settings_.certificates.size(); ++i) {
    const Certificate::Type type = settings_.certificates[i]->type();
    for (const std::string& name : settings_.certificates[i]->names()) {
      Choice& choice = choices[name];
      const bool have = std::ranges::any_of(
          choice, [&](std::size_t other) { return settings_.certificates[other]->type() == type; });
      if (!have) choice.push_back(i);
    }
  }
  return choices;
}

SSL_CTX* ServerContext::context_of(const Choice& choice, std::vector<Problem>& problems) {
  SslContextPtr& context = contexts_[choice];
  if (context != nullptr) return context.get();
  SslContextPtr made = new_context(TLS_server_method());
  if (!configure(made.get(), choice, problems)) return nullptr;
  context = std::move(made);
  return context.get();
}

bool ServerContext::configure(SSL_CTX* context, const Choice& choice,
                              std::vector<Problem>& problems) const {
  configure_protocol(context, settings_.version_min);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, kTicketSeconds);
  // A client that comes back with as many connections as before has a ticket for each.
  SSL_CTX_set_num_tickets(context, 1);
  for (const std::size_t index : choice) {
    const Certificate& certificate = *settings_.certificates[index];
    if (!use_certificate(context, certificate)) {
      add_error(problems, "the certificate in " + certificate.file() +
                              " cannot be used: " + openssl_reason());
      return false;
    }
  }
  if (!configure_clients(context, problems)) return false;
  bind_tickets(context);
  SSL_CTX_set_tlsext_servername_callback(context, ServerCallbacks::choose_certificate);
  SSL_CTX_set_alpn_select_cb(context, ServerCallbacks::choose_protocol, nullptr);
  SSL_CTX_set_tlsext_status_cb(context, ServerCallbacks::staple);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ServerCallbacks::ticket_key);
  return true;
}

// A ticket holds whom its client has proved to be, so it is good only where the same is asked:
// where another authority is trusted, or one more certificate revoked, it has to be proved again.
void ServerContext::bind_tickets(SSL_CTX* context) const {
  std::string asked = std::to_string(static_cast<int>(settings_.client_auth)) + ' ' +
                      std::to_string(settings_.client_depth);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const STACK_OF(X509_OBJECT)* trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(trusted); ++i) {
    const X509_OBJECT* object = sk_X509_OBJECT_value(trusted, i);
    const X509* authority = X509_OBJECT_get0_X509(object);
    WEIR_CHECK((authority != nullptr
                    ? X509_digest(authority, algorithms().sha256, digest.data(), &size)
                    : X509_CRL_digest(X509_OBJECT_get0_X509_CRL(object), algorithms().sha256,
                                      digest.data(), &size)) == 1);
    asked.append(reinterpret_cast<const char*>(digest.data()), size);
  }
  WEIR_CHECK(EVP_Digest(asked.data(), asked.size(), digest.data(), &size, algorithms().sha256,
                        nullptr) == 1);
  SSL_CTX_set_session_id_context(context, digest.data(), std::min(size, 32u));
}

bool ServerContext::configure_clients(SSL_CTX* context, std::vector<Problem>& problems) const {
  if (settings_.client_auth == ClientAuth::off) return true;
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  const std::string& file = settings_.client_ca;
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file.c_str());
  if (names == nullptr || X509_STORE_load_file(store, file.c_str()) != 1) {
    add_error(problems, "the authorities of client certificates cannot be read from " + file +
                            ": " + openssl_reason());
    return false;
  }
  SSL_CTX_set_client_CA_list(context, names);
  if (!settings_.client_crl.empty()) {
    X509_LOOKUP* lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    const std::string& lists = settings_.client_crl;
    if (lookup == nullptr || X509_load_crl_file(lookup, lists.c_str(), X509_FILETYPE_PEM) <= 0) {
      add_error(problems,
                "the revocation list cannot be read from " + lists + ": " + openssl_reason());
      return false;
    }
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  }
  const bool required = settings_.client_auth == ClientAuth::required;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  SSL_CTX_set_verify_depth(context, settings_.client_depth);
  return true;
}

SSL_CTX* ServerContext::find(std::string_view server_name) const {
  const std::string name = canonical_name(server_name);
  if (const auto found = names_.find(name); found != names_.end()) return found->second;
  if (const std::size_t dot = name.find('.'); dot != std::string::npos && dot > 0) {
    const auto found = names_.find("*" + name.substr(dot));
    if (found != names_.end()) return found->second;
  }
  return default_;
}

const Certificate* ServerContext::certificate_of(const X509* leaf) const {
  for (const auto& each : settings_.certificates) {
    if (each->leaf() == leaf) return each.get();
  }
  return nullptr;
}

}  // namespace weir::tls
