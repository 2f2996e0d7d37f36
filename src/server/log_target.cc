// SPDX-License-Identifier: Apache-2.0
#include "server/log_target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <utility>

#include "base/assert.h"

namespace weir::server {
namespace {

constexpr mode_t kFileMode = 0640;

/// A pipe that polls as writable takes this much without blocking; a file takes any amount.
constexpr std::size_t kPipeStep = 4096;

bool same_file(int a, int b) {
  struct stat one{};
  struct stat two{};
  return a >= 0 && b >= 0 && ::fstat(a, &one) == 0 && ::fstat(b, &two) == 0 &&
         one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

int connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::ranges::copy(path, address.sun_path);
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int why = errno;
    ::close(fd);
    errno = why;
    return -1;
  }
  return fd;
}

/// "<134>Jan  2 03:04:05 weir[123]: ", as syslog(3) frames a message for the local daemon: RFC 3164
/// without the host name, local time.
void append_syslog_prefix(fmt::memory_buffer& out) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  fmt::format_to(std::back_inserter(out),
                 "<{}>{} {:2} {:02}:{:02}:{:02} weir[{}]: ", LOG_LOCAL0 | LOG_INFO,
                 kMonths.substr(static_cast<std::size_t>(parts.tm_mon) * 3, 3), parts.tm_mday,
                 parts.tm_hour, parts.tm_min, parts.tm_sec, ::getpid());
}

}  // namespace

LogTarget::Kind LogTarget::kind_of(std::string_view to) {
  if (to == "off" || to.empty()) return Kind::off;
  if (to == "stdout" || to == "stderr") return Kind::standard;
  return to == "syslog" ? Kind::syslog : Kind::file;
}

LogTarget::LogTarget(std::string to, std::string syslog_path)
    : to_(std::move(to)), syslog_path_(std::move(syslog_path)), kind_(kind_of(to_)) {}

LogTarget::LogTarget(LogTarget&& other) noexcept
    : to_(std::move(other.to_)),
      syslog_path_(std::move(other.syslog_path_)),
      kind_(std::exchange(other.kind_, Kind::off)),
      fd_(std::exchange(other.fd_, -1)) {}

LogTarget& LogTarget::operator=(LogTarget&& other) noexcept {
  if (this == &other) return *this;
  adopt(-1);
  to_ = std::move(other.to_);
  syslog_path_ = std::move(other.syslog_path_);
  kind_ = std::exchange(other.kind_, Kind::off);
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

LogTarget::~LogTarget() { adopt(-1); }

void LogTarget::adopt(int fd) {
  if (fd_ >= 0 && fd_ != fd && kind_ != Kind::standard) ::close(fd_);
  fd_ = fd;
}

int LogTarget::open_now() const {
  switch (kind_) {
    case Kind::off: return -1;
    case Kind::standard: return to_ == "stdout" ? STDOUT_FILENO : STDERR_FILENO;
    case Kind::syslog: return connect_unix(syslog_path_);
    case Kind::file:
      // O_NONBLOCK: a FIFO without a reader must not hang us. It changes nothing for files.
      return ::open(to_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                    kFileMode);
  }
  WEIR_UNREACHABLE("kind of log target");
}

LogTarget::Opened LogTarget::open() {
  if (kind_ == Kind::off) return Opened::same;
  const int fd = open_now();
  if (fd < 0) return Opened::failed;
  const bool same = fd == fd_ || same_file(fd, fd_);
  adopt(fd);
  return same ? Opened::same : Opened::other;
}

LogTarget::Progress LogTarget::write(std::string_view lines) {
  WEIR_ASSERT(is_open());
  switch (kind_) {
    case Kind::off: return {.taken = lines.size()};
    case Kind::file:
    case Kind::standard: return write_stream(lines);
    case Kind::syslog: return write_datagrams(lines);
  }
  WEIR_UNREACHABLE("kind of log target");
}

bool LogTarget::ready() const {
  pollfd waiting{fd_, POLLOUT, 0};
  return ::poll(&waiting, 1, 0) > 0;
}

LogTarget::Progress LogTarget::write_stream(std::string_view lines) {
  // The descriptor of stdout is shared with other processes, so it is not ours to make
  // non-blocking.
  const std::size_t step = kind_ == Kind::standard ? kPipeStep : lines.size();
  Progress progress;
  while (progress.taken < lines.size()) {
    if (kind_ == Kind::standard && !ready()) {
      progress.outcome = Outcome::blocked;
      return progress;
    }
    const auto piece = lines.substr(progress.taken, step);
    const ssize_t n = ::write(fd_, piece.data(), piece.size());
    if (n >= 0) {
      progress.taken += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      progress.os_errno = errno;
      progress.outcome = errno == EAGAIN ? Outcome::blocked : Outcome::failed;
      return progress;
    }
  }
  return progress;
}

LogTarget::Progress LogTarget::write_datagrams(std::string_view lines) {
  Progress progress;
  while (progress.taken < lines.size()) {
    const std::string_view rest = lines.substr(progress.taken);
    const std::size_t size = std::min(rest.find('\n'), rest.size() - 1) + 1;
    const std::string_view line = rest.substr(0, size);
    fmt::memory_buffer message;
    append_syslog_prefix(message);
    message.append(line.substr(0, size - (line.ends_with('\n') ? 1 : 0)));
    if (::send(fd_, message.data(), message.size(), MSG_NOSIGNAL) >= 0) {
      progress.taken += size;
    } else if (errno == EMSGSIZE) {
      progress.taken += size;
      ++progress.lines_lost;
    } else if (errno != EINTR) {
      progress.os_errno = errno;
      progress.outcome = errno == EAGAIN ? Outcome::blocked : Outcome::failed;
      return progress;
    }
  }
  return progress;
}

}  // namespace weir::server
