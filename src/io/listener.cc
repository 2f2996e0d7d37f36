// SPDX-License-Identifier: Apache-2.0
#include "io/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "io/system_socket.h"

namespace weir::io {
namespace {

// A socket file is stale when nobody listens behind it any more. Connecting to any other file is
// refused as well, but that is not ours to remove.
bool stale(const SocketAddress& address, const char* path) {
  struct stat file{};
  if (::lstat(path, &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return false;
  const bool refused =
      ::connect(probe, address.get(), address.size()) != 0 && errno == ECONNREFUSED;
  ::close(probe);
  return refused;
}

Result<int> fail_closing(int fd, const char* where) {
  const int error = errno;
  ::close(fd);
  return std::unexpected(os_error(error, where));
}

}  // namespace

Result<int> listen_on(const SocketAddress& address, int backlog, unsigned unix_mode) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return std::unexpected(os_error(errno, "socket"));
  const int on = 1;
  const int off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // "[::]:80" serves IPv4 as well.
  if (address.family() == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (!address.is_unix()) prepare_stream(fd);
  const char* path =
      address.is_unix() ? reinterpret_cast<const sockaddr_un*>(address.get())->sun_path : nullptr;
  if (path != nullptr && stale(address, path)) ::unlink(path);
  if (::bind(fd, address.get(), address.size()) != 0) return fail_closing(fd, "bind");
  if (path != nullptr && ::chmod(path, unix_mode) != 0) return fail_closing(fd, "chmod");
  if (::listen(fd, backlog) != 0) return fail_closing(fd, "listen");
  return fd;
}

Result<int> duplicate(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return std::unexpected(os_error(errno, "dup"));
  return copy;
}

void close_descriptor(int fd) { ::close(fd); }

void set_blocking(int fd, bool blocking) {
  int nonblocking = blocking ? 0 : 1;  // one system call, where fcntl needs two
  ::ioctl(fd, FIONBIO, &nonblocking);
}

}  // namespace weir::io
