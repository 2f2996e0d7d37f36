// SPDX-License-Identifier: Apache-2.0
#include "io/io.h"

#include <cerrno>

namespace weir::io {

bool means_lost(const Error& error) {
  return error.code != Code::cancelled && error.os_errno != EPIPE;
}

Result<Chunk> end_of(const Socket& socket) {
  if (socket.lost) return fail(Code::reset, "recv", ECONNRESET);
  return Chunk();
}

}  // namespace weir::io
