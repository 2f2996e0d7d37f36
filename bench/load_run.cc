// SPDX-License-Identifier: Apache-2.0
#include "load_run.h"

#include <algorithm>
#include <ctime>

#include "load_h1.h"
#include "load_h2.h"
#include "sockets.h"

namespace weir::bench {
namespace {

constexpr std::uint64_t kErrorsMax = 10'000;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDrainMax = 5 * kSecond;

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

std::unique_ptr<Traffic> traffic_of(const Plan& plan, Generator& generator) {
  if (plan.streams > 0) return std::make_unique<H2Traffic>(plan, generator);
  return std::make_unique<H1Traffic>(plan, generator);
}

}  // namespace

Generator::Generator(const Plan& plan)
    : plan_(plan),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      events_(512),
      traffic_(traffic_of(plan, *this)) {
  if (plan.warm_up == Plan::WarmUp::in_turn) {
    warm_up_in_turn();
  } else {  // in a closed loop each slot sends its first request at once
    run_closed(static_cast<double>(plan.warm_up_ms) / 1000);
  }
  if (outcome_->errors + outcome_->unfinished == 0) return;
  std::fprintf(stderr, "load: %zu requests failed and %zu were not answered while warming up\n",
               std::size_t{outcome_->errors}, std::size_t{outcome_->unfinished});
  std::exit(1);
}

void Generator::warm_up_in_turn() {
  for (std::size_t slot = 0; slot < traffic_->slots(); ++slot) {
    end_ns_ = now_ns();  // a slot that is free stays so
    begin(slot, end_ns_);
    run(end_ns_);
  }
}

const Outcome& Generator::run_closed(double seconds) {
  const std::int64_t start = now_ns();
  *outcome_ = {};
  schedule_.reset();
  end_ns_ = start + static_cast<std::int64_t>(seconds * 1e9);
  idle_.clear();
  for (std::size_t slot = 0; slot < traffic_->slots(); ++slot) begin(slot, now_ns());
  run(end_ns_);
  outcome_->seconds = static_cast<double>(now_ns() - start) / 1e9;
  return *outcome_;
}

const Outcome& Generator::run_open(double seconds, double rate) {
  const std::int64_t start = now_ns();
  *outcome_ = {};
  schedule_.emplace(start, rate / plan_.pipeline, seconds);
  end_ns_ = start + static_cast<std::int64_t>(seconds * 1e9);
  idle_.clear();
  for (std::size_t slot = 0; slot < traffic_->slots(); ++slot) idle_.push_back(slot);
  send_due();
  run(end_ns_);
  outcome_->unfinished += schedule_->left() * plan_.pipeline;
  outcome_->seconds = static_cast<double>(now_ns() - start) / 1e9;
  return *outcome_;
}

/// Until the end, and then until everything is answered.
void Generator::run(std::int64_t end_ns) {
  const std::int64_t last_ns = end_ns + kDrainMax;
  traffic_->flush();
  for (;;) {
    const std::int64_t now = now_ns();
    const bool waiting = schedule_ && !schedule_->over();
    if ((now >= end_ns && busy_ == 0 && !waiting) || now >= last_ns) break;
    const bool sends = waiting && !idle_.empty();
    turn(sends ? schedule_->next_ns() : now < end_ns ? end_ns : last_ns);
    if (outcome_->errors > kErrorsMax) break;
  }
  outcome_->unfinished += busy_ * plan_.pipeline;
  if (busy_ > 0) traffic_->give_up();
  busy_ = 0;
}

void Generator::turn(std::int64_t until_ns) {
  const std::int64_t wait = std::max<std::int64_t>(until_ns - now_ns(), 0);
  const timespec timeout{wait / kSecond, wait % kSecond};
  const int count =
      epoll_pwait2(epoll_, events_.data(), static_cast<int>(events_.size()), &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    // A socket that was closed in this turn has no events any more, but one that has taken its
    // place may get those of the old one: they only make it try in vain.
    traffic_->on_event(event.data.u64, event.events);
  }
  if (schedule_) send_due();
  traffic_->flush();
}

void Generator::send_due() {
  while (!idle_.empty() && schedule_->due(now_ns())) {
    const std::size_t slot = idle_.front();
    idle_.pop_front();
    begin(slot, schedule_->take());
  }
}

void Generator::begin(std::size_t slot, std::int64_t due_ns) {
  ++busy_;
  traffic_->begin(slot, due_ns);
}

void Generator::watch(int fd, std::size_t connection) const {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                    .data = {.u64 = connection}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

void Generator::answered(std::int64_t due_ns) {
  ++outcome_->requests;
  outcome_->latency_ns.record(
      static_cast<std::uint64_t>(std::max<std::int64_t>(now_ns() - due_ns, 0)));
}

void Generator::free(std::size_t slot) {
  --busy_;
  if (schedule_) {
    idle_.push_back(slot);
  } else if (const std::int64_t now = now_ns(); now < end_ns_) {
    begin(slot, now);
  }
}

void Generator::failed(std::size_t slot) {
  ++outcome_->errors;
  if (!schedule_ && outcome_->errors > kErrorsMax) {
    --busy_;  // enough
  } else {
    free(slot);
  }
}

}  // namespace weir::bench
