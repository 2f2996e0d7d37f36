// SPDX-License-Identifier: Apache-2.0
//
// Bytes over a socket that does not block, in the clear or under TLS. Owned by a connection of load
// or origin, and as these on one thread.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "tls.h"

namespace weir::bench {

class Channel {
 public:
  enum class Handshake : std::uint8_t { done, later, failed };

  Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  Channel(Channel&&) = delete;
  Channel& operator=(Channel&&) = delete;
  ~Channel() { close(); }

  /// Takes the socket over.
  void open(int fd);
  /// From here on TLS, which is not established() yet. `tls` outlives this.
  void secure(const Tls& tls);
  /// Goes on with the handshake; to be called at every event until the channel is established().
  Handshake handshake();
  /// Bytes may flow.
  [[nodiscard]] bool established() const { return established_; }
  [[nodiscard]] bool secured() const { return tls_ != nullptr; }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(tls_.get()) == 1; }
  /// What ALPN has chosen; empty if nothing.
  [[nodiscard]] std::string_view protocol() const;

  /// Sends from the front of `pieces`; returns how many bytes, 0 when there is no room, -1 when the
  /// connection is broken.
  ssize_t send(std::span<const iovec> pieces);
  /// How many bytes came; 0 at the end, whether it is a good one or not; -1 when none is there.
  ssize_t receive(std::span<char> into);
  /// The same for up to `size` bytes that are only to be counted. `scratch` has room for a record.
  ssize_t discard(std::uint64_t size, std::span<char> scratch);
  /// The last receive() took all that was there: the next byte is a new event.
  [[nodiscard]] bool drained() const { return drained_; }

  [[nodiscard]] int fd() const { return fd_; }
  void close();

 private:
  static long note_short_reads(BIO* bio, int operation, const char* data, std::size_t size, int,
                               long, int result, std::size_t* processed);
  ssize_t send_secured(std::span<const iovec> pieces);
  ssize_t receive_clear(char* into, std::size_t size, int flags);
  ssize_t receive_secured(std::span<char> into);
  void say_goodbye();

  int fd_ = -1;
  bool established_ = false;
  bool drained_ = false;
  bool short_read_ = false;  // of the socket, by OpenSSL
  SslPointer tls_;
  SessionPointer session_;  // stays when the connection is closed
};

}  // namespace weir::bench
