// SPDX-License-Identifier: Apache-2.0
//
// The key schedule of TLS 1.3 (RFC 8446 section 7.1) for OpenSSL's handshakes, as a provider
// (provider-kdf(7)) in place of its own: OpenSSL 3.0 looks each of its eighteen derivations up by
// name and sets it up from nothing, and says what traffic secrets it has derived only as text that
// sprintf makes byte by byte. Together that was a fifth of a handshake's instructions.
#pragma once

#include <span>
#include <utility>

#include "base/bytes.h"
#include "tls/openssl.h"

namespace weir::tls {

/// Told of what a handshake derives.
class SecretWatcher {
 public:
  /// `label`: as in RFC 8446 section 7.1, "c ap traffic".
  virtual void secret_derived(Bytes label, std::span<const unsigned char> secret) = 0;

 protected:
  ~SecretWatcher() = default;
};

/// While it lives the watcher is told of all that is derived on this thread.
class WatchSecrets {
 public:
  explicit WatchSecrets(SecretWatcher& watcher);
  ~WatchSecrets();
  WatchSecrets(const WatchSecrets&) = delete;
  WatchSecrets& operator=(const WatchSecrets&) = delete;

 private:
  SecretWatcher* before_;
};

/// Whose handshakes use this key schedule.
SslContextPtr new_context(const SSL_METHOD* method);

}  // namespace weir::tls
