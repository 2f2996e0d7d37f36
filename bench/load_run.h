// SPDX-License-Identifier: Apache-2.0
//
// The load generator: many connections on one thread, in a closed or an open loop.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "histogram.h"
#include "load_plan.h"
#include "response_reader.h"
#include "schedule.h"

namespace weir::bench {

/// What one run has counted.
struct Outcome {
  std::uint64_t requests = 0;    ///< answered as expected
  std::uint64_t errors = 0;      ///< answered otherwise, or by the end of the connection
  std::uint64_t retries = 0;     ///< sent again, as a kept connection was closed before any answer
  std::uint64_t reconnects = 0;  ///< idle connections that the server closed
  std::uint64_t unfinished = 0;  ///< not sent, or not answered, some time after the end
  std::uint64_t bytes = 0;       ///< received
  double seconds = 0;            ///< until the last answer
  Histogram latency_ns;
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

 private:
  struct Connection {
    enum class State : std::uint8_t { closed, upgrading, idle, busy };
    int fd = -1;
    State state = State::closed;
    bool used = false;             // has had an answer
    bool ending = false;           // its end may be received already, and no event will follow
    bool to_close = false;         // has its answer, and waits for the end
    unsigned unanswered = 0;       // of the requests of the message
    std::string_view out;          // what is left of the head
    std::uint64_t body_left = 0;   // of the request, not sent
    std::uint64_t frame_left = 0;  // of the answer, not received
    std::int64_t due_ns = 0;
    ResponseReader reader;
  };

  void run(std::int64_t end_ns);
  void turn(std::int64_t until_ns);
  void send_due();
  void open(Connection& connection);
  void begin(Connection& connection, std::int64_t due_ns);
  void start_message(Connection& connection);
  void send_some(Connection& connection);
  void receive(Connection& connection);
  void understand(Connection& connection, std::string_view bytes);
  void upgraded(Connection& connection, std::string_view bytes);
  void answered(Connection& connection);
  void finish(Connection& connection);
  void lost(Connection& connection);
  void next(Connection& connection);
  void close_socket(Connection& connection);

  const Plan& plan_;
  const int epoll_;
  std::vector<char> buffer_;
  std::vector<Connection> connections_;
  std::deque<Connection*> idle_;
  std::vector<epoll_event> events_;
  std::size_t busy_ = 0;
  std::size_t next_message_ = 0;
  std::optional<Schedule> schedule_;
  std::int64_t end_ns_ = 0;  // no request starts after it
  std::unique_ptr<Outcome> outcome_ = std::make_unique<Outcome>();
};

}  // namespace weir::bench
