// SPDX-License-Identifier: Apache-2.0
//
// A fast single-threaded server to stand behind proxies in benchmarks and tests. It speaks HTTP/1.1
// and HTTP/2, in the clear and under TLS, each as the client begins.
//
//     origin [--port PORT] [--log FILE] [--certificate PEM --key PEM]
//                                          prints "listening on 127.0.0.1:PORT"
//
//     GET  /bytes/N            N bytes with Content-Length (body.h says which)
//     GET  /chunked/N/PIECE    N bytes in chunks of PIECE
//     GET  /until-close/N      N bytes, ended by closing
//     GET  /short/N/M          promises N bytes, closes after M
//     GET  /slow/N/PIECE/MS    N bytes, PIECE of them every MS milliseconds
//     GET  /late/MS            nothing for MS milliseconds, then "late"
//     GET  /hash/N             the hash of the body of /bytes/N
//     any  /sink               takes a body of any size, answers "BYTES HASH"
//     any  /take               takes a body of any size, answers "taken"
//     GET  /fields/COUNT/N     N bytes behind a head of so many fields
//     GET  /websocket          echoes messages (websocket.h)
//     GET  /seen               "REQUESTS CONNECTIONS HANDSHAKES" so far, without this one; the last
//                              are those of TLS. Not over HTTP/2
//     GET  /echo               answers with the head of the request as it arrived
//     GET  /status/CODE        that status, empty
//
// FILE gets one line per request when its head has arrived, "CONNECTION METHOD TARGET", and one if
// the client goes away before the exchange is over, "CONNECTION aborted".
#include <sys/epoll.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <vector>

#include "body.h"
#include "origin_connection.h"
#include "origin_h2.h"
#include "origin_http.h"
#include "sockets.h"
#include "websocket.h"

namespace weir::bench {
namespace {

constexpr std::size_t kReadSize = 256 * 1024;
constexpr std::size_t kChunkedAhead = 64 * 1024;  // encoded before it is sent
constexpr int kStepsPerTurn = 16;                 // of one connection, before the others' turn
constexpr char kTlsHandshake = 22;  // RFC 8446 section 5.1: the type of a first record

std::int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

class Origin {
 public:
  Origin(int listener, int log, std::optional<Tls> tls)
      : listener_(listener), log_(log), tls_(std::move(tls)) {
    watch(listener, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(512);
    for (;;) {
      const int count =
          epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_ms());
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        auto* connection = static_cast<Connection*>(event.data.ptr);
        if (connection == nullptr) {
          accept_all();
        } else {
          on_event(*connection, event.events);
        }
      }
      ring_timers();
      const std::vector<Connection*> ready = std::move(ready_);
      ready_.clear();
      for (Connection* connection : ready) serve(*connection);
      for (Connection* connection : dead_) delete connection;
      dead_.clear();
    }
  }

 private:
  void watch(int fd, std::uint32_t what, Connection* connection) const {
    epoll_event event{.events = what, .data = {.ptr = connection}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  }

  [[nodiscard]] int wait_ms() const {
    if (!ready_.empty()) return 0;
    if (timers_.empty()) return -1;
    return static_cast<int>(std::clamp<std::int64_t>(timers_.begin()->first - now_ms(), 0, 60'000));
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      no_delay(fd);
      auto* connection = std::make_unique<Connection>().release();  // until kill()
      connection->channel.open(fd);
      connection->id = ++connections_;
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection);
    }
  }

  void on_event(Connection& connection, std::uint32_t what) {
    if (connection.dead) return;
    if ((what & (EPOLLERR | EPOLLHUP)) != 0) return kill(connection);
    if ((what & EPOLLRDHUP) != 0) connection.ending = true;
    if (!is_ready(connection, what)) return;
    if ((what & EPOLLOUT) != 0) connection.writable = true;
    if ((what & ~EPOLLOUT) != 0) connection.readable = true;
    serve(connection);
  }

  /// Whether bytes may flow, as soon as it is known whether they do so under TLS, and that has
  /// shaken hands; then all of `what` may have happened.
  bool is_ready(Connection& connection, std::uint32_t& what) {
    Channel& channel = connection.channel;
    if (!connection.begun && tls_) {
      char first = 0;
      if (recv(channel.fd(), &first, 1, MSG_PEEK) <= 0) return connection.ending;
      if (first == kTlsHandshake) channel.secure(*tls_);
      what |= EPOLLIN;
    }
    connection.begun = true;
    if (channel.established()) return true;
    switch (channel.handshake()) {
      case Channel::Handshake::later: return false;
      case Channel::Handshake::failed: kill(connection); return false;
      case Channel::Handshake::done: break;
    }
    ++handshakes_;
    what |= EPOLLIN | EPOLLOUT;
    return true;
  }

  void set_timer(Connection& connection, std::int64_t pause_ms) {
    connection.due = false;
    connection.timer = timers_.emplace(now_ms() + pause_ms, &connection);
    connection.timer_set = true;
  }

  void ring_timers() {
    if (timers_.empty()) return;
    const std::int64_t now = now_ms();
    while (!timers_.empty() && timers_.begin()->first <= now) {
      Connection& connection = *timers_.begin()->second;
      timers_.erase(timers_.begin());
      connection.timer_set = false;
      connection.due = true;
      serve(connection);
    }
  }

  /// Goes on with a connection until it has to wait, or for its share of a turn.
  void serve(Connection& connection) {
    for (int step = 0; step < kStepsPerTurn; ++step) {
      if (connection.dead || connection.timer_set) return;
      if (!connection.out.empty() || (connection.left > 0 && connection.piece == 0)) {
        if (!connection.writable) return;
        send_some(connection);
      } else if (connection.left > 0) {
        next_pieces(connection);
      } else if (!goes_on(connection)) {
        return kill(connection);
      } else if (connection.out.empty() && !receive(connection)) {
        return;
      }
    }
    ready_.push_back(&connection);
  }

  /// Whether there is more to come when all has been sent; that of HTTP/2 which can be sent is put
  /// into `out`.
  static bool goes_on(Connection& connection) {
    if (connection.h2 != nullptr) return connection.h2->produce(connection.out);
    return !connection.close_after || connection.sinking;
  }

  void send_some(Connection& connection) {
    std::array<iovec, 17> pieces{};
    std::size_t count = 0;
    const std::size_t head = connection.out.size() - connection.out_sent;
    if (head > 0) pieces[count++] = {connection.out.data() + connection.out_sent, head};
    if (connection.piece == 0) {
      count += body_pieces(connection.at, connection.left, std::span(pieces).subspan(count));
    }
    const ssize_t result = connection.channel.send(std::span(pieces).first(count));
    if (result < 0) return kill(connection);
    if (result == 0) connection.writable = false;
    const auto sent = static_cast<std::size_t>(result);
    const std::size_t of_head = std::min(sent, head);
    connection.out_sent += of_head;
    connection.left -= sent - of_head;
    connection.at += sent - of_head;
    if (of_head == head) {  // and if there was none
      connection.out.clear();
      connection.out_sent = 0;
    }
  }

  /// Puts the next pieces of a body that is sent in pieces into `out`, or waits until one is due.
  void next_pieces(Connection& connection) {
    if (connection.pause_ms > 0 && !connection.due)
      return set_timer(connection, connection.pause_ms);
    connection.due = false;
    std::string& out = connection.out;
    do {
      const auto size = std::min(connection.left, connection.piece);
      std::array<char, 32> line{};
      if (connection.chunked) {
        const int length = std::snprintf(line.data(), line.size(), "%zx\r\n", std::size_t{size});
        out.append(line.data(), static_cast<std::size_t>(length));
      }
      append_body(connection, size);
      if (connection.chunked) out += connection.left == 0 ? "\r\n0\r\n\r\n" : "\r\n";
    } while (connection.pause_ms == 0 && connection.left > 0 && out.size() < kChunkedAhead);
  }

  static void append_body(Connection& connection, std::uint64_t size) {
    connection.left -= size;
    while (size > 0) {
      const std::size_t from = connection.at % kBlockSize;
      const auto run = std::min<std::uint64_t>(size, kBlockSize - from);
      connection.out.append(block().data() + from, run);
      connection.at += run;
      size -= run;
    }
  }

  /// Understands what has arrived, or reads more. False when there is nothing to go on with.
  bool receive(Connection& connection) {
    if (!connection.in.empty()) {
      const std::size_t used = understand(connection, connection.in);
      connection.in.erase(0, used);
      if (used > 0) return true;
    }
    if (!connection.readable) return false;
    const ssize_t got = connection.channel.receive(buffer_);
    if (got < 0) {
      connection.readable = false;
      return false;
    }
    if (got == 0) {
      kill(connection);
      return false;
    }
    const std::string_view bytes(buffer_.data(), static_cast<std::size_t>(got));
    if (connection.channel.drained() && !connection.ending) connection.readable = false;
    if (connection.in.empty()) {
      connection.in.assign(bytes.substr(understand(connection, bytes)));
    } else {
      connection.in.append(bytes);
    }
    return true;
  }

  /// Takes requests, or the body of one, from the front of `bytes` until there is something to
  /// send. Returns how much it took.
  std::size_t understand(Connection& connection, std::string_view bytes) {
    if (connection.h2 != nullptr) return frames(connection, bytes);
    if (connection.sinking) return sink(connection, bytes);
    if (connection.echoing) return echo_frames(bytes, connection.out);
    Request request;
    if (!parse_request(bytes, request)) return 0;
    if (request.method == "PRI") {  // RFC 9113 section 3.4: the preface looks like a request
      connection.h2 = std::make_unique<H2Server>(
          [this, &connection](const Request& one) { note(connection, one); });
      return frames(connection, bytes);
    }
    const std::size_t used = request.head.size();
    if (request.target == "/seen") {
      respond_text(connection, std::to_string(requests_) + ' ' + std::to_string(connections_ - 1) +
                                   ' ' + std::to_string(handshakes_) + '\n');
      return used;
    }
    note(connection, request);
    connection.due = false;
    if (request.expect_continue) connection.out += "HTTP/1.1 100 Continue\r\n\r\n";
    if (request.target.starts_with("/late/")) {
      connection.close_after = request.close;
      respond_text(connection, "late\n");
      set_timer(connection, static_cast<std::int64_t>(segment(request.target, 0)));
    } else if (is_upload(request)) {
      connection.close_after = request.close;
      connection.sinking = true;
      connection.sink_chunked = request.chunked;
      connection.sink_left = request.body_size;
      connection.upload = {.hashed = is_hashed(request)};
      connection.reader = {};
      return used + sink(connection, bytes.substr(used));
    } else {
      respond(connection, request);
    }
    return used;
  }

  static std::size_t sink(Connection& connection, std::string_view bytes) {
    std::size_t used = 0;
    for (;;) {
      std::string_view payload = bytes.substr(used);
      std::size_t step = 0;
      if (connection.sink_chunked) {
        step = connection.reader.take(payload, payload);
      } else {
        payload = payload.substr(0, std::min<std::uint64_t>(payload.size(), connection.sink_left));
        step = payload.size();
        connection.sink_left -= step;
      }
      connection.upload.take(payload);
      used += step;
      if (step == 0) break;
    }
    if (connection.sink_chunked ? !connection.reader.done() : connection.sink_left > 0) return used;
    connection.sinking = false;
    respond_uploaded(connection, connection.upload);
    return used;
  }

  /// Takes all, as HTTP/2 keeps what is not complete.
  std::size_t frames(Connection& connection, std::string_view bytes) {
    if (!connection.h2->receive(bytes)) kill(connection);
    return bytes.size();
  }

  void note(const Connection& connection, const Request& request) {
    ++requests_;
    log(connection, std::string(request.method) + ' ', request.target);
  }

  void log(const Connection& connection, std::string_view what, std::string_view target) const {
    if (log_ < 0) return;
    std::string line = std::to_string(connection.id);
    line.append(" ").append(what).append(target).append("\n");
    if (write(log_, line.data(), line.size()) < 0) fail("log");
  }

  void kill(Connection& connection) {
    if (connection.left > 0 || connection.sinking || !connection.out.empty()) {
      log(connection, "aborted", "");
    }
    if (connection.timer_set) timers_.erase(connection.timer);
    connection.channel.close();
    connection.dead = true;
    connection.timer_set = false;
    std::erase(ready_, &connection);
    dead_.push_back(&connection);
  }

  const int listener_;
  const int log_;
  const std::optional<Tls> tls_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::uint64_t connections_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t handshakes_ = 0;
  std::vector<char> buffer_ = std::vector<char>(kReadSize);
  Connection::Timers timers_;
  std::vector<Connection*> ready_;
  std::vector<Connection*> dead_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using namespace weir::bench;
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  int log = -1;
  if (const std::string path(option(arguments, "--log", "")); !path.empty()) {
    log = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) fail(path.c_str());
  }
  std::optional<Tls> tls;
  if (const std::string certificate(option(arguments, "--certificate", "")); !certificate.empty()) {
    tls = Tls::server(certificate, std::string(option(arguments, "--key", "")));
  }
  Origin(listen_as_told(arguments, SOCK_NONBLOCK), log, std::move(tls)).run();
}
