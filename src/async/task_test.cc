// SPDX-License-Identifier: Apache-2.0
#include "async/task.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "async/event.h"
#include "async/scope.h"

namespace weir {
namespace {

struct Counted {
  static inline int live = 0;
  Counted() { ++live; }
  Counted(const Counted&) { ++live; }
  Counted(Counted&&) noexcept { ++live; }
  ~Counted() { --live; }
};

Task<int> immediately(int value) { co_return value; }

Task<int> sum_immediately(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await immediately(1);
  co_return sum;
}

Task<> store_sum(int count, int* out) { *out = co_await sum_immediately(count); }

Task<> wait_then_log(Event* event, std::string name, std::vector<std::string>* log) {
  co_await event->wait();
  log->push_back(std::move(name));
}

Task<> yielding(RunQueue* queue, int count, int* done) {
  for (int i = 0; i < count; ++i) co_await yield(*queue);
  ++*done;
}

Task<> join_then(Scope* scope, bool* joined) {
  co_await scope->join();
  *joined = true;
}

void drain(RunQueue& queue) {
  while (queue.run(64) > 0) {
  }
}

TEST(Task, AwaitingManyImmediateChildrenDoesNotGrowTheStack) {
  RunQueue queue;
  Scope scope(queue);
  int sum = 0;
  scope.spawn(store_sum, 2'000'000, &sum);
  EXPECT_EQ(sum, 2'000'000);
  EXPECT_EQ(scope.running(), 0u);
}

TEST(Task, SettingAnEventQueuesTheWaiterAndDoesNotResumeIt) {
  RunQueue queue;
  Scope scope(queue);
  Event event(queue);
  std::vector<std::string> log;
  scope.spawn(wait_then_log, &event, std::string("a"), &log);
  event.set();
  EXPECT_TRUE(log.empty());
  drain(queue);
  EXPECT_EQ(log, std::vector<std::string>{"a"});
}

TEST(Task, FramesComeFromFreeListsInSteadyState) {
  RunQueue queue;
  Scope scope(queue);
  int sum = 0;
  scope.spawn(store_sum, 8, &sum);
  const PoolCounts before = pool_counts();
  scope.spawn(store_sum, 8, &sum);
  const PoolCounts after = pool_counts();
  EXPECT_EQ(after.allocations - before.allocations, 11u);  // 8 children, sum, store, root
  EXPECT_EQ(after.live, before.live);
#if !__has_feature(address_sanitizer)
  EXPECT_EQ(after.misses, before.misses);
#endif
}

TEST(Scope, JoinWaitsForAllThatRuns) {
  RunQueue queue;
  Scope scope(queue);
  Scope outer(queue);
  int done = 0;
  bool joined = false;
  for (int i = 0; i < 3; ++i) scope.spawn(yielding, &queue, i + 1, &done);
  outer.spawn(join_then, &scope, &joined);
  EXPECT_FALSE(joined);
  drain(queue);
  EXPECT_TRUE(joined);
  EXPECT_EQ(done, 3);
}

Task<> hold(Counted counted, Event* event) {
  const Counted kept = counted;
  co_await event->wait();
}

// The pattern that g++ 12 destroys twice; a compiler that does it must not build Weir.
Task<> temporary_in_await(Event* event) { co_await hold(Counted{}, event); }

TEST(Toolchain, TemporariesInsideAwaitAreDestroyedOnce) {
  RunQueue queue;
  {
    Scope scope(queue);
    Event event(queue);
    scope.spawn(temporary_in_await, &event);
    EXPECT_GT(Counted::live, 0);
    event.set();
    drain(queue);
  }
  EXPECT_EQ(Counted::live, 0);
}

}  // namespace
}  // namespace weir
