// SPDX-License-Identifier: Apache-2.0
//
// The PROXY protocol of HAProxy, versions 1 and 2: the bytes before everything else on a connection
// by which one proxy tells the next whose connection it is. Bytes in, values out. The clauses are
// those of HAProxy's doc/proxy-protocol.txt.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "config/config.h"
#include "proxy/ends.h"

namespace weir::proxy {

struct ProxyHeader {
  /// `own`: what is known of the connection itself is all that there is to know: LOCAL (a health
  /// check of the proxy's), UNKNOWN, and families that have no IP address (a unix socket).
  enum class Tells : std::uint8_t { own, ends };
  Tells tells = Tells::own;
  Ends ends;  ///< IP addresses both
};

/// Reads the header at the front of `bytes`. Returns its size, or 0 when more bytes are needed.
/// Fails with proxy_header_missing when it begins like neither version, with proxy_header_malformed
/// when it is one that cannot be believed, or larger than kProxyHeaderMax. The additions of version
/// 2 (TLVs) are passed over, but they must be whole, and a checksum among them must be right.
Result<std::size_t> parse_proxy_header(Bytes bytes, ProxyHeader& header);

/// The longest that is made: 16 bytes and two IPv6 addresses with ports, or a line of version 1.
inline constexpr std::size_t kProxyHeaderSpace = 107;
using ProxyHeaderSpace = std::array<char, kProxyHeaderSpace>;

/// The header for these ends, in memory of the caller's; empty if it is off. What did not come by
/// IP is unknown in version 1 and unspecified in version 2.
std::string_view make_proxy_header(config::ProxyProtocol version, const Ends& ends,
                                   ProxyHeaderSpace& space);

}  // namespace weir::proxy
