// SPDX-License-Identifier: Apache-2.0
//
// Structured concurrency. Every coroutine that runs beside its maker belongs to a Scope, which is a
// member of an object with a named owner. There is no detach: the owner closes the scope (cancels
// what runs, by its own means) and joins it before it dies; the destructor asserts that nobody is
// inside.
#pragma once

#include <coroutine>
#include <cstddef>
#include <functional>
#include <utility>

#include "async/event.h"
#include "async/task.h"

namespace weir {

class Scope {
 public:
  explicit Scope(RunQueue& queue) : empty_(queue) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { WEIR_ASSERT(running_ == 0); }

  /// Starts fn(args...), a coroutine function that returns Task<void>, inline up to its first wait.
  /// It may be a member function, with its object's address first. The arguments are moved into its
  /// frame: values, or pointers to what outlives the coroutine.
  template <class F, class... Args>
  void spawn(F fn, Args... args) {
    ++running_;
    run(*this, fn, std::move(args)...);
  }

  [[nodiscard]] std::size_t running() const { return running_; }

  /// Waits until nothing runs here. One waiter.
  Task<> join() {
    while (running_ > 0) {
      empty_.reset();
      co_await empty_.wait();
    }
  }

 private:
  struct Root {
    struct promise_type {
      static void* operator new(std::size_t size) { return pool_allocate(size); }
      static void operator delete(void* memory, std::size_t size) noexcept {
        pool_free(memory, size);
      }
      Root get_return_object() { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() {}
      [[noreturn]] void unhandled_exception() noexcept {
        WEIR_UNREACHABLE("exception in a coroutine");
      }
    };
  };

  template <class F, class... Args>
  static Root run(Scope& scope, F fn, Args... args) {
    co_await std::invoke(fn, std::move(args)...);
    scope.ended();
  }

  void ended() {
    WEIR_ASSERT(running_ > 0);
    if (--running_ == 0) empty_.set();
  }

  std::size_t running_ = 0;
  Event empty_;
};

}  // namespace weir
