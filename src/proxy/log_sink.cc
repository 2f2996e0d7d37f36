// SPDX-License-Identifier: Apache-2.0
#include "proxy/log_sink.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"

namespace weir::proxy {

LogSignal::LogSignal() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  WEIR_CHECK(descriptor_ >= 0);
}

LogSignal::~LogSignal() { ::close(descriptor_); }

void LogSignal::ring() {
  // Fails only when the counter is at its maximum, and then it is readable anyway.
  ignore(::eventfd_write(descriptor_, 1), "readable either way");
}

void LogSignal::hurry() {
  hurry_.store(true, std::memory_order_relaxed);
  ring();
}

void LogSignal::clear() {
  eventfd_t value = 0;
  ignore(::eventfd_read(descriptor_, &value), "nothing to clear is fine");
}

LogSink::LogSink(LogSignal& signal, Count& dropped) : signal_(signal), dropped_(dropped) {
  buffer_.reserve(kLogBufferSize);
}

void LogSink::append(std::string_view line) {
  std::size_t before = 0;
  {
    const std::lock_guard lock(mutex_);
    before = buffer_.size();
    if (line.size() > kLogBufferSize - before) {
      dropped_.add();
      return;
    }
    buffer_.append(line);
  }
  constexpr std::size_t kHalf = kLogBufferSize / 2;
  if (before < kHalf && before + line.size() >= kHalf) {
    signal_.hurry();
  } else if (before == 0) {
    signal_.ring();
  }
}

void LogSink::swap(std::string& empty) {
  WEIR_ASSERT(empty.empty());
  const std::lock_guard lock(mutex_);
  buffer_.swap(empty);
}

}  // namespace weir::proxy
