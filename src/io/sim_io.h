// SPDX-License-Identifier: Apache-2.0
//
// Io on a network in memory: what epoll and ring do, without a kernel, with faults and a virtual
// clock. A loop on it is turned by SimNetwork::run() and never by Loop::run().
#pragma once

#include <memory>

#include "io/sim_network.h"

namespace weir::io {

/// `network` outlives the loop.
std::unique_ptr<Io> make_sim_io(Loop& loop, SimNetwork& network);

}  // namespace weir::io
