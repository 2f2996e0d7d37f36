// SPDX-License-Identifier: Apache-2.0
//
// The first message of a TLS client, which is sent in the clear: read to learn which name it wants,
// without ending TLS. Bytes in, values out. RFC 8446 section 4.1.2; RFC 5246 section 7.4.1.2.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace weir::tls {

struct ClientHello {
  std::string name;       ///< SNI (RFC 6066 section 3), in lower case; empty: none was sent
  std::string protocols;  ///< ALPN (RFC 7301 section 3.1): each with a byte of its length before it

  [[nodiscard]] bool offers(std::string_view protocol) const;
};

/// Reads a ClientHello at the front of `bytes`, from however many records it is in. Returns their
/// size, or 0 when more bytes are needed. Fails with client_hello_missing as soon as it can be none
/// (another protocol, a length that does not fit, more than kClientHelloMax), and where its name
/// would have two readings. Versions, cipher suites and extensions that are not known, GREASE
/// (RFC 8701) among them, are passed over.
Result<std::size_t> parse_client_hello(Bytes bytes, ClientHello& hello);

}  // namespace weir::tls
