// SPDX-License-Identifier: Apache-2.0
#include "io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace weir::io {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::string ip_text(int family, const void* address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, address, text, sizeof text);
  return text;
}

}  // namespace

std::string Peer::text() const {
  TextSpace space;
  return std::string(text_in(space));
}

std::string_view Peer::text_in(TextSpace& space) const {
  static_assert(std::tuple_size_v<TextSpace> >= INET6_ADDRSTRLEN);
  if (unix_socket) return "unix";
  if (std::memcmp(ip.data(), kMapped.data(), kMapped.size()) != 0) {
    return inet_ntop(AF_INET6, ip.data(), space.data(), space.size());
  }
  // For each request, and inet_ntop() takes as long as all the rest of it.
  char* at = space.data();
  for (std::size_t i = kMapped.size(); i < ip.size(); ++i) {
    if (i > kMapped.size()) *at++ = '.';
    at = std::to_chars(at, space.data() + space.size(), ip[i]).ptr;
  }
  return {space.data(), at};
}

Peer Peer::from(const sockaddr_storage& address) {
  Peer peer;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    std::memcpy(peer.ip.data(), kMapped.data(), kMapped.size());
    std::memcpy(peer.ip.data() + kMapped.size(), &v4.sin_addr, 4);
    peer.port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    std::memcpy(peer.ip.data(), &v6.sin6_addr, 16);
    peer.port = ntohs(v6.sin6_port);
  } else {
    peer.unix_socket = true;
  }
  return peer;
}

Result<SocketAddress> SocketAddress::from_ip(std::string_view ip, std::uint16_t port) {
  const std::string text(ip);
  SocketAddress result;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&result.storage_, &v4, sizeof v4);
    result.size_ = sizeof v4;
    return result;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&result.storage_, &v6, sizeof v6);
    result.size_ = sizeof v6;
    return result;
  }
  return fail(Code::unresolved, "not an IP address");
}

Result<SocketAddress> SocketAddress::from_unix(std::string_view path) {
  SocketAddress result;
  if (path.empty() || path.size() >= sizeof result.storage_.local.sun_path) {
    return fail(Code::os, "unix path too long", ENAMETOOLONG);
  }
  result.storage_.local.sun_family = AF_UNIX;
  std::memcpy(result.storage_.local.sun_path, path.data(), path.size());
  result.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return result;
}

SocketAddress SocketAddress::from_raw(const sockaddr* address, socklen_t size) {
  SocketAddress result;
  WEIR_ASSERT(size <= sizeof result.storage_);
  std::memcpy(&result.storage_, address, size);
  result.size_ = size;
  return result;
}

SocketAddress SocketAddress::of_socket(int fd) {
  SocketAddress result;
  socklen_t size = sizeof result.storage_;
  if (getsockname(fd, &result.storage_.any, &size) == 0) result.size_ = size;
  return result;
}

std::uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(get())->sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(get())->sin6_port);
  return 0;
}

void SocketAddress::set_port(std::uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
}

std::string SocketAddress::text() const {
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(get());
    return ip_text(AF_INET, &v4->sin_addr) + ":" + std::to_string(port());
  }
  if (family() == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(get());
    return "[" + ip_text(AF_INET6, &v6->sin6_addr) + "]:" + std::to_string(port());
  }
  if (family() == AF_UNIX) return std::string("unix:") + storage_.local.sun_path;
  return "?";
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return size_ == other.size_ && std::memcmp(&storage_, &other.storage_, size_) == 0;
}

}  // namespace weir::io
