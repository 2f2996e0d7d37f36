// SPDX-License-Identifier: Apache-2.0
//
// The proof that a server has understood an upgrade to WebSocket (RFC 6455 section 4). HTTP/2 has
// no need of it (RFC 8441 section 5), and a server that is asked in HTTP/1 has.
#pragma once

#include <string>
#include <string_view>

#include "proxy/context.h"

namespace weir::proxy {

/// A new Sec-WebSocket-Key: 16 bytes in base64.
[[nodiscard]] std::string websocket_key(Random& random);
/// The Sec-WebSocket-Accept that belongs to a key. RFC 6455 section 4.2.2.
[[nodiscard]] std::string websocket_accept(std::string_view key);

}  // namespace weir::proxy
