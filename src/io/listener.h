// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets. The process owns one per address; every worker accepts from a duplicate of it.
#pragma once

#include <string>

#include "base/error.h"
#include "io/address.h"

namespace weir::io {

/// Binds and listens. For a unix path: a stale socket file of a dead process is replaced, a live
/// one is an error (EADDRINUSE); permissions are `unix_mode`. The descriptor does not block.
Result<int> listen_on(const SocketAddress& address, int backlog, unsigned unix_mode);

/// A further descriptor of the same listening socket, for another worker.
Result<int> duplicate(int fd);

/// Closes a descriptor that no loop has taken over.
void close_descriptor(int fd);

/// Whether descriptors of listening and accepted sockets block: io_uring wants them to.
void set_blocking(int fd, bool blocking);

}  // namespace weir::io
