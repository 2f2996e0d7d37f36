// SPDX-License-Identifier: Apache-2.0
#include "response_reader.h"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

/// Reads `text` in pieces of `size`; returns how much of it is the response.
std::size_t read(ResponseReader& reader, std::string_view text, std::size_t size) {
  std::size_t used = 0;
  while (used < text.size() && !reader.done()) used += reader.take(text.substr(used, size));
  return used;
}

struct Case {
  std::string_view response;
  int status;
  std::uint64_t body_size;
};

constexpr Case kCases[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5},
    {"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, 0},
    {"HTTP/1.1 502 Bad Gateway\r\nX: y\r\nContent-Length: 3\r\n\r\nbad", 502, 3},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
     "chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n",
     200, 13},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, 2},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 101, 0},
};

TEST(ResponseReader, FindsTheEndHoweverTheBytesArrive) {
  for (const Case& expected : kCases) {
    for (std::size_t size = 1; size <= expected.response.size() + 4; ++size) {
      ResponseReader reader;
      const std::string text = std::string(expected.response) + "HTTP";
      ASSERT_EQ(expected.response.size(), read(reader, text, size)) << expected.response;
      ASSERT_TRUE(reader.done());
      EXPECT_EQ(expected.status, reader.status());
      EXPECT_EQ(expected.body_size, reader.body_size());
    }
  }
}

TEST(ResponseReader, ALostByteIsNotTheEnd) {
  for (const Case& expected : kCases) {
    ResponseReader reader;
    read(reader, expected.response.substr(0, expected.response.size() - 1), 7);
    EXPECT_FALSE(reader.done()) << expected.response;
    EXPECT_TRUE(reader.begun());
  }
}

TEST(ResponseReader, WhatIsNoResponseHasNoStatus) {
  ResponseReader reader;
  reader.take("SSH-2.0-OpenSSH\r\n\r\n");
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(0, reader.status());
}

TEST(ResponseReader, PlainBytesMayBeCountedWithoutBeingShown) {
  ResponseReader reader;
  reader.take("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
  EXPECT_EQ(90U, reader.plain_left());
  reader.skip(90);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(100U, reader.body_size());
  reader.reset();
  EXPECT_FALSE(reader.done() || reader.begun());
}

}  // namespace
}  // namespace weir::bench
