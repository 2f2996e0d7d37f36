// SPDX-License-Identifier: Apache-2.0
//
// A client that speaks HTTP/2: the exchanges of its script are streams of one connection, several
// at once. What it leaves ends with RST_STREAM, or with the whole connection.
#include "actors.h"

namespace weir::sim {
namespace {

constexpr Error kOver{Code::cancelled, Cause::none, 0, "over"};
constexpr int kRefusalsMax = 30;
constexpr std::uint64_t kBreaksOneIn = 4;  // of those that leave

/// A connection and what is under way on it.
struct Talk {
  World& world;
  Wire& wire;
  Script& script;
  H2Peer peer;
  Scope streams;
  io::Notice fewer;
  std::vector<Exchange*> asked;
  bool broken = false;

  Talk(World& w, Wire& c, Script& s)
      : world(w),
        wire(c),
        script(s),
        peer(w, c, H2Peer::Role::client, w.h2_knobs(s)),
        streams(w.client_loop.queue),
        fewer(w.client_loop) {}
};

/// One of them.
struct Asking {
  Talk& talk;
  Exchange& x;
  H2Line* line = nullptr;
  bool may_send_body = false;
};

bool is_empty(const Exchange& x) {
  return x.request_framing == Framing::none ||
         (x.request_framing == Framing::known && x.request_size == 0);
}

// What says the length of another body is malformed: RFC 9113 section 8.1.1.
H2FieldList request_fields(const Exchange& x) {
  H2FieldList fields = {{":method", std::string(x.method)},
                        {":scheme", "http"},
                        {":authority", "sim.test"},
                        {":path", fmt::format("/x/{}", x.id)},
                        {"x-id", std::to_string(x.id)}};
  if (x.expect) fields.emplace_back("expect", "100-continue");
  if (x.request_pad > 0) fields.emplace_back("x-pad", pad(x.id, Side::request, x.request_pad));
  const std::size_t more = x.ask == Ask::bad_chunk && x.ask_at >= x.request_size ? 1 : 0;
  if (x.request_framing == Framing::known || x.ask == Ask::bad_chunk) {
    fields.emplace_back("content-length", std::to_string(x.request_size + more));
  }
  return fields;
}

// On purpose, and what else is under way on it with it.
void break_connection(Talk& talk) {
  talk.broken = true;
  for (Exchange* x : talk.asked) {
    if (!x->response_complete) x->left = true;
  }
  talk.wire.stream.cancel(kOver);
}

void leave(Asking& asking) {
  World& world = asking.talk.world;
  asking.x.left = true;
  const bool breaks =
      !world.swarm.compared && world.random(asking.x.id, Side::request, kBreaksOneIn) == 0;
  world.note("client: leaves {}{}", asking.x.id, breaks ? " and breaks the connection" : "");
  asking.line->reset(NGHTTP2_CANCEL);
  if (breaks) {
    break_connection(asking.talk);
  } else {
    asking.x.left_at = world.network.lived();
  }
}

Task<> write_body(Asking* asking) {
  Exchange& x = asking->x;
  World& world = asking->talk.world;
  for (int i = 0; x.expect && (i < 50 || world.swarm.compared); ++i) {
    if (asking->may_send_body) break;
    co_await pass(world.client_loop, Millis(20));
  }
  const bool stops = x.ask == Ask::leave_in_request || x.ask == Ask::bad_chunk;
  if (x.request_size == 0 && !stops) {
    x.request_finished = true;
    co_await asking->line->put("", Sink::Last::yes);
    co_return;
  }
  const Sent sent = co_await send_body(world, *asking->line,
                                       {x.id,
                                        Side::request,
                                        x.request_size == 0 ? Framing::until_close : Framing::known,
                                        x.request_size,
                                        stops ? x.ask_at : SIZE_MAX,
                                        x.dawdles,
                                        false,
                                        &x.request_finished,
                                        {}});
  if (sent == Sent::whole && x.ask == Ask::bad_chunk) {
    co_await asking->line->put("", Sink::Last::yes);
  }
  if (sent != Sent::stopped) co_return;
  if (x.ask == Ask::bad_chunk) {
    world.note("client: the request of {} is not as long as it says", x.id);
    co_await asking->line->put("", Sink::Last::yes);
  } else {
    leave(*asking);
  }
}

// RFC 9113 section 8.7: it was not looked at, and may be sent again.
void take_refusal(Asking& asking) {
  Exchange& x = asking.x;
  World& world = asking.talk.world;
  world.note("client: {} is refused", x.id);
  if (x.arrivals > 0) world.violate("exchange {}: refused, though it was passed on", x.id);
  x.sent = x.request_finished = false;
  if (++x.refusals > kRefusalsMax) {
    world.violate("exchange {}: refused again and again", x.id);
    return;
  }
  if (!x.left) asking.talk.script.exchanges.push_back(&x);
}

/// False: no final head came.
Task<bool> read_head(Asking& asking, Answer& answer) {
  Exchange& x = asking.x;
  World& world = asking.talk.world;
  H2Line& line = *asking.line;
  if (x.leaves_unanswered()) line.patience = x.waits;
  for (;;) {
    Head head;
    const Got got = co_await line.read_head(head);
    line.patience = asking.talk.wire.patience;
    if (got == Got::stuck && x.leaves_unanswered()) {
      leave(asking);
      co_return false;
    }
    if (got != Got::bytes) {
      world.note("client: no answer to {}, {}", x.id, nghttp2_http2_strerror(line.code));
      if (got == Got::stuck) world.violate("exchange {}: no answer for ever", x.id);
      x.response_seen.end = name(got);
      if (line.code == NGHTTP2_REFUSED_STREAM) take_refusal(asking);
      co_return false;
    }
    x.response_seen.heads += line.head_text;
    if (!take_response_head(world, x, head, answer)) co_return false;
    asking.may_send_body = true;
    if (answer.status < 200) continue;
    x.seen_cause = head.get("weir-cause");
    check_patience(world, x);
    co_return true;
  }
}

Task<> read_answer(Asking& asking) {
  Exchange& x = asking.x;
  World& world = asking.talk.world;
  Answer answer;
  if (!co_await read_head(asking, answer)) co_return;
  x.seen_status = answer.status;
  world.note("client: {} answered {} {}", x.id, answer.status, x.seen_cause);
  Check check{x.id, Side::response, answer.ours};
  const Body body = co_await asking.line->read_body(check, leaves_at(x), &x.response_seen);
  x.response_bytes = check.at;
  take_response_end(world, x, body);
  if (body == Body::left) leave(asking);
}

Task<> ask(Talk* talk, Exchange* x) {
  World& world = talk->world;
  begin(world, talk->wire, *x);
  talk->asked.push_back(x);
  const bool empty = is_empty(*x) && x->ask != Ask::bad_chunk;
  if (empty) x->request_finished = true;
  world.note("client: HTTP/2 {} /x/{} with {} bytes{}{}", x->method, x->id, x->request_size,
             x->expect ? ", expect" : "", x->early ? ", early" : "");
  Asking asking{*talk, *x};
  asking.line = talk->peer.request(request_fields(*x), empty ? Sink::Last::yes : Sink::Last::no);
  Scope scope(world.client_loop.queue);
  if (!empty) scope.spawn(write_body, &asking);
  co_await read_answer(asking);
  asking.may_send_body = true;
  if (!x->response_complete) asking.line->reset(NGHTTP2_CANCEL);
  co_await scope.join();
  talk->fewer.give();
}

/// Nothing for a stream: another one's turn, or another connection's.
bool is_elsewhere(const Exchange& x) { return x.way == Way::tcp || x.way == Way::malformed; }

Task<> begin_streams(Talk& talk, std::size_t& next) {
  Script& script = talk.script;
  while (next < script.exchanges.size() && !is_elsewhere(*script.exchanges[next])) {
    while (talk.streams.running() >= script.streams) {
      ignore(co_await talk.fewer.wait(Millis(0)), "looked at");
    }
    if (talk.broken || !talk.peer.takes_requests()) co_return;
    talk.streams.spawn(ask, &talk, script.exchanges[next++]);
    if (script.rests.count() > 0) co_await pass(talk.world.client_loop, script.rests);
    // Those that are refused come again.
    if (next == script.exchanges.size()) co_await talk.streams.join();
  }
}

}  // namespace

Task<> converse_http2(World& world, Wire& wire, Script& script, std::size_t& next) {
  Talk talk(world, wire, script);
  talk.peer.start();
  co_await begin_streams(talk, next);
  co_await talk.streams.join();
  // Properly, or as somebody who is in a hurry.
  const bool proper = !talk.broken && script.exchanges.front()->id % 2 == 0;
  if (proper) talk.peer.leave();
  if (!talk.broken && !proper) co_await talk.peer.sent();
  if (!proper) wire.stream.cancel(kOver);
  co_await talk.peer.over();
  wire.stream.close(talk.broken ? io::Stream::Close::reset : io::Stream::Close::orderly);
}

}  // namespace weir::sim
