// SPDX-License-Identifier: Apache-2.0
//
// TLS for load and origin, between programs on one machine that know each other: nobody is
// verified. There is one version, one cipher and one key exchange, so that every proxy does the
// same work.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>

namespace weir::bench {

struct TlsFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* connection) const { SSL_free(connection); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using SslPointer = std::unique_ptr<SSL, TlsFree>;
using SessionPointer = std::unique_ptr<SSL_SESSION, TlsFree>;

/// What all connections of one program share. It outlives them.
class Tls {
 public:
  /// What a client does with the tickets that it gets.
  enum class Tickets : std::uint8_t { forget, use };

  /// A client that offers `protocol` alone, "h2" or "http/1.1".
  static Tls client(const std::string& protocol, Tickets tickets);
  /// A server that speaks both, as the client prefers. Both are names of PEM files.
  static Tls server(const std::string& certificate, const std::string& key);

  /// The connection of socket `fd`; a ticket puts the newest session of it into `session`, which
  /// stays where it is, and so continues the session of the connection before. Never null.
  [[nodiscard]] SslPointer connection(int fd, SessionPointer& session) const;

 private:
  explicit Tls(const SSL_METHOD* method);

  std::unique_ptr<SSL_CTX, TlsFree> context_;
};

}  // namespace weir::bench
