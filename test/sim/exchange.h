// SPDX-License-Identifier: Apache-2.0
//
// One simulated exchange: what its client and its server are to do, and what each of them then saw.
// Both read and write the same object, which is how they are compared.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "io/sim_socket.h"

namespace weir::sim {

enum class Way : std::uint8_t { http, upgrade, tcp, malformed };
enum class Framing : std::uint8_t { none, known, chunked, until_close };
enum class Side : std::uint8_t { request, response };

/// What the server does with it.
enum class Serve : std::uint8_t {
  whole,
  close_before_head,
  reset_before_head,
  cut_head,       ///< closes in the middle of its head
  close_in_body,  ///< after `cut_at` bytes; proper only where the end of the body is the close
  reset_in_body,
  malformed_head,
  surplus,       ///< sends bytes behind its response
  hidden_close,  ///< closes behind its response, which does not say so
  huge_head,     ///< larger than allowed
  silent,        ///< never answers; of a tunnel: never ends its direction
};
std::string_view name(Serve serve);

/// What the client does with it.
enum class Ask : std::uint8_t {
  whole,
  leave_in_request,   ///< closes after `ask_at` bytes of the request's body
  leave_in_response,  ///< closes after `ask_at` bytes of the response's body
  reset_in_response,
  bad_chunk,         ///< sends what is no chunk after `ask_at` bytes of the request's body
  leave_unanswered,  ///< closes when no answer came for `waits`
  reset_unanswered,
};

/// What one side saw of a message, to be compared with what it saw in another world.
struct Seen {
  std::string heads;       ///< all of them, byte by byte
  std::uint64_t size = 0;  ///< of the body, whose bytes were checked one by one
  std::string text;        ///< or this, if the proxy has made it
  std::string trailers;
  std::string_view end;  ///< how it ended, or the wait for it
};

struct Exchange {
  // --- the plan ---
  std::uint64_t id = 0;
  Way way = Way::http;
  std::string_view method = "GET";
  bool http10 = false;
  bool close = false;       ///< the client asks for the connection's end
  bool half_close = false;  ///< and ends its direction behind the request
  bool expect = false;      ///< 100-continue
  bool http2 = false;       ///< the client speaks HTTP/2
  Framing request_framing = Framing::none;
  std::size_t request_size = 0;
  std::size_t request_pad = 0;  ///< bytes of a field that only makes the head larger
  std::size_t malformed = 0;    ///< of Way::malformed: which
  Ask ask = Ask::whole;
  std::size_t ask_at = 0;
  Millis waits{0};

  Serve serve = Serve::whole;
  bool early = false;          ///< answers before it reads the request's body
  bool informational = false;  ///< 103 first
  bool server_close = false;   ///< "Connection: close"
  bool trailers = false;
  bool agrees = true;    ///< to an upgrade
  bool listens = false;  ///< in a tunnel: says nothing before the client's end
  int status = 200;
  Framing response_framing = Framing::known;
  std::size_t response_size = 0;
  std::size_t response_pad = 0;
  std::size_t cut_at = 0;
  Millis thinks{0};
  Millis dawdles{0};  ///< between pieces of its body

  // --- what the client did and saw ---
  Instant begun_at{};     ///< began to connect, or to send its head
  std::string client_ip;  ///< of its connection, as the proxy sees it
  std::shared_ptr<io::SimConnection> wire;
  bool sent = false;              ///< began to send its head
  bool request_finished = false;  ///< was about to send the last of it, or its end
  bool left = false;              ///< on purpose
  Instant left_at{};              ///< and unanswered: then, not counting jumps of the clock
  Exchange* followed = nullptr;   ///< by one that was sent without waiting for its response
  int refusals = 0;               ///< of its stream
  bool abandoned = false;         ///< sent behind one that ended the connection
  int seen_status = 0;            ///< final, or 101
  std::string seen_cause;         ///< "weir-cause" of a response that the proxy made
  std::uint64_t response_bytes = 0;
  bool response_complete = false;
  Instant done_at{};  ///< then, not counting jumps of the clock

  // --- what servers did and saw ---
  int arrivals = 0;
  std::shared_ptr<io::SimConnection> server_wire;  ///< of the last arrival
  std::uint64_t answered_from = 0;                 ///< place of the response on it
  bool on_kept = false;                            ///< it had carried another one before
  bool request_complete = false;
  bool response_finished = false;    ///< was about to send the last of it, or its end
  std::uint64_t response_total = 0;  ///< of a whole body

  Seen request_seen;   ///< by the server
  Seen response_seen;  ///< by the client

  [[nodiscard]] bool broken_by_network() const {
    return wire != nullptr && wire->broken_by_network;
  }
  [[nodiscard]] bool leaves_unanswered() const {
    return ask == Ask::leave_unanswered || ask == Ask::reset_unanswered;
  }
  [[nodiscard]] bool bodiless() const { return method == "HEAD" || status == 204 || status == 304; }
};

/// The byte at place `at` of a body: no two bodies agree in more than chance bytes.
char pattern(std::uint64_t id, Side side, std::uint64_t at);
std::string pattern(std::uint64_t id, Side side, std::uint64_t at, std::size_t size);

/// Checks the bytes of a body as they come.
struct Check {
  std::uint64_t id;
  Side side;
  bool any = false;  ///< text of the proxy's own
  std::uint64_t at = 0;
  std::string text{};  ///< then this one
  /// False: these are not its bytes.
  bool take(std::string_view bytes);
};

/// Numbers that decide what is to happen in a seed, apart from those that the network draws.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : generator_(seed) {}
  std::uint64_t below(std::uint64_t limit) { return generator_() % limit; }
  bool chance(double p) { return static_cast<double>(generator_() >> 11) * 0x1.0p-53 < p; }
  /// Of a body: often tiny, sometimes hundreds of KiB.
  std::size_t size();

 private:
  std::mt19937_64 generator_;
};

enum class Weather : std::uint8_t { calm, stormy };

std::string pad(std::uint64_t id, Side side, std::size_t size);

struct Swarm;

/// One client: exchanges one after the other, over as few connections as they allow.
struct Script {
  std::vector<Exchange*> exchanges;
  bool pipelined = false;
  std::size_t streams = 0;  ///< over HTTP/2: at once; 0: it speaks HTTP/1
  Millis begins{0};
  Millis reads_every{0};  ///< a slow reader
  Millis rests{0};        ///< between exchanges
};

Exchange draw_exchange(Draw& draw, std::uint64_t id, const Swarm& swarm);
/// Leaves out what its client or its servers cannot say in HTTP/2.
void fit_http2(Exchange& x, const Script& script, const Swarm& swarm);

}  // namespace weir::sim
