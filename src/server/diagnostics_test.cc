// SPDX-License-Identifier: Apache-2.0
#include "server/diagnostics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

namespace weir::server {
namespace {

using config::LogLevel;
using testing::MatchesRegex;

class Diagnostics : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe2(pipe_.data(), O_CLOEXEC), 0); }
  void TearDown() override {
    close(pipe_[0]);
    if (pipe_[1] >= 0) close(pipe_[1]);
  }
  void start(LogLevel level) { start_diagnostics(level, pipe_[1]); }
  /// All that was written, once everything was.
  std::string stop() {
    stop_diagnostics();
    close(pipe_[1]);
    pipe_[1] = -1;
    std::string all;
    std::array<char, 4096> buffer;
    ssize_t n = 0;
    while ((n = read(pipe_[0], buffer.data(), buffer.size())) > 0) {
      all.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return all;
  }
  std::array<int, 2> pipe_{-1, -1};
};

TEST_F(Diagnostics, LinesHaveTimeLevelAndMessage) {
  start(LogLevel::debug);
  log_error("a {}", 1);
  log_warn("b");
  log_info("c {}", "text");
  log_debug("d");
  const std::string time = "[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+Z ";
  EXPECT_THAT(stop(), MatchesRegex(time + "error a 1\n" + time + "warn  b\n" + time +
                                   "info  c text\n" + time + "debug d\n"));
}

TEST_F(Diagnostics, TheLevelCanBeChangedWhileRunning) {
  start(LogLevel::warning);
  log_info("one");
  set_diagnostics_level(LogLevel::info);
  log_info("two");
  set_diagnostics_level(LogLevel::error);
  log_warn("three");
  const std::string all = stop();
  EXPECT_EQ(all.find("one"), std::string::npos);
  EXPECT_NE(all.find("two"), std::string::npos);
  EXPECT_EQ(all.find("three"), std::string::npos);
}

TEST_F(Diagnostics, AMessageIsOneLineWhateverAPeerPutIntoIt) {
  start(LogLevel::info);
  log_info("bad header {}", "x\r\n2026-01-01T00:00:00.000Z error forged\x1b[2J");
  const std::string all = stop();
  EXPECT_EQ(all.find('\n'), all.size() - 1);
  EXPECT_NE(all.find("x\\x0D\\x0A2026"), std::string::npos) << all;
  EXPECT_NE(all.find("\\x1B[2J"), std::string::npos) << all;
}

TEST_F(Diagnostics, AFullPipeLosesMessagesAndBlocksNobody) {
  ASSERT_GE(fcntl(pipe_[1], F_SETPIPE_SZ, 4096), 4096);
  start(LogLevel::info);
  const std::string text(1000, 'x');
  for (int i = 0; i < 1000; ++i) log_info("{} {}", i, text);  // nobody reads; must return
  std::array<char, 65536> buffer;
  EXPECT_GT(read(pipe_[0], buffer.data(), buffer.size()), 0);
  // What is still queued would be given up line by line; this only makes the end of the test quick.
  set_diagnostics_level(LogLevel::error);
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(dup3(null, pipe_[1], O_CLOEXEC), 0);
  close(null);
  stop();
}

TEST(RateLimit, TheFirstPassesThenOnePerIntervalWithACount) {
  RateLimit limit;
  const Instant start{Micros{5'000'000}};
  EXPECT_EQ(limit.admit(start), 0U);
  EXPECT_EQ(limit.admit(start), std::nullopt);
  EXPECT_EQ(limit.admit(start + RateLimit::kInterval - Micros{1}), std::nullopt);
  EXPECT_EQ(limit.admit(start + RateLimit::kInterval), 2U);
  EXPECT_EQ(limit.admit(start + RateLimit::kInterval), std::nullopt);
  EXPECT_EQ(limit.admit(start + 3 * RateLimit::kInterval), 1U);
}

TEST_F(Diagnostics, ALimitedWarningSaysHowManyWereHeldBack) {
  start(LogLevel::info);
  RateLimit limit;
  const Instant now{Micros{1}};
  log_warn_limited(limit, now, "disk {}", "full");
  log_warn_limited(limit, now, "disk {}", "full");
  log_warn_limited(limit, now + RateLimit::kInterval, "disk {}", "full");
  const std::string all = stop();
  EXPECT_NE(all.find("warn  disk full\n"), std::string::npos) << all;
  EXPECT_NE(all.find("warn  disk full (1 more since the last such line)\n"), std::string::npos);
}

}  // namespace
}  // namespace weir::server
