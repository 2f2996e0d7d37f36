// SPDX-License-Identifier: Apache-2.0
//
// Which connections are given up when descriptors or memory run out, so that the others are served.
#pragma once

#include <cstddef>

#include "base/list.h"
#include "proxy/connection.h"

namespace weir::server {

/// Closes the idle connection that was accepted first. False: there is none.
bool shed_idle(List<proxy::Connection>& connections);

/// Breaks the connections whose peers have taken nothing for longest, at most kStalledShed of them
/// and none that stalled for less than kStallShed (base/limits.h); their cause is overload_memory.
/// Returns how many. Costs system calls for each connection.
std::size_t shed_stalled(List<proxy::Connection>& connections);

}  // namespace weir::server
