// SPDX-License-Identifier: Apache-2.0
//
// Where a worker leaves the lines of its access log. The worker never waits: the buffer is bounded,
// and a line that does not fit is dropped and counted. One writer thread (server/log_writer.h)
// takes what has gathered; the lock is held only to append or to swap, so the two hardly ever meet.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "proxy/metrics.h"

namespace weir::proxy {

/// How sinks wake the writer: an eventfd. Outlives the sinks. Any thread.
class LogSignal final {
 public:
  LogSignal();
  LogSignal(const LogSignal&) = delete;
  LogSignal& operator=(const LogSignal&) = delete;
  ~LogSignal();

  /// Readable after a ring until clear().
  [[nodiscard]] int descriptor() const { return descriptor_; }
  void ring();
  /// As ring(); take_hurry() then says that a buffer fills up.
  void hurry();
  void clear();
  [[nodiscard]] bool take_hurry() { return hurry_.exchange(false, std::memory_order_relaxed); }

 private:
  int descriptor_;
  std::atomic<bool> hurry_{false};
};

/// One per worker, for the life of the process.
class LogSink final {
 public:
  /// `dropped` counts lines that did not fit; it is written by the worker only.
  LogSink(LogSignal& signal, Count& dropped);

  /// A whole line with its newline. Called by the worker only. Rings when the buffer was empty and
  /// when it becomes half full: two system calls per visit of the writer at most.
  void append(std::string_view line);

  /// Exchanges the gathered lines for `empty`. Called by the writer only.
  void swap(std::string& empty);

 private:
  LogSignal& signal_;
  Count& dropped_;
  std::mutex mutex_;
  std::string buffer_;  // under mutex_; kLogBufferSize reserved, so appending never allocates
};

}  // namespace weir::proxy
