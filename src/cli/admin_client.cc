// SPDX-License-Identifier: Apache-2.0
#include "cli/admin_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/bytes.h"

namespace weir::cli {
namespace {

constexpr std::size_t kReplyMax = 64_MiB;

/// A descriptor that is closed at the end of its scope.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

using Connected = std::expected<Socket, std::string>;

std::unexpected<std::string> nobody(std::string_view address, int os_errno) {
  switch (os_errno) {
    case ECONNREFUSED:
    case ENOENT:
      return std::unexpected(
          fmt::format("no Weir answers at {}: is it running? (--admin ADDRESS)", address));
    case EACCES:
    case EPERM:
      return std::unexpected(fmt::format(
          "no permission to talk to Weir at {}: try as the user that runs it, or as root",
          address));
    default:
      return std::unexpected(
          fmt::format("cannot reach Weir at {}: {}", address, ::strerrordesc_np(os_errno)));
  }
}

void set_stall(int fd, Millis stall) {
  const timeval time{.tv_sec = stall.count() / 1000, .tv_usec = stall.count() % 1000 * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

Connected connect_unix(const AdminRequest& request, std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return std::unexpected(fmt::format("{} is not the address of a socket", request.address));
  }
  std::ranges::copy(path, address.sun_path);
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return nobody(request.address, errno);
  set_stall(socket.get(), request.stall);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return nobody(request.address, errno);
  }
  return socket;
}

Connected connect_tcp(const AdminRequest& request) {
  const std::size_t colon = request.address.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == request.address.size()) {
    return std::unexpected(
        fmt::format("{} is not an address: unix:/path or host:port is", request.address));
  }
  std::string host(request.address.substr(0, colon));
  const std::string port(request.address.substr(colon + 1));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed =
      ::getaddrinfo(host.empty() ? "localhost" : host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0) {
    return std::unexpected(
        fmt::format("cannot reach Weir at {}: {}", request.address, ::gai_strerror(failed)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, &::freeaddrinfo);
  int why = ECONNREFUSED;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Socket socket(::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol));
    if (socket.get() < 0) continue;
    set_stall(socket.get(), request.stall);
    if (::connect(socket.get(), one->ai_addr, one->ai_addrlen) == 0) return socket;
    why = errno;
  }
  return nobody(request.address, why);
}

Connected connect_to(const AdminRequest& request) {
  constexpr std::string_view kUnix = "unix:";
  if (request.address.starts_with(kUnix)) {
    return connect_unix(request, request.address.substr(kUnix.size()));
  }
  return connect_tcp(request);
}

std::string encode(const AdminRequest& request) {
  std::string out = fmt::format("{} {} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n",
                                request.method, request.path);
  if (request.method != "GET") out += "Content-Length: 0\r\n";
  return out + "\r\n";
}

/// 0 when all was sent, else errno.
int send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

/// 0 when the peer ended the stream, else errno.
int receive_all(int fd, std::string& into) {
  std::array<char, 16_KiB> buffer;
  while (into.size() < kReplyMax) {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (n == 0) return 0;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    into.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return EMSGSIZE;
}

/// The value of a field in the head; nothing when it is not there.
std::optional<std::string_view> field(std::string_view head, std::string_view name) {
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && iequals(line.substr(0, colon), name)) {
      return trim_ows(line.substr(colon + 1));
    }
    head.remove_prefix(std::min(end + 2, head.size()));
  }
  return std::nullopt;
}

/// The body of a chunked message; nothing when it is malformed or cut.
std::optional<std::string> dechunk(std::string_view bytes) {
  std::string body;
  while (true) {
    const std::size_t end = bytes.find("\r\n");
    if (end == std::string_view::npos) return std::nullopt;
    std::size_t size = 0;
    const auto [stop, error] = std::from_chars(bytes.data(), bytes.data() + end, size, 16);
    const bool ends_well = stop == bytes.data() + end || *stop == ';' || *stop == ' ';
    if (error != std::errc{} || !ends_well) return std::nullopt;
    bytes.remove_prefix(end + 2);
    if (size == 0) return body;
    if (bytes.size() < 2 || size > bytes.size() - 2) return std::nullopt;
    body += bytes.substr(0, size);
    if (bytes.substr(size, 2) != "\r\n") return std::nullopt;
    bytes.remove_prefix(size + 2);
  }
}

}  // namespace

std::expected<AdminReply, std::string> parse_admin_reply(std::string_view bytes) {
  const auto malformed = std::unexpected<std::string>("what answers is not Weir's admin address");
  const auto cut = std::unexpected<std::string>("the answer was cut: did Weir stop?");
  const std::size_t head_end = bytes.find("\r\n\r\n");
  if (bytes.empty() || head_end == std::string_view::npos) return bytes.empty() ? cut : malformed;
  const std::string_view head = bytes.substr(0, head_end);
  if (!head.starts_with("HTTP/1.") || head.size() < 12) return malformed;
  const auto status = parse_u64(head.substr(9, 3));
  if (!status || *status < 100 || *status > 599) return malformed;
  AdminReply reply{.status = static_cast<int>(*status), .body = {}};
  std::string_view body = bytes.substr(head_end + 4);
  if (reply.status < 200) return parse_admin_reply(body);
  if (const auto coding = field(head, "transfer-encoding")) {
    auto plain = dechunk(body);
    if (!iequals(*coding, "chunked") || !plain) return cut;
    reply.body = std::move(*plain);
    return reply;
  }
  if (const auto length = field(head, "content-length")) {
    const auto size = parse_u64(*length);
    if (!size) return malformed;
    if (*size > body.size()) return cut;
    body = body.substr(0, *size);
  }
  reply.body = body;
  return reply;
}

std::expected<AdminReply, std::string> ask_admin(const AdminRequest& request) {
  const Connected socket = connect_to(request);
  if (!socket) return std::unexpected(socket.error());
  std::string bytes;
  int failed = send_all(socket->get(), encode(request));
  if (failed == 0) failed = receive_all(socket->get(), bytes);
  if (failed == EAGAIN) {
    return std::unexpected(fmt::format("Weir at {} does not answer within {} s", request.address,
                                       request.stall.count() / 1000));
  }
  if (failed != 0 && bytes.empty()) {
    return std::unexpected(fmt::format("Weir at {} broke the connection: {}", request.address,
                                       ::strerrordesc_np(failed)));
  }
  return parse_admin_reply(bytes);
}

}  // namespace weir::cli
