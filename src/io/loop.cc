// SPDX-License-Identifier: Apache-2.0
#include "io/loop.h"

#include <algorithm>
#include <utility>

#include "async/frame_pool.h"

namespace weir::io {

Loop::Loop(std::size_t chunk_budget) : chunks(chunk_budget), trimmer_(*this) {}

Loop::~Loop() = default;

void Loop::attach(std::unique_ptr<Io> io) {
  WEIR_ASSERT(io_ == nullptr);
  io_ = std::move(io);
  now_ = io_->now();
  timers_ = std::make_unique<TimerWheel>(now_);
}

WallTime Loop::wall_time() { return io_->wall_time(); }

void Loop::turn(Instant limit) {
  const bool worked = queue.run(kRunMax) + heavy.run(1) > 0;
  timers_->advance(now_);
  if (has_posted_.load(std::memory_order_acquire)) run_posted();
  if (end_of_turn != nullptr) end_of_turn(end_of_turn_context);
  if (worked && !trimmer_.armed()) timers_->arm(trimmer_, now_ + Millis(kTrimMillis));
  Instant until = now_;
  if (queue.empty() && heavy.empty() && !stopping_) until = std::min(limit, timers_->next());
  io_->wait(until);
  now_ = io_->now();
}

// Memory that a burst has left goes back to the system, also when nothing else happens any more.
void Loop::trim() {
  const bool more_frames = pool_trim();
  const bool more_chunks = chunks.trim();
  if (more_frames || more_chunks) timers_->arm(trimmer_, now_ + Millis(kTrimMillis));
}

void Loop::run() {
  while (!stopping_) turn(kNever);
}

void Loop::post(Message message) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(message));
    if (has_posted_.exchange(true, std::memory_order_acq_rel)) return;  // somebody has woken it
  }
  io_->wake();
}

void Loop::run_posted() {
  std::vector<Message> messages;
  {
    const std::lock_guard lock(posted_mutex_);
    messages.swap(posted_);
    has_posted_.store(false, std::memory_order_release);
  }
  for (Message& message : messages) message();
}

SleepUntil::SleepUntil(Loop& loop, Instant due)
    : Timer([](Timer& timer) {
        auto& self = static_cast<SleepUntil&>(timer);
        self.loop_.queue.push(self.resume_);
      }),
      loop_(loop),
      due_at_(due) {}

void SleepUntil::await_suspend(std::coroutine_handle<> handle) {
  resume_.handle = handle;
  loop_.timers().arm(*this, due_at_);
}

}  // namespace weir::io
