// SPDX-License-Identifier: Apache-2.0
#include "server/listening.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "io/listener.h"

namespace weir::server {

Result<io::SocketAddress> listen_address(const config::Address& address) {
  if (address.kind == config::Address::Kind::unix_path) {
    return io::SocketAddress::from_unix(address.path);
  }
  return io::SocketAddress::from_ip(address.host.empty() ? "::" : address.host, address.port);
}

Result<int> listen_any(const config::Listen& listen) {
  Result<io::SocketAddress> address = listen_address(listen.address);
  if (!address) return std::unexpected(address.error());
  Result<int> fd = io::listen_on(*address, listen.backlog, listen.unix_mode);
  if (!fd && fd.error().os_errno == EAFNOSUPPORT && listen.address.host.empty()) {
    address = io::SocketAddress::from_ip("0.0.0.0", listen.address.port);
    return io::listen_on(*address, listen.backlog, listen.unix_mode);
  }
  return fd;
}

std::string bind_failure(const config::Listen& listen, const Error& error) {
  std::string hint;
  if (error.os_errno == EADDRINUSE) {
    hint = " (another program listens there; `ss -ltnp` shows which)";
  } else if (error.os_errno == EACCES) {
    hint =
        " (ports below 1024 need root: start as root with `user` set, or give the binary "
        "CAP_NET_BIND_SERVICE)";
  } else if (error.os_errno == EADDRNOTAVAIL) {
    hint = " (this machine has no such address)";
  }
  return fmt::format("cannot listen on {}: {}{}", listen.address.text(),
                     std::strerror(error.os_errno), hint);
}

}  // namespace weir::server
