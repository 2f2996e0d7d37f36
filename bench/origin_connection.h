// SPDX-License-Identifier: Apache-2.0
//
// What origin knows about one connection, and what it answers to which request. No I/O: a response
// is bytes in `out` and a body that is still to be generated.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "origin_http.h"

namespace weir::bench {

/// One connection from a client. Owned by the loop of origin.cc.
struct Connection {
  using Timers = std::multimap<std::int64_t, Connection*>;

  int fd = -1;
  std::uint64_t id = 0;
  bool readable = false;
  bool ending = false;  // its end may be received already, and no event will follow
  bool writable = true;
  bool dead = false;
  bool close_after = false;
  std::string in;   // received, not yet understood
  std::string out;  // to be sent before the body
  std::size_t out_sent = 0;

  // The body being sent: `left` bytes from `at`, raw, or in pieces if `piece` is not 0.
  std::uint64_t left = 0;
  std::uint64_t at = 0;
  std::uint64_t piece = 0;
  std::int64_t pause_ms = 0;  // before each piece
  bool chunked = false;
  bool due = false;  // the pause is over
  Timers::iterator timer;
  bool timer_set = false;

  bool echoing = false;  // a WebSocket

  // The body being received by /sink or /take.
  bool sinking = false;
  bool sink_hashed = true;
  bool sink_chunked = false;
  std::uint64_t sink_left = 0;
  std::uint64_t sink_size = 0;
  std::uint32_t sink_crc = 0;
  ChunkedReader reader;
};

/// The N of "/name/N/M": segment `index` of the target as a number, 0 if there is none.
std::uint64_t segment(std::string_view target, int index);

void respond_text(Connection& connection, std::string_view text, std::uint64_t status = 200);

/// Answers a request without a body, by its target (the list is in origin.cc).
void respond(Connection& connection, const Request& request);

}  // namespace weir::bench
