// SPDX-License-Identifier: Apache-2.0
//
// TLS as a byte stream over a byte stream, with OpenSSL between our own buffers. What arrives is
// received into a chunk and decrypted into the chunk of the receive that waits for it; what is sent
// is encrypted, several records at once, into one chunk that leaves with one send. A stream that
// waits holds no chunk and none of OpenSSL's record buffers.
//
// A close_notify is the peer's proper end. A connection that ends without one is an error,
// Code::closed: between messages nobody minds, but a body that ends with its connection, or a
// tunnel, may have been cut by somebody in between. RFC 8446 section 6.1.
//
// A handshake computes for long, so its steps go by the loop's `heavy` queue, one in a turn.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/stream.h"

namespace weir::tls {

class ServerContext;

/// What the two sides have agreed on. Views live as long as the stream.
struct Facts {
  std::string_view alpn;         ///< "h2", "http/1.1", or empty: none was agreed on
  std::string_view server_name;  ///< what the client asked for (SNI), as it spelled it; or empty
  std::string_view version;      ///< "TLSv1.3"
  std::string_view cipher;       ///< "TLS_AES_128_GCM_SHA256"
  bool resumed = false;          ///< an earlier session goes on
};

/// Of a certificate that was verified.
struct PeerCertificate {
  std::string subject;      ///< "CN=alice,O=Example": RFC 2253
  std::string issuer;       ///< likewise
  std::string serial;       ///< hexadecimal
  std::string fingerprint;  ///< SHA-256 of the certificate, hexadecimal
};

/// Owned by whoever owns the connection. Only its loop's thread touches it.
class Stream final : public io::Stream, public Pooled {
 public:
  /// The server's side of a connection, before its handshake.
  static std::unique_ptr<Stream> of_server(std::shared_ptr<const ServerContext> context,
                                           io::Stream& below);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() override;

  struct HandshakeOp : io::Op {
    Result<void> result;
  };
  /// Before anything else. True when it is complete at once. `limit` is for the whole of it. An
  /// error has a cause (tls_…) if it is the peer's fault; the peer was told by an alert if it
  /// speaks TLS. Without one it left.
  bool start_handshake(HandshakeOp& op, Millis limit);
  /// `co_await stream.handshake(limit)` → Result<void>.
  auto handshake(Millis limit) {
    struct Awaiter : HandshakeOp {
      Stream& stream;
      Millis limit;
      Awaiter(Stream& s, Millis l) : stream(s), limit(l) {}
      bool await_ready() { return stream.start_handshake(*this, limit); }
      void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
      Result<void> await_resume() { return result; }
    };
    return Awaiter(*this, limit);
  }

  /// The bytes go over another stream of the same loop from now on: the connection has changed
  /// hands. Nothing may be under way. Its old one is not touched any more.
  void rebind(io::Stream& below);

  // After the handshake.
  [[nodiscard]] Facts facts() const;
  /// Nothing when the client gave none. Made anew by each call.
  [[nodiscard]] std::optional<PeerCertificate> peer_certificate() const;
  /// Whether the certificate that was shown to the client is one of this host.
  [[nodiscard]] bool covers(std::string_view host) const;

  // io::Stream
  bool start_recv(io::RecvOp& op, Millis stall) override;
  bool start_send(io::SendOp& op, Millis stall) override;
  void set_recv_deadline(Millis stall) override;
  void cancel(Error why) override;
  void cancel_recv(Error why) override;
  /// Sends close_notify and then the end of the connection's direction below. When that leaves
  /// with the last bytes (SendOp::More::end) it has been sent already.
  void shutdown_write() override;
  /// An orderly close says close_notify, as far as it can be said without waiting.
  void close(Close how) override;
  io::Socket* plain_socket() override { return nullptr; }
};

}  // namespace weir::tls
