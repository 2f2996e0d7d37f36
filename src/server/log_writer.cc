// SPDX-License-Identifier: Apache-2.0
#include "server/log_writer.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/thread_signals.h"

namespace weir::server {
namespace {

const char* describe_errno(int os_errno) {
  const char* text = ::strerrordesc_np(os_errno);
  return text == nullptr ? "unknown error" : text;
}

std::uint64_t count_lines(std::string_view lines) {
  const auto ends = static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
  return ends + (lines.empty() || lines.ends_with('\n') ? 0 : 1);
}

}  // namespace

LogWriter::LogWriter(LogTarget target) : target_(std::move(target)) {
  pending_.reserve(kLogBufferSize);
  const SignalsBlocked blocked;
  thread_ = std::thread(&LogWriter::run, this);
}

LogWriter::~LogWriter() { stop(); }

proxy::LogSink& LogWriter::add_sink(proxy::Count& dropped) {
  const std::lock_guard lock(mutex_);
  return *sinks_.emplace_back(std::make_unique<proxy::LogSink>(signal_, dropped));
}

void LogWriter::set_target(LogTarget target) {
  Orders orders;
  orders.target = std::move(target);
  order(std::move(orders));
}

void LogWriter::reopen() {
  Orders orders;
  orders.reopen = true;
  order(std::move(orders));
}

void LogWriter::flush() {
  const std::uint64_t number = order({});
  std::unique_lock lock(mutex_);
  flushed_.wait(lock, [&] { return flushes_done_ >= number; });
}

void LogWriter::stop() {
  if (!thread_.joinable()) return;
  Orders orders;
  orders.stop = true;
  order(std::move(orders));
  thread_.join();
}

std::uint64_t LogWriter::order(Orders wanted) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    WEIR_ASSERT(thread_.joinable());
    number = ++flushes_asked_;
    orders_.flush = number;
    if (wanted.target) orders_.target = std::move(wanted.target);
    orders_.reopen |= wanted.reopen;
    orders_.stop |= wanted.stop;
  }
  signal_.ring();
  return number;
}

void LogWriter::run() {
  open_target();
  while (true) {
    wait();
    Orders orders;
    {
      const std::lock_guard lock(mutex_);
      orders = std::exchange(orders_, {});
    }
    obey(orders);
    if (orders.flush != 0) {
      const std::lock_guard lock(mutex_);
      flushes_done_ = orders.flush;
      flushed_.notify_all();
    }
    if (orders.stop) break;
  }
  last_words();
}

void LogWriter::obey(Orders& orders) {
  if (orders.any()) retry_at_ = {};
  if (reopen_due_ && Clock::now() >= retry_at_) open_target();
  drain();
  if (orders.reopen) open_target();
  if (orders.target) switch_target(std::move(*orders.target));
  if (orders.reopen || orders.target) drain();
}

/// Sleeps until there is something to do, and a little longer so that lines can gather.
void LogWriter::wait() {
  if (ordered()) return;
  wait_for(patience());
  const auto until = Clock::now() + std::chrono::milliseconds(kLogWriteMillis);
  while (!ordered() && !signal_.take_hurry()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return;
    wait_for(static_cast<int>(left));
  }
}

/// Milliseconds until something must be tried again; -1: nothing waits.
int LogWriter::patience() const {
  if (health_ == Health::good && !reopen_due_) return -1;
  if (health_ == Health::blocked) return kLogRetryMillis;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(retry_at_ - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, kLogRetryMillis));
}

void LogWriter::wait_for(int millis) {
  std::array<pollfd, 2> waiting{{{signal_.descriptor(), POLLIN, 0}, {-1, POLLOUT, 0}}};
  if (health_ == Health::blocked) waiting[1].fd = target_.descriptor();
  ignore(::poll(waiting.data(), waiting.size(), millis), "every way out of it is looked at after");
  signal_.clear();
}

bool LogWriter::ordered() {
  const std::lock_guard lock(mutex_);
  return orders_.any();
}

void LogWriter::switch_target(LogTarget target) {
  target_ = std::move(target);
  skip_broken_line();
  health_ = Health::good;
  open_target();
}

void LogWriter::open_target() {
  const bool first = !target_.is_open();
  switch (target_.open()) {
    case LogTarget::Opened::failed:
      complain(errno);
      // An old descriptor, if there is one, goes on being written to.
      if (!target_.is_open()) health_ = Health::failed;
      return;
    case LogTarget::Opened::other:
      if (!first) skip_broken_line();
      break;
    case LogTarget::Opened::same: break;
  }
  reopen_due_ = false;
  health_ = Health::good;
}

/// Offers the target everything, one sink after the other, until it takes no more.
void LogWriter::drain() {
  if (!write_pending()) return;
  std::vector<proxy::LogSink*> sinks;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& sink : sinks_) sinks.push_back(sink.get());
  }
  for (proxy::LogSink* sink : sinks) {
    sink->swap(pending_);
    if (!write_pending()) return;
  }
}

/// True when nothing is pending any more.
bool LogWriter::write_pending() {
  if (offset_ < pending_.size()) {
    if (health_ == Health::failed && Clock::now() < retry_at_) return false;
    if (!target_.is_open()) return false;
    const auto progress = target_.write(std::string_view(pending_).substr(offset_));
    offset_ += progress.taken;
    lines_lost_.add(progress.lines_lost);
    switch (progress.outcome) {
      case LogTarget::Outcome::done: health_ = Health::good; break;
      case LogTarget::Outcome::blocked: health_ = Health::blocked; return false;
      case LogTarget::Outcome::failed:
        // The socket of a syslog daemon that was restarted, or a file system that went away: a new
        // descriptor may work where this one does not.
        complain(progress.os_errno);
        health_ = Health::failed;
        return false;
    }
  }
  pending_.clear();
  offset_ = 0;
  return true;
}

void LogWriter::complain(int os_errno) {
  failures_.add();
  reopen_due_ = true;
  retry_at_ = Clock::now() + std::chrono::milliseconds(kLogRetryMillis);
  const auto now = std::chrono::time_point_cast<Micros>(Clock::now());
  log_warn_limited(complaint_, now,
                   "access log: cannot write to {}: {}; lines are kept while there is room, then "
                   "dropped and counted",
                   target_.name(), describe_errno(os_errno));
}

/// What is pending begins in the middle of a line whose beginning went to another file.
void LogWriter::skip_broken_line() {
  if (offset_ == 0 || offset_ >= pending_.size() || pending_[offset_ - 1] == '\n') return;
  offset_ = std::min(pending_.find('\n', offset_), pending_.size() - 1) + 1;
  lines_lost_.add();
}

void LogWriter::last_words() {
  const auto until = Clock::now() + std::chrono::milliseconds(kStopMillis);
  drain();
  while (health_ == Health::blocked) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) break;
    wait_for(static_cast<int>(left));
    drain();
  }
  lines_lost_.add(count_lines(std::string_view(pending_).substr(offset_)));
  const std::lock_guard lock(mutex_);
  for (const auto& sink : sinks_) {
    std::string rest;
    sink->swap(rest);
    lines_lost_.add(count_lines(rest));
  }
}

}  // namespace weir::server
