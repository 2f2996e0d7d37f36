// SPDX-License-Identifier: Apache-2.0
//
// What the programs of this folder share: options, a listener that says its port, plain sockets.
// They are tools: on a failure at start they say so and exit.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir::bench {

[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// The value behind `name` in "--name value"; `otherwise` if it is not there.
inline std::string_view option(std::span<char*> arguments, std::string_view name,
                               std::string_view otherwise) {
  for (std::size_t i = 1; i + 1 < arguments.size(); ++i) {
    if (arguments[i] == name) return arguments[i + 1];
  }
  return otherwise;
}

inline std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

inline sockaddr_in loopback(std::uint64_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// The port of "--to": where a relay sends what it reads.
inline sockaddr_in target(std::span<char*> arguments) {
  const auto port = number(option(arguments, "--to", ""));
  if (!port) {
    std::fprintf(stderr, "usage: %s [--port PORT] --to PORT\n", arguments[0]);
    std::exit(2);
  }
  return loopback(*port);
}

/// Raises the descriptor limit to the hard one.
inline void allow_many_descriptors() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

/// Listens on 127.0.0.1 at "--port" (0 or none: the kernel chooses) and prints the address on
/// stdout. Raises the descriptor limit to the hard one.
inline int listen_as_told(std::span<char*> arguments, int flags) {
  allow_many_descriptors();
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) fail("socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto address = loopback(number(option(arguments, "--port", "0")).value_or(0));
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (bind(fd, generic, size) != 0) fail("bind");
  if (listen(fd, 4096) != 0) fail("listen");
  getsockname(fd, generic, &size);
  std::printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

inline void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace weir::bench
