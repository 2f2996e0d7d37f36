// SPDX-License-Identifier: Apache-2.0
#include "server/diagnostics.h"

#include <poll.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

#include "base/assert.h"
#include "base/thread_signals.h"

namespace weir::server {
namespace {

constexpr std::size_t kQueueMessages = 256;
constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%eZ %* %@";

spdlog::level::level_enum spdlog_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::error: return spdlog::level::err;
    case config::LogLevel::warning: return spdlog::level::warn;
    case config::LogLevel::info: return spdlog::level::info;
    case config::LogLevel::debug: return spdlog::level::debug;
  }
  WEIR_UNREACHABLE("log level");
}

std::string_view level_word(spdlog::level::level_enum level) {
  if (level >= spdlog::level::err) return "error";
  if (level == spdlog::level::warn) return "warn ";
  return level == spdlog::level::info ? "info " : "debug";
}

/// The level, five columns wide.
class LevelFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm& /*time*/,
              spdlog::memory_buf_t& out) override {
    const std::string_view word = level_word(msg.level);
    out.append(word.data(), word.data() + word.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<LevelFlag>();
  }
};

/// The message with control bytes as \xXX.
class MessageFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm& /*time*/,
              spdlog::memory_buf_t& out) override {
    for (const char raw : msg.payload) {
      const auto c = static_cast<unsigned char>(raw);
      if (c < 0x20 || c == 0x7F) {
        fmt::format_to(std::back_inserter(out), "\\x{:02X}", c);
      } else {
        out.push_back(raw);
      }
    }
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<MessageFlag>();
  }
};

/// Writes lines to a descriptor, and gives a line up rather than wait for a reader that reads
/// nothing.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(int fd) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t line;
    formatter_->format(msg, line);
    std::string_view rest(line.data(), line.size());
    while (!rest.empty() && writable()) {
      // A pipe that polls as writable takes PIPE_BUF bytes without blocking.
      const ssize_t n = ::write(fd_, rest.data(), std::min<std::size_t>(rest.size(), 4096));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void flush_() override {}

 private:
  [[nodiscard]] bool writable() const {
    pollfd waiting{fd_, POLLOUT, 0};
    return ::poll(&waiting, 1, kDiagnosticsStallMillis) > 0;
  }
  int fd_;
};

std::shared_ptr<DescriptorSink> make_sink(int fd) {
  auto formatter =
      std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc, "\n");
  formatter->add_flag<LevelFlag>('*').add_flag<MessageFlag>('@').set_pattern(kPattern);
  auto sink = std::make_shared<DescriptorSink>(fd);
  sink->set_formatter(std::move(formatter));
  return sink;
}

}  // namespace

void start_diagnostics(config::LogLevel level, int fd) {
  const SignalsBlocked blocked;
  spdlog::init_thread_pool(kQueueMessages, 1);
  auto logger = std::make_shared<spdlog::async_logger>(
      "weir", make_sink(fd), spdlog::thread_pool(), spdlog::async_overflow_policy::overrun_oldest);
  logger->set_level(spdlog_level(level));
  spdlog::set_default_logger(std::move(logger));
}

void stop_diagnostics() {
  const auto level = spdlog::default_logger_raw()->level();
  // Dropping the last logger that uses the pool joins its thread, after the queue is empty.
  auto direct = std::make_shared<spdlog::logger>("weir", make_sink(STDERR_FILENO));
  direct->set_level(level);
  spdlog::set_default_logger(std::move(direct));
  spdlog::details::registry::instance().set_tp(nullptr);
}

void set_diagnostics_level(config::LogLevel level) {
  spdlog::default_logger_raw()->set_level(spdlog_level(level));
}

bool diagnostics_enabled(config::LogLevel level) {
  return spdlog::default_logger_raw()->should_log(spdlog_level(level));
}

void write_diagnostic(config::LogLevel level, std::string_view message) {
  spdlog::default_logger_raw()->log(spdlog_level(level), message);
}

void log_args(config::LogLevel level, fmt::string_view format, fmt::format_args args) {
  if (!diagnostics_enabled(level)) return;
  fmt::memory_buffer message;
  fmt::vformat_to(std::back_inserter(message), format, args);
  write_diagnostic(level, {message.data(), message.size()});
}

std::optional<std::uint64_t> RateLimit::admit(Instant now) {
  if (last_ && now - *last_ < kInterval) {
    ++suppressed_;
    return std::nullopt;
  }
  last_ = now;
  return std::exchange(suppressed_, 0);
}

void warn_limited_args(RateLimit& limit, Instant now, fmt::string_view format,
                       fmt::format_args args) {
  const auto suppressed = limit.admit(now);
  if (!suppressed || !diagnostics_enabled(config::LogLevel::warning)) return;
  fmt::memory_buffer message;
  fmt::vformat_to(std::back_inserter(message), format, args);
  if (*suppressed > 0) {
    fmt::format_to(std::back_inserter(message), " ({} more since the last such line)", *suppressed);
  }
  write_diagnostic(config::LogLevel::warning, {message.data(), message.size()});
}

}  // namespace weir::server
