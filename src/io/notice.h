// SPDX-License-Identifier: Apache-2.0
//
// A coroutine that waits until another part of its connection tells it something, or until time is
// over: for streams that share a connection, where no operation of their own is under way.
#pragma once

#include "io/loop.h"

namespace weir::io {

class Notice : public ListNode<Notice>, private Timer {
 public:
  explicit Notice(Loop& loop)
      : Timer([](Timer& timer) {
          auto& self = static_cast<Notice&>(timer);
          self.late_ = true;
          self.loop_.queue.push(self.resume_);
        }),
        loop_(loop) {}

  /// Resumes who waits, in its own time. No effect when nobody does.
  void give() {
    if (resume_.handle) loop_.queue.push(resume_);
  }

  /// `co_await notice.wait(stall)` → false when `stall` is over without a notice; zero or less: no
  /// limit. One waiter. What is waited for is looked at before, and again afterwards.
  auto wait(Millis stall) {
    struct Awaiter {
      Notice& notice;
      Millis stall;
      bool await_ready() { return false; }
      void await_suspend(std::coroutine_handle<> handle) { notice.begin(handle, stall); }
      bool await_resume() { return notice.end(); }
    };
    return Awaiter{*this, stall};
  }

 private:
  void begin(std::coroutine_handle<> handle, Millis stall) {
    WEIR_ASSERT(!resume_.handle);
    resume_.handle = handle;
    late_ = false;
    if (stall.count() > 0) loop_.timers().arm(*this, loop_.now() + stall);
  }
  bool end() {
    disarm();
    resume_.handle = nullptr;
    return !late_;
  }

  Loop& loop_;
  Resume resume_;
  bool late_ = false;
};

}  // namespace weir::io
