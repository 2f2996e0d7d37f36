// SPDX-License-Identifier: Apache-2.0
//
// Both ends of a client's connection, as a PROXY header tells them from one proxy to the next.
#pragma once

#include "io/address.h"
#include "io/stream.h"

namespace weir::proxy {

struct Ends {
  io::Peer source;       ///< the client
  io::Peer destination;  ///< where it connected to
  bool operator==(const Ends&) const = default;
};

/// Of a connection from `source` on this stream. `told`: where the client connected to if the proxy
/// before us said so, otherwise nullptr. May cost a system call.
inline Ends ends_of(const io::Stream& stream, const io::Peer& source, const io::Peer* told) {
  return {source, told != nullptr ? *told : stream.local_end()};
}

}  // namespace weir::proxy
