// SPDX-License-Identifier: Apache-2.0
#include "server/log_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace weir::server {
namespace {

namespace fs = std::filesystem;
using testing::MatchesRegex;

class LogWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    set_diagnostics_level(config::LogLevel::error);
    std::string pattern = (fs::temp_directory_path() / "weir-log-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  [[nodiscard]] std::string path(std::string_view name) const { return folder_ / name; }
  static std::string content(const std::string& file) {
    std::ostringstream all;
    all << std::ifstream(file).rdbuf();
    return all.str();
  }

  fs::path folder_;
  proxy::Count dropped_;
};

TEST_F(LogWriterTest, AppendsTheLinesOfEverySinkToTheFile) {
  std::ofstream(path("log")) << "before\n";
  LogWriter writer{LogTarget(path("log"))};
  proxy::LogSink& one = writer.add_sink(dropped_);
  proxy::LogSink& two = writer.add_sink(dropped_);
  one.append("a\n");
  two.append("b\n");
  one.append("c\n");
  writer.flush();
  EXPECT_EQ(content(path("log")), "before\na\nc\nb\n");
}

TEST_F(LogWriterTest, ALineIsWrittenWithoutBeingAskedFor) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  const int reader = open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  LogWriter writer{LogTarget(path("fifo"))};
  writer.flush();  // the writing end is open now, so that a read waits
  ASSERT_EQ(fcntl(reader, F_SETFL, 0), 0);
  writer.add_sink(dropped_).append("a\n");
  std::array<char, 16> buffer{};
  EXPECT_EQ(read(reader, buffer.data(), buffer.size()), 2);
  close(reader);
}

TEST_F(LogWriterTest, StopWritesWhatIsLeft) {
  LogWriter writer{LogTarget(path("log"))};
  writer.add_sink(dropped_).append("a\n");
  writer.stop();
  EXPECT_EQ(content(path("log")), "a\n");
  EXPECT_EQ(writer.lines_lost(), 0U);
}

TEST_F(LogWriterTest, ReopenAfterARenameMakesANewFile) {
  LogWriter writer{LogTarget(path("log"))};
  proxy::LogSink& sink = writer.add_sink(dropped_);
  sink.append("a\n");
  writer.flush();
  fs::rename(path("log"), path("log.1"));
  sink.append("b\n");  // before the reopen: belongs to the old file
  writer.reopen();
  writer.flush();
  sink.append("c\n");
  writer.flush();
  EXPECT_EQ(content(path("log.1")), "a\nb\n");
  EXPECT_EQ(content(path("log")), "c\n");
}

TEST_F(LogWriterTest, AFailedReopenKeepsTheOldFileAndIsTriedAgain) {
  fs::create_directory(folder_ / "dir");
  LogWriter writer{LogTarget(path("dir/log"))};
  proxy::LogSink& sink = writer.add_sink(dropped_);
  sink.append("a\n");
  writer.flush();
  fs::rename(folder_ / "dir", folder_ / "gone");
  writer.reopen();
  writer.flush();
  EXPECT_GE(writer.failures(), 1U);
  sink.append("b\n");
  writer.flush();
  EXPECT_EQ(content(path("gone/log")), "a\nb\n");
  fs::create_directory(folder_ / "dir");
  writer.flush();
  sink.append("c\n");
  writer.flush();
  EXPECT_EQ(content(path("dir/log")), "c\n");
  EXPECT_EQ(writer.lines_lost(), 0U);
}

TEST_F(LogWriterTest, AMissingDirectoryLosesNothingWhenItAppears) {
  LogWriter writer{LogTarget(path("dir/log"))};
  proxy::LogSink& sink = writer.add_sink(dropped_);
  sink.append("a\n");
  writer.flush();
  EXPECT_GE(writer.failures(), 1U);
  fs::create_directory(folder_ / "dir");
  sink.append("b\n");
  writer.flush();
  writer.flush();
  EXPECT_EQ(content(path("dir/log")), "a\nb\n");
}

TEST_F(LogWriterTest, AFullDiskDropsOnlyWhatDoesNotFitAndCountsIt) {
  LogWriter writer{LogTarget("/dev/full")};
  proxy::LogSink& sink = writer.add_sink(dropped_);
  sink.append("a\n");
  writer.flush();
  EXPECT_GE(writer.failures(), 1U);
  const std::string line = std::string(kLogBufferSize / 4 - 1, 'x') + "\n";
  for (int i = 0; i < 6; ++i) sink.append(line);
  EXPECT_EQ(dropped_.get(), 2U);
  writer.set_target(LogTarget(path("log")));
  writer.flush();
  EXPECT_EQ(content(path("log")), "a\n" + line + line + line + line);
  EXPECT_EQ(writer.lines_lost(), 0U);
}

TEST_F(LogWriterTest, StoppingWithAFullDiskCountsTheLinesAsLost) {
  LogWriter writer{LogTarget("/dev/full")};
  proxy::LogSink& sink = writer.add_sink(dropped_);
  sink.append("a\nb\n");
  writer.flush();
  sink.append("c\n");
  writer.stop();
  EXPECT_EQ(writer.lines_lost(), 3U);
}

TEST_F(LogWriterTest, AReaderThatDoesNotReadBlocksNobody) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  const int reader = open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  LogWriter writer{LogTarget(path("fifo"))};
  proxy::LogSink& sink = writer.add_sink(dropped_);
  const std::string line = std::string(99, 'x') + "\n";
  const int lines = static_cast<int>(kLogBufferSize / line.size());
  for (int i = 0; i < lines; ++i) sink.append(line);
  writer.flush();  // returns although the pipe is full
  for (int i = 0; i < 2 * lines; ++i) sink.append(line);
  EXPECT_GT(dropped_.get(), 0U);
  writer.set_target(LogTarget(path("log")));
  writer.flush();
  std::uint64_t in_pipe = 0;
  std::array<char, 65536> buffer;
  ssize_t n = 0;
  while ((n = read(reader, buffer.data(), buffer.size())) > 0)
    in_pipe += static_cast<std::uint64_t>(n);
  close(reader);
  // Every line is in one of three places: dropped, in the pipe, in the file; at most one was cut.
  const std::string file = content(path("log"));
  EXPECT_EQ(file.size() % line.size(), 0U);
  const auto total = static_cast<std::uint64_t>(3 * lines);
  EXPECT_EQ(
      in_pipe / line.size() + file.size() / line.size() + dropped_.get() + writer.lines_lost(),
      total);
}

TEST_F(LogWriterTest, SyslogGetsOneFramedDatagramPerLine) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path("dev-log").copy(address.sun_path, sizeof address.sun_path - 1);
  const int daemon = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  LogWriter writer{LogTarget("syslog", path("dev-log"))};
  proxy::LogSink& sink = writer.add_sink(dropped_);
  sink.append("first\n");
  writer.flush();
  EXPECT_GE(writer.failures(), 1U) << "no daemon yet";
  ASSERT_EQ(bind(daemon, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  sink.append("second\n");
  writer.flush();
  writer.flush();
  std::array<char, 256> buffer;
  for (const char* text : {"first", "second"}) {
    const ssize_t n = recv(daemon, buffer.data(), buffer.size(), 0);
    ASSERT_GT(n, 0);
    EXPECT_THAT(std::string(buffer.data(), static_cast<std::size_t>(n)),
                MatchesRegex("<134>[A-Z][a-z]+ +[0-9]+ [0-9]+:[0-9]+:[0-9]+ weir\\[[0-9]+\\]: " +
                             std::string(text)));
  }
  close(daemon);
}

TEST_F(LogWriterTest, ARestartedSyslogDaemonIsFoundAgain) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path("dev-log").copy(address.sun_path, sizeof address.sun_path - 1);
  const auto start = [&] {
    const int daemon = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(daemon, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return daemon;
  };
  const int before = start();
  LogWriter writer{LogTarget("syslog", path("dev-log"))};
  proxy::LogSink& sink = writer.add_sink(dropped_);
  writer.flush();
  close(before);
  fs::remove(path("dev-log"));
  sink.append("kept\n");
  writer.flush();
  EXPECT_GE(writer.failures(), 1U);
  const int after = start();
  writer.flush();
  std::array<char, 256> buffer;
  const ssize_t n = recv(after, buffer.data(), buffer.size(), MSG_DONTWAIT);
  ASSERT_GT(n, 0);
  EXPECT_TRUE(std::string_view(buffer.data(), static_cast<std::size_t>(n)).ends_with(": kept"));
  close(after);
}

TEST_F(LogWriterTest, OffTakesEverything) {
  LogWriter writer{LogTarget("off")};
  writer.add_sink(dropped_).append("a\n");
  writer.stop();
  EXPECT_EQ(writer.lines_lost(), 0U);
  EXPECT_EQ(writer.failures(), 0U);
}

}  // namespace
}  // namespace weir::server
