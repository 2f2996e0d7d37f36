// SPDX-License-Identifier: Apache-2.0
#include "actors.h"
#include "io/sim_socket.h"
#include "malformed.h"

namespace weir::sim {
namespace {

constexpr Error kOver{Code::cancelled, Cause::none, 0, "over"};

/// Requests that are sent one behind the other without waiting.
struct Batch {
  World& world;
  Wire& wire;
  std::vector<Exchange*> exchanges;
  bool may_send_body = false;  // "100 Continue", or an answer
};

std::string request_head(const Exchange& x) {
  std::string text = fmt::format("{} /x/{} HTTP/1.{}\r\nHost: sim.test\r\nX-Id: {}\r\n", x.method,
                                 x.id, x.http10 ? 0 : 1, x.id);
  if (x.close) text += "Connection: close\r\n";
  if (x.expect) text += "Expect: 100-continue\r\n";
  if (x.request_pad > 0) {
    text += fmt::format("X-Pad: {}\r\n", pad(x.id, Side::request, x.request_pad));
  }
  if (x.way == Way::upgrade) text += "Connection: upgrade\r\nUpgrade: sim\r\n";
  if (x.request_framing == Framing::known) {
    text += fmt::format("Content-Length: {}\r\n", x.request_size);
  } else if (x.request_framing == Framing::chunked) {
    text += "Transfer-Encoding: chunked\r\n";
  }
  return text + "\r\n";
}

Task<> wait_for_continue(Batch& batch) {
  for (int i = 0; (i < 50 || batch.world.swarm.compared) && !batch.may_send_body; ++i) {
    co_await pass(batch.wire.stream.loop(), Millis(20));
  }
}

Task<> write_requests(Batch* batch) {
  World& world = batch->world;
  for (Exchange* x : batch->exchanges) {
    begin(world, batch->wire, *x);
    const bool tunnel = x->way == Way::upgrade;
    const Framing framing = tunnel ? Framing::none : x->request_framing;
    const bool at_once =
        framing == Framing::none || (framing == Framing::known && x->request_size == 0);
    if (at_once && !(tunnel && x->agrees)) x->request_finished = true;
    world.note("client: {} /x/{} with {} bytes{}{}{}{}", x->method, x->id, x->request_size,
               x->request_framing == Framing::chunked ? ", chunked" : "",
               x->expect ? ", expect" : "", x->early ? ", early" : "", x->close ? ", close" : "");
    std::string head = request_head(*x);
    if (x->expect) {
      if (!co_await batch->wire.send(std::move(head))) co_return;
      head.clear();
      co_await wait_for_continue(*batch);
    }
    const bool stops = x->ask == Ask::leave_in_request || x->ask == Ask::bad_chunk;
    const std::size_t stop_at = stops && !tunnel ? x->ask_at : SIZE_MAX;
    const Sent sent = co_await send_body(
        world, batch->wire,
        {x->id, Side::request, framing, x->request_size, stop_at, x->dawdles, x->trailers,
         &x->request_finished, std::move(head), x->ask == Ask::bad_chunk});
    if (sent == Sent::stopped && x->ask == Ask::bad_chunk) {
      world.note("client: sent a bad chunk in the request of {}", x->id);
      co_return;
    }
    if (sent == Sent::whole && x->half_close) batch->wire.stream.shutdown_write();
    if (sent == Sent::stopped) {
      world.note("client: leaves in the request of {}", x->id);
      for (Exchange* unanswered : batch->exchanges) unanswered->left = true;
      batch->wire.stream.cancel(kOver);
    }
    if (sent != Sent::whole) co_return;
  }
}

// The raw bytes of a tunnel, upwards.
Task<> write_tunnel(World* world, Wire* wire, Exchange* x) {
  const std::size_t stop_at = x->ask == Ask::leave_in_request ? x->ask_at : SIZE_MAX;
  const Sent sent = co_await send_body(*world, *wire,
                                       {x->id,
                                        Side::request,
                                        Framing::until_close,
                                        x->request_size,
                                        stop_at,
                                        x->dawdles,
                                        false,
                                        &x->request_finished,
                                        {}});
  if (sent == Sent::stopped) {
    x->left = true;
    wire->stream.cancel(kOver);
  }
  if (sent != Sent::whole || x->serve == Serve::silent) co_return;
  x->request_finished = true;
  world->note("client: ends its direction of tunnel {}", x->id);
  wire->stream.shutdown_write();
}

Task<> converse_tunnel(World& world, Wire& wire, Exchange& x) {
  Scope scope(world.client_loop.queue);
  scope.spawn(write_tunnel, &world, &wire, &x);
  Check check{x.id, Side::response};
  const Body body =
      co_await wire.read_body(Framing::until_close, 0, check, leaves_at(x), &x.response_seen);
  x.response_bytes = check.at;
  take_response_end(world, x, body);
  if (body != Body::whole) wire.stream.cancel(kOver);
  co_await scope.join();
  if (body == Body::whole) co_await wire.settle();
}

/// False: the connection is not to be used any more.
Task<bool> read_answer(Batch& batch, Exchange& x) {
  World& world = batch.world;
  Answer answer;
  const Millis patience = batch.wire.patience;
  if (x.leaves_unanswered()) batch.wire.patience = x.waits;
  for (;;) {
    Head head;
    const Got got = co_await batch.wire.read_head(head);
    batch.wire.patience = patience;
    if (got == Got::stuck && x.leaves_unanswered()) {
      world.note("client: leaves {} unanswered", x.id);
      x.left = true;
      x.left_at = world.network.lived();
      co_return false;
    }
    if (got != Got::bytes) {
      world.note("client: no answer to {}, {}", x.id, got == Got::end ? "an end" : "broken");
      if (got == Got::stuck) world.violate("exchange {}: no answer for ever", x.id);
      x.response_seen.end = name(got);
      co_return false;
    }
    x.response_seen.heads += batch.wire.head_text;
    if (!take_response_head(world, x, head, answer)) co_return false;
    batch.may_send_body = true;
    if (answer.status >= 200 || answer.status == 101) {
      x.seen_cause = head.get("weir-cause");
      check_patience(world, x);
      break;
    }
  }
  x.seen_status = answer.status;
  world.note("client: {} answered {} {}", x.id, answer.status, x.seen_cause);
  if (answer.status == 101) {
    co_await converse_tunnel(world, batch.wire, x);
    co_return false;
  }
  Check check{x.id, Side::response, answer.ours};
  const Body body = co_await batch.wire.read_body(answer.framing, answer.size, check, leaves_at(x),
                                                  &x.response_seen);
  x.response_bytes = check.at;
  take_response_end(world, x, body);
  co_return body == Body::whole&& answer.keep_alive;
}

Batch next_batch(World& world, Wire& wire, Script& script, std::size_t& next) {
  Batch batch{world, wire, {}};
  const std::uint64_t id = next < script.exchanges.size() ? script.exchanges[next]->id : 0;
  const std::size_t most = script.pipelined ? 1 + world.random(id, Side::request, 5) : 1;
  while (next < script.exchanges.size() && batch.exchanges.size() < most) {
    Exchange* x = script.exchanges[next];
    const bool alone = x->way != Way::http || x->expect || x->leaves_unanswered();
    if (x->way == Way::tcp || x->way == Way::malformed || (alone && !batch.exchanges.empty()))
      break;
    if (!batch.exchanges.empty()) batch.exchanges.back()->followed = x;
    batch.exchanges.push_back(x);
    ++next;
    if (alone || x->close || x->http10 || x->ask == Ask::bad_chunk) break;
  }
  return batch;
}

}  // namespace

void begin(World& world, Wire& wire, Exchange& x) {
  x.sent = true;
  x.wire = wire.connection();
  x.client_ip = wire.own_ip();
  if (x.way != Way::tcp) x.begun_at = world.network.now();
}

bool take_response_head(World& world, Exchange& x, const Head& head, Answer& answer) {
  const std::string_view first = head.first;
  const std::optional<std::uint64_t> status =
      first.starts_with("HTTP/") && first.size() > 12 ? number(first.substr(9, 3)) : std::nullopt;
  const auto framing = framing_of(head, Framing::until_close);
  if (!status || !framing) {
    world.violate("exchange {}: the response's head is malformed: {}", x.id, first);
    return false;
  }
  answer.status = static_cast<int>(*status);
  answer.ours = head.count("weir-cause") > 0;
  std::tie(answer.framing, answer.size) = *framing;
  if (x.method == "HEAD" || answer.status == 204 || answer.status == 304) {
    answer.framing = Framing::none;
  }
  answer.keep_alive = head.get("connection") != "close" && answer.framing != Framing::until_close &&
                      !x.http10 && !x.close;
  if (answer.status != 100 && !answer.ours && head.get("x-id") != std::to_string(x.id)) {
    world.violate("exchange {}: got the response of {}", x.id, head.get("x-id"));
    return false;
  }
  const bool padded = x.response_pad > 0 && !answer.ours && answer.status >= 200;
  if (padded && head.get("x-pad") != pad(x.id, Side::response, x.response_pad)) {
    world.violate("exchange {}: the response's field is not what was sent", x.id);
  }
  return true;
}

void take_response_end(World& world, Exchange& x, Body body) {
  switch (body) {
    case Body::whole:
      x.response_complete = true;
      x.done_at = world.network.lived();
      break;
    case Body::cut: break;
    case Body::left: x.left = true; break;
    case Body::malformed: world.violate("exchange {}: the response is malformed", x.id); break;
    case Body::foreign:
      world.violate("exchange {}: foreign bytes in the response from {}", x.id, x.response_bytes);
      break;
    case Body::stuck: world.violate("exchange {}: the client waits for ever", x.id); break;
  }
  world.note("client: {} ended with {} bytes, {}", x.id, x.response_bytes,
             body == Body::whole  ? "whole"
             : body == Body::left ? "left"
                                  : "broken");
}

std::uint64_t leaves_at(const Exchange& x) {
  const bool leaves = x.ask == Ask::leave_in_response || x.ask == Ask::reset_in_response;
  return leaves ? x.ask_at : UINT64_MAX;
}

void check_patience(World& world, const Exchange& x) {
  const config::Timeouts& timeouts = world.timeouts();
  const std::array<std::pair<std::string_view, Millis>, 4> least = {
      {{"upstream_connect_timeout", timeouts.upstream_connect},
       {"upstream_head_timeout", timeouts.upstream_head},
       {"client_body_timeout", timeouts.client_body},
       {"upstream_write_timeout", timeouts.upstream_write}}};
  // A loop knows the time at which its turn began: what passed and jumped since comes on top.
  const io::SimFaults& faults = world.swarm.faults;
  const Micros jumped = faults.clock_jump > 0 ? faults.clock_jump_max : Millis(1);
  const Micros waited = world.network.now() - x.begun_at + jumped;
  for (const auto& [cause, time] : least) {
    if (x.seen_cause != cause || waited >= time) continue;
    // Who waits for a connection that another one makes ends with it.
    if (world.swarm.h2_servers && cause == "upstream_connect_timeout") continue;
    world.violate("exchange {}: {} after {} us", x.id, cause, waited.count());
  }
}

Task<> converse(World& world, Wire& wire, Script& script, std::size_t& next) {
  bool go_on = true;
  bool may_end = false;  // the proxy may close though it did not say so
  while (go_on) {
    Batch batch = next_batch(world, wire, script, next);
    if (batch.exchanges.empty()) break;
    Scope scope(world.client_loop.queue);
    scope.spawn(write_requests, &batch);
    bool resets = false;
    for (Exchange* x : batch.exchanges) {
      if (!go_on) {
        x->abandoned = true;
        continue;
      }
      go_on = co_await read_answer(batch, *x) && x->ask != Ask::bad_chunk;
      if (may_end && x->seen_status == 0) x->abandoned = true;
      // The rest of a long upload that no server wants is not read for ever.
      may_end = x->early && x->server_close;
      resets = x->left && (x->ask == Ask::reset_in_response || x->ask == Ask::reset_unanswered ||
                           x->way == Way::upgrade);
    }
    batch.may_send_body = true;
    if (!go_on) wire.stream.cancel(kOver);
    co_await scope.join();
    if (go_on && !wire.in.empty()) {
      world.violate("exchange {}: bytes behind the response", batch.exchanges.back()->id);
      go_on = false;
    }
    if (resets) {
      wire.stream.close(io::Stream::Close::reset);
      co_return;
    }
    if (go_on && script.rests.count() > 0) co_await pass(world.client_loop, script.rests);
  }
  wire.stream.close(io::Stream::Close::orderly);
}

Task<> converse_tcp(World& world, Wire& wire, Exchange& x) {
  begin(world, wire, x);
  world.note("client: tcp {} with {} bytes", x.id, x.request_size);
  if (co_await wire.send(fmt::format("{}\n", x.id))) co_await converse_tunnel(world, wire, x);
  // To leave a tunnel properly would be to end it.
  const bool proper = x.request_finished && x.response_complete;
  wire.stream.close(proper ? io::Stream::Close::orderly : io::Stream::Close::reset);
}

}  // namespace weir::sim
