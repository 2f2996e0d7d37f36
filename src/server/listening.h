// SPDX-License-Identifier: Apache-2.0
//
// From a configured address to a listening socket, and what to say when that is not possible.
#pragma once

#include <string>

#include "config/config.h"
#include "io/address.h"

namespace weir::server {

/// The socket address of an IP or unix address; "" as host is any address.
Result<io::SocketAddress> listen_address(const config::Address& address);

/// Binds and listens. Any address is "[::]" for both families, or 0.0.0.0 where there is no IPv6.
Result<int> listen_any(const config::Listen& listen);

/// A sentence for the operator, with what to do about it.
std::string bind_failure(const config::Listen& listen, const Error& error);

}  // namespace weir::server
