// SPDX-License-Identifier: Apache-2.0
#include "proxy/log_sink.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace weir::proxy {
namespace {

bool rung(const LogSignal& signal) {
  pollfd waiting{signal.descriptor(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

struct Fixture {
  LogSignal signal;
  Count dropped;
  LogSink sink{signal, dropped};
};

TEST(LogSink, TheFirstLineRingsAndTheNextOnesDoNot) {
  Fixture f;
  EXPECT_FALSE(rung(f.signal));
  f.sink.append("a\n");
  EXPECT_TRUE(rung(f.signal));
  f.signal.clear();
  f.sink.append("b\n");
  EXPECT_FALSE(rung(f.signal));
  std::string lines;
  f.sink.swap(lines);
  EXPECT_EQ(lines, "a\nb\n");
  f.sink.append("c\n");
  EXPECT_TRUE(rung(f.signal));
}

TEST(LogSink, HurriesOnceWhenHalfFull) {
  Fixture f;
  f.sink.append(std::string(kLogBufferSize / 2 - 1, 'x'));
  EXPECT_FALSE(f.signal.take_hurry());
  f.sink.append("y");
  EXPECT_TRUE(f.signal.take_hurry());
  f.sink.append("z");
  EXPECT_FALSE(f.signal.take_hurry());
}

TEST(LogSink, WhatDoesNotFitIsDroppedWholeAndCounted) {
  Fixture f;
  const std::string line(kLogBufferSize / 4, 'x');
  for (int i = 0; i < 4; ++i) f.sink.append(line);
  EXPECT_EQ(f.dropped.get(), 0U);
  f.sink.append("y");
  f.sink.append("z");
  EXPECT_EQ(f.dropped.get(), 2U);
  std::string lines;
  f.sink.swap(lines);
  EXPECT_EQ(lines.size(), kLogBufferSize);
  f.sink.append("again");
  std::string more;
  f.sink.swap(more);
  EXPECT_EQ(more, "again");
}

}  // namespace
}  // namespace weir::proxy
