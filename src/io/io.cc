// SPDX-License-Identifier: Apache-2.0
#include "io/io.h"

#include <sys/socket.h>

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

Peer Io::local_end(const Socket& socket) const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ignore(getsockname(socket.fd, reinterpret_cast<sockaddr*>(&address), &size),
         "only a descriptor that is none can fail, and then there is no address");
  return Peer::from(address);
}

void Io::discard(int fd) {
  set_reset_on_close(fd);
  close_descriptor(fd);
}

}  // namespace weir::io
