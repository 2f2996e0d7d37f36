// SPDX-License-Identifier: Apache-2.0
//
// What all handshakes of one side have in common: of a listener (server_context.h) or of an
// upstream (client_context.h).
#pragma once

#include <cstdint>

#include "base/error.h"
#include "tls/openssl.h"
#include "tls/secrets.h"

namespace weir::tls {

class Certificate;

enum class Side : std::uint8_t { server, client };

/// What it means when something goes wrong with the other side.
struct Causes {
  Cause left;        ///< it has gone during the handshake
  Cause failed;      ///< the handshake has failed
  Cause timeout;     ///< the handshake took too long
  Cause bad_record;  ///< behind the handshake
};

/// Immutable, shared by all workers.
class Context {
 public:
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context() = default;

  [[nodiscard]] Side side() const { return side_; }
  [[nodiscard]] const Causes& causes() const { return causes_; }
  /// What a handshake begins with.
  [[nodiscard]] virtual SSL_CTX* first() const = 0;
  /// Of those that this side shows; nullptr if it is none of them.
  [[nodiscard]] virtual const Certificate* certificate_of(const X509* leaf) const = 0;

 protected:
  Context(Side side, const Causes& causes) : side_(side), causes_(causes) {}

 private:
  Side side_;
  const Causes& causes_;
};

/// Versions, ciphers and groups, the same on both sides.
void configure_protocol(SSL_CTX* context, Protocol version_min);
/// With its key and its chain. False: OpenSSL says why.
bool use_certificate(SSL_CTX* context, const Certificate& certificate);

}  // namespace weir::tls
