// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "actors.h"

namespace weir::sim {
namespace {

constexpr std::array<std::size_t, 5> kPiecesMax = {100, 100, 60'000, 60'000, 200'000};

}  // namespace

Task<Sent> send_body(World& world, Sink& sink, Sending what) {
  const auto random = [&](std::uint64_t limit) { return world.random(what.id, what.side, limit); };
  std::string text = std::move(what.head);
  const bool none =
      what.framing == Framing::none || (what.framing == Framing::known && what.size == 0);
  const bool alone = none || what.stop_at == 0 || random(2) == 0;
  if (none) *what.finished = *what.finished || what.framing == Framing::known;
  if (alone) {
    if (!co_await sink.put(std::exchange(text, {}), Sink::Last::no)) co_return Sent::failed;
    if (none) co_return Sent::whole;
  }
  for (std::size_t at = 0;;) {
    if (at >= what.stop_at) {
      if (what.bad_chunk) co_await sink.put("x\r\n", Sink::Last::no);
      co_return Sent::stopped;
    }
    const std::size_t piece_max = kPiecesMax[random(kPiecesMax.size())];
    std::size_t count = std::min<std::size_t>(what.size - at, 1 + random(piece_max));
    count = std::min(count, what.stop_at - at);
    const std::string bytes = pattern(what.id, what.side, at, count);
    at += count;
    if (what.framing == Framing::chunked && count > 0) {
      text += fmt::format("{:x}\r\n{}\r\n", count, bytes);
    } else {
      text += bytes;
    }
    const bool last = at == what.size && at < what.stop_at;
    if (last && what.framing == Framing::chunked) {
      text += what.trailers ? "0\r\nX-Trailer: yes\r\n\r\n" : "0\r\n\r\n";
    }
    if (what.framing == Framing::known && at == what.size) *what.finished = true;
    if (last && what.framing == Framing::chunked) *what.finished = true;
    const Sink::Last end = last ? Sink::Last::yes : Sink::Last::no;
    if (!co_await sink.put(std::exchange(text, {}), end)) co_return Sent::failed;
    if (last) co_return Sent::whole;
    if (what.dawdles.count() > 0) co_await pass(sink.loop(), what.dawdles);
  }
}

}  // namespace weir::sim
