// SPDX-License-Identifier: Apache-2.0
//
// The one thread that writes the access log of all workers. It sleeps until a sink has a line,
// waits a little so that one write takes many, then empties every sink in turn. A target that fails
// or does not read stops the emptying: lines gather in the sinks, and when those are full the
// workers drop and count them. Nothing that happens to the target is ever felt by a worker.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "proxy/log_sink.h"
#include "server/diagnostics.h"
#include "server/log_target.h"

namespace weir::server {

/// Owned by the process; outlives the workers, which hold its sinks. Public methods: control
/// thread.
class LogWriter final {
 public:
  /// Starts the thread. A target that cannot be opened is tried again, and said once.
  explicit LogWriter(LogTarget target);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  ~LogWriter();

  /// A sink for one worker; lives as long as the writer. `dropped` outlives the writer's sinks'
  /// use.
  proxy::LogSink& add_sink(proxy::Count& dropped);

  /// Writes what was appended so far to the old target, as far as it takes it, and the rest to this
  /// one.
  void set_target(LogTarget target);
  /// Opens the file again by its name, after it was renamed. If that fails the old one stays in use
  /// and opening is tried again.
  void reopen();
  /// Returns when everything appended before has been offered to the target once.
  void flush();
  /// Flushes and ends the thread. What the target does not take within kStopMillis is lost and
  /// counted.
  void stop();

  /// Lines that left a sink and never reached a target.
  [[nodiscard]] std::uint64_t lines_lost() const { return lines_lost_.get(); }
  /// Times that the target failed (not lines).
  [[nodiscard]] std::uint64_t failures() const { return failures_.get(); }

  static constexpr int kStopMillis = 1'000;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Health : std::uint8_t { good, blocked, failed };

  /// What other threads want of the writer; under mutex_.
  struct Orders {
    std::optional<LogTarget> target;
    std::uint64_t flush = 0;  ///< number of the last flush asked for
    bool reopen = false;
    bool stop = false;
    [[nodiscard]] bool any() const { return target || flush != 0 || reopen || stop; }
  };

  void run();
  void wait();
  void wait_for(int millis);
  [[nodiscard]] int patience() const;
  [[nodiscard]] bool ordered();
  void obey(Orders& orders);
  void switch_target(LogTarget target);
  void open_target();
  void drain();
  bool write_pending();
  void complain(int os_errno);
  void skip_broken_line();
  void last_words();
  std::uint64_t order(Orders wanted);

  // Shared.
  proxy::LogSignal signal_;
  std::mutex mutex_;
  std::condition_variable flushed_;
  Orders orders_;                                       // under mutex_
  std::uint64_t flushes_asked_ = 0;                     // under mutex_
  std::uint64_t flushes_done_ = 0;                      // under mutex_
  std::vector<std::unique_ptr<proxy::LogSink>> sinks_;  // under mutex_
  proxy::Count lines_lost_;
  proxy::Count failures_;

  // The thread's own.
  LogTarget target_;
  std::string pending_;  // taken from a sink; [offset_, end) is not written yet
  std::size_t offset_ = 0;
  Health health_ = Health::good;
  bool reopen_due_ = false;
  Clock::time_point retry_at_{};
  RateLimit complaint_;
  std::thread thread_;
};

}  // namespace weir::server
