// SPDX-License-Identifier: Apache-2.0
//
// What the load generator sends and what it expects, made from its options once at the start.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::bench {

constexpr std::string_view kHost = "bench.test";

struct Plan {
  /// How a connection is used.
  enum class Reuse : std::uint8_t { keep, close };
  /// TLS: none, or what is done with tickets.
  enum class Security : std::uint8_t { none, full, resumed };
  /// How connections become warm: all at once, or each when the one before has had its answer.
  enum class WarmUp : std::uint8_t { together, in_turn };

  sockaddr_in to{};
  std::size_t connections = 1;
  std::vector<std::string> messages;  ///< heads, or frames; each connection sends the next of them
  std::uint64_t body_size = 0;        ///< sent behind each message, body.h says which bytes
  unsigned pipeline = 1;              ///< requests in a message
  Reuse reuse = Reuse::keep;          ///< close: the server ends the connection after the response
  std::string upgrade;                ///< sent first on each connection; answered by 101
  std::uint64_t frame_size = 0;       ///< if not 0, so many bytes are the answer, whatever they are
  std::uint64_t expected_size = 0;    ///< of the body of each response
  unsigned streams = 0;               ///< HTTP/2, with so many on each connection; 0: HTTP/1.1
  Security security = Security::none;
  WarmUp warm_up = WarmUp::together;
  std::int64_t warm_up_ms = 100;  ///< together
};

/// Reads the options (load.cc lists them). Exits with a message if one is missing or wrong.
Plan plan_of(std::span<char*> arguments);

}  // namespace weir::bench
