// SPDX-License-Identifier: Apache-2.0
//
// A network in memory with a virtual clock, for tests. It owns the time, the random numbers, the
// listeners and what is on the wire; the loops of clients, proxy and servers are attached to it by
// make_sim_io() and all run in one thread. The same seed, faults and program give the same trace:
// nothing depends on addresses of objects or on real time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "io/loop.h"

namespace weir::io {

class SimIo;
struct SimConnection;
struct SimListener;

/// What goes wrong, and how often. Probabilities are 0 … 1. May be changed while the network runs.
struct SimFaults {
  double short_read = 0;   ///< a receive takes fewer bytes than there are
  double short_write = 0;  ///< a send moves few bytes, and the rest later
  std::size_t short_bytes_max = 16;
  Micros delay_min{0};  ///< of the delivery of bytes, and of completions
  Micros delay_max{0};
  double deferred = 0;  ///< an operation that could complete at once does so later
  double connect_refused = 0;
  double connect_silent = 0;  ///< never answered
  double connect_slow = 0;
  Millis connect_slow_max{2000};
  double reset = 0;                    ///< per connection: broken at a random byte …
  std::uint64_t reset_within = 65536;  ///< … below this one
  double reset_loses = 0;              ///< a reset takes along what was on its way or not read yet
  double connect_unreachable = 0;
  double no_descriptors = 0;  ///< accept and connect fail for want of a descriptor
  /// A receive completes before its owner is told, so that a cancel in between comes too late.
  double told_late = 0;
  double clock_jump = 0;  ///< per round of turns: nobody ran for a while
  Millis clock_jump_max{0};
  double wall_jump = 0;  ///< per round of turns: the wall clock is set, forward or back
  std::size_t receive_capacity =
      64_KiB;  ///< per direction, on the wire and unread; then a send waits
};

/// How connects to an address fare.
enum class SimFate : std::uint8_t { reachable, refused, silent, unreachable };

/// Descriptors that the loops of one process have in common; further ones are refused.
struct SimDescriptors {
  std::size_t used = 0;
  std::size_t max = SIZE_MAX;
};

/// What an end of a connection knew when it began to send a certain byte.
struct SimKnown {
  std::uint64_t taken = 0;   ///< bytes that its receives had been given
  bool told_of_end = false;  ///< a receive had been given the end
  /// Bytes or an end that no receive had taken were there for so long; zero: there were none.
  Micros waiting{0};
  bool operator==(const SimKnown&) const = default;
};

class SimNetwork {
 public:
  explicit SimNetwork(std::uint64_t seed, SimFaults with = {});
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;
  /// The loops that were attached are gone by then.
  ~SimNetwork();

  SimFaults faults;

  /// A listening descriptor for Io::adopt_listener(), of as many loops as wish. Fails (EADDRINUSE)
  /// when there is one at this address. Closed with the last socket that adopted it.
  Result<int> listen(const SocketAddress& address, int backlog = 1024);
  /// Connects to this address are never answered.
  void silence(const SocketAddress& address) { set_fate(address, SimFate::silent); }
  /// From now on; a connect that is under way is not changed.
  void set_fate(const SocketAddress& address, SimFate fate) { fates_[address.text()] = fate; }
  /// The loop, which is on this network, takes its descriptors from here. Outlives the network.
  void limit_descriptors(Loop& loop, SimDescriptors& descriptors);
  /// Resets an accepted connection that nobody adopted.
  void close_descriptor(int fd);

  [[nodiscard]] Instant now() const { return now_; }
  /// Without what the clock has jumped.
  [[nodiscard]] Instant lived() const { return now_ - jumped_; }
  [[nodiscard]] WallTime wall_time() const;
  /// Turns all loops, and advances the clock when none is ready, until `done()` or the limit.
  /// False: the limit was reached, or nothing is left that could ever happen.
  template <class Done>
  bool run(Done done, Instant limit) {
    return run_until([](void* context) { return (*static_cast<Done*>(context))(); }, &done, limit);
  }
  /// At most so many rounds of turns, without advancing the clock to what is later.
  void rounds(int count);

  /// The loops turned so often in a row without anything else happening that it will never end.
  /// Then run() is over at once.
  [[nodiscard]] bool spinning() const { return spins_ >= kSpinsMax || turns_ >= kTurnsMax; }
  static constexpr std::uint64_t kSpinsMax = 200'000;
  static constexpr std::uint64_t kTurnsMax = 50'000'000;
  /// The longest delay that may lie between the arrival of something and its being told.
  [[nodiscard]] Micros delay_bound() const { return delay_bound_; }

  /// Sockets that somebody holds, and accepted descriptors that nobody has adopted.
  [[nodiscard]] std::size_t sockets() const { return sockets_ + unadopted_.size(); }

  /// A hash of everything that has happened, for comparing runs.
  [[nodiscard]] std::uint64_t trace() const { return trace_; }
  /// A number below `limit`, which is positive.
  std::uint64_t random(std::uint64_t limit);
  bool chance(double probability);

 private:
  friend class SimIo;
  using Event = std::move_only_function<void()>;
  using Connection = std::shared_ptr<SimConnection>;

  bool run_until(bool (*done)(void*), void* context, Instant limit);
  bool turn_ready_loops();
  void advance(Instant to);
  void jump_clocks();
  [[nodiscard]] Instant next_happening();
  void note(std::uint64_t what, std::uint64_t a, std::uint64_t b);
  Micros delay();
  void schedule(Instant at, Event event);

  Connection make_connection();
  void attempt_connect(const Connection& connection, const SocketAddress& target);
  void establish(const Connection& connection, SimListener& listener);
  void finish_connect(const Connection& connection, Result<void> result);
  /// Puts bytes on the wire to the end `to`; there is room for them.
  void transmit(const Connection& connection, int to, Bytes bytes);
  void transmit_end(const Connection& connection, int to);
  void deliver(const Connection& connection, int to, Bytes bytes);
  /// Breaks the connection as the end `at` sees it.
  void transmit_reset(const Connection& connection, int at);
  void close_end(const Connection& connection, int side, bool reset);
  void wake_reader(const Connection& connection, int side);
  void wake_writer(const Connection& connection, int side);
  [[nodiscard]] std::size_t room(const SimConnection& connection, int to) const;

  std::mt19937_64 generator_;
  Instant now_{};
  std::uint64_t trace_ = 0;
  std::uint64_t sequence_ = 0;
  int next_descriptor_;
  std::uint64_t spins_ = 0;
  std::uint64_t turns_ = 0;
  Micros jumped_{0};  // that nobody lived through
  Micros wall_offset_{0};
  Micros delay_bound_{0};
  std::size_t sockets_ = 0;
  std::uint64_t next_connection_ = 1;
  std::map<std::tuple<Instant, std::uint64_t, std::uint64_t>, Event> events_;
  struct Unadopted {
    Connection connection;
    SimDescriptors* descriptors;
  };
  std::map<int, Unadopted> unadopted_;
  std::map<int, std::shared_ptr<SimListener>> listening_;
  std::map<std::string, SimFate> fates_;
  std::vector<SimIo*> loops_;
};

}  // namespace weir::io
