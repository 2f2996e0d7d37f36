// SPDX-License-Identifier: Apache-2.0
#include "server/signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

#include "io/select_backend.h"

namespace weir::server {
namespace {

constexpr Millis kPatience{10'000};

class SignalsTest : public ::testing::TestWithParam<io::Backend> {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<io::Io>> io = io::make_io(GetParam(), loop);
    ASSERT_TRUE(io.has_value());
    loop.attach(std::move(*io));
  }
  bool seen_come_to(std::size_t count) {
    const Instant end = loop.now() + kPatience;
    while (seen.size() < count && loop.now() < end) loop.turn(loop.now() + Millis(1));
    return seen.size() == count;
  }

  io::Loop loop{1_MiB};
  std::vector<int> seen;
};

TEST_P(SignalsTest, OneThatCameBeforeTheFirstWait) {
  const SignalsBlocked blocked;
  ASSERT_EQ(::kill(getpid(), SIGTERM), 0);
  Signals signals(loop, [this](int signal) { seen.push_back(signal); });
  ASSERT_TRUE(signals.open().has_value());
  EXPECT_TRUE(seen_come_to(1));
  EXPECT_EQ(seen, std::vector{SIGTERM});
}

TEST_P(SignalsTest, EachThatComesBetweenWaits) {
  Signals signals(loop, [this](int signal) { seen.push_back(signal); });
  ASSERT_TRUE(signals.open().has_value());
  for (std::size_t i = 1; i <= 5; ++i) {
    ASSERT_EQ(::kill(getpid(), i % 2 == 0 ? SIGHUP : SIGUSR1), 0);
    EXPECT_TRUE(seen_come_to(i));
  }
  EXPECT_EQ(seen, (std::vector{SIGUSR1, SIGHUP, SIGUSR1, SIGHUP, SIGUSR1}));
}

TEST_P(SignalsTest, DefaultActionsAfterwards) {
  {
    Signals signals(loop, [](int) {});
    ASSERT_TRUE(signals.open().has_value());
  }
  sigset_t now;
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &now), 0);
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1}) {
    EXPECT_EQ(sigismember(&now, signal), 0) << signal;
  }
}

std::vector<io::Backend> backends() {
  std::vector<io::Backend> all{io::Backend::epoll};
  if (io::select_backend(io::Backend::ring)) all.push_back(io::Backend::ring);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Backends, SignalsTest, ::testing::ValuesIn(backends()));

}  // namespace
}  // namespace weir::server
