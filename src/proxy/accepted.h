// SPDX-License-Identifier: Apache-2.0
//
// A client's connection between two connection objects: from the listener to what reads the first
// bytes, and from there to whatever protocol they say is spoken. Moved, never shared; whoever holds
// it last closes it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "io/address.h"
#include "io/chunk.h"
#include "io/io.h"
#include "io/tcp_stream.h"
#include "tls/stream.h"

namespace weir::proxy {

/// Bytes that were received and not consumed, with the buffer that they stand in.
struct Unread {
  io::Chunk chunk;
  std::span<char> bytes;  ///< in `chunk`
};

struct Accepted {
  io::Socket* socket = nullptr;  ///< owned: to be closed
  io::Peer peer;                 ///< the client: who is connected, or of whom a PROXY header told
  Unread unread = {};
  /// Where the client connected to, if a PROXY header has said so.
  std::unique_ptr<const io::Peer> destination = {};
  std::string name = {};                  ///< that its ClientHello wants, if one was looked at
  std::unique_ptr<tls::Stream> tls = {};  ///< over the socket, after its handshake; or plain
  std::uint16_t https_port = 0;           ///< every request is redirected there; 0: none is
};

/// The stream of a connection that was taken over: its socket, or TLS over it.
class Wire {
 public:
  Wire(io::Loop& loop, Accepted& accepted) : tcp_(loop, accepted.socket) {
    const bool more = accepted.tls != nullptr || accepted.destination != nullptr;
    if (!more && accepted.https_port == 0) return;
    more_.reset(new More{
        {}, std::move(accepted.tls), std::move(accepted.destination), accepted.https_port});
    if (more_->tls != nullptr) more_->tls->rebind(tcp_);
  }
  [[nodiscard]] io::Stream& stream() {
    return has_tls() ? static_cast<io::Stream&>(*more_->tls) : tcp_;
  }
  [[nodiscard]] const io::Stream& stream() const {
    return has_tls() ? static_cast<const io::Stream&>(*more_->tls) : tcp_;
  }
  /// For splice; nullptr if the bytes on it are not those of the stream.
  [[nodiscard]] io::TcpStream* plain() { return has_tls() ? nullptr : &tcp_; }
  [[nodiscard]] const tls::Stream* tls() const { return has_tls() ? more_->tls.get() : nullptr; }
  /// nullptr: nobody has told.
  [[nodiscard]] const io::Peer* destination() const {
    return more_ != nullptr ? more_->destination.get() : nullptr;
  }
  /// Accepted::https_port.
  [[nodiscard]] std::uint16_t https_port() const {
    return more_ != nullptr ? more_->https_port : std::uint16_t{0};
  }
  /// Gives the connection up. Nothing is under way.
  [[nodiscard]] Accepted release(const io::Peer& peer, Unread unread) {
    Accepted accepted{tcp_.release(), peer, std::move(unread)};
    if (more_ != nullptr) {
      accepted.tls = std::move(more_->tls);
      accepted.destination = std::move(more_->destination);
      accepted.https_port = more_->https_port;
    }
    return accepted;
  }

 private:
  /// What few connections have: idle ones are many.
  struct More : Pooled {
    std::unique_ptr<tls::Stream> tls;
    std::unique_ptr<const io::Peer> destination;
    std::uint16_t https_port = 0;
  };
  [[nodiscard]] bool has_tls() const { return more_ != nullptr && more_->tls != nullptr; }

  io::TcpStream tcp_;
  std::unique_ptr<More> more_;  // ends before what is below its TLS
};

}  // namespace weir::proxy
