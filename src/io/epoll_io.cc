// SPDX-License-Identifier: Apache-2.0
#include "io/epoll_io.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/system_socket.h"

namespace weir::io {
namespace {

constexpr std::uint32_t kLive = 0x57454952;  // checked when a pointer comes back from the kernel

// What is asked for ahead: most of the connection in which an operation stands. With fewer events
// than this at once there are few connections, and all of it is in the cache.
constexpr int kEventsFew = 4;
constexpr int kCacheLine = 64;
constexpr int kLinesBefore = 2;
constexpr int kLinesBehind = 8;

class EpollIo;

struct EpollSocket final : Socket, ChunkWaiter {
  enum class Reads : std::uint8_t { none, recv, poll, accept };
  enum class Writes : std::uint8_t { none, send, poll, connect };

  std::uint32_t magic = kLive;
  bool readable = true;  // until a call says EAGAIN, or less came than there was room for
  bool writable = true;
  bool peer_ended = false;  // EPOLLRDHUP or EPOLLHUP was seen: a short read does not mean drained
  Reads reads = Reads::none;
  Writes writes = Writes::none;
  Op* reading = nullptr;
  Op* writing = nullptr;
  bool listener = false;
  EpollIo* io = nullptr;
};

class EpollIo final : public Io {
 public:
  EpollIo(Loop& loop, int epoll, int event) : loop_(loop), epoll_(epoll), event_(event) {}
  ~EpollIo() override {
    free_closed();
    ::close(event_);
    ::close(epoll_);
  }

  [[nodiscard]] std::string_view name() const override { return "epoll"; }
  Instant now() override { return monotonic_now(); }
  WallTime wall_time() override { return wall_now(); }

  Socket* adopt(int fd) override;
  Socket* adopt_listener(int fd) override;
  void close(Socket& socket) override;
  [[nodiscard]] std::uint64_t unacknowledged(const Socket& socket) const override {
    return bytes_in_send_queue(socket.fd);
  }
  void reset_on_close(Socket& socket) override { set_reset_on_close(socket.fd); }
  void shutdown_write(Socket& socket) override { ::shutdown(socket.fd, SHUT_WR); }

  bool start_recv(Socket& socket, RecvOp& op) override;
  bool start_send(Socket& socket, SendOp& op) override;
  std::size_t try_send(Socket& socket, Bytes bytes, SendOp::More more) override {
    WEIR_ASSERT(of(socket).writing == nullptr);
    return try_send_now(socket.fd, bytes, more);
  }
  bool start_readable(Socket& socket, PollOp& op) override;
  bool start_writable(Socket& socket, PollOp& op) override;
  bool start_accept(Socket& listener, AcceptOp& op) override;
  std::optional<Result<int>> accept_queued(Socket& listener, Peer& peer) override {
    return accept_now(listener.fd, Blocking::no, peer);
  }
  bool start_connect(ConnectOp& op) override;
  void cancel_recv(Socket& socket, Error why) override;
  void cancel_send(Socket& socket, Error why) override;
  void cancel_connect(ConnectOp& op, Error why) override;

  [[nodiscard]] bool can_splice() const override { return true; }
  void clear_readable(Socket& socket) override { of(socket).readable = false; }
  void clear_writable(Socket& socket) override { of(socket).writable = false; }

  void wait(Instant until) override;
  void wake() override;

 private:
  static EpollSocket& of(Socket& socket) {
    auto& result = static_cast<EpollSocket&>(socket);
    WEIR_ASSERT(result.magic == kLive);
    return result;
  }
  EpollSocket* add(int fd, std::uint32_t events);
  bool try_recv(EpollSocket& socket, RecvOp& op);
  bool try_send(EpollSocket& socket, SendOp& op);
  bool try_read(EpollSocket& socket);
  bool try_write(EpollSocket& socket);
  void set_reading(EpollSocket& socket, Op& op, EpollSocket::Reads kind);
  void set_writing(EpollSocket& socket, Op& op, EpollSocket::Writes kind);
  static void run_read(Runnable& op);
  static void run_write(Runnable& op);
  static void run_finish(Runnable& op) { static_cast<Op&>(op).finish(); }
  void on_event(std::uint32_t events, EpollSocket& socket);
  void prefetch(int count);
  void stop_waiting_for_memory(EpollSocket& socket);
  void leave_line(EpollSocket& socket, RecvOp& op);
  void free_closed() {
    while (!closed_.empty()) delete &static_cast<EpollSocket&>(closed_.pop_front());
  }

  Loop& loop_;
  int epoll_;
  int event_;
  // Sockets closed in this turn: the events that the kernel has already given may still name them.
  List<ChunkWaiter> closed_;
  std::array<epoll_event, kEventsPerWait> events_{};
};

void finish_failed(Op& op, EpollSocket::Reads kind, Error why) {
  switch (kind) {
    case EpollSocket::Reads::recv: static_cast<RecvOp&>(op).result = fail(why); break;
    case EpollSocket::Reads::poll: static_cast<PollOp&>(op).result = fail(why); break;
    case EpollSocket::Reads::accept: static_cast<AcceptOp&>(op).result = fail(why); break;
    case EpollSocket::Reads::none: WEIR_UNREACHABLE("no operation");
  }
}

void finish_failed(Op& op, EpollSocket::Writes kind, Error why) {
  switch (kind) {
    case EpollSocket::Writes::send: static_cast<SendOp&>(op).result = fail(why); break;
    case EpollSocket::Writes::poll: static_cast<PollOp&>(op).result = fail(why); break;
    case EpollSocket::Writes::connect: static_cast<ConnectOp&>(op).result = fail(why); break;
    case EpollSocket::Writes::none: WEIR_UNREACHABLE("no operation");
  }
}

EpollSocket* EpollIo::add(int fd, std::uint32_t events) {
  auto* socket = new EpollSocket;
  socket->fd = fd;
  socket->io = this;
  socket->retry = [](ChunkWaiter& waiter) {
    auto& self = static_cast<EpollSocket&>(waiter);
    if (self.reading != nullptr) self.io->loop_.queue.push(*self.reading);
  };
  epoll_event event{};
  event.events = events;
  event.data.ptr = socket;
  WEIR_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
  return socket;
}

Socket* EpollIo::adopt(int fd) { return add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET); }

Socket* EpollIo::adopt_listener(int fd) {
  EpollSocket* socket = add(fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE);
  socket->listener = true;
  return socket;
}

void EpollIo::close(Socket& base) {
  EpollSocket& socket = of(base);
  WEIR_ASSERT(socket.writing == nullptr);
  if (socket.reading != nullptr) std::exchange(socket.reading, nullptr)->unlink();
  // Workers share a listening socket through duplicates, so closing one does not leave the epoll
  // set.
  if (socket.listener) epoll_ctl(epoll_, EPOLL_CTL_DEL, socket.fd, nullptr);
  ::close(socket.fd);
  socket.fd = -1;
  socket.magic = 0;
  stop_waiting_for_memory(socket);
  closed_.push_back(socket);
}

void EpollIo::stop_waiting_for_memory(EpollSocket& socket) {
  socket.ChunkWaiter::unlink();
  loop_.chunks.offer();  // this one may have been woken for memory that it does not take now
}

// An event may have let a receive try that stands in the line for memory still, and what it took
// may have been offered to itself: it is not told again, and the offer is for the next.
void EpollIo::leave_line(EpollSocket& socket, RecvOp& op) {
  if (!socket.ChunkWaiter::linked() && !op.linked()) return;
  op.unlink();
  stop_waiting_for_memory(socket);
}

bool EpollIo::try_recv(EpollSocket& socket, RecvOp& op) {
  if (!socket.readable) return false;
  std::optional<Received> received = receive_now(socket.fd, loop_.chunks, op);
  if (!received) {
    socket.readable = false;
    return false;
  }
  if (!received->result && received->result.error().code == Code::no_memory) {
    // The budget is used up: wait until chunks come back, within the operation's deadline.
    if (!socket.ChunkWaiter::linked()) loop_.chunks.wait(socket, op.work);
    return false;
  }
  if (received->drained && !socket.peer_ended) socket.readable = false;
  op.result = std::move(received->result);
  if (op.result && op.result->empty()) op.result = end_of(socket);
  leave_line(socket, op);
  return true;
}

bool EpollIo::try_send(EpollSocket& socket, SendOp& op) {
  if (!socket.writable) return false;
  bool moved = false;
  std::optional<Result<void>> sent = send_now(socket.fd, op, moved);
  if (moved) socket.sent_at = loop_.now();
  if (!sent) {
    socket.writable = false;
    return false;
  }
  if (!*sent && means_lost(sent->error())) socket.lost = true;
  op.result = *sent;
  return true;
}

bool EpollIo::try_read(EpollSocket& socket) {
  switch (socket.reads) {
    case EpollSocket::Reads::recv: return try_recv(socket, static_cast<RecvOp&>(*socket.reading));
    case EpollSocket::Reads::poll:
      static_cast<PollOp&>(*socket.reading).result = {};
      return socket.readable;
    case EpollSocket::Reads::accept: {
      auto& op = static_cast<AcceptOp&>(*socket.reading);
      std::optional<Result<int>> accepted = accept_now(socket.fd, Blocking::no, op.peer);
      if (accepted) op.result = *accepted;
      return accepted.has_value();
    }
    case EpollSocket::Reads::none: return false;
  }
  WEIR_UNREACHABLE("reads");
}

bool EpollIo::try_write(EpollSocket& socket) {
  switch (socket.writes) {
    case EpollSocket::Writes::send: return try_send(socket, static_cast<SendOp&>(*socket.writing));
    case EpollSocket::Writes::poll:
      static_cast<PollOp&>(*socket.writing).result = {};
      return socket.writable;
    case EpollSocket::Writes::connect:
      if (!socket.writable) return false;
      if (const Result<void> connected = connect_result(socket.fd); !connected) {
        static_cast<ConnectOp&>(*socket.writing).result = fail(connected.error());
      }
      return true;
    case EpollSocket::Writes::none: return false;
  }
  WEIR_UNREACHABLE("writes");
}

void EpollIo::set_reading(EpollSocket& socket, Op& op, EpollSocket::Reads kind) {
  WEIR_ASSERT(socket.reading == nullptr);
  socket.reading = &op;
  socket.reads = kind;
  op.socket = &socket;
  op.run = run_read;
}

void EpollIo::set_writing(EpollSocket& socket, Op& op, EpollSocket::Writes kind) {
  WEIR_ASSERT(socket.writing == nullptr);
  socket.writing = &op;
  socket.writes = kind;
  op.socket = &socket;
  op.run = run_write;
}

void EpollIo::run_read(Runnable& runnable) {
  auto& op = static_cast<Op&>(runnable);
  EpollSocket& socket = of(*op.socket);
  WEIR_ASSERT(socket.reading == &op);
  if (!socket.io->try_read(socket)) return;
  socket.reading = nullptr;
  op.finish();
}

void EpollIo::run_write(Runnable& runnable) {
  auto& op = static_cast<Op&>(runnable);
  EpollSocket& socket = of(*op.socket);
  WEIR_ASSERT(socket.writing == &op);
  if (!socket.io->try_write(socket)) return;
  socket.writing = nullptr;
  op.socket = nullptr;
  if (socket.writes == EpollSocket::Writes::connect && !static_cast<ConnectOp&>(op).result) {
    socket.io->close(socket);
  }
  op.finish();
}

bool EpollIo::start_recv(Socket& base, RecvOp& op) {
  EpollSocket& socket = of(base);
  WEIR_ASSERT(socket.reading == nullptr);
  if (try_recv(socket, op)) return true;
  set_reading(socket, op, EpollSocket::Reads::recv);
  return false;
}

bool EpollIo::start_send(Socket& base, SendOp& op) {
  EpollSocket& socket = of(base);
  WEIR_ASSERT(socket.writing == nullptr);
  if (try_send(socket, op)) return true;
  set_writing(socket, op, EpollSocket::Writes::send);
  return false;
}

bool EpollIo::start_readable(Socket& base, PollOp& op) {
  EpollSocket& socket = of(base);
  op.result = {};
  if (socket.readable) return true;
  set_reading(socket, op, EpollSocket::Reads::poll);
  return false;
}

bool EpollIo::start_writable(Socket& base, PollOp& op) {
  EpollSocket& socket = of(base);
  op.result = {};
  if (socket.writable) return true;
  set_writing(socket, op, EpollSocket::Writes::poll);
  return false;
}

bool EpollIo::start_accept(Socket& base, AcceptOp& op) {
  EpollSocket& socket = of(base);
  std::optional<Result<int>> accepted = accept_now(socket.fd, Blocking::no, op.peer);
  if (accepted) {
    op.result = *accepted;
    return true;
  }
  set_reading(socket, op, EpollSocket::Reads::accept);
  return false;
}

bool EpollIo::start_connect(ConnectOp& op) {
  bool pending = false;
  op.socket = nullptr;
  const Result<int> fd = connect_now(op.target, Blocking::no, pending);
  if (!fd) {
    op.result = fail(fd.error());
    return true;
  }
  EpollSocket* socket = add(*fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  op.result = socket;
  if (!pending) return true;
  socket->readable = socket->writable = false;
  set_writing(*socket, op, EpollSocket::Writes::connect);
  return false;
}

void EpollIo::cancel_recv(Socket& base, Error why) {
  EpollSocket& socket = of(base);
  if (socket.reading == nullptr) return;
  Op& op = *std::exchange(socket.reading, nullptr);
  // What can be read and was not waits for memory, or was just told that there is some.
  const bool starved = socket.reads == EpollSocket::Reads::recv && socket.readable;
  if (starved && why.code == Code::timed_out) why.code = Code::no_memory;
  stop_waiting_for_memory(socket);
  finish_failed(op, socket.reads, why);
  op.run = run_finish;
  loop_.queue.push(op);
}

void EpollIo::cancel_send(Socket& base, Error why) {
  EpollSocket& socket = of(base);
  if (socket.writing == nullptr) return;
  Op& op = *std::exchange(socket.writing, nullptr);
  finish_failed(op, socket.writes, why);
  op.run = run_finish;
  loop_.queue.push(op);
}

void EpollIo::cancel_connect(ConnectOp& op, Error why) {
  if (op.socket == nullptr) return;
  EpollSocket& socket = of(*std::exchange(op.socket, nullptr));
  WEIR_ASSERT(socket.writing == &op);
  cancel_send(socket, why);
  close(socket);
}

void EpollIo::on_event(std::uint32_t events, EpollSocket& socket) {
  if (socket.magic != kLive) return;  // closed earlier in this batch
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) socket.peer_ended = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    socket.readable = true;
    if (socket.reading != nullptr) loop_.queue.push(*socket.reading);
  }
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
    socket.writable = true;
    if (socket.writing != nullptr) loop_.queue.push(*socket.writing);
  }
}

// With many connections none of what an event leads to is in the cache any more. Asked for ahead,
// it comes while other events are dealt with.
void EpollIo::prefetch(int count) {
  if (count < kEventsFew) return;
  const std::span<const epoll_event> events(events_.data(), static_cast<std::size_t>(count));
  for (const epoll_event& event : events) {
    if (event.data.ptr == nullptr) continue;
    __builtin_prefetch(event.data.ptr);
    __builtin_prefetch(static_cast<const char*>(event.data.ptr) + 64);
  }
  for (const epoll_event& event : events) {
    const auto* socket = static_cast<const EpollSocket*>(event.data.ptr);
    if (socket == nullptr || socket->reading == nullptr) continue;
    const char* const op = reinterpret_cast<const char*>(socket->reading);
    for (int line = -kLinesBefore; line < kLinesBehind; ++line) {
      __builtin_prefetch(op + line * kCacheLine, 1);
    }
  }
}

void EpollIo::wait(Instant until) {
  free_closed();
  int timeout_ms = -1;
  if (until != kNever) {
    const Micros left = until - monotonic_now();
    timeout_ms =
        left.count() <= 0
            ? 0
            : static_cast<int>(std::min<std::int64_t>((left.count() + 999) / 1000, 3'600'000));
  }
  const int count = epoll_wait(epoll_, events_.data(), kEventsPerWait, timeout_ms);
  prefetch(count);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      std::uint64_t value = 0;
      ignore(::read(event_, &value, sizeof value), "only the wake-up matters");
      continue;
    }
    on_event(event.events, *static_cast<EpollSocket*>(event.data.ptr));
  }
}

void EpollIo::wake() {
  const std::uint64_t one = 1;
  ignore(::write(event_, &one, sizeof one), "a full counter wakes as well");
}

}  // namespace

Result<std::unique_ptr<Io>> make_epoll_io(Loop& loop) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return std::unexpected(os_error(errno, "epoll_create1"));
  const int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event < 0) {
    ::close(epoll);
    return std::unexpected(os_error(errno, "eventfd"));
  }
  epoll_event wake{};
  wake.events = EPOLLIN;
  wake.data.ptr = nullptr;
  WEIR_CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &wake) == 0);
  return std::make_unique<EpollIo>(loop, epoll, event);
}

}  // namespace weir::io
