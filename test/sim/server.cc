// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "actors.h"
#include "io/sim_socket.h"

namespace weir::sim {
namespace {

constexpr Error kOver{Code::cancelled, Cause::none, 0, "over"};
constexpr Millis kNoticed{20};  // and twice the network's delay: then the proxy has looked

constexpr Millis kCrowded{1'000};
constexpr std::size_t kRoomy = 65'536;

enum class Next : std::uint8_t { request, close, reset };

/// What a server knows of its connection.
struct Served {
  std::uint64_t last = 0;     // the exchange before
  std::uint64_t allowed = 0;  // bytes up to the end of its response; then come those nobody wants
  bool ended = false;         // this end was sent
  Instant ended_at{};         // then
};

std::string response_head(const Exchange& x) {
  std::string text = fmt::format("HTTP/1.1 {} Sim\r\nX-Id: {}\r\n", x.status, x.id);
  if (x.response_framing == Framing::known) {
    text += fmt::format("Content-Length: {}\r\n", x.response_size);
  } else if (x.response_framing == Framing::chunked) {
    text += "Transfer-Encoding: chunked\r\n";
  } else if (x.method == "HEAD") {
    text += fmt::format("Content-Length: {}\r\n", 100 + x.id);
  }
  if (x.response_pad > 0) {
    text += fmt::format("X-Pad: {}\r\n", pad(x.id, Side::response, x.response_pad));
  }
  if (x.server_close) text += "Connection: close\r\n";
  return text + "\r\n";
}

Task<bool> read_request_body(World& world, Wire& wire, Exchange& x, Framing framing,
                             std::size_t size) {
  Check check{x.id, Side::request};
  const Body body = co_await wire.read_body(framing, size, check, UINT64_MAX, &x.request_seen);
  co_return take_request_end(world, x, body, check.at);
}

Task<> write_tunnel(World* world, Wire* wire, Exchange* x) {
  const bool cut = x->serve == Serve::close_in_body || x->serve == Serve::reset_in_body;
  const std::size_t stop_at = cut ? x->cut_at : SIZE_MAX;
  const Sent sent = co_await send_body(*world, *wire,
                                       {x->id,
                                        Side::response,
                                        Framing::until_close,
                                        x->response_size,
                                        stop_at,
                                        x->dawdles,
                                        false,
                                        &x->response_finished,
                                        {}});
  if (sent == Sent::failed || x->serve == Serve::silent) co_return;
  if (x->serve == Serve::reset_in_body) {
    wire->stream.cancel(kOver);
    co_return;
  }
  // The end of a direction is proper wherever it comes.
  x->response_finished = true;
  x->response_total = sent == Sent::whole ? x->response_size : x->cut_at;
  world->note("server {}: ends its direction of tunnel {}", wire->server, x->id);
  wire->stream.shutdown_write();
}

Task<Next> serve_tunnel(World& world, Wire& wire, Exchange& x) {
  Scope scope(world.server_loop.queue);
  const bool listens = x.listens && x.serve != Serve::silent;
  if (!listens) scope.spawn(write_tunnel, &world, &wire, &x);
  const bool whole = co_await read_request_body(world, wire, x, Framing::until_close, 0);
  // A direction that broke is the end of both.
  if (!whole) wire.stream.cancel(kOver);
  if (listens) scope.spawn(write_tunnel, &world, &wire, &x);
  co_await scope.join();
  const bool reset = !whole || x.serve == Serve::reset_in_body;
  if (!reset) co_await wire.settle();
  co_return reset ? Next::reset : Next::close;
}

// Reads on until the proxy closes, as a server does that does not want to reset its last response.
Task<> linger(World& world, Wire& wire, const Exchange& x) {
  wire.stream.shutdown_write();
  for (;;) {
    const Got got = co_await wire.more();
    if (got == Got::stuck) world.violate("exchange {}: the proxy does not close", x.id);
    if (got != Got::bytes) break;
  }
  if (!x.early && wire.in.find(" /x/") != std::string::npos) {
    world.violate("exchange {}: a request behind \"Connection: close\"", x.id);
  }
}

Task<Next> respond(World& world, Wire& wire, Exchange& x, Served& served) {
  if (x.thinks.count() > 0) co_await pass(world.server_loop, x.thinks);
  if (x.informational) {
    if (!co_await wire.send(fmt::format("HTTP/1.1 103 Early Hints\r\nX-Id: {}\r\n\r\n", x.id))) {
      co_return Next::close;
    }
  }
  if (x.serve == Serve::malformed_head) {
    co_await wire.send(fmt::format("HTTP/1.1 2x0 Sim\r\nX-Id: {}\r\n\r\n", x.id));
    co_return Next::close;
  }
  std::string head = response_head(x);
  if (x.serve == Serve::cut_head) {
    co_await wire.send(head.substr(0, head.size() / 2));
    co_return Next::close;
  }
  const bool closes = x.serve == Serve::close_in_body && !x.bodiless();
  const bool cuts = closes || (x.serve == Serve::reset_in_body && !x.bodiless());
  const bool until_close = x.response_framing == Framing::until_close;
  x.response_total = closes && until_close ? x.cut_at : x.response_size;
  if (x.response_framing == Framing::none ||
      (x.response_framing == Framing::known && x.response_size == 0)) {
    x.response_finished = true;
  }
  const Sent sent = co_await send_body(
      world, wire,
      {x.id, Side::response, x.response_framing, x.response_size, cuts ? x.cut_at : SIZE_MAX,
       x.dawdles, x.trailers, &x.response_finished, std::move(head)});
  if (sent == Sent::failed) co_return Next::close;
  if (cuts && !closes) co_return Next::reset;
  if (until_close) x.response_finished = true;
  if (closes) co_return Next::close;
  const bool checked = !x.early && x.serve != Serve::surplus && !wire.broken();
  if (checked && !wire.quiet()) {
    world.violate("exchange {}: the server got bytes before its response was complete", x.id);
  }
  if (x.server_close || until_close) {
    co_await linger(world, wire, x);
    co_return Next::close;
  }
  served.allowed = wire.handed;
  if (x.serve == Serve::surplus && !co_await wire.send("surplus\r\n")) co_return Next::close;
  if (x.serve == Serve::hidden_close) {
    served.ended = true;
    served.ended_at = world.network.lived();
    wire.stream.shutdown_write();
  }
  co_return Next::request;
}

// No connection is used again after anything doubtful: neither with bytes that nobody asked for,
// nor after its end; what the proxy was not told of yet it cannot know, for a short while.
void check_reuse(World& world, Wire& wire, const Served& served, std::uint64_t place) {
  if (wire.connection() == nullptr) return;
  const io::SimKnown known = io::known_when_sent(*wire.stream.plain_socket(), place);
  if (served.last == 0) return;
  if (known.taken > served.allowed) {
    world.violate("exchange {}: used again with surplus bytes behind it", served.last);
  }
  if (known.told_of_end) {
    world.violate("exchange {}: used again though its connection had ended", served.last);
  }
  const Micros bound = kNoticed + 2 * world.network.delay_bound();
  if (known.waiting > bound && !world.swarm.tight()) {
    world.violate("exchange {}: used again though something had waited behind it for {} us",
                  served.last, known.waiting.count());
  }
}

// An idle connection that has ended is closed at once. It is idle when its last client has it all,
// and when no part of another request was sent: that goes on to its end, which takes its time, and
// was begun before the proxy could know (check_reuse).
void check_let_go(World& world, Wire& wire, const Served& served, std::uint64_t place) {
  if (wire.connection() == nullptr) return;
  if (wire.connection()->ends[0].sent > place) return check_reuse(world, wire, served, place);
  const Exchange* x = world.find(served.last);
  if (x == nullptr || !x->response_complete || x->early) return;
  const Micros idle = world.network.lived() - x->done_at;
  if (idle > world.idle_timeout() + told_within(world)) {
    world.violate("exchange {}: its connection was idle for {} us", x->id, idle.count());
  }
  if (!served.ended) return;
  const Micros held = world.network.lived() - std::max(served.ended_at, x->done_at);
  if (held > told_within(world)) {
    world.violate("exchange {}: its connection had ended and was kept for {} us", x->id,
                  held.count());
  }
}

// A server with little patience ends a connection that is idle, and sees whether it is used still.
Task<Got> read_next_head(World& world, Wire& wire, Head& head, Served& served,
                         std::uint64_t place) {
  const Millis patience = wire.patience;
  const bool idle = served.last != 0 && !served.ended && world.swarm.server_idle.count() > 0;
  if (idle) wire.patience = world.swarm.server_idle;
  Got got = wire.in.empty() ? co_await wire.more() : Got::bytes;
  wire.patience = patience;
  if (got == Got::stuck && idle) {
    world.note("server {}: ends an idle connection", wire.server);
    served.ended = true;
    served.ended_at = world.network.lived();
    wire.stream.shutdown_write();
    got = Got::bytes;
  }
  if (got == Got::bytes) got = co_await wire.read_head(head);
  if (got == Got::end || got == Got::broken) check_let_go(world, wire, served, place);
  co_return got;
}

Task<Next> serve_one(World& world, Wire& wire, Served& served) {
  Head head;
  const std::uint64_t place = wire.received - wire.in.size();
  const Got got = co_await read_next_head(world, wire, head, served, place);
  if (got != Got::bytes) co_return Next::close;
  Exchange* const found = take_request_head(world, wire, head);
  const auto framing = framing_of(head, Framing::none);
  if (found == nullptr) co_return Next::reset;
  Exchange& x = *found;
  check_reuse(world, wire, served, place);
  if (served.ended) co_return Next::reset;  // not looked at
  take_arrival(world, wire, x, served.last != 0, wire.handed);
  served.last = x.id;
  if (!framing) {
    world.violate("exchange {}: the request's length is ambiguous", x.id);
    co_return Next::reset;
  }
  if (x.serve == Serve::silent && x.way == Way::http) {
    const Instant arrived = world.network.lived();
    while (co_await wire.more() == Got::bytes) wire.in.clear();
    check_silence(world, x, arrived);
    co_return Next::close;
  }
  if (x.way == Way::upgrade && x.agrees && x.serve != Serve::cut_head &&
      x.serve != Serve::close_before_head && x.serve != Serve::reset_before_head &&
      x.serve != Serve::malformed_head && x.serve != Serve::huge_head) {
    const std::string text = fmt::format(
        "HTTP/1.1 101 Sim\r\nX-Id: {}\r\nConnection: upgrade\r\nUpgrade: sim\r\n\r\n", x.id);
    if (!co_await wire.send(text)) co_return Next::close;
    const Next next = co_await serve_tunnel(world, wire, x);
    co_return next;
  }
  const bool has_body = framing->first != Framing::none;
  const bool early = x.early && has_body;
  if (has_body && !early) {
    if (head.get("expect") == "100-continue" &&
        !co_await wire.send("HTTP/1.1 100 Continue\r\n\r\n")) {
      co_return Next::close;
    }
    if (!co_await read_request_body(world, wire, x, framing->first, framing->second)) {
      co_return Next::close;
    }
  } else if (!has_body) {
    x.request_complete = true;
  }
  if (x.serve == Serve::close_before_head) co_return Next::close;
  if (x.serve == Serve::reset_before_head) co_return Next::reset;
  const Next next = co_await respond(world, wire, x, served);
  if (next == Next::request && early) {
    const bool rest = co_await read_request_body(world, wire, x, framing->first, framing->second);
    if (!rest) co_return Next::close;
  }
  co_return next;
}

void hang_up(Wire& wire, Next next) {
  const bool reset = next == Next::reset || wire.crashed;
  wire.stream.close(reset ? io::Stream::Close::reset : io::Stream::Close::orderly);
}

}  // namespace

bool take_request_end(World& world, Exchange& x, Body body, std::uint64_t bytes) {
  switch (body) {
    case Body::whole: {
      x.request_complete = true;
      const bool right = x.request_finished && bytes == x.request_size;
      if (!right) {
        world.violate("exchange {}: the request looks complete with {} of {} bytes", x.id, bytes,
                      x.request_size);
      }
      return right;
    }
    case Body::left:
    case Body::cut: return false;
    case Body::malformed:
      world.violate("exchange {}: the server got a malformed body", x.id);
      return false;
    case Body::foreign:
      world.violate("exchange {}: foreign bytes in the request from {}", x.id, bytes);
      return false;
    case Body::stuck:
      world.violate("exchange {}: the server waits for ever for the request", x.id);
      return false;
  }
  return false;
}

Exchange* take_request_head(World& world, Wire& wire, const Head& head) {
  const std::size_t space = head.first.find(' ');
  const std::size_t end = head.first.rfind(' ');
  const std::string_view target =
      space < end ? std::string_view(head.first).substr(space + 1, end - space - 1) : "";
  const std::optional<std::uint64_t> id = id_of(target);
  Exchange* x = id ? world.find(*id) : nullptr;
  if (x == nullptr || !x->sent || x->way == Way::malformed ||
      head.get("x-id") != std::to_string(*id) || head.first.substr(0, space) != x->method) {
    world.violate("a server got a request that nobody sent: {}", head.first);
    return nullptr;
  }
  x->request_seen.heads = wire.head_text;
  world.note("server {}: {} arrived, {}", wire.server, head.first, name(x->serve));
  if (world.gone_since(wire.server) < x->begun_at) {
    world.violate("exchange {}: at a server that no name leads to", x->id);
  }
  if (x->request_pad > 0 && head.get("x-pad") != pad(x->id, Side::request, x->request_pad)) {
    world.violate("exchange {}: the request's field is not what was sent", x->id);
  }
  return x;
}

// RFC 9110 section 9.2.2: what has no body and is idempotent may be sent again, and here only when
// a connection that had been kept ended before any answer.
void take_arrival(World& world, Wire& wire, Exchange& x, bool kept, std::uint64_t answered_from) {
  const bool has_body = x.way == Way::http && x.request_size > 0;
  const bool once = has_body || x.method == "POST" || x.request_framing == Framing::chunked;
  if (++x.arrivals > 1) {
    const bool answered =
        x.server_wire != nullptr && x.server_wire->ends[0].taken > x.answered_from;
    // What was sent first, and did not get far before its connection broke, was overtaken.
    const bool overtaken = kept && !x.on_kept;
    if (once || (!overtaken && (answered || !x.on_kept))) {
      world.violate("exchange {}: {} arrived {} times{}{}", x.id, x.method, x.arrivals,
                    answered ? ", though an answer had begun" : "",
                    x.on_kept ? "" : ", though its first connection was new");
    }
  }
  x.server_wire = wire.connection();
  x.answered_from = answered_from;
  x.on_kept = kept;
}

Micros told_within(World& world) {
  if (world.swarm.tight()) return std::chrono::hours(1);
  const Micros crowded = world.swarm.crowd ? kCrowded : Millis(0);  // it takes many turns
  return kNoticed + crowded + 4 * world.network.delay_bound();
}

bool is_roomy(const World& world) {
  const io::SimFaults& faults = world.swarm.faults;
  return faults.receive_capacity >= kRoomy && faults.short_write == 0 && !world.swarm.tight();
}

void check_silence(World& world, const Exchange& x, Instant arrived) {
  if (x.request_framing != Framing::none) return;
  const Micros waited = world.network.lived() - arrived;
  if (waited > world.timeouts().upstream_head + told_within(world)) {
    world.violate("exchange {}: its answer was waited for {} us", x.id, waited.count());
  }
  if (x.left_at == Instant{} || (x.http2 && !is_roomy(world))) return;
  const bool at_once = x.http2 || (x.ask == Ask::reset_unanswered && !x.half_close);
  const Micros grace = at_once ? Millis(0) : world.timeouts().client_half_close;
  const Micros held = world.network.lived() - std::max(x.left_at, arrived);
  if (held > grace + told_within(world)) {
    world.violate("exchange {}: its client had gone and its connection was kept for {} us", x.id,
                  held.count());
  }
}

Task<> serve_http(World& world, Wire& wire) {
  Served served;
  Next next = Next::request;
  while (next == Next::request) next = co_await serve_one(world, wire, served);
  hang_up(wire, next);
}

Task<> serve_tcp(World& world, Wire& wire) {
  std::size_t end = 0;
  while ((end = wire.in.find('\n')) == std::string::npos) {
    const Got got = co_await wire.more();
    if (got == Got::bytes) continue;
    wire.stream.close(io::Stream::Close::reset);
    co_return;
  }
  const std::optional<std::uint64_t> id = number(std::string_view(wire.in).substr(0, end));
  wire.in.erase(0, end + 1);
  Exchange* x = id ? world.find(*id) : nullptr;
  Next next = Next::reset;
  if (x == nullptr || x->way != Way::tcp || ++x->arrivals > 1) {
    world.violate("a server got a tcp session that nobody sent");
  } else if (world.gone_since(wire.server) < x->begun_at) {
    world.violate("exchange {}: at a server that no name leads to", x->id);
  } else if (x->serve != Serve::reset_before_head) {
    world.note("server {}: tcp {} arrived, {}", wire.server, x->id, name(x->serve));
    next = co_await serve_tunnel(world, wire, *x);
  }
  hang_up(wire, next);
}

}  // namespace weir::sim
