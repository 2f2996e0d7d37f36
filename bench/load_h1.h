// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 and WebSocket traffic of the load generator: one message at a time on each connection.
#pragma once

#include <vector>

#include "load_connection.h"
#include "response_reader.h"

namespace weir::bench {

class H1Traffic final : public Traffic {
 public:
  /// Both outlive this.
  H1Traffic(const Plan& plan, Generator& generator);

  [[nodiscard]] std::size_t slots() const override { return connections_.size(); }
  void begin(std::size_t slot, std::int64_t due_ns) override;
  void on_event(std::size_t connection, std::uint32_t what) override;
  void flush() override {}
  void give_up() override;

 private:
  struct Connection {
    enum class State : std::uint8_t { closed, upgrading, idle, busy };
    Channel channel;
    std::size_t slot = 0;
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

  void start_message(Connection& connection);
  void send_some(Connection& connection);
  void receive(Connection& connection);
  void understand(Connection& connection, std::string_view bytes);
  void upgraded(Connection& connection, std::string_view bytes);
  void answered(Connection& connection);
  void lost(Connection& connection);
  void next(Connection& connection);
  static void close(Connection& connection);

  const Plan& plan_;
  Generator& generator_;
  const Opener opener_;
  std::vector<char> buffer_;
  std::vector<Connection> connections_;
  std::size_t next_message_ = 0;
};

}  // namespace weir::bench
