// SPDX-License-Identifier: Apache-2.0
//
// What the simulated clients and servers do, one coroutine for each connection, and what those that
// speak HTTP/1 and those that speak HTTP/2 have in common.
#pragma once

#include "h2_peer.h"
#include "world.h"

namespace weir::sim {

/// A body, or the raw bytes of one direction of a tunnel, and how it is sent.
struct Sending {
  std::uint64_t id;
  Side side;
  Framing framing;
  std::size_t size;
  std::size_t stop_at = SIZE_MAX;  ///< bytes; then Sent::stopped
  Millis dawdles{0};
  bool trailers = false;
  bool* finished;          ///< set before the last of it leaves; not for Framing::until_close
  std::string head;        ///< goes ahead, in its own segment or with the first bytes
  bool bad_chunk = false;  ///< instead of stopping: what is no chunk
};
enum class Sent : std::uint8_t { whole, stopped, failed };
Task<Sent> send_body(World& world, Sink& sink, Sending what);

/// The connection of one client from its first request on; `next`: of the script.
Task<> converse(World& world, Wire& wire, Script& script, std::size_t& next);
/// The same over HTTP/2, on one connection as long as it takes requests.
Task<> converse_http2(World& world, Wire& wire, Script& script, std::size_t& next);
/// A session through the TCP listener.
Task<> converse_tcp(World& world, Wire& wire, Exchange& x);
/// A connection with a request that no proxy may pass on.
Task<> converse_malformed(World& world, Wire& wire, Exchange& x);
/// A connection that a server has accepted, to its end.
Task<> serve_http(World& world, Wire& wire);
Task<> serve_http2(World& world, Wire& wire);
Task<> serve_tcp(World& world, Wire& wire);

// --- what a client makes of it ----------------------------------------------------

struct Answer {
  int status = 0;
  bool ours = false;  ///< the proxy's own
  bool keep_alive = true;
  Framing framing = Framing::none;
  std::size_t size = 0;
};

/// The exchange is about to be sent on this connection.
void begin(World& world, Wire& wire, Exchange& x);
/// False: it is none, or somebody else's.
bool take_response_head(World& world, Exchange& x, const Head& head, Answer& answer);
void take_response_end(World& world, Exchange& x, Body body);
/// No deadline is early.
void check_patience(World& world, const Exchange& x);
/// Of the response's bytes, which the client does not want to have all.
std::uint64_t leaves_at(const Exchange& x);

// --- and a server -----------------------------------------------------------------

/// The exchange whose head this is; nullptr: nobody's.
Exchange* take_request_head(World& world, Wire& wire, const Head& head);
/// Counts an arrival. `kept`: on a connection that had carried another one; `answered_from`: the
/// place on it from which on an answer would stand.
void take_arrival(World& world, Wire& wire, Exchange& x, bool kept, std::uint64_t answered_from);
/// False: the request is not whole, for whatever reason.
bool take_request_end(World& world, Exchange& x, Body body, std::uint64_t bytes);
/// Nobody waits for ever for a server that does not answer, and when the client is gone not at all.
void check_silence(World& world, const Exchange& x, Instant arrived);
/// Streams share their connection: how long what one end says is on its way is known only where
/// there is room.
bool is_roomy(const World& world);
/// How soon the proxy knows what happens to it, and the other end what it does then.
Micros told_within(World& world);

}  // namespace weir::sim
