// SPDX-License-Identifier: Apache-2.0
//
// Clients whose requests must not be passed on.
#include <algorithm>

#include "actors.h"
#include "malformed.h"

namespace weir::sim {
namespace {

Task<> write_malformed(World* world, Wire* wire, Exchange* x) {
  const std::string text = malformed_text(x->malformed, x->id, world->swarm.head_size);
  const auto random = [&](std::uint64_t limit) {
    return world->random(x->id, Side::request, limit);
  };
  const std::size_t piece = 1 + random(random(2) == 0 ? 200 : 9'000);
  for (std::size_t at = 0; at < text.size(); at += piece) {
    if (!co_await wire->send(text.substr(at, piece))) co_return;
    if (random(8) == 0) co_await pass(world->client_loop, Millis(1));
  }
}

}  // namespace

Task<> converse_malformed(World& world, Wire& wire, Exchange& x) {
  x.sent = true;
  x.begun_at = world.network.now();
  x.wire = wire.connection();
  x.client_ip = wire.own_ip();
  world.note("client: malformed {}, kind {}", x.id, x.malformed);
  Scope scope(world.client_loop.queue);
  scope.spawn(write_malformed, &world, &wire, &x);
  Head head;
  Got got = co_await wire.read_head(head);
  x.response_seen.end = name(got);
  if (got == Got::bytes) {
    x.response_seen.heads = wire.head_text;
    const std::string_view first = head.first;
    x.seen_cause = head.get("weir-cause");
    x.seen_status = static_cast<int>(
        number(first.substr(std::min<std::size_t>(9, first.size()), 3)).value_or(0));
    world.note("client: malformed {} is answered {} {}", x.id, x.seen_status, x.seen_cause);
    if (x.seen_cause.empty() || x.seen_status < 400 || head.get("connection") != "close") {
      world.violate("exchange {}: malformed (kind {}), and answered {}", x.id, x.malformed, first);
    }
    Check check{x.id, Side::response, true};
    const auto framing = framing_of(head, Framing::until_close);
    if (framing) {
      const Body body = co_await wire.read_body(framing->first, framing->second, check, UINT64_MAX,
                                                &x.response_seen);
      x.response_complete = body == Body::whole;
    }
    if (x.response_complete) got = co_await wire.more();
    if (x.response_complete && got == Got::bytes) {
      world.violate("exchange {}: malformed, and answered twice", x.id);
    }
  }
  if (got == Got::stuck)
    world.violate("exchange {}: malformed, and neither answered nor ended", x.id);
  wire.stream.cancel({Code::cancelled, Cause::none, 0, "over"});
  co_await scope.join();
  wire.stream.close(io::Stream::Close::orderly);
}

}  // namespace weir::sim
