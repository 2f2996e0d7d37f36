// SPDX-License-Identifier: Apache-2.0
//
// What is in a seed: each fault and each special situation is there or not, in its own strength.
#pragma once

#include <string>
#include <vector>

#include "exchange.h"

namespace weir::sim {

/// What becomes of a server for a while.
struct Crash {
  std::size_t server = 0;
  Millis begins{0};
  Millis lasts{0};
  io::SimFate fate = io::SimFate::refused;  ///< of connects; those that stand are reset
};

/// Another configuration.
struct Reload {
  Millis when{0};
  std::size_t servers = 0;
  bool only_some_routes = false;  ///< what is not GET has no route
  bool tcp_listener = true;
  bool other_name = false;  ///< the upstream is called otherwise: all of its connections go
  std::size_t requests_max = 0;
};

struct Swarm {
  Weather weather = Weather::calm;
  io::SimFaults faults;
  std::size_t workers = 1;
  std::size_t budget = 64_MiB;  ///< of each worker
  std::size_t descriptors = SIZE_MAX;
  std::size_t connections_max = 0;
  std::size_t client_requests_max = 0;  ///< per connection; 0: no limit
  std::size_t server_requests_max = 0;
  Millis server_lifetime{3'600'000};
  std::size_t head_size = 32_KiB;
  std::size_t body_size = 0;  ///< of a request; 0: no limit
  bool long_rests = false;    ///< clients rest longer than connections are kept
  Millis server_idle{0};      ///< servers end a connection that was idle for so long; zero: never
  bool names = false;         ///< servers are given by name
  Millis resolver_slow{0};
  double resolver_fails = 0;
  Millis resolver_changes{0};  ///< addresses change at this interval; zero: never
  std::size_t clients = 1;
  bool crowd = false;  ///< many clients with little to do
  double malformed = 0;
  double padded = 0;
  bool drains = false;
  Millis drain_at{0};
  bool calms = false;
  Millis calm_at{0};
  std::vector<Reload> reloads;
  std::vector<Crash> crashes;
  // HTTP/2
  double h2_clients = 0;    ///< of all clients
  bool h2_servers = false;  ///< all of them, but those of the TCP listener
  std::uint32_t h2_window = 65'535;
  std::uint32_t h2_streams_max = 0;  ///< that a server allows; 0: as many as the protocol does
  std::size_t h2_frame_max = 16'384;
  std::size_t h2_padding = 0;
  double h2_refuses = 0;                ///< a server refuses a stream
  double h2_goaways = 0;                ///< a server goes away without a warning
  std::size_t server_streams_max = 32;  ///< of the proxy's settings
  bool narrow = false;                  ///< sockets have small buffers, where they are real
  bool compared = false;                ///< only what ends alike on every backend: see same_test.cc

  /// Something about memory can go wrong.
  [[nodiscard]] bool tight() const { return budget < 64_MiB; }
};

/// What is there of HTTP/2.
void draw_http2(Draw& draw, Swarm& swarm);
Swarm draw_swarm(Draw& draw, std::uint64_t seed, std::size_t servers);
std::string describe(const Swarm& swarm);

}  // namespace weir::sim
