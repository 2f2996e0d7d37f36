// SPDX-License-Identifier: Apache-2.0
//
// A client's connection between two connection objects: from the listener to what reads the first
// bytes, and from there to whatever protocol they say is spoken. Moved, never shared; whoever holds
// it last closes it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "io/address.h"
#include "io/chunk.h"
#include "io/io.h"
#include "io/tcp_stream.h"
#include "tls/stream.h"

namespace weir::proxy {

class Handler;

/// Bytes that were received and not consumed, with the buffer that they stand in.
struct Unread {
  io::Chunk chunk;
  std::span<char> bytes;  ///< in `chunk`

  /// The bytes as a chunk of their own; empty if there are none. It takes the place of the other.
  [[nodiscard]] io::Chunk take_whole(io::ChunkPool& pool) {
    if (bytes.size() == chunk.size()) return std::move(chunk);
    io::Chunk whole;
    if (bytes.empty()) return whole;
    pool.allocate_beyond(bytes.size(), whole);
    std::ranges::copy(bytes, whole.room().begin());
    whole.grow(bytes.size());
    return whole;
  }
};

/// What few connections have: kept apart, because an idle connection is to be small.
struct Arrival {
  Handler* handler = nullptr;           ///< what answers instead of the routes
  std::uint16_t https_port = 0;         ///< every request is redirected there; 0: none is
  std::optional<io::Peer> destination;  ///< where the client went, if a PROXY header has said so
  std::string name;                     ///< that its ClientHello wants, if one was looked at
};

/// The destination of which a PROXY header told; nullptr if none did.
inline const io::Peer* told_of(const Arrival* arrival) {
  const bool told = arrival != nullptr && arrival->destination.has_value();
  return told ? &*arrival->destination : nullptr;
}

struct Accepted {
  io::Socket* socket = nullptr;  ///< owned: to be closed
  io::Peer peer;                 ///< the client: who is connected, or of whom a PROXY header told
  Unread unread = {};
  std::unique_ptr<tls::Stream> tls = {};  ///< over the socket, after its handshake; or plain
  std::unique_ptr<Arrival> arrival = {};  ///< nullptr: there is nothing to say

  /// For who has something to say.
  [[nodiscard]] Arrival& say() {
    if (arrival == nullptr) arrival = std::make_unique<Arrival>();
    return *arrival;
  }
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
  [[nodiscard]] Accepted release(const io::Peer& peer, Unread unread,
                                 std::unique_ptr<Arrival> arrival) {
    return {tcp_.release(), peer, std::move(unread), std::move(tls_), std::move(arrival)};
  }

 private:
  io::TcpStream tcp_;
  std::unique_ptr<tls::Stream> tls_;  // ends before what is below it
};

}  // namespace weir::proxy
