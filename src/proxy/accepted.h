// SPDX-License-Identifier: Apache-2.0
//
// A client's connection between two connection objects: from the listener to what reads the first
// bytes, and from there to whatever protocol they say is spoken. Moved, never shared; whoever holds
// it last closes it.
#pragma once

#include <memory>
#include <span>
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
  io::Peer peer;
  Unread unread = {};
  std::unique_ptr<tls::Stream> tls = {};  ///< over the socket, after its handshake; or plain
  std::uint16_t https_port = 0;      ///< every request is redirected there; 0: none is
};

/// The stream of a connection that was taken over: its socket, or TLS over it.
class Wire {
 public:
  Wire(io::Loop& loop, Accepted& accepted)
      : tcp_(loop, accepted.socket), tls_(std::move(accepted.tls)) {
    if (tls_ != nullptr) tls_->rebind(tcp_);
  }
  [[nodiscard]] io::Stream& stream() {
    return tls_ != nullptr ? static_cast<io::Stream&>(*tls_) : tcp_;
  }
  [[nodiscard]] const io::Stream& stream() const {
    return tls_ != nullptr ? static_cast<const io::Stream&>(*tls_) : tcp_;
  }
  /// For splice; nullptr if the bytes on it are not those of the stream.
  [[nodiscard]] io::TcpStream* plain() { return tls_ != nullptr ? nullptr : &tcp_; }
  [[nodiscard]] const tls::Stream* tls() const { return tls_.get(); }
  /// Gives the connection up. Nothing is under way.
  [[nodiscard]] Accepted release(const io::Peer& peer, Unread unread, std::uint16_t https_port) {
    return {tcp_.release(), peer, std::move(unread), std::move(tls_), https_port};
  }

 private:
  io::TcpStream tcp_;
  std::unique_ptr<tls::Stream> tls_;  // ends before what is below it
};

}  // namespace weir::proxy
