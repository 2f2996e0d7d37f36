// SPDX-License-Identifier: Apache-2.0
//
// A flag that one coroutine can wait for. Setting it queues the waiter; it does not resume it.
#pragma once

#include "async/run_queue.h"

namespace weir {

class Event {
 public:
  explicit Event(RunQueue& queue) : queue_(queue) {}

  void set() {
    set_ = true;
    if (waiter_.handle) queue_.push(waiter_);
  }
  void reset() { set_ = false; }
  [[nodiscard]] bool is_set() const { return set_; }

  auto wait() {
    struct Awaiter {
      Event& event;
      bool await_ready() { return event.set_; }
      void await_suspend(std::coroutine_handle<> handle) {
        WEIR_ASSERT(!event.waiter_.handle);
        event.waiter_.handle = handle;
      }
      void await_resume() { event.waiter_.handle = nullptr; }
    };
    return Awaiter{*this};
  }

 private:
  RunQueue& queue_;
  bool set_ = false;
  Resume waiter_;
};

}  // namespace weir
