// SPDX-License-Identifier: Apache-2.0
//
// A place where lines can be written: a file, stdout, stderr, the syslog socket, or nowhere. Used
// by the log writer's thread only. It never waits: a reader that does not read is `blocked`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::server {

class LogTarget final {
 public:
  /// What writing came to.
  enum class Outcome : std::uint8_t {
    done,     ///< all of it
    blocked,  ///< try again when descriptor() is writable
    failed,   ///< os_errno says why; the rest may be tried again later
  };
  struct Progress {
    std::size_t taken = 0;  ///< bytes that need not be given again
    std::uint64_t lines_lost =
        0;  ///< of those, lines that can never be written (too long for syslog)
    Outcome outcome = Outcome::done;
    int os_errno = 0;
  };
  /// What opening came to.
  enum class Opened : std::uint8_t { same, other, failed };

  /// `to` is "off", "stdout", "stderr", "syslog" or a path. Nothing is opened yet.
  explicit LogTarget(std::string to, std::string syslog_path = "/dev/log");
  LogTarget(LogTarget&& other) noexcept;
  LogTarget& operator=(LogTarget&& other) noexcept;
  ~LogTarget();

  /// Opens it, again if it is open: `same` if that led to the same file. When it fails an old
  /// descriptor stays in use, and errno says why.
  Opened open();
  /// `lines` are whole lines, but for the first, which may be the rest of one.
  Progress write(std::string_view lines);

  [[nodiscard]] const std::string& name() const { return to_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0 || kind_ == Kind::off; }
  [[nodiscard]] int descriptor() const { return fd_; }

 private:
  enum class Kind : std::uint8_t { off, file, standard, syslog };
  static Kind kind_of(std::string_view to);

  [[nodiscard]] int open_now() const;
  [[nodiscard]] bool ready() const;
  Progress write_stream(std::string_view lines);
  Progress write_datagrams(std::string_view lines);
  void adopt(int fd);

  std::string to_;
  std::string syslog_path_;
  Kind kind_;
  int fd_ = -1;  // ours, but for stdout and stderr
};

}  // namespace weir::server
