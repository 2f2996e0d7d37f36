// SPDX-License-Identifier: Apache-2.0
//
// What the clients and the server of one fuzzed run do, as text that people can read and write. A
// line that begins with one of these words is an instruction; every other line, with its line end,
// belongs to the bytes of the instruction before it. The line feed before an instruction or the end
// does not.
//
//   *NAME NUMBER   how the network is and when the operator acts; see set_knob() in fuzz_script.cc
//   0>BYTES        client 0 (to 2; client 3 speaks to the TCP listener) connects and sends BYTES
//   0=MS           it waits          0|  it ends its direction          0x  it breaks the
//   connection s>BYTES        the server answers the next request with BYTES, when it has read all
//   of it … s!BYTES        … or when it has read the head s+BYTES        and sends these behind
//   them s=MS           it waits          s|  it ends its direction          sx  it breaks the
//   connection
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "io/sim_network.h"

namespace weir::sim {

struct FuzzStep {
  enum class Kind : std::uint8_t { send, wait, end, reset };
  Kind kind = Kind::send;
  std::string bytes;
  Millis time{0};
};

struct FuzzAnswer {
  bool early = false;
  std::vector<FuzzStep> steps;
};

struct FuzzScript {
  static constexpr std::size_t kClients = 4;
  static constexpr std::size_t kTcpClient = 3;

  std::uint64_t seed = 1;
  io::SimFaults faults;
  std::size_t budget = 64_MiB;  ///< of the proxy's buffers
  Millis drain_at{-1};          ///< negative: at the end
  Millis reload_at{-1};
  std::array<std::vector<FuzzStep>, kClients> clients;
  std::vector<FuzzAnswer> answers;
  bool http2_client = false;           ///< client 0 speaks HTTP/2
  std::vector<FuzzStep> http2_server;  ///< what the one for /h2/** sends on each connection
};

/// Every text is a script.
FuzzScript parse_fuzz_script(std::string_view text);

}  // namespace weir::sim
