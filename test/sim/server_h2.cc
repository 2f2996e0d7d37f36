// SPDX-License-Identifier: Apache-2.0
//
// A server that speaks HTTP/2: each stream is one exchange. Where the script says that the server
// closes or resets its connection it does that to the stream, or to the whole connection.
#include "actors.h"

namespace weir::sim {
namespace {

constexpr Error kOver{Code::cancelled, Cause::none, 0, "over"};
constexpr std::uint64_t kBreaksOneIn = 3;
constexpr Millis kWarned{200};      // between the two GOAWAYs of a polite end
constexpr std::int32_t kFirst = 1;  // stream of a connection

class Http2Service;

struct Serving {
  Http2Service& service;
  H2Line& line;
};

class Http2Service final : public H2Peer::Service {
 public:
  Http2Service(World& w, Wire& c)
      : world(w),
        wire(c),
        peer(w, c, H2Peer::Role::server, w.h2_server_knobs(), this),
        streams(w.server_loop.queue) {}

  void stream_begun(H2Line& line) override;
  void idle() override {
    world.note("server {}: ends an idle connection of HTTP/2", wire.server);
    peer.leave();
  }
  /// Takes what is under way along.
  void break_connection(io::Stream::Close how) {
    how_ = how;
    wire.stream.cancel(kOver);
  }
  void hang_up() { wire.stream.close(wire.crashed ? io::Stream::Close::reset : how_); }

  World& world;
  Wire& wire;
  H2Peer peer;
  Scope streams;

 private:
  io::Stream::Close how_ = io::Stream::Close::orderly;
};

/// A number below `limit`, of one stream.
std::uint64_t draw(Http2Service& service, const Exchange& x, std::uint64_t limit) {
  return service.world.random(x.id, Side::response, limit);
}

bool chance(Http2Service& service, const Exchange& x, double p) {
  return p > 0 && static_cast<double>(draw(service, x, 1'000)) < p * 1'000;
}

H2FieldList response_fields(const Exchange& x) {
  H2FieldList fields = {{":status", std::to_string(x.status)}, {"x-id", std::to_string(x.id)}};
  if (x.response_framing == Framing::known) {
    fields.emplace_back("content-length", std::to_string(x.response_size));
  } else if (x.method == "HEAD" && x.status != 204) {
    fields.emplace_back("content-length", std::to_string(100 + x.id));
  }
  if (x.response_pad > 0) fields.emplace_back("x-pad", pad(x.id, Side::response, x.response_pad));
  return fields;
}

H2FieldList informational(const Exchange& x, int status) {
  return {{":status", std::to_string(status)}, {"x-id", std::to_string(x.id)}};
}

// RFC 9113 section 6.8: a warning first, so that nothing that is on its way is lost. Those in a
// hurry do without.
Task<> go_away(Http2Service* service, bool polite) {
  service->world.note("server {}: goes away{}", service->wire.server, polite ? "" : " at once");
  if (polite) {
    service->peer.go_away(H2Peer::Goaway::warning);
    co_await pass(service->world.server_loop, kWarned);
  }
  service->peer.go_away(H2Peer::Goaway::last);
}

Task<bool> read_body(Serving& serving, Exchange& x) {
  Check check{x.id, Side::request};
  const Body body = co_await serving.line.read_body(check, UINT64_MAX, &x.request_seen);
  co_return take_request_end(serving.service.world, x, body, check.at);
}

void fail(Serving& serving, const Exchange& x, bool reset) {
  Http2Service& service = serving.service;
  if (!service.world.swarm.compared && draw(service, x, kBreaksOneIn) == 0) {
    service.break_connection(reset ? io::Stream::Close::reset : io::Stream::Close::orderly);
  } else {
    serving.line.reset(reset ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL);
  }
}

/// Is it what the script says that there is no proper head? Then that is done.
bool fails_at_head(Serving& serving, Exchange& x) {
  H2FieldList fields = response_fields(x);
  switch (x.serve) {
    case Serve::close_before_head: fail(serving, x, false); return true;
    case Serve::cut_head:
    case Serve::reset_before_head: fail(serving, x, true); return true;
    case Serve::malformed_head:
      fields.front().second = "2x0";
      serving.line.send_head(fields, Sink::Last::yes);
      return true;
    case Serve::whole:
    case Serve::close_in_body:
    case Serve::reset_in_body:
    case Serve::surplus:
    case Serve::hidden_close:
    case Serve::huge_head:
    case Serve::silent: return false;
  }
  return false;
}

/// False: the response was not to be whole, or cannot be.
Task<bool> send_response(Serving& serving, Exchange& x) {
  World& world = serving.service.world;
  H2Line& line = serving.line;
  const bool empty = x.response_framing == Framing::none ||
                     (x.response_framing == Framing::known && x.response_size == 0);
  const bool cuts =
      (x.serve == Serve::close_in_body || x.serve == Serve::reset_in_body) && !x.bodiless();
  x.response_total = x.response_size;
  line.trailers = x.trailers;
  const bool known = x.response_framing == Framing::known;
  if (empty) x.response_finished = true;
  if (empty && !cuts) {
    line.send_head(response_fields(x), Sink::Last::yes);
    co_return true;
  }
  line.send_head(response_fields(x), Sink::Last::no);
  if (x.response_size == 0 && !cuts) {
    x.response_finished = true;
    co_return co_await line.put("", Sink::Last::yes);
  }
  bool finished = false;  // without a length nothing of what is cut is
  const Sent sent =
      co_await send_body(world, line,
                         {x.id,
                          Side::response,
                          x.response_size == 0 ? Framing::until_close : Framing::known,
                          x.response_size,
                          cuts ? x.cut_at : SIZE_MAX,
                          x.dawdles,
                          false,
                          cuts && !known ? &finished : &x.response_finished,
                          {}});
  if (sent == Sent::stopped) fail(serving, x, x.serve == Serve::reset_in_body);
  co_return sent == Sent::whole;
}

Task<> respond(Serving& serving, Exchange& x, bool has_body) {
  Http2Service& service = serving.service;
  H2Line& line = serving.line;
  const bool early = x.early && has_body;
  if (has_body && !early) {
    if (x.expect) line.send_informational(informational(x, 100));
    if (!co_await read_body(serving, x)) co_return;
  }
  if (x.thinks.count() > 0) co_await pass(service.world.server_loop, x.thinks);
  if (fails_at_head(serving, x)) co_return;
  if (x.informational) line.send_informational(informational(x, 103));
  if (!co_await send_response(serving, x)) co_return;
  if (x.serve == Serve::surplus) service.peer.ping();
  if (x.serve == Serve::hidden_close) service.break_connection(io::Stream::Close::orderly);
  const bool calm = service.world.weather() == Weather::calm || service.world.swarm.compared;
  if (x.server_close) service.streams.spawn(go_away, &service, calm || draw(service, x, 2) == 0);
  if (!early) co_return;
  // RFC 9113 section 8.1: what has answered may want no more of the request.
  if (x.server_close && !calm) {
    line.reset(NGHTTP2_NO_ERROR);
  } else {
    co_await read_body(serving, x);
  }
}

// What was told to go away begins no streams, once it knows.
void check_goaway(Http2Service& service, const Exchange& x) {
  World& world = service.world;
  if (service.peer.gone_at == kNever || !is_roomy(world)) return;
  if (world.network.lived() - service.peer.gone_at > told_within(world)) {
    world.violate("exchange {}: on a connection that was told to go away", x.id);
  }
}

Task<> serve_stream(Http2Service* service, H2Line* line) {
  World& world = service->world;
  Head head;
  if (co_await line->read_head(head) != Got::bytes) co_return;
  service->wire.head_text = line->head_text;
  Exchange* found = take_request_head(world, service->wire, head);
  if (found == nullptr) {
    line->reset(NGHTTP2_INTERNAL_ERROR);
    co_return;
  }
  Exchange& x = *found;
  check_goaway(*service, x);
  if (chance(*service, x, world.swarm.h2_refuses)) {
    world.note("server {}: refuses {}", service->wire.server, x.id);
    line->reset(NGHTTP2_REFUSED_STREAM);
    co_return;
  }
  take_arrival(world, service->wire, x, line->id > kFirst, UINT64_MAX);
  line->exchange = &x;
  Serving serving{*service, *line};
  const bool has_body = !line->bodiless;
  if (!has_body) x.request_complete = true;
  if (!has_body && x.request_size > 0 && x.way == Way::http) {
    world.violate("exchange {}: the request looks complete without its body", x.id);
  }
  if (x.serve == Serve::silent) {
    const Instant arrived = world.network.lived();
    co_await line->wait_closed();
    if (is_roomy(world)) check_silence(world, x, arrived);
    co_return;
  }
  co_await respond(serving, x, has_body);
  if (chance(*service, x, world.swarm.h2_goaways)) co_await go_away(service, false);
}

void Http2Service::stream_begun(H2Line& line) { streams.spawn(serve_stream, this, &line); }

}  // namespace

Task<> serve_http2(World& world, Wire& wire) {
  Http2Service service(world, wire);
  service.peer.idle_patience = world.swarm.server_idle;
  service.peer.start();
  co_await service.peer.over();
  co_await service.streams.join();
  service.hang_up();
}

}  // namespace weir::sim
