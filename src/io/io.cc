// SPDX-License-Identifier: Apache-2.0
#include "io/io.h"

#include <cerrno>

#include "io/listener.h"
#include "io/system_socket.h"

namespace weir::io {

bool means_lost(const Error& error) {
  return error.code != Code::cancelled && error.os_errno != EPIPE;
}

Result<Chunk> end_of(const Socket& socket) {
  if (socket.lost) return fail(Code::reset, "recv", ECONNRESET);
  return Chunk();
}

void Io::discard(int fd) {
  set_reset_on_close(fd);
  close_descriptor(fd);
}

}  // namespace weir::io
