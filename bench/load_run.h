// SPDX-License-Identifier: Apache-2.0
//
// The load generator: many requests at once on one thread, in a closed or an open loop. When a
// request is sent is decided here, how it travels by a Traffic (load_h1.h, load_h2.h).
#pragma once

#include <sys/epoll.h>

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "histogram.h"
#include "load_plan.h"
#include "schedule.h"

namespace weir::bench {

/// What one run has counted.
struct Outcome {
  std::uint64_t requests = 0;  ///< answered as expected
  std::uint64_t errors = 0;    ///< answered otherwise, or by the end of the connection
  std::uint64_t retries = 0;   ///< sent again, as the server ended the connection before any answer
  std::uint64_t reconnects = 0;  ///< idle connections that the server closed
  std::uint64_t unfinished = 0;  ///< not sent, or not answered, some time after the end
  std::uint64_t bytes = 0;       ///< received, within TLS
  std::uint64_t handshakes = 0;  ///< of TLS
  std::uint64_t resumed = 0;     ///< of these, by a ticket
  double seconds = 0;            ///< until the last answer
  Histogram latency_ns;
};

/// How requests travel. A slot is room for one message at a time. A message that was begun ends
/// with one call of Generator::free() or failed(), but for those that give_up() ends.
class Traffic {
 public:
  virtual ~Traffic() = default;
  [[nodiscard]] virtual std::size_t slots() const = 0;
  /// Sends a message that should have been sent at `due_ns`, at the latest at the next flush().
  virtual void begin(std::size_t slot, std::int64_t due_ns) = 0;
  /// Something happened to a connection that is watched: `what` is epoll's.
  virtual void on_event(std::size_t connection, std::uint32_t what) = 0;
  /// The turn is over.
  virtual void flush() = 0;
  /// Ends what is not answered yet, connections included, and says nothing.
  virtual void give_up() = 0;
};

class Generator {
 public:
  /// Opens the connections and has each of them answered at least once. `plan` outlives this.
  explicit Generator(const Plan& plan);

  /// As many requests as the connections bear, each sending its next when it has its answer.
  const Outcome& run_closed(double seconds);
  /// `rate` requests a second, sent when they are due or as soon as a connection is free. Latency
  /// counts from when they are due.
  const Outcome& run_open(double seconds, double rate);

  // ---- for Traffic ----
  Outcome& outcome() { return *outcome_; }
  /// Edge-triggered events of `fd` go to on_event(connection).
  void watch(int fd, std::size_t connection) const;
  /// A request was answered as expected.
  void answered(std::int64_t due_ns);
  /// A message is over.
  void free(std::size_t slot);
  /// A message is over, and it counts as one error.
  void failed(std::size_t slot);

 private:
  void warm_up_in_turn();
  void run(std::int64_t end_ns);
  void turn(std::int64_t until_ns);
  void send_due();
  void begin(std::size_t slot, std::int64_t due_ns);

  const Plan& plan_;
  const int epoll_;
  std::deque<std::size_t> idle_;  // slots, in an open loop
  std::vector<epoll_event> events_;
  std::size_t busy_ = 0;
  std::optional<Schedule> schedule_;
  std::int64_t end_ns_ = 0;  // no request starts after it
  std::unique_ptr<Outcome> outcome_ = std::make_unique<Outcome>();
  std::unique_ptr<Traffic> traffic_;
};

}  // namespace weir::bench
