// SPDX-License-Identifier: Apache-2.0
#include "io/system_socket.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace weir::io {
namespace {

constexpr int kProbeAfterSeconds = 60;
constexpr int kProbeEverySeconds = 15;

std::int64_t clock_micros(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

Instant monotonic_now() { return Instant(Micros(clock_micros(CLOCK_MONOTONIC))); }
WallTime wall_now() { return {clock_micros(CLOCK_REALTIME)}; }

void prepare_stream(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kProbeAfterSeconds, sizeof kProbeAfterSeconds);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kProbeEverySeconds, sizeof kProbeEverySeconds);
}

std::optional<Received> receive_now(int fd, ChunkPool& pool, const RecvOp& op) {
  Chunk chunk;
  if (!pool.allocate(op.window, chunk, op.work)) {
    return Received{fail(Code::no_memory, "recv"), false};
  }
  const std::span<char> room = chunk.room();
  for (;;) {
    const ssize_t count = ::recv(fd, room.data(), room.size(), MSG_DONTWAIT);
    if (count > 0) {
      chunk.grow(static_cast<std::size_t>(count));
      const bool drained = static_cast<std::size_t>(count) < room.size();
      return Received{std::move(chunk), drained};
    }
    if (count == 0) return Received{Chunk(), false};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return std::nullopt;
    return Received{std::unexpected(os_error(errno, "recv")), false};
  }
}

std::optional<Result<void>> send_now(int fd, SendOp& op, bool& moved) {
  for (;;) {
    std::array<iovec, 4> vectors{};
    std::size_t used = 0;
    for (const Bytes& piece : op.pieces) {
      if (piece.empty()) continue;
      vectors[used++] = {const_cast<char*>(piece.data()), piece.size()};
    }
    if (used == 0) return Result<void>{};
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (op.more != SendOp::More::no ? MSG_MORE : 0);
    ssize_t count = 0;
    if (used == 1) {
      count = ::send(fd, vectors[0].iov_base, vectors[0].iov_len, flags);
    } else {
      msghdr message{};
      message.msg_iov = vectors.data();
      message.msg_iovlen = used;
      count = ::sendmsg(fd, &message, flags);
    }
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return std::nullopt;
      return Result<void>(std::unexpected(os_error(errno, "send")));
    }
    moved = moved || count > 0;
    auto left = static_cast<std::size_t>(count);
    for (Bytes& piece : op.pieces) {
      const std::size_t step = std::min(left, piece.size());
      piece.remove_prefix(step);
      left -= step;
    }
  }
}

std::size_t try_send_now(int fd, Bytes bytes, SendOp::More more) {
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more != SendOp::More::no ? MSG_MORE : 0);
  const ssize_t count = ::send(fd, bytes.data(), bytes.size(), flags);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

Result<int> connect_now(const SocketAddress& target, Blocking blocking, bool& pending) {
  const int flags = SOCK_STREAM | SOCK_CLOEXEC | (blocking == Blocking::no ? SOCK_NONBLOCK : 0);
  const int fd = ::socket(target.family(), flags, 0);
  if (fd < 0) return std::unexpected(os_error(errno, "socket"));
  if (!target.is_unix()) prepare_stream(fd);
  pending = false;
  if (blocking == Blocking::yes) {
    pending = true;  // the caller connects by other means
    return fd;
  }
  if (::connect(fd, target.get(), target.size()) == 0) return fd;
  const int error = errno;
  if (error == EINPROGRESS) {
    pending = true;
    return fd;
  }
  ::close(fd);
  // A unix socket whose backlog is full says EAGAIN at once: it is there, but busy. connect(2).
  if (error == EAGAIN) return fail(Code::refused, "connect", error);
  return std::unexpected(os_error(error, "connect"));
}

Result<void> connect_result(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return std::unexpected(os_error(error, "connect"));
  return {};
}

std::optional<Result<int>> accept_now(int fd, Blocking blocking, Peer& peer) {
  for (;;) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int flags = SOCK_CLOEXEC | (blocking == Blocking::no ? SOCK_NONBLOCK : 0);
    const int accepted = ::accept4(fd, reinterpret_cast<sockaddr*>(&address), &size, flags);
    if (accepted >= 0) {
      peer = Peer::from(address);
      return Result<int>(accepted);
    }
    if (errno == EAGAIN) return std::nullopt;
    if (transient_accept_error(errno)) continue;
    return Result<int>(std::unexpected(os_error(errno, "accept")));
  }
}

// accept(2), "Error handling".
bool transient_accept_error(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH: return true;
    default: return false;
  }
}

std::uint64_t bytes_in_send_queue(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0;
}

void set_reset_on_close(int fd) {
  const linger hard{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

}  // namespace weir::io
