// SPDX-License-Identifier: Apache-2.0
//
// The loop of one worker: run what is ready, fire timers, wait for events. One per thread;
// everything that a loop owns is touched by its thread only. Other threads post messages.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "async/run_queue.h"
#include "io/chunk.h"
#include "io/io.h"
#include "io/timer.h"

namespace weir::io {

class Loop {
 public:
  /// `chunk_budget`: bytes of stream buffers. The backend is made with the loop's run queue and
  /// pool, so it is attached afterwards, once, before anything else.
  explicit Loop(std::size_t chunk_budget);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  void attach(std::unique_ptr<Io> io);
  [[nodiscard]] Io& io() { return *io_; }

  RunQueue queue;
  /// What computes for long: one of them in each turn, so that many do not hold up the rest.
  RunQueue heavy;
  ChunkPool chunks;

  /// The time at the start of this turn.
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] WallTime wall_time();
  TimerWheel& timers() { return *timers_; }
  [[nodiscard]] const TimerWheel& timers() const { return *timers_; }

  /// One turn; waits at most until `limit`. For tests and the simulator.
  void turn(Instant limit);
  /// Turns until stop().
  void run();
  void stop() { stopping_ = true; }
  [[nodiscard]] bool stopping() const { return stopping_; }

  using Message = std::move_only_function<void()>;
  /// Runs `message` on this loop. From any thread.
  void post(Message message);

  /// Called at the end of each turn, before waiting (to flush what was collected in it).
  void (*end_of_turn)(void* context) = nullptr;
  void* end_of_turn_context = nullptr;

 private:
  struct Trimmer : Timer {
    explicit Trimmer(Loop& owner)
        : Timer([](Timer& timer) { static_cast<Trimmer&>(timer).loop.trim(); }), loop(owner) {}
    Loop& loop;
  };
  void run_posted();
  void trim();

  std::unique_ptr<Io> io_;
  std::unique_ptr<TimerWheel> timers_;
  Instant now_{};
  Trimmer trimmer_;  // armed while something may be kept that can go
  bool stopping_ = false;
  std::mutex posted_mutex_;
  std::vector<Message> posted_;
  std::atomic<bool> has_posted_{false};
};

/// `co_await sleep_until(loop, when)`.
class SleepUntil : public Timer {
 public:
  SleepUntil(Loop& loop, Instant due);
  bool await_ready() const { return due_at_ <= loop_.now(); }
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume() {}

 private:
  Loop& loop_;
  Instant due_at_;
  Resume resume_;
};
inline SleepUntil sleep_until(Loop& loop, Instant due) { return {loop, due}; }

}  // namespace weir::io
