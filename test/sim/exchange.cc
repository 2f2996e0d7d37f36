// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include <algorithm>
#include <array>

#include "malformed.h"
#include "swarm.h"

namespace weir::sim {
namespace {

constexpr std::size_t kSurplusBody = 1000;  // small, so that it travels with what is behind it

constexpr std::size_t kBulkMin = 600'000;

constexpr std::size_t kFramePad = 15'000;

constexpr std::size_t kOtherFields = 600;  // more than a head has besides what pads it

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

Framing any_framing(Draw& draw) {
  constexpr std::array kAll = {Framing::known, Framing::known, Framing::chunked, Framing::chunked,
                               Framing::until_close};
  return kAll[draw.below(kAll.size())];
}

void draw_request(Draw& draw, Exchange& x) {
  constexpr std::array<std::string_view, 8> kMethods = {"GET",  "GET",  "GET", "GET",
                                                        "POST", "POST", "PUT", "HEAD"};
  x.method = kMethods[draw.below(kMethods.size())];
  x.http10 = draw.chance(0.1);
  x.close = draw.chance(0.1);
  x.half_close = x.close && draw.chance(0.3);
  if (x.method == "POST" || x.method == "PUT") {
    x.request_framing = !x.http10 && draw.chance(0.4) ? Framing::chunked : Framing::known;
    x.request_size = draw.size();
    x.expect = !x.http10 && draw.chance(0.15);
  }
}

void draw_response(Draw& draw, Exchange& x) {
  x.response_framing = any_framing(draw);
  x.response_size = draw.size();
  if (draw.chance(0.05)) x.status = draw.chance(0.5) ? 204 : 304;
  if (draw.chance(0.05)) x.status = 404;
  if (x.bodiless()) {
    x.response_framing = Framing::none;
    x.response_size = 0;
  }
  x.informational = !x.http10 && draw.chance(0.1);
  x.server_close = x.response_framing == Framing::until_close || draw.chance(0.1);
  x.trailers = x.response_framing == Framing::chunked && draw.chance(0.2);
  x.early = x.request_framing != Framing::none && draw.chance(0.15);
  if (draw.chance(0.2)) x.thinks = Millis(draw.below(200));
  if (draw.chance(0.1)) x.dawdles = Millis(draw.below(50));
}

void draw_tunnel(Draw& draw, Exchange& x) {
  x.way = draw.chance(0.5) ? Way::tcp : Way::upgrade;
  x.method = "GET";
  x.http10 = false;
  x.status = 200;
  x.request_size = draw.size();
  x.response_size = draw.size();
  x.response_framing = x.request_framing = Framing::until_close;
  x.agrees = x.way == Way::tcp || draw.chance(0.8);
  x.listens = draw.chance(0.3);
  if (!x.agrees) {
    x.response_framing = Framing::known;
    x.request_framing = Framing::none;
    x.request_size = 0;
  }
  x.half_close = false;
}

void draw_pads(Draw& draw, Exchange& x, const Swarm& swarm) {
  if (!draw.chance(swarm.padded) || x.way == Way::tcp) return;
  const std::size_t most = swarm.head_size - kOtherFields;
  const bool near = draw.chance(0.5);
  x.request_pad = near ? most - draw.below(10) : draw.below(most);
  if (draw.chance(0.5)) x.response_pad = near ? most - draw.below(10) : draw.below(most);
}

void draw_trouble(Draw& draw, Exchange& x, const Swarm& swarm) {
  if (draw.chance(0.35)) {
    x.serve = static_cast<Serve>(1 + draw.below(static_cast<std::uint64_t>(Serve::silent)));
    x.cut_at = draw.below(x.response_size + 1);
    if (x.serve == Serve::surplus && x.way == Way::http && !x.bodiless()) {
      x.response_framing = Framing::known;
      x.response_size = draw.below(kSurplusBody);
      x.server_close = x.trailers = x.early = false;
      x.thinks = x.dawdles = Millis(0);
    }
  }
  if (x.serve == Serve::huge_head) x.response_pad = swarm.head_size + draw.below(20'000);
  if (draw.chance(0.15)) {
    x.ask = static_cast<Ask>(1 + draw.below(static_cast<std::uint64_t>(Ask::bad_chunk)));
    if (x.ask == Ask::bad_chunk && x.request_framing != Framing::chunked) {
      x.ask = Ask::leave_in_request;
    }
    const bool in_request = x.ask == Ask::leave_in_request || x.ask == Ask::bad_chunk;
    x.ask_at = draw.below(1 + (in_request ? x.request_size : x.response_size));
  }
  if (x.serve == Serve::silent && x.way == Way::http && x.ask == Ask::whole && draw.chance(0.5)) {
    x.ask = draw.chance(0.5) ? Ask::leave_unanswered : Ask::reset_unanswered;
    x.waits = Millis(1 + draw.below(3'000));
  }
}

// Of what servers and clients may do wrong that of which the outcome does not depend on who was
// faster.
void settle_trouble(Exchange& x) {
  const bool in_tunnel = x.serve == Serve::reset_in_body && x.way != Way::http;
  const bool cuts = x.serve == Serve::close_in_body || x.serve == Serve::reset_in_body;
  // What comes behind a response may come when the connection is in use again.
  const bool behind = x.serve == Serve::hidden_close || x.serve == Serve::surplus ||
                      (cuts && x.cut_at >= x.response_size);
  if (behind || x.serve == Serve::silent || in_tunnel) x.serve = Serve::whole;
  const bool in_request = x.ask == Ask::leave_in_request || x.ask == Ask::bad_chunk;
  if (!in_request || x.way != Way::http || x.ask_at >= x.request_size) x.ask = Ask::whole;
  if (x.serve != Serve::whole || x.ask != Ask::whole) x.early = false;
  // With a reset goes what its sender has not sent yet: a small head has left by then.
  if (x.serve == Serve::close_in_body || x.serve == Serve::reset_in_body) x.response_pad = 0;
}

// What is of a size for splice, and no early response after which the rest of the request is not
// wanted or not sent: how much of it has come by then is a matter of speed.
void draw_comparable(Draw& draw, Exchange& x, const Swarm& swarm) {
  settle_trouble(x);
  const bool ends = x.close || x.http10 || x.server_close || swarm.client_requests_max > 0;
  if (ends || x.expect || x.status >= 300) x.early = false;
  if (x.serve != Serve::whole || x.ask != Ask::whole) return;
  if (draw.chance(0.03) && x.response_size > 0) x.response_size = kBulkMin + draw.below(kBulkMin);
  if (draw.chance(0.03) && x.request_size > 0) x.request_size = kBulkMin + draw.below(kBulkMin);
}

}  // namespace

std::string_view name(Serve serve) {
  switch (serve) {
    case Serve::whole: return "whole";
    case Serve::close_before_head: return "close_before_head";
    case Serve::reset_before_head: return "reset_before_head";
    case Serve::cut_head: return "cut_head";
    case Serve::close_in_body: return "close_in_body";
    case Serve::reset_in_body: return "reset_in_body";
    case Serve::malformed_head: return "malformed_head";
    case Serve::surplus: return "surplus";
    case Serve::hidden_close: return "hidden_close";
    case Serve::huge_head: return "huge_head";
    case Serve::silent: return "silent";
  }
  return "?";
}

char pattern(std::uint64_t id, Side side, std::uint64_t at) {
  const std::uint64_t key = mix(id * 2 + (side == Side::request ? 0 : 1) + 77);
  const std::uint64_t place = at * 31 + (at >> 8) * 17 + (at >> 16);
  return static_cast<char>((key >> (8 * (at % 8))) + place);
}

std::string pattern(std::uint64_t id, Side side, std::uint64_t at, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = pattern(id, side, at + i);
  return bytes;
}

bool Check::take(std::string_view bytes) {
  if (any) {
    at += bytes.size();
    text += bytes;
    return true;
  }
  for (const char byte : bytes) {
    if (byte != pattern(id, side, at)) return false;
    ++at;
  }
  return true;
}

std::size_t Draw::size() {
  constexpr std::array<std::size_t, 6> kLimits = {1, 2, 200, 5'000, 70'000, 400'000};
  constexpr std::array<std::size_t, 12> kOften = {0, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5};
  return below(kLimits[kOften[below(kOften.size())]]);
}

std::string pad(std::uint64_t id, Side side, std::size_t size) {
  std::string text = pattern(id, side, 0, size);
  for (char& c : text) c = static_cast<char>('a' + (static_cast<unsigned char>(c) & 15));
  return text;
}

Exchange draw_exchange(Draw& draw, std::uint64_t id, const Swarm& swarm) {
  Exchange x;
  x.id = id;
  draw_request(draw, x);
  draw_response(draw, x);
  if (draw.chance(0.12)) draw_tunnel(draw, x);
  if (draw.chance(swarm.malformed)) {
    x.way = Way::malformed;
    do x.malformed = draw.below(malformed_count());
    while (swarm.compared && malformed_is_half(x.malformed));  // that would take its time
    return x;
  }
  if (swarm.crowd) {
    x.request_size %= 1'000;
    x.response_size %= 1'000;
  }
  draw_pads(draw, x, swarm);
  if (swarm.weather == Weather::stormy) draw_trouble(draw, x, swarm);
  if (swarm.compared) draw_comparable(draw, x, swarm);
  return x;
}

// nghttp2 counts a CONTINUATION anew for each piece of its first bytes: what comes in such pieces
// is to fit into one frame.
void fit_frame(Exchange& x, const Swarm& swarm) {
  if (swarm.faults.short_read + swarm.faults.short_write == 0) return;
  x.request_pad = std::min(x.request_pad, kFramePad);
  x.response_pad = std::min(x.response_pad, kFramePad);
  if (x.serve == Serve::huge_head && x.response_pad < swarm.head_size) x.serve = Serve::whole;
}

void fit_http2(Exchange& x, const Script& script, const Swarm& swarm) {
  const bool http2 = script.streams > 0 && x.way != Way::tcp && x.way != Way::malformed;
  const bool tunnel = x.way == Way::upgrade;
  x.http2 = http2;
  if (http2 || swarm.h2_servers) fit_frame(x, swarm);
  // Who goes away may cross with who begins a stream.
  if (swarm.compared && swarm.h2_servers && x.way != Way::tcp) x.server_close = false;
  // RFC 9113 section 8.6: there is no Upgrade.
  if (tunnel && (http2 || swarm.h2_servers)) {
    if (http2) x.way = Way::http;
    x.agrees = false;
    x.response_framing = Framing::known;
    x.request_framing = Framing::none;
    x.request_size = 0;
    if (x.ask == Ask::leave_in_request) x.ask = Ask::whole;
  }
  if (!http2) return;
  x.http10 = x.close = x.half_close = false;
  if (x.ask == Ask::leave_in_request && x.request_framing == Framing::none) x.ask = Ask::whole;
  if (x.ask == Ask::leave_in_request && x.request_size == 0) x.ask = Ask::whole;
}

}  // namespace weir::sim
