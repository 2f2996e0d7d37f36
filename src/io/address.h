// SPDX-License-Identifier: Apache-2.0
//
// Socket addresses as values: IPv4, IPv6 and unix paths.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/error.h"

namespace weir::io {

/// The other end of a client connection; small, kept per connection. IPv4 is mapped
/// (::ffff:a.b.c.d).
struct Peer {
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;
  bool unix_socket = false;
  bool operator==(const Peer&) const = default;
  /// "192.0.2.1", "2001:db8::1" or "unix".
  [[nodiscard]] std::string text() const;
  /// The same in memory of the caller's.
  using TextSpace = std::array<char, 46>;  // INET6_ADDRSTRLEN
  std::string_view text_in(TextSpace& space) const;
  static Peer from(const sockaddr_storage& address);
};

/// Where to listen or connect.
class SocketAddress {
 public:
  SocketAddress() = default;
  /// An IP literal; nothing else is looked up.
  static Result<SocketAddress> from_ip(std::string_view ip, std::uint16_t port);
  static Result<SocketAddress> from_unix(std::string_view path);
  static SocketAddress from_raw(const sockaddr* address, socklen_t size);
  /// The address that the socket is bound to.
  static SocketAddress of_socket(int fd);

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t size() const { return size_; }
  [[nodiscard]] int family() const { return storage_.any.sa_family; }
  [[nodiscard]] bool is_unix() const { return family() == AF_UNIX; }
  [[nodiscard]] std::uint16_t port() const;
  void set_port(std::uint16_t port);
  /// "192.0.2.1:80", "[2001:db8::1]:80" or "unix:/path".
  [[nodiscard]] std::string text() const;
  bool operator==(const SocketAddress& other) const;

 private:
  union Storage {
    sockaddr_storage ip;  // first, so that all bytes are initialised
    sockaddr any;
    sockaddr_un local;
  } storage_{};
  socklen_t size_ = 0;
};

}  // namespace weir::io
