// SPDX-License-Identifier: Apache-2.0
#include "server/websocket.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::server {
namespace {

using Kind = WebSocketEvent::Kind;
using namespace std::literals;

constexpr unsigned kFin = 0x80;

/// One masked frame, as a client sends it.
std::string frame(unsigned first, std::string_view payload) {
  std::string out(1, static_cast<char>(first));
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else if (payload.size() < 65'536) {
    out += static_cast<char>(0x80 | 126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size() & 0xFF);
  } else {
    out += static_cast<char>(0x80 | 127);
    for (int shift = 56; shift >= 0; shift -= 8) {
      out += static_cast<char>((payload.size() >> shift) & 0xFF);
    }
  }
  const std::string mask = "\x12\x34\x56\x78";
  out += mask;
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out += static_cast<char>(payload[i] ^ mask[i % 4]);
  }
  return out;
}

struct Seen {
  Kind kind;
  WebSocketOpcode opcode;
  std::uint16_t close_code;
  std::string payload;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> read_pieces(const std::vector<std::string_view>& pieces) {
  WebSocketReader reader;
  std::vector<Seen> seen;
  for (std::string_view piece : pieces) {
    while (auto event = reader.next(piece)) {
      seen.push_back({event->kind, event->opcode, event->close_code, std::string(event->payload)});
    }
    EXPECT_TRUE(piece.empty()) << "without an event, everything is taken";
  }
  return seen;
}

/// The events of `bytes`, which must be the same whole, byte by byte and split at every point.
std::vector<Seen> read_all(std::string_view bytes) {
  const auto whole = read_pieces({bytes});
  std::vector<std::string_view> single;
  for (std::size_t i = 0; i < bytes.size(); ++i) single.push_back(bytes.substr(i, 1));
  EXPECT_EQ(read_pieces(single), whole);
  for (std::size_t i = 0; bytes.size() < 1000 && i <= bytes.size(); ++i) {
    EXPECT_EQ(read_pieces({bytes.substr(0, i), bytes.substr(i)}), whole) << i;
  }
  return whole;
}

TEST(WebSocketReader, MessagesOfEverySizeClass) {
  for (const std::size_t size : {0UL, 1UL, 125UL, 126UL, 65'535UL, 65'536UL}) {
    const std::string payload(size, 'x');
    const auto seen = read_all(frame(kFin | 2, payload) + frame(kFin | 1, "after"));
    ASSERT_EQ(seen.size(), 2U) << size;
    EXPECT_EQ(seen[0], (Seen{Kind::message, WebSocketOpcode::binary, 0, payload}));
    EXPECT_EQ(seen[1], (Seen{Kind::message, WebSocketOpcode::text, 0, "after"}));
  }
}

TEST(WebSocketReader, FragmentsAreJoinedAndControlFramesMayStandBetween) {
  const auto seen =
      read_all(frame(1, "a\xE2") + frame(kFin | 9, "p") + frame(0, "\x82") + frame(kFin | 10, "q") +
               frame(kFin | 0, "\xAC") + frame(kFin | 1, "b"));
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen[0].kind, Kind::ping);
  EXPECT_EQ(seen[0].payload, "p");
  EXPECT_EQ(seen[1].kind, Kind::pong);
  EXPECT_EQ(seen[2], (Seen{Kind::message, WebSocketOpcode::text, 0, "a\xE2\x82\xAC"}));
  EXPECT_EQ(seen[3].payload, "b");
}

TEST(WebSocketReader, CloseEndsEverything) {
  const auto seen = read_all(frame(kFin | 8,
                                   "\x03\xE8"
                                   "bye") +
                             frame(kFin | 1, "late"));
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0], (Seen{Kind::close, WebSocketOpcode::close, 1000, "bye"}));
  EXPECT_EQ(read_all(frame(kFin | 8, "")).at(0).close_code, kCloseNoCode);
}

TEST(WebSocketReader, WhatBreaksTheProtocolFailsWithTheRightCode) {
  const struct {
    const char* what;
    std::string bytes;
    std::uint16_t code;
  } cases[] = {
      {"not masked", "\x81\x01x"s, 1002},
      {"reserved bit", frame(kFin | 0x40 | 1, "x"), 1002},
      {"reserved opcode", frame(kFin | 3, "x"), 1002},
      {"reserved control opcode", frame(kFin | 11, "x"), 1002},
      {"continuation of nothing", frame(kFin | 0, "x"), 1002},
      {"a message inside a message", frame(1, "x") + frame(kFin | 1, "y"), 1002},
      {"fragmented ping", frame(9, "x"), 1002},
      {"long ping", frame(kFin | 9, std::string(126, 'x')), 1002},
      {"length not minimal", "\x81\xFE\x00\x01mask"s + "x", 1002},
      {"long length not minimal", "\x82\xFF\0\0\0\0\0\0\xFF\xFFmask"s, 1002},
      {"close with half a code", frame(kFin | 8, "\x03"), 1002},
      {"close with a code that is never sent", frame(kFin | 8, "\x03\xED"), 1002},
      {"close with a reason that is not text", frame(kFin | 8, "\x03\xE8\xFF"), 1007},
      {"not text", frame(kFin | 1, "\xFF"), 1007},
      {"text cut in a character", frame(kFin | 1, "\xE2\x82"), 1007},
      {"too big", "\x82\xFF\0\0\0\0\0\x10\0\x01mask"s, 1009},
      {"absurdly big", "\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFmask"s, 1009},
      {"too big in fragments", frame(2, std::string(kWebSocketMessageMax, 'x')) + "\x80\x81mask"s,
       1009},
  };
  for (const auto& c : cases) {
    const auto seen = read_all(c.bytes);
    ASSERT_EQ(seen.size(), 1U) << c.what;
    EXPECT_EQ(seen[0].kind, Kind::failed) << c.what;
    EXPECT_EQ(seen[0].close_code, c.code) << c.what;
  }
}

TEST(WebSocketReader, AMessageOfExactlyTheLimitPasses) {
  const auto seen = read_pieces({frame(kFin | 2, std::string(kWebSocketMessageMax, 'x'))});
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].payload.size(), kWebSocketMessageMax);
}

TEST(WebSocketFrames, AreUnmaskedAndMinimal) {
  std::string out;
  append_frame(out, WebSocketOpcode::text, "hi");
  EXPECT_EQ(out, "\x81\x02hi"s);
  out.clear();
  append_frame(out, WebSocketOpcode::binary, std::string(126, 'x'));
  EXPECT_EQ(out.substr(0, 4), "\x82\x7E\x00\x7E"s);
  out.clear();
  append_frame(out, WebSocketOpcode::binary, std::string(65'536, 'x'));
  EXPECT_EQ(out.substr(0, 10), "\x82\x7F\0\0\0\0\0\1\0\0"s);
  out.clear();
  append_close(out, kCloseGoingAway, std::string(200, 'r'));
  EXPECT_EQ(out.substr(0, 4), "\x88\x7D\x03\xE9"s);
  EXPECT_EQ(out.size(), 2U + 125U);
  out.clear();
  append_close(out, kCloseNoCode);
  EXPECT_EQ(out, "\x88\x00"s);
}

}  // namespace
}  // namespace weir::server
