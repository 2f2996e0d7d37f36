// SPDX-License-Identifier: Apache-2.0
//
// The handshake of a connection, by OpenSSL, between strings: bytes in, bytes out, and in the end
// what the records behind it need. It is gone when the handshake is over, and with it what it took.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "async/frame_pool.h"
#include "base/error.h"
#include "base/time.h"
#include "tls/context.h"
#include "tls/key_schedule.h"
#include "tls/openssl.h"
#include "tls/records.h"

namespace weir::tls {

struct KnownServer;

/// Of a certificate that was verified.
struct PeerCertificate {
  std::string subject;      ///< "CN=alice,O=Example": RFC 2253
  std::string issuer;       ///< likewise
  std::string serial;       ///< hexadecimal
  std::string fingerprint;  ///< SHA-256 of the certificate, hexadecimal
};

/// What the two sides have agreed on.
struct Facts : Pooled {
  std::string alpn;
  std::string server_name;
  std::string_view version;  ///< static text, as the next one
  std::string_view cipher;
  bool resumed = false;
  const Certificate* shown = nullptr;  ///< of the context; nullptr: resumed without one
  std::unique_ptr<const PeerCertificate> peer;
};

class Handshake final : public Pooled, private SecretWatcher {
 public:
  /// The server's side.
  explicit Handshake(std::shared_ptr<const Context> context);
  /// The client's side.
  explicit Handshake(std::shared_ptr<KnownServer> server);
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;
  ~Handshake();

  enum class Step : std::uint8_t { more, done };
  /// Goes on with what has come: takes what it needs of `input` (after done: what is left belongs
  /// to the records) and appends what is to be sent to `output`, also when it fails.
  Result<Step> step(Bytes& input, std::string& output, WallTime now);

  /// After done.
  std::unique_ptr<Facts> take_facts();
  void begin_records(Records& receiving, Records& sending) const;
  /// The most content of a record that the client takes. RFC 6066 section 4.
  [[nodiscard]] std::size_t content_max() const;

  /// Of the client's side, after done: a whole record as it came, with a session ticket. The
  /// records since the handshake were such ones, too: RFC 8446 section 4.6.1.
  void take_ticket(Bytes record);

  // For callbacks of OpenSSL.
  [[nodiscard]] const Context& context() const { return *context_; }
  [[nodiscard]] WallTime now() const { return now_; }
  /// True: it is kept.
  [[nodiscard]] bool learn_session(SSL_SESSION* session);

 private:
  friend struct Buffers;
  void begin();
  void secret_derived(Bytes label, std::span<const unsigned char> secret) override;
  [[nodiscard]] Error failure() const;
  [[nodiscard]] std::unique_ptr<const PeerCertificate> peer_certificate() const;

  std::shared_ptr<const Context> context_;
  std::shared_ptr<KnownServer> server_;  // of the client's side
  SslPtr ssl_;
  Bytes* input_ = nullptr;  // during step()
  std::string* output_ = nullptr;
  WallTime now_{};
  std::uint64_t records_sent_ = 0;  // with the new key
  Secret receiving_;                // of TLS 1.3
  Secret sending_;
};

}  // namespace weir::tls
