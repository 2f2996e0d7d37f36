// SPDX-License-Identifier: Apache-2.0
//
// Task<T>: a coroutine that is awaited where it is made. Lazy, immovable, [[nodiscard]]: references
// among its arguments live until the awaiting full expression ends, by C++'s own rules. Coroutines
// are named functions, never lambdas. A frame is destroyed only when it has finished; cancelling
// means asking the operation it waits for to end.
//
// Awaiting starts the child inline. If it ends without waiting, the parent goes on at once and the
// stack has not grown; otherwise the child resumes the parent by symmetric transfer when it ends.
// Sound because only the loop resumes (run_queue.h): nothing can resume the parent while its child
// still runs inline.
#pragma once

#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "async/frame_pool.h"
#include "base/assert.h"

namespace weir {
namespace detail {

struct PromiseBase {
  std::coroutine_handle<> parent;
  bool inline_start = false;
  bool finished = false;

  static void* operator new(std::size_t size) { return pool_allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { pool_free(memory, size); }

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      PromiseBase& promise = handle.promise();
      promise.finished = true;
      return promise.inline_start ? std::noop_coroutine() : promise.parent;
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  // Exceptions end at the libraries that throw them; one here is a bug.
  [[noreturn]] void unhandled_exception() noexcept { WEIR_UNREACHABLE("exception in a coroutine"); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    WEIR_ASSERT(value.has_value());
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  void return_void() {}
  void take() {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  struct promise_type : detail::Promise<T> {
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
  };

  Task(Task&&) = delete;
  Task& operator=(Task&&) = delete;
  ~Task() {
    // Never started, or finished: anything else would free memory that an operation still uses.
    WEIR_ASSERT(!started_ || handle_.promise().finished);
    handle_.destroy();
  }

  // The awaiter is the task itself: it lives until the awaiting expression ends.
  bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) {
    auto& promise = handle_.promise();
    promise.parent = parent;
    promise.inline_start = true;
    started_ = true;
    handle_.resume();
    promise.inline_start = false;
    return !promise.finished;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
  bool started_ = false;
};

}  // namespace weir
