// SPDX-License-Identifier: Apache-2.0
#include "load_run.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "body.h"
#include "sockets.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBufferSize = 256 * 1024;
constexpr std::uint64_t kErrorsMax = 10'000;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDrainMax = 5 * kSecond;
// What is left of a body is counted without being copied out of the socket: it is the proxy that is
// measured, and the cheaper the client the faster it can ask.
constexpr std::uint64_t kDiscardMin = 16 * 1024;

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

}  // namespace

Generator::Generator(const Plan& plan)
    : plan_(plan),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      buffer_(kBufferSize),
      connections_(plan.connections),
      events_(512) {
  // In a closed loop each connection sends its first request at once.
  run_closed(static_cast<double>(plan.warm_up_ms) / 1000);
  if (outcome_->errors + outcome_->unfinished == 0) return;
  std::fprintf(stderr, "load: %zu requests failed and %zu were not answered while warming up\n",
               std::size_t{outcome_->errors}, std::size_t{outcome_->unfinished});
  std::exit(1);
}

const Outcome& Generator::run_closed(double seconds) {
  const std::int64_t start = now_ns();
  *outcome_ = {};
  schedule_.reset();
  end_ns_ = start + static_cast<std::int64_t>(seconds * 1e9);
  idle_.clear();
  for (Connection& connection : connections_) begin(connection, now_ns());
  run(end_ns_);
  outcome_->seconds = static_cast<double>(now_ns() - start) / 1e9;
  return *outcome_;
}

const Outcome& Generator::run_open(double seconds, double rate) {
  const std::int64_t start = now_ns();
  *outcome_ = {};
  schedule_.emplace(start, rate / plan_.pipeline, seconds);
  end_ns_ = start + static_cast<std::int64_t>(seconds * 1e9);
  idle_.clear();
  for (Connection& connection : connections_) idle_.push_back(&connection);
  send_due();
  run(end_ns_);
  outcome_->unfinished += schedule_->left() * plan_.pipeline;
  outcome_->seconds = static_cast<double>(now_ns() - start) / 1e9;
  return *outcome_;
}

/// Until the end, and then until everything is answered.
void Generator::run(std::int64_t end_ns) {
  const std::int64_t last_ns = end_ns + kDrainMax;
  for (;;) {
    const std::int64_t now = now_ns();
    const bool waiting = schedule_ && !schedule_->over();
    if ((now >= end_ns && busy_ == 0 && !waiting) || now >= last_ns) break;
    const bool sends = waiting && !idle_.empty();
    turn(sends ? schedule_->next_ns() : now < end_ns ? end_ns : last_ns);
    if (outcome_->errors > kErrorsMax) break;
  }
  outcome_->unfinished += busy_ * plan_.pipeline;
  for (Connection& connection : connections_) {
    if (connection.state == Connection::State::busy ||
        connection.state == Connection::State::upgrading) {
      close_socket(connection);
    }
  }
  busy_ = 0;
}

void Generator::turn(std::int64_t until_ns) {
  const std::int64_t wait = std::max<std::int64_t>(until_ns - now_ns(), 0);
  const timespec timeout{wait / kSecond, wait % kSecond};
  const int count =
      epoll_pwait2(epoll_, events_.data(), static_cast<int>(events_.size()), &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    auto& connection = *static_cast<Connection*>(event.data.ptr);
    // A socket that was closed in this turn has no events any more, but one that has taken its
    // place may get those of the old one: they only make it try in vain.
    if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.ending = true;
    if ((event.events & EPOLLOUT) != 0) send_some(connection);
    if ((event.events & ~EPOLLOUT) != 0) receive(connection);
  }
  if (schedule_) send_due();
}

void Generator::send_due() {
  while (!idle_.empty() && schedule_->due(now_ns())) {
    Connection& connection = *idle_.front();
    idle_.pop_front();
    begin(connection, schedule_->take());
  }
}

void Generator::open(Connection& connection) {
  connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (connection.fd < 0) fail("socket");
  no_delay(connection.fd);
  const auto* to = reinterpret_cast<const sockaddr*>(&plan_.to);
  if (connect(connection.fd, to, sizeof plan_.to) != 0 && errno != EINPROGRESS) fail("connect");
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                    .data = {.ptr = &connection}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) fail("epoll_ctl");
  connection.used = false;
  connection.ending = false;
}

void Generator::begin(Connection& connection, std::int64_t due_ns) {
  ++busy_;
  connection.due_ns = due_ns;
  connection.to_close = false;
  if (connection.state == Connection::State::closed) {
    open(connection);
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

void Generator::start_message(Connection& connection) {
  connection.state = Connection::State::busy;
  connection.out = plan_.messages[next_message_];
  if (++next_message_ == plan_.messages.size()) next_message_ = 0;
  connection.body_left = plan_.body_size;
  connection.frame_left = plan_.frame_size;
  connection.unanswered = plan_.pipeline;
  connection.reader.reset();
  send_some(connection);
}

void Generator::send_some(Connection& connection) {
  while (!connection.out.empty() || connection.body_left > 0) {
    std::array<iovec, 18> pieces{};
    std::size_t count = 0;
    if (!connection.out.empty()) {
      pieces[count++] = {const_cast<char*>(connection.out.data()), connection.out.size()};
    }
    std::uint64_t left = connection.body_left;
    for (std::size_t from = (plan_.body_size - left) % kBlockSize;
         left > 0 && count < pieces.size(); from = 0) {
      const auto size = std::min<std::uint64_t>(left, kBlockSize - from);
      pieces[count++] = {const_cast<char*>(block().data()) + from, size};
      left -= size;
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    // A connection that is not established yet has no room, as any other full socket. What else
    // goes wrong is seen by receive().
    const ssize_t sent = sendmsg(connection.fd, &message, MSG_NOSIGNAL);
    if (sent <= 0) return;
    const auto of_head = std::min(static_cast<std::size_t>(sent), connection.out.size());
    connection.out.remove_prefix(of_head);
    connection.body_left -= static_cast<std::uint64_t>(sent) - of_head;
  }
}

void Generator::receive(Connection& connection) {
  while (connection.state != Connection::State::closed) {
    const int fd = connection.fd;
    const std::uint64_t plain = connection.reader.plain_left();
    const bool discard = plain >= kDiscardMin;
    const auto size = discard ? std::min<std::uint64_t>(plain, 1024 * 1024) : buffer_.size();
    const ssize_t got = recv(fd, buffer_.data(), size, discard ? MSG_TRUNC : 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return lost(connection);
    outcome_->bytes += static_cast<std::uint64_t>(got);
    if (discard) {
      connection.reader.skip(static_cast<std::uint64_t>(got));
      if (connection.reader.done()) understand(connection, {});
    } else {
      understand(connection, {buffer_.data(), static_cast<std::size_t>(got)});
    }
    // Less than was asked for: the socket is empty, and the next byte is a new event.
    if (connection.fd != fd || (static_cast<std::uint64_t>(got) < size && !connection.ending))
      return;
  }
}

void Generator::understand(Connection& connection, std::string_view bytes) {
  if (connection.state == Connection::State::upgrading) return upgraded(connection, bytes);
  if (connection.state != Connection::State::busy || connection.to_close) {
    ++outcome_->errors;  // bytes that nobody asked for
    return;
  }
  if (plan_.frame_size > 0) {
    if (bytes.size() > connection.frame_left) ++outcome_->errors;
    connection.frame_left -= std::min<std::uint64_t>(bytes.size(), connection.frame_left);
    if (connection.frame_left == 0) finish(connection);
    return;
  }
  // A closed loop starts the next message in the midst of this: what follows would be its answer.
  while (connection.state == Connection::State::busy) {
    bytes.remove_prefix(connection.reader.take(bytes));
    if (!connection.reader.done()) return;
    const bool last = connection.unanswered == 1;
    answered(connection);
    if (last) break;
  }
  if (!bytes.empty()) ++outcome_->errors;
}

void Generator::upgraded(Connection& connection, std::string_view bytes) {
  connection.reader.take(bytes);
  if (!connection.reader.done()) return;
  if (connection.reader.status() != 101) {
    ++outcome_->errors;
    --busy_;
    close_socket(connection);
    return;
  }
  connection.used = true;
  start_message(connection);
}

void Generator::answered(Connection& connection) {
  const ResponseReader& reader = connection.reader;
  if (reader.status() != 200 || reader.body_size() != plan_.expected_size) {
    ++outcome_->errors;
  } else {
    ++outcome_->requests;
    outcome_->latency_ns.record(
        static_cast<std::uint64_t>(std::max<std::int64_t>(now_ns() - connection.due_ns, 0)));
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

/// The answer to a frame is complete.
void Generator::finish(Connection& connection) {
  ++outcome_->requests;
  outcome_->latency_ns.record(
      static_cast<std::uint64_t>(std::max<std::int64_t>(now_ns() - connection.due_ns, 0)));
  next(connection);
}

/// The connection has ended, as it should or not.
void Generator::lost(Connection& connection) {
  const Connection::State state = connection.state;
  close_socket(connection);
  if (state == Connection::State::idle) {
    ++outcome_->reconnects;
    return;  // opened again when it is needed
  }
  if (connection.to_close) return next(connection);
  --busy_;
  // A server may close a kept connection while a request is on its way, and any client sends that
  // again.
  const bool unseen = connection.used && connection.unanswered == plan_.pipeline &&
                      !connection.reader.begun() && connection.frame_left == plan_.frame_size;
  if (unseen && plan_.upgrade.empty()) {
    ++outcome_->retries;
    return begin(connection, connection.due_ns);
  }
  ++outcome_->errors;
  if (schedule_) {
    idle_.push_back(&connection);
  } else if (now_ns() < end_ns_ && outcome_->errors <= kErrorsMax) {
    begin(connection, now_ns());
  }
}

/// The connection is free.
void Generator::next(Connection& connection) {
  --busy_;
  connection.to_close = false;
  if (connection.state != Connection::State::closed) connection.state = Connection::State::idle;
  if (schedule_) {
    idle_.push_back(&connection);
  } else if (const std::int64_t now = now_ns(); now < end_ns_) {
    begin(connection, now);
  }
}

void Generator::close_socket(Connection& connection) {
  close(connection.fd);
  connection.fd = -1;
  connection.state = Connection::State::closed;
}

}  // namespace weir::bench
