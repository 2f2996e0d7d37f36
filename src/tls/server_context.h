// SPDX-License-Identifier: Apache-2.0
//
// What a listener needs to be the server's side of TLS: certificates by name, versions, protocols
// above, client certificates, ticket keys. Immutable, shared by all workers; a reload makes a new
// one, and connections keep the one they began with.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tls/certificate.h"
#include "tls/context.h"
#include "tls/secrets.h"
#include "tls/ticket_keys.h"

namespace weir::tls {

enum class ClientAuth : std::uint8_t { off, optional, required };

struct ServerSettings {
  std::vector<std::shared_ptr<const Certificate>> certificates;  ///< the first is the default
  Protocol version_min = Protocol::tls12;
  std::vector<std::string> alpn = {"h2", "http/1.1"};  ///< the first that the client knows is used
  ClientAuth client_auth = ClientAuth::off;
  std::string client_ca;   ///< a file of certificates in PEM format
  std::string client_crl;  ///< likewise of revocation lists; empty: none
  int client_depth = 3;    ///< certificates between a client's and its authority's
};

class ServerContext final : public Context {
 public:
  /// Nothing if it cannot be; `problems` says why, and what else there is to say.
  static std::shared_ptr<const ServerContext> make(ServerSettings settings,
                                                   std::shared_ptr<TicketKeys> tickets,
                                                   std::vector<Problem>& problems);

  [[nodiscard]] SSL_CTX* first() const override { return default_; }
  [[nodiscard]] const Certificate* certificate_of(const X509* leaf) const override;
  [[nodiscard]] const ServerSettings& settings() const { return settings_; }

 private:
  friend struct ServerCallbacks;
  using Choice = std::vector<std::size_t>;  // certificates, at most one of each type

  ServerContext(ServerSettings settings, std::shared_ptr<TicketKeys> tickets);
  bool build(std::vector<Problem>& problems);
  using Choices = std::map<std::string, Choice, std::less<>>;  // by name
  [[nodiscard]] Choices choices_of_names() const;
  SSL_CTX* context_of(const Choice& choice, std::vector<Problem>& problems);
  bool configure(SSL_CTX* context, const Choice& choice, std::vector<Problem>& problems) const;
  void bind_tickets(SSL_CTX* context) const;
  bool configure_clients(SSL_CTX* context, std::vector<Problem>& problems) const;
  /// Of the certificates for this name, or the default.
  [[nodiscard]] SSL_CTX* find(std::string_view server_name) const;

  ServerSettings settings_;
  std::shared_ptr<TicketKeys> tickets_;
  std::vector<unsigned char> alpn_;  // as it is compared: RFC 7301 section 3.1
  std::map<std::string, SSL_CTX*, std::less<>> names_;
  std::map<Choice, SslContextPtr> contexts_;
  SSL_CTX* default_ = nullptr;
};

}  // namespace weir::tls
