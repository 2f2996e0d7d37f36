// SPDX-License-Identifier: Apache-2.0
//
// What a loop still has to do in this or the next turn. Nothing else resumes a coroutine: events,
// completions and cancellations put a Runnable here, so no function is re-entered by what it
// causes.
#pragma once

#include <coroutine>

#include "base/list.h"

namespace weir {

/// Something to run once. Owned by whoever made it; unlinks itself when it dies.
class Runnable : public ListNode<Runnable> {
 public:
  using Function = void (*)(Runnable&);
  Function run = nullptr;
};

/// A coroutine to resume.
class Resume : public Runnable {
 public:
  explicit Resume(std::coroutine_handle<> handle = nullptr) : handle(handle) {
    run = [](Runnable& self) { static_cast<Resume&>(self).handle.resume(); };
  }
  std::coroutine_handle<> handle;
};

class RunQueue {
 public:
  /// No effect when it is queued already.
  void push(Runnable& item) {
    if (!item.linked()) items_.push_back(item);
  }
  [[nodiscard]] bool empty() const { return items_.empty(); }
  /// Runs what is queued, at most `limit` items. Returns how many.
  std::size_t run(std::size_t limit) {
    std::size_t count = 0;
    for (; count < limit && !items_.empty(); ++count) {
      Runnable& item = items_.pop_front();
      item.run(item);
    }
    return count;
  }

 private:
  List<Runnable> items_;
};

/// `co_await yield(queue)`: lets everything that is queued run first.
inline auto yield(RunQueue& queue) {
  struct Awaiter {
    RunQueue& queue;
    Resume resume;
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      resume.handle = handle;
      queue.push(resume);
    }
    void await_resume() {}
  };
  return Awaiter{queue, Resume{}};
}

}  // namespace weir
