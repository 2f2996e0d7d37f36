// SPDX-License-Identifier: Apache-2.0
//
// The diagnostics log: what Weir tells its operator about itself, on stderr, one line per message:
//
//     2026-01-02T03:04:05.678Z info  message
//
// Usable from any thread and never blocking: a message is put into a short queue that one thread
// empties; when the queue is full the oldest message is overwritten, and when stderr accepts
// nothing for kDiagnosticsStallMillis the message is lost. Control bytes are escaped, so that a
// message is one line whatever a peer put into it. Before start_diagnostics() and after
// stop_diagnostics() messages are written directly. No other thread may log while one of these two
// runs.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "config/config.h"

namespace weir::server {

inline constexpr int kDiagnosticsStallMillis = 100;

/// Starts the thread that writes. `fd` stays the caller's and must stay open until
/// stop_diagnostics().
void start_diagnostics(config::LogLevel level, int fd = 2);
/// Writes what is queued and ends the thread.
void stop_diagnostics();
void set_diagnostics_level(config::LogLevel level);
[[nodiscard]] bool diagnostics_enabled(config::LogLevel level);
/// Writes one message whatever the level is.
void write_diagnostic(config::LogLevel level, std::string_view message);

/// Formats and writes if the level is enabled.
void log_args(config::LogLevel level, fmt::string_view format, fmt::format_args args);

template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_args(config::LogLevel::error, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log_args(config::LogLevel::warning, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_args(config::LogLevel::info, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_args(config::LogLevel::debug, format, fmt::make_format_args(args...));
}

/// Holds back a kind of message that may come too often: the first passes, then one per
/// `kInterval`. One object per kind, owned by whoever writes that kind, used by one thread.
class RateLimit {
 public:
  static constexpr Millis kInterval{10'000};

  /// How many were held back since the last one that passed; nothing: hold this one back too.
  [[nodiscard]] std::optional<std::uint64_t> admit(Instant now);

 private:
  std::optional<Instant> last_;
  std::uint64_t suppressed_ = 0;
};

/// log_warn through a RateLimit; says how many were held back.
void warn_limited_args(RateLimit& limit, Instant now, fmt::string_view format,
                       fmt::format_args args);
template <class... Args>
void log_warn_limited(RateLimit& limit, Instant now, fmt::format_string<Args...> format,
                      Args&&... args) {
  warn_limited_args(limit, now, format, fmt::make_format_args(args...));
}

}  // namespace weir::server
