// SPDX-License-Identifier: Apache-2.0
#include "load_h1.h"

#include <algorithm>
#include <array>

#include "body.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBufferSize = 256 * 1024;
// What is left of a body is counted without being copied out of the socket: it is the proxy that is
// measured, and the cheaper the client the faster it can ask.
constexpr std::uint64_t kDiscardMin = 16 * 1024;

}  // namespace

H1Traffic::H1Traffic(const Plan& plan, Generator& generator)
    : plan_(plan),
      generator_(generator),
      opener_(plan, generator, "http/1.1"),
      buffer_(kBufferSize),
      connections_(plan.connections) {
  for (std::size_t slot = 0; slot < connections_.size(); ++slot) connections_[slot].slot = slot;
}

void H1Traffic::on_event(std::size_t slot, std::uint32_t what) {
  Connection& connection = connections_[slot];
  if (connection.state == Connection::State::closed) return;
  if ((what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.ending = true;
  if (!connection.channel.established()) {
    switch (opener_.handshake(connection.channel)) {
      case Channel::Handshake::later: return;
      case Channel::Handshake::failed: return lost(connection);
      case Channel::Handshake::done: what = EPOLLIN | EPOLLOUT;
    }
  }
  if ((what & EPOLLOUT) != 0) send_some(connection);
  if ((what & ~EPOLLOUT) != 0) receive(connection);
}

void H1Traffic::begin(std::size_t slot, std::int64_t due_ns) {
  Connection& connection = connections_[slot];
  connection.due_ns = due_ns;
  connection.to_close = false;
  if (connection.state == Connection::State::closed) {
    opener_.open(connection.channel, slot);
    connection.used = false;
    connection.ending = false;
    if (!plan_.upgrade.empty()) {
      connection.state = Connection::State::upgrading;
      connection.out = plan_.upgrade;
      connection.body_left = 0;
      connection.reader.reset();
      return send_some(connection);
    }
  }
  start_message(connection);
}

void H1Traffic::start_message(Connection& connection) {
  connection.state = Connection::State::busy;
  connection.out = plan_.messages[next_message_];
  if (++next_message_ == plan_.messages.size()) next_message_ = 0;
  connection.body_left = plan_.body_size;
  connection.frame_left = plan_.frame_size;
  connection.unanswered = plan_.pipeline;
  connection.reader.reset();
  send_some(connection);
}

void H1Traffic::send_some(Connection& connection) {
  while (!connection.out.empty() || connection.body_left > 0) {
    std::array<iovec, 18> pieces{};
    std::size_t count = 0;
    if (!connection.out.empty()) {
      pieces[count++] = {const_cast<char*>(connection.out.data()), connection.out.size()};
    }
    count += body_pieces(plan_.body_size - connection.body_left, connection.body_left,
                         std::span(pieces).subspan(count));
    // What goes wrong is seen by receive().
    const ssize_t sent = connection.channel.send(std::span(pieces).first(count));
    if (sent <= 0) return;
    const auto of_head = std::min(static_cast<std::size_t>(sent), connection.out.size());
    connection.out.remove_prefix(of_head);
    connection.body_left -= static_cast<std::uint64_t>(sent) - of_head;
  }
}

void H1Traffic::receive(Connection& connection) {
  while (connection.state != Connection::State::closed) {
    const int fd = connection.channel.fd();
    const std::uint64_t plain = connection.reader.plain_left();
    const bool discard = plain >= kDiscardMin;
    const ssize_t got =
        discard ? connection.channel.discard(std::min<std::uint64_t>(plain, 1024 * 1024), buffer_)
                : connection.channel.receive(buffer_);
    if (got < 0) return;
    if (got == 0) return lost(connection);
    const bool drained = connection.channel.drained();
    generator_.outcome().bytes += static_cast<std::uint64_t>(got);
    if (discard) {
      connection.reader.skip(static_cast<std::uint64_t>(got));
      if (connection.reader.done()) understand(connection, {});
    } else {
      understand(connection, {buffer_.data(), static_cast<std::size_t>(got)});
    }
    if (connection.channel.fd() != fd || (drained && !connection.ending)) return;
  }
}

void H1Traffic::understand(Connection& connection, std::string_view bytes) {
  if (connection.state == Connection::State::upgrading) return upgraded(connection, bytes);
  if (connection.state != Connection::State::busy || connection.to_close) {
    ++generator_.outcome().errors;  // bytes that nobody asked for
    return;
  }
  if (plan_.frame_size > 0) {
    if (bytes.size() > connection.frame_left) ++generator_.outcome().errors;
    connection.frame_left -= std::min<std::uint64_t>(bytes.size(), connection.frame_left);
    if (connection.frame_left > 0) return;
    generator_.answered(connection.due_ns);
    return next(connection);
  }
  // A closed loop starts the next message in the midst of this: what follows would be its answer.
  while (connection.state == Connection::State::busy) {
    bytes.remove_prefix(connection.reader.take(bytes));
    if (!connection.reader.done()) return;
    const bool last = connection.unanswered == 1;
    answered(connection);
    if (last) break;
  }
  if (!bytes.empty()) ++generator_.outcome().errors;
}

void H1Traffic::upgraded(Connection& connection, std::string_view bytes) {
  connection.reader.take(bytes);
  if (!connection.reader.done()) return;
  if (connection.reader.status() != 101) {
    close(connection);
    return generator_.failed(connection.slot);
  }
  connection.used = true;
  start_message(connection);
}

void H1Traffic::answered(Connection& connection) {
  const ResponseReader& reader = connection.reader;
  if (reader.status() == 200 && reader.body_size() == plan_.expected_size) {
    generator_.answered(connection.due_ns);
  } else {
    ++generator_.outcome().errors;
  }
  connection.reader.reset();
  connection.used = true;
  if (--connection.unanswered > 0) return;
  if (plan_.reuse == Plan::Reuse::close) {
    connection.to_close = true;
    return;
  }
  next(connection);
}

/// The connection has ended, as it should or not.
void H1Traffic::lost(Connection& connection) {
  const Connection::State state = connection.state;
  close(connection);
  if (state == Connection::State::idle) {
    ++generator_.outcome().reconnects;
    return;  // opened again when it is needed
  }
  if (connection.to_close) return next(connection);
  // A server may close a kept connection while a request is on its way, and any client sends that
  // again.
  const bool unseen = connection.used && connection.unanswered == plan_.pipeline &&
                      !connection.reader.begun() && connection.frame_left == plan_.frame_size;
  if (unseen && plan_.upgrade.empty()) {
    ++generator_.outcome().retries;
    return begin(connection.slot, connection.due_ns);
  }
  generator_.failed(connection.slot);
}

/// The connection is free.
void H1Traffic::next(Connection& connection) {
  connection.to_close = false;
  if (connection.state != Connection::State::closed) connection.state = Connection::State::idle;
  generator_.free(connection.slot);
}

void H1Traffic::give_up() {
  for (Connection& connection : connections_) {
    if (connection.state == Connection::State::busy ||
        connection.state == Connection::State::upgrading) {
      close(connection);
    }
  }
}

void H1Traffic::close(Connection& connection) {
  connection.channel.close();
  connection.state = Connection::State::closed;
}

}  // namespace weir::bench
