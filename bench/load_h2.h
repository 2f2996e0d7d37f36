// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 traffic of the load generator: on each connection as many requests at once as the plan
// says. Requests have no bodies.
#pragma once

#include <string>
#include <vector>

#include "h2.h"
#include "load_connection.h"

namespace weir::bench {

class H2Traffic final : public Traffic {
 public:
  /// Both outlive this.
  H2Traffic(const Plan& plan, Generator& generator);

  [[nodiscard]] std::size_t slots() const override { return streams_.size(); }
  void begin(std::size_t slot, std::int64_t due_ns) override;
  void on_event(std::size_t connection, std::uint32_t what) override;
  void flush() override;
  void give_up() override;

 private:
  struct Stream {
    enum class State : std::uint8_t { free, waiting, sent };
    std::size_t slot = 0;
    State state = State::free;  // waiting: for a connection that still takes requests
    int status = 0;
    std::uint64_t body_size = 0;
    std::int64_t due_ns = 0;
  };
  struct Connection {
    H2Traffic* traffic = nullptr;
    std::size_t number = 0;
    Channel channel;
    H2Session session;
    std::string out;
    std::size_t out_sent = 0;
    bool ending = false;      // its end may be received already, and no event will follow
    bool has_output = false;  // is in with_output_
  };
  struct Message {
    std::string head;
    std::vector<nghttp2_nv> fields;  // into the head
  };

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame,
                       const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                       std::size_t value_size, std::uint8_t flags, void* connection);
  static int on_data(nghttp2_session* session, std::uint8_t flags, std::int32_t id,
                     const std::uint8_t* data, std::size_t size, void* connection);
  static int on_stream_close(nghttp2_session* session, std::int32_t id, std::uint32_t error,
                             void* connection);

  void add_message(const std::string& head);
  void open(Connection& connection);
  void receive(Connection& connection);
  void send_some(Connection& connection);
  void will_send(Connection& connection);
  void closed(Stream& stream, std::uint32_t error);
  void lost(Connection& connection);
  static void close(Connection& connection);

  const Plan& plan_;
  Generator& generator_;
  const Opener opener_;
  const H2Callbacks callbacks_;
  std::vector<Message> messages_;
  std::size_t next_message_ = 0;
  std::vector<char> buffer_;
  std::vector<Connection> connections_;
  std::vector<Stream> streams_;  // stream i is on connection i mod the number of these
  std::vector<Connection*> with_output_;
};

}  // namespace weir::bench
