// SPDX-License-Identifier: Apache-2.0
//
// Signals of the process, read from a descriptor (signalfd(2)) like everything else: no handler
// runs between two instructions, and none can come in the moment before a wait. One per process.
#pragma once

#include <functional>
#include <optional>

#include "base/thread_signals.h"
#include "io/loop.h"

namespace weir::server {

class Signals {
 public:
  /// `on_signal(number)` is called on the loop for each control signal, also for one that came
  /// since the calling thread, which is the loop's, had them blocked. SIGPIPE is ignored, and so is
  /// SIGXFSZ.
  Signals(io::Loop& loop, std::function<void(int)> on_signal);
  /// Back to the default actions.
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Fails when there is no descriptor for them.
  Result<void> open();

 private:
  void wait();
  void take();

  io::Loop& loop_;
  std::function<void(int)> on_signal_;
  std::optional<SignalsBlocked> blocked_;
  io::Socket* source_ = nullptr;
  struct Readable : io::PollOp {
    Signals* signals = nullptr;
  } readable_;
};

}  // namespace weir::server
