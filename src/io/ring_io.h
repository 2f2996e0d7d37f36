// SPDX-License-Identifier: Apache-2.0
//
// Io on io_uring. Operations are submitted together, once per turn, by the call that waits. A small
// receive (window up to kWindowHead) waits in the kernel without a buffer and takes one when data
// is there; a larger one is a plain receive call, after a poll where it has to wait, so that no
// large buffer waits. Descriptors must block: io_uring waits by itself, and O_NONBLOCK would make
// it fail instead.
#pragma once

#include <memory>

#include "io/loop.h"

namespace weir::io {

/// Fails when the kernel, or who confines this process, forbids io_uring or lacks what is needed.
/// May be called on another thread than the loop's.
Result<std::unique_ptr<Io>> make_ring_io(Loop& loop);

/// Accepts, receives and sends over loopback on a throw-away ring. Start-up only: it waits.
Result<void> ring_self_test();

}  // namespace weir::io
