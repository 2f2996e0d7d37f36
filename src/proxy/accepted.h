// SPDX-License-Identifier: Apache-2.0
//
// A client's connection between two connection objects: from the listener to what reads the first
// bytes, and from there to whatever protocol they say is spoken. Moved, never shared; whoever holds
// it last closes it.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "io/address.h"
#include "io/chunk.h"
#include "io/io.h"

namespace weir::proxy {

/// Bytes that were received and not consumed, with the buffer that they stand in.
struct Unread {
  io::Chunk chunk;
  std::span<char> bytes;  ///< in `chunk`
};

struct Accepted {
  io::Socket* socket = nullptr;  ///< owned: to be closed
  io::Peer peer;                 ///< the client: who is connected, or of whom a PROXY header told
  Unread unread;
  /// Where the client connected to, if a PROXY header has said so.
  std::unique_ptr<const io::Peer> destination = {};
  std::string name = {};  ///< that its ClientHello wants, if one was looked at
};

}  // namespace weir::proxy
