// SPDX-License-Identifier: Apache-2.0
//
// Io on epoll: edge-triggered, registered once per socket for both directions; readiness is
// remembered, so that in steady state a receive or a send is one system call. An operation that
// cannot complete at once is tried again from the run queue when its socket becomes ready: receive,
// parse and answer then happen one after the other while the bytes are in the cache.
#pragma once

#include <memory>

#include "io/loop.h"

namespace weir::io {

/// Fails when the kernel gives no epoll or eventfd.
Result<std::unique_ptr<Io>> make_epoll_io(Loop& loop);

}  // namespace weir::io
