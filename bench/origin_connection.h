// SPDX-License-Identifier: Apache-2.0
//
// What origin knows about one connection, and what it answers to which request. No I/O: a response
// is bytes in `out` and a body that is still to be generated.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "channel.h"
#include "origin_http.h"

namespace weir::bench {

/// What is to be sent: `out`, then a body of `left` bytes from `at`, raw, or in pieces if `piece`
/// is not 0.
struct Response {
  std::string out;
  std::size_t out_sent = 0;
  std::uint64_t left = 0;
  std::uint64_t at = 0;
  std::uint64_t piece = 0;
  std::int64_t pause_ms = 0;  // before each piece
  bool chunked = false;
  bool close_after = false;
  bool echoing = false;  // from here on a WebSocket
};

/// What has come of a body that is sent to /sink or /take.
struct Upload {
  bool hashed = true;
  std::uint64_t size = 0;
  std::uint32_t crc = 0;

  void take(std::string_view bytes);
};

class H2Server;

/// One connection from a client. Owned by the loop of origin.cc.
struct Connection : Response {
  using Timers = std::multimap<std::int64_t, Connection*>;

  Channel channel;
  std::uint64_t id = 0;
  bool begun = false;  // whether it is TLS is known
  bool readable = false;
  bool ending = false;  // its end may be received already, and no event will follow
  bool writable = true;
  bool dead = false;
  std::string in;  // received, not yet understood

  bool due = false;  // the pause before a piece is over
  Timers::iterator timer;
  bool timer_set = false;

  // The body being received.
  bool sinking = false;
  bool sink_chunked = false;
  std::uint64_t sink_left = 0;
  Upload upload;
  ChunkedReader reader;

  std::unique_ptr<H2Server> h2;  // if it is HTTP/2
};

/// The N of "/name/N/M": segment `index` of the target as a number, 0 if there is none.
std::uint64_t segment(std::string_view target, int index);

/// A request whose body is taken, whatever it asks for.
bool is_upload(const Request& request);
/// It wants to know what was taken.
bool is_hashed(const Request& request);

void respond_text(Response& response, std::string_view text, std::uint64_t status = 200);

/// Answers a request without a body, by its target (the list is in origin.cc).
void respond(Response& response, const Request& request);

/// Answers one whose body has come.
void respond_uploaded(Response& response, const Upload& upload);

}  // namespace weir::bench
