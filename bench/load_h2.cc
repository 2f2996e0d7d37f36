// SPDX-License-Identifier: Apache-2.0
#include "load_h2.h"

#include <charconv>
#include <utility>

#include "origin_http.h"
#include "sockets.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBufferSize = 256 * 1024;
// Those of Chromium.
constexpr std::int32_t kStreamWindow = 6 * 1024 * 1024;
constexpr std::int32_t kConnectionWindow = 15 * 1024 * 1024;
constexpr std::uint32_t kPushedMax = 100;

}  // namespace

H2Traffic::H2Traffic(const Plan& plan, Generator& generator)
    : plan_(plan),
      generator_(generator),
      opener_(plan, generator, "h2"),
      callbacks_(h2_callbacks()),
      buffer_(kBufferSize),
      connections_(plan.connections),
      streams_(plan.connections * plan.streams) {
  nghttp2_session_callbacks_set_on_header_callback(callbacks_.get(), on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks_.get(), on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks_.get(), on_stream_close);
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    connections_[i].traffic = this;
    connections_[i].number = i;
  }
  for (std::size_t i = 0; i < streams_.size(); ++i) streams_[i].slot = i;
  messages_.reserve(plan.messages.size());  // fields point into the heads: they stay
  for (const std::string& head : plan.messages) add_message(head);
}

void H2Traffic::add_message(const std::string& head) {
  Message& message = messages_.emplace_back(head);
  Request request;
  if (!parse_request(message.head, request)) fail("request");
  message.fields = {h2_field(":method", request.method), h2_field(":path", request.target),
                    h2_field(":scheme", plan_.security == Plan::Security::none ? "http" : "https"),
                    h2_field(":authority", kHost)};
  h2_append_fields(message.head, message.fields);
}

void H2Traffic::begin(std::size_t slot, std::int64_t due_ns) {
  Stream& stream = streams_[slot];
  Connection& connection = connections_[slot % connections_.size()];
  if (connection.session == nullptr) open(connection);
  stream.due_ns = due_ns;
  stream.status = 0;
  stream.body_size = 0;
  stream.state = Stream::State::waiting;
  if (nghttp2_session_check_request_allowed(connection.session.get()) == 0) return;
  const Message& message = messages_[next_message_];
  if (++next_message_ == messages_.size()) next_message_ = 0;
  const std::int32_t id =
      nghttp2_submit_request(connection.session.get(), nullptr, message.fields.data(),
                             message.fields.size(), nullptr, &stream);
  if (id < 0) return;
  stream.state = Stream::State::sent;
  will_send(connection);
}

void H2Traffic::open(Connection& connection) {
  nghttp2_session* session = nullptr;
  if (nghttp2_session_client_new(&session, callbacks_.get(), &connection) != 0) fail("nghttp2");
  connection.session.reset(session);
  h2_introduce(session, kStreamWindow, kConnectionWindow, kPushedMax);
  connection.ending = false;
  opener_.open(connection.channel, connection.number);
  will_send(connection);
}

void H2Traffic::on_event(std::size_t number, std::uint32_t what) {
  Connection& connection = connections_[number];
  if (connection.session == nullptr) return;
  if ((what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.ending = true;
  if (!connection.channel.established()) {
    const Channel::Handshake state = opener_.handshake(connection.channel);
    if (state == Channel::Handshake::later) return;
    if (state == Channel::Handshake::failed) return lost(connection);
    if (connection.channel.protocol() != "h2") {
      std::fprintf(stderr, "load: the server does not choose HTTP/2\n");
      std::exit(1);
    }
  }
  will_send(connection);
  receive(connection);
}

void H2Traffic::receive(Connection& connection) {
  for (;;) {
    const ssize_t got = connection.channel.receive(buffer_);
    if (got < 0) return;
    const bool drained = connection.channel.drained();
    generator_.outcome().bytes += static_cast<std::uint64_t>(got);
    if (got == 0 || nghttp2_session_mem_recv(connection.session.get(),
                                             reinterpret_cast<std::uint8_t*>(buffer_.data()),
                                             static_cast<std::size_t>(got)) < 0) {
      return lost(connection);
    }
    if (drained && !connection.ending) return;
  }
}

void H2Traffic::will_send(Connection& connection) {
  if (!std::exchange(connection.has_output, true)) with_output_.push_back(&connection);
}

void H2Traffic::flush() {
  // What is lost meanwhile may begin again, and add to the list.
  for (std::size_t i = 0; i < with_output_.size(); ++i) {
    Connection& connection = *with_output_[i];
    connection.has_output = false;
    send_some(connection);
  }
  with_output_.clear();
}

void H2Traffic::send_some(Connection& connection) {
  if (!connection.channel.established()) return;
  nghttp2_session* session = connection.session.get();
  for (;;) {
    if (connection.out_sent == connection.out.size()) {
      connection.out.clear();
      connection.out_sent = 0;
      if (!h2_produce(session, connection.out)) return lost(connection);
      if (connection.out.empty()) break;
    }
    const iovec rest{connection.out.data() + connection.out_sent,
                     connection.out.size() - connection.out_sent};
    const ssize_t sent = connection.channel.send({&rest, 1});
    if (sent <= 0) return;  // what goes wrong is seen by receive()
    connection.out_sent += static_cast<std::size_t>(sent);
  }
  // Both ends have said that this connection is over.
  if (nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0) {
    lost(connection);
  }
}

int H2Traffic::on_header(nghttp2_session* session, const nghttp2_frame* frame,
                         const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                         std::size_t value_size, std::uint8_t, void*) {
  if (std::string_view(reinterpret_cast<const char*>(name), name_size) != ":status") return 0;
  auto* stream =
      static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
  const auto* text = reinterpret_cast<const char*>(value);
  std::from_chars(text, text + value_size, stream->status);
  return 0;
}

int H2Traffic::on_data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t*,
                       std::size_t size, void*) {
  static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id))->body_size += size;
  return 0;
}

int H2Traffic::on_stream_close(nghttp2_session* session, std::int32_t id, std::uint32_t error,
                               void* connection) {
  auto* stream = static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  if (stream != nullptr) static_cast<Connection*>(connection)->traffic->closed(*stream, error);
  return 0;
}

void H2Traffic::closed(Stream& stream, std::uint32_t error) {
  stream.state = Stream::State::free;
  if (error == NGHTTP2_REFUSED_STREAM) {  // RFC 9113 section 8.7: it has not been looked at
    ++generator_.outcome().retries;
    return begin(stream.slot, stream.due_ns);
  }
  if (error != NGHTTP2_NO_ERROR || stream.status != 200 ||
      stream.body_size != plan_.expected_size) {
    return generator_.failed(stream.slot);
  }
  generator_.answered(stream.due_ns);
  generator_.free(stream.slot);
}

/// The connection has ended. What waited for that goes on with another one.
void H2Traffic::lost(Connection& connection) {
  close(connection);
  bool idle = true;
  for (std::size_t i = connection.number; i < streams_.size(); i += connections_.size()) {
    Stream& stream = streams_[i];
    const Stream::State state = std::exchange(stream.state, Stream::State::free);
    if (state == Stream::State::free) continue;
    idle = false;
    if (state == Stream::State::waiting) {
      begin(i, stream.due_ns);
    } else {
      generator_.failed(i);
    }
  }
  if (idle) ++generator_.outcome().reconnects;  // opened again when it is needed
}

void H2Traffic::give_up() {
  for (Stream& stream : streams_) {
    if (std::exchange(stream.state, Stream::State::free) != Stream::State::free) {
      close(connections_[stream.slot % connections_.size()]);
    }
  }
}

void H2Traffic::close(Connection& connection) {
  connection.session.reset();
  connection.channel.close();
  connection.out.clear();
  connection.out_sent = 0;
}

}  // namespace weir::bench
