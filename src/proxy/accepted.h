// SPDX-License-Identifier: Apache-2.0
//
// A client's connection between two connection objects: from the listener to what reads the first
// bytes, and from there to whatever protocol they say is spoken. Moved, never shared; whoever holds
// it last closes it.
#pragma once

#include <span>

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
  io::Peer peer;
  Unread unread;
};

}  // namespace weir::proxy
