// SPDX-License-Identifier: Apache-2.0
//
// Addresses and networks as people write them.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "config/config.h"
#include "config/report.h"

namespace weir::config {

enum class AddressUse : std::uint8_t {
  listen,  ///< ":8080", "8080", "0.0.0.0:80", "[::]:80", "localhost:80", "unix:/path"; port 0 is
           ///< allowed; "localhost" becomes 127.0.0.1, other names are refused
  server,  ///< "localhost:3000", "10.0.0.1:80", "http://host[:port]", "https://host[:port]",
           ///< "unix:/path"; ":3000" and
           ///< "3000" mean localhost
};

std::expected<Address, Complaint> parse_address(std::string_view text,
                                                AddressUse use = AddressUse::listen);

/// "10.0.0.0/8", "::1", "fd00::/8". Bits beyond the prefix are cleared.
std::expected<Network, Complaint> parse_network(std::string_view text);

/// "10.0.0.0/8"; the inverse of parse_network.
std::string show_network(const Network& network);

/// Whether only this machine can reach it.
bool is_local(const Address& address);

}  // namespace weir::config
