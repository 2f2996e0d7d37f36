// SPDX-License-Identifier: Apache-2.0
#include "swarm.h"

#include <fmt/format.h>

#include <array>
#include <bit>

namespace weir::sim {
namespace {

// Less would need more than the patience of a client for the largest bodies.
constexpr std::size_t kCapacityMin = 400;
constexpr std::uint32_t kWindowMin = 1'000;

io::SimFaults draw_faults(Draw& draw) {
  io::SimFaults faults;
  const auto some = [&](double most) {
    return draw.chance(0.4) ? most * static_cast<double>(1 + draw.below(100)) / 100 : 0.0;
  };
  faults.short_read = some(0.9);
  faults.short_write = some(0.9);
  faults.short_bytes_max = 1 + draw.below(32);
  faults.deferred = some(0.5);
  faults.told_late = some(1);
  faults.delay_max = Micros(draw.chance(0.5) ? draw.below(20'000) : 0);
  faults.connect_refused = some(0.2);
  faults.connect_silent = some(0.1);
  faults.connect_slow = some(0.2);
  faults.connect_unreachable = some(0.2);
  faults.reset = some(0.3);
  faults.reset_loses = some(1);
  faults.reset_within = 1 + draw.below(draw.chance(0.5) ? 2'000 : 300'000);
  faults.no_descriptors = some(0.05);
  constexpr std::array<std::size_t, 6> kCapacities = {2'000,  2'000,  2'000,
                                                      65'536, 65'536, 1'000'000};
  faults.receive_capacity = kCapacityMin + draw.below(kCapacities[draw.below(kCapacities.size())]);
  if (draw.chance(0.15)) {
    faults.clock_jump = 1.0 / static_cast<double>(100 + draw.below(5'000));
    faults.clock_jump_max = Millis(1 + draw.below(20'000));
  }
  if (draw.chance(0.2)) faults.wall_jump = 1.0 / static_cast<double>(50 + draw.below(5'000));
  return faults;
}

void draw_operators(Draw& draw, Swarm& swarm, std::size_t servers) {
  for (int i = 0; i < 3 && draw.chance(0.4); ++i) {
    Reload& reload = swarm.reloads.emplace_back();
    reload.when = Millis(draw.below(3'000));
    reload.servers = 1 + draw.below(servers);
    reload.other_name = draw.chance(0.2);
    if (draw.chance(0.3)) reload.requests_max = 1 + draw.below(4);
    if (swarm.weather == Weather::calm) continue;
    reload.only_some_routes = draw.chance(0.2);
    reload.tcp_listener = draw.chance(0.8);
  }
  if (swarm.weather == Weather::calm) return;
  swarm.drains = draw.chance(0.3);
  swarm.drain_at = Millis(draw.below(4'000));
  swarm.calms = draw.chance(0.3);
  swarm.calm_at = Millis(draw.below(4'000));
  for (int i = 0; i < 4 && draw.chance(0.3); ++i) {
    swarm.crashes.push_back({draw.below(servers), Millis(draw.below(3'000)),
                             Millis(draw.below(3'000)), static_cast<io::SimFate>(draw.below(4))});
  }
}

// What a well-behaved world may have as well.
void draw_scene(Draw& draw, Swarm& swarm) {
  if (draw.chance(0.3)) swarm.workers = 2;
  swarm.clients = 1 + draw.below(10);
  if (draw.chance(0.003)) {
    swarm.crowd = true;
    swarm.clients = 1'000 + draw.below(2'000);
  }
  if (draw.chance(0.2)) swarm.client_requests_max = 1 + draw.below(4);
  if (draw.chance(0.2)) swarm.server_requests_max = 1 + draw.below(4);
  if (draw.chance(0.2)) swarm.server_lifetime = Millis(1 + draw.below(2'000));
  if (draw.chance(0.5)) swarm.head_size = 4_KiB + draw.below(28_KiB);
  if (draw.chance(0.3)) swarm.malformed = 0.01 * static_cast<double>(1 + draw.below(40));
  if (draw.chance(0.3)) swarm.padded = 0.01 * static_cast<double>(1 + draw.below(50));
  swarm.names = draw.chance(0.4);
  if (swarm.names) {
    swarm.resolver_slow = Millis(draw.below(100));
    if (draw.chance(0.6)) swarm.resolver_changes = Millis(1 + draw.below(1'000));
  }
}

}  // namespace

void draw_http2(Draw& draw, Swarm& swarm) {
  constexpr std::array kShares = {0.0, 0.0, 0.5, 1.0};
  constexpr std::array<std::size_t, 4> kFrames = {100, 1'000, 16'384, 16'384};
  swarm.h2_clients = kShares[draw.below(kShares.size())];
  swarm.h2_servers = draw.chance(0.5);
  if (draw.chance(0.5)) {
    swarm.h2_window =
        static_cast<std::uint32_t>(kWindowMin + draw.below(draw.chance(0.5) ? 4'000 : 300'000));
  }
  swarm.h2_frame_max = kFrames[draw.below(kFrames.size())];
  if (draw.chance(0.2)) swarm.h2_padding = draw.below(200);
  if (draw.chance(0.5)) swarm.server_streams_max = 1 + draw.below(10);
  // What is refused before the limit is known is not compared.
  if (!swarm.compared && draw.chance(0.3))
    swarm.h2_streams_max = 1 + static_cast<std::uint32_t>(draw.below(10));
  if (swarm.weather == Weather::calm || swarm.compared) return;
  if (draw.chance(0.3)) swarm.h2_refuses = 0.01 * static_cast<double>(1 + draw.below(50));
  if (draw.chance(0.3)) swarm.h2_goaways = 0.01 * static_cast<double>(1 + draw.below(50));
}

Swarm draw_swarm(Draw& draw, std::uint64_t seed, std::size_t servers) {
  Swarm swarm;
  // Every fourth seed is calm: then nothing may go wrong at all.
  swarm.weather = seed % 4 == 0 ? Weather::calm : Weather::stormy;
  draw_scene(draw, swarm);
  draw_operators(draw, swarm, servers);
  draw_http2(draw, swarm);
  if (swarm.weather == Weather::calm) return swarm;
  swarm.faults = draw_faults(draw);
  if (draw.chance(0.4)) swarm.server_idle = Millis(1 + draw.below(100));
  if (draw.chance(0.2)) swarm.budget = 16_KiB + draw.below(std::size_t{4_KiB} << draw.below(9));
  // A crowd would wait for longer than anybody has patience.
  if (!swarm.crowd && draw.chance(0.1))
    swarm.descriptors = 6 + draw.below(std::size_t{4} << draw.below(4));
  if (draw.chance(0.1)) swarm.connections_max = 1 + draw.below(std::size_t{2} << draw.below(8));
  if (draw.chance(0.1)) swarm.body_size = 1 + draw.below(std::size_t{1} << draw.below(19));
  swarm.long_rests = draw.chance(0.1);
  if (draw.chance(0.4)) {
    swarm.resolver_fails = 0.01 * static_cast<double>(1 + draw.below(90));
    swarm.resolver_slow = Millis(draw.below(5'000));
  }
  return swarm;
}

std::string describe(const Swarm& swarm) {
  std::string text = swarm.weather == Weather::calm ? "calm" : "stormy";
  const auto add = [&](std::string_view name, auto value, auto usual) {
    if (value != usual) fmt::format_to(std::back_inserter(text), ", {} {}", name, value);
  };
  const io::SimFaults& faults = swarm.faults;
  add("workers", swarm.workers, std::size_t{1});
  add("clients", swarm.clients, std::size_t{0});
  add("short_read", faults.short_read, 0.0);
  add("short_write", faults.short_write, 0.0);
  if (faults.short_read + faults.short_write > 0) add("to", faults.short_bytes_max, 0U);
  add("deferred", faults.deferred, 0.0);
  add("told_late", faults.told_late, 0.0);
  add("delay_us", faults.delay_max.count(), 0);
  add("refused", faults.connect_refused, 0.0);
  add("silent", faults.connect_silent, 0.0);
  add("slow_connect", faults.connect_slow, 0.0);
  add("unreachable", faults.connect_unreachable, 0.0);
  add("reset", faults.reset, 0.0);
  if (faults.reset > 0) add("within", faults.reset_within, 0U);
  add("reset_loses", faults.reset_loses, 0.0);
  add("no_descriptors", faults.no_descriptors, 0.0);
  add("capacity", faults.receive_capacity, io::SimFaults{}.receive_capacity);
  add("clock_jump", faults.clock_jump, 0.0);
  if (faults.clock_jump > 0) add("by_ms", faults.clock_jump_max.count(), 0);
  add("wall_jump", faults.wall_jump, 0.0);
  add("budget", swarm.budget, Swarm{}.budget);
  add("descriptors", swarm.descriptors, SIZE_MAX);
  add("connections_max", swarm.connections_max, 0U);
  add("client_requests_max", swarm.client_requests_max, 0U);
  add("server_requests_max", swarm.server_requests_max, 0U);
  add("lifetime_ms", swarm.server_lifetime.count(), Swarm{}.server_lifetime.count());
  add("head_size", swarm.head_size, Swarm{}.head_size);
  add("body_size", swarm.body_size, 0U);
  if (swarm.long_rests) text += ", long rests";
  add("server_idle_ms", swarm.server_idle.count(), 0);
  if (swarm.names) {
    add("resolver_slow_ms", swarm.resolver_slow.count(), -1);
    add("resolver_fails", swarm.resolver_fails, 0.0);
    add("resolver_changes_ms", swarm.resolver_changes.count(), 0);
  }
  add("malformed", swarm.malformed, 0.0);
  add("padded", swarm.padded, 0.0);
  add("h2_clients", swarm.h2_clients, 0.0);
  if (swarm.h2_servers) text += ", h2 servers";
  if (swarm.h2_servers || swarm.h2_clients > 0) {
    add("h2_window", swarm.h2_window, Swarm{}.h2_window);
    add("h2_streams_max", swarm.h2_streams_max, 0U);
    add("h2_frame_max", swarm.h2_frame_max, Swarm{}.h2_frame_max);
    add("h2_padding", swarm.h2_padding, 0U);
    add("h2_refuses", swarm.h2_refuses, 0.0);
    add("h2_goaways", swarm.h2_goaways, 0.0);
    add("server_streams_max", swarm.server_streams_max, Swarm{}.server_streams_max);
  }
  if (swarm.drains) add("drain_ms", swarm.drain_at.count(), -1);
  if (swarm.calms) add("calm_ms", swarm.calm_at.count(), -1);
  add("reloads", swarm.reloads.size(), 0U);
  add("crashes", swarm.crashes.size(), 0U);
  return text;
}

}  // namespace weir::sim
