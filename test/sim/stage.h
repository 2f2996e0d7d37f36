// SPDX-License-Identifier: Apache-2.0
//
// Where a world is played: on the simulated network with its virtual clock, or on this machine's
// loopback interface with one of the real backends. Either way one thread turns all loops.
#pragma once

#include <memory>

#include "io/loop.h"
#include "io/sim_network.h"
#include "io/tcp_stream.h"

namespace weir::sim {

enum class On : std::uint8_t { sim, epoll, ring };
std::string_view name(On on);

/// Of sockets: narrow ones make for short writes and for waits. The simulated network has its own
/// say, SimFaults::receive_capacity.
enum class Buffers : std::uint8_t { usual, narrow };

class Stage {
 public:
  virtual ~Stage() = default;

  /// Backends to attach to these loops, which run() turns from then on. On a real stage only the
  /// proxy has the one that is looked at; actors have epoll always.
  virtual std::unique_ptr<io::Io> proxy_io(io::Loop& loop) = 0;
  virtual std::unique_ptr<io::Io> actor_io(io::Loop& loop) = 0;
  /// A descriptor for Io::adopt_listener. `address`: the one that is wanted, and then the one where
  /// it listens.
  virtual Result<int> listen(io::SocketAddress& address) = 0;
  /// For a client, from an address that no other connection of this world has.
  virtual Task<Result<io::Socket*>> connect(io::Loop& loop, const io::SocketAddress& target) = 0;

  /// Turns the loops until `done`; false: it is not, after so much time of the stage.
  template <class Done>
  bool run(Done done, Millis bound) {
    return run_until([](void* context) { return (*static_cast<Done*>(context))(); }, &done, bound);
  }
  /// Some turns, without waiting.
  virtual void rounds(int count) = 0;

 private:
  virtual bool run_until(bool (*done)(void*), void* context, Millis bound) = 0;
};

std::unique_ptr<Stage> make_stage(On on, Buffers buffers, io::SimNetwork& network);

}  // namespace weir::sim
