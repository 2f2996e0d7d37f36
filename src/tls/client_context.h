// SPDX-License-Identifier: Apache-2.0
//
// What an upstream needs to be the client's side of TLS: whom it trusts, what it shows. Immutable,
// shared by all workers; a reload makes a new one, and connections keep the one they began with.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tls/certificate.h"
#include "tls/context.h"
#include "tls/secrets.h"

namespace weir::tls {

/// Certificates of authorities, to verify against. Immutable, shared.
class Authorities {
 public:
  /// Of a file in PEM format. Nothing if it cannot be; `problems` says why.
  static std::shared_ptr<const Authorities> load(const std::string& file,
                                                 std::vector<Problem>& problems);
  /// Those that the system trusts: of Debian's file, or of SSL_CERT_FILE and SSL_CERT_DIR.
  static std::shared_ptr<const Authorities> of_system(std::vector<Problem>& problems);
  [[nodiscard]] X509_STORE* store() const { return store_.get(); }

 private:
  friend class ClientContext;
  using StorePtr = std::unique_ptr<X509_STORE, Freeing<X509_STORE_free>>;
  explicit Authorities(StorePtr store) : store_(std::move(store)) {}
  StorePtr store_;
};

/// SHA-256 of a certificate's public key (its SubjectPublicKeyInfo). RFC 7469 section 2.4.
using Pin = std::array<unsigned char, 32>;

struct ClientSettings {
  std::shared_ptr<const Authorities> authorities;  ///< nullptr: servers are not verified
  std::shared_ptr<const Certificate> certificate;  ///< shown to servers that ask; nullptr: none
  std::vector<Pin> pins;  ///< the server's key has to be one of them; empty: any
  std::string alpn;       ///< the one protocol that is offered; empty: none
  Protocol version_min = Protocol::tls12;
};

/// A server by the name that its certificate has to have, with the session that the next connection
/// resumes. Belongs to one worker, and to one ClientContext.
struct KnownServer {
  KnownServer(std::string server, std::shared_ptr<const Context> use)
      : name(std::move(server)), context(std::move(use)) {}
  const std::string name;  ///< of DNS, or an IP address
  const std::shared_ptr<const Context> context;
  SslSessionPtr session;
};

class ClientContext final : public Context {
 public:
  /// Nothing if it cannot be; `problems` says why.
  static std::shared_ptr<const ClientContext> make(ClientSettings settings,
                                                   std::vector<Problem>& problems);

  [[nodiscard]] SSL_CTX* first() const override { return context_.get(); }
  [[nodiscard]] const Certificate* certificate_of(const X509*) const override { return nullptr; }
  [[nodiscard]] const ClientSettings& settings() const { return settings_; }

  /// For Handshake: before the first step, and after the last.
  static void prepare(SSL* ssl, const KnownServer& server);
  [[nodiscard]] Result<void> accept(const SSL* ssl) const;

 private:
  explicit ClientContext(ClientSettings settings);
  bool build(std::vector<Problem>& problems);

  ClientSettings settings_;
  SslContextPtr context_;
};

}  // namespace weir::tls
