// SPDX-License-Identifier: Apache-2.0
#include "io/ring_io.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "io/listener.h"
#include "io/ring_backend.h"
#include "io/system_socket.h"

namespace weir::io {
namespace {

constexpr std::uint64_t kIgnored = 0;
constexpr std::uint64_t kWake = 7;
constexpr int kDrainTurns = 50;

std::uint64_t user_data(RingSocket& socket, Request request) {
  return reinterpret_cast<std::uintptr_t>(&socket) | static_cast<std::uint64_t>(request);
}

}  // namespace

RingIo::RingIo(Loop& loop, std::unique_ptr<Ring> ring, int event)
    : loop_(loop), ring_(std::move(ring)), buffers_(loop.chunks), event_(event) {}

RingIo::~RingIo() {
  // What was lent to the kernel must come back before it is freed. On another thread than the
  // loop's this is not possible, and not needed: the kernel cancels everything when a thread ends.
  io_uring_sqe& all = ring_->next(kIgnored);
  io_uring_prep_cancel64(&all, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  for (int i = 0; i < kDrainTurns && !closing_.empty(); ++i) {
    if (!ring_->wait(monotonic_now() + Millis(20))) break;
    ring_->reap([this](const io_uring_cqe& cqe) { on_completion(cqe); });
  }
  ring_.reset();
  while (!closing_.empty()) finish_close(static_cast<RingSocket&>(closing_.front()));
  ::close(event_);
}

Instant RingIo::now() { return monotonic_now(); }
WallTime RingIo::wall_time() { return wall_now(); }

RingSocket* RingIo::add(int fd) {
  auto* socket = new RingSocket;
  WEIR_ASSERT((reinterpret_cast<std::uintptr_t>(socket) & 7) == 0);
  socket->fd = fd;
  socket->io = this;
  socket->retry = [](ChunkWaiter& waiter) {
    auto& self = static_cast<RingSocket&>(waiter);
    if (self.reading != nullptr) self.io->loop_.queue.push(*self.reading);
  };
  return socket;
}

Socket* RingIo::adopt(int fd) { return add(fd); }

Socket* RingIo::adopt_listener(int fd) {
  set_blocking(fd, true);
  RingSocket* socket = add(fd);
  socket->accepting = std::make_unique<RingSocket::Accepting>();
  return socket;
}

void RingIo::close(Socket& base) {
  RingSocket& socket = of(base);
  WEIR_ASSERT(socket.writing == nullptr);
  if (socket.reading != nullptr) std::exchange(socket.reading, nullptr)->unlink();
  stop_waiting_for_memory(socket);
  socket.stash.reset();
  socket.closing = true;
  closing_.push_back(socket);
  // The descriptor stays open until nothing refers to it: a request that is not submitted yet would
  // otherwise act on whoever gets the same number.
  for (const Request request :
       {Request::recv, Request::read_poll, Request::accept, Request::write_poll}) {
    if (socket.has(request)) submit_cancel(socket, request);
  }
  if (socket.pending == 0) finish_close(socket);
}

void RingIo::finish_close(RingSocket& socket) {
  if (socket.accepting && socket.accepting->stashed >= 0) ::close(socket.accepting->stashed);
  ::close(socket.fd);
  socket.magic = 0;
  delete &socket;
}

void RingIo::stop_waiting_for_memory(RingSocket& socket) {
  socket.ChunkWaiter::unlink();
  loop_.chunks.offer();
}

std::uint64_t RingIo::unacknowledged(const Socket& socket) const {
  return bytes_in_send_queue(socket.fd);
}

void RingIo::reset_on_close(Socket& socket) { set_reset_on_close(socket.fd); }
void RingIo::shutdown_write(Socket& socket) { ::shutdown(socket.fd, SHUT_WR); }

io_uring_sqe& RingIo::submit(RingSocket& socket, Request request) {
  WEIR_ASSERT(!socket.has(request));
  socket.pending |= RingSocket::bit(request);
  return ring_->next(user_data(socket, request));
}

void RingIo::submit_recv(RingSocket& socket) {
  io_uring_sqe& sqe = submit(socket, Request::recv);
  io_uring_prep_recv(&sqe, socket.fd, nullptr, ChunkPool::kBlockSize, 0);
  sqe.flags |= IOSQE_BUFFER_SELECT;
  sqe.buf_group = RingBuffers::kGroup;
  if (socket.drained) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
}

void RingIo::submit_poll(RingSocket& socket, Request request, unsigned events) {
  io_uring_prep_poll_add(&submit(socket, request), socket.fd, events);
}

void RingIo::submit_send(RingSocket& socket) {
  auto& op = static_cast<SendOp&>(*socket.writing);
  io_uring_sqe& sqe = submit(socket, Request::send);
  const int flags = MSG_NOSIGNAL | (op.more != SendOp::More::no ? MSG_MORE : 0);
  std::array<iovec, 4> pieces;
  std::size_t used = 0;
  for (const Bytes& piece : op.pieces) {
    if (!piece.empty()) pieces[used++] = {const_cast<char*>(piece.data()), piece.size()};
  }
  WEIR_ASSERT(used > 0);
  if (used == 1) {
    io_uring_prep_send(&sqe, socket.fd, pieces[0].iov_base, pieces[0].iov_len, flags);
    return;
  }
  if (!socket.message) socket.message.reset(new RingSocket::Message);
  RingSocket::Message& message = *socket.message;
  message.pieces = pieces;
  message.header.msg_iov = message.pieces.data();
  message.header.msg_iovlen = used;
  io_uring_prep_sendmsg(&sqe, socket.fd, &message.header, static_cast<unsigned>(flags));
}

void RingIo::submit_accept(RingSocket& socket) {
  RingSocket::Accepting& accepting = *socket.accepting;
  accepting.size = sizeof accepting.address;
  io_uring_prep_accept(&submit(socket, Request::accept), socket.fd,
                       reinterpret_cast<sockaddr*>(&accepting.address), &accepting.size,
                       SOCK_CLOEXEC);
}

void RingIo::submit_cancel(RingSocket& socket, Request request) {
  io_uring_prep_cancel64(&ring_->next(kIgnored), user_data(socket, request), 0);
}

void RingIo::submit_wake() {
  wake_armed_ = true;
  io_uring_prep_read(&ring_->next(kWake), event_, &event_value_, sizeof event_value_, 0);
}

void RingIo::set_reading(RingSocket& socket, Op& op, RingSocket::Reads kind) {
  WEIR_ASSERT(socket.reading == nullptr);
  socket.reading = &op;
  socket.reads = kind;
  socket.read_done = false;
  op.socket = &socket;
  op.run = run_read;
}

void RingIo::set_writing(RingSocket& socket, Op& op, RingSocket::Writes kind) {
  WEIR_ASSERT(socket.writing == nullptr);
  socket.writing = &op;
  socket.writes = kind;
  socket.send_cancelled = false;
  op.socket = &socket;
  op.run = run_finish;
}

// Receives now where that makes sense, or leaves a request with the kernel. True: `op` is complete.
bool RingIo::try_recv(RingSocket& socket, RecvOp& op) {
  if (socket.has(Request::recv) || socket.has(Request::read_poll)) return false;
  if (op.window <= kWindowHead) {
    if (buffers_.refill() && loop_.chunks.has_room(ChunkPool::kBlockSize, Work::fresh)) {
      submit_recv(socket);
      return false;
    }
    if (op.work == Work::fresh) {
      if (!socket.ChunkWaiter::linked()) loop_.chunks.wait(socket, op.work);
      return false;
    }
    // Of what is lent to the kernel new work may take it all; this must not.
  }
  if (!socket.drained) {
    std::optional<Received> received = receive_now(socket.fd, loop_.chunks, op);
    if (received && !received->result && received->result.error().code == Code::no_memory) {
      if (!socket.ChunkWaiter::linked()) loop_.chunks.wait(socket, op.work);
      return false;
    }
    if (received) {
      socket.drained = received->drained;
      op.result = std::move(received->result);
      if (op.result && op.result->empty()) op.result = end_of(socket);
      return true;
    }
  }
  submit_poll(socket, Request::read_poll, POLLIN | POLLRDHUP);
  return false;
}

void RingIo::run_read(Runnable& runnable) {
  auto& op = static_cast<Op&>(runnable);
  RingSocket& socket = of(*op.socket);
  WEIR_ASSERT(socket.reading == &op);
  if (!socket.read_done) {
    WEIR_ASSERT(socket.reads == RingSocket::Reads::recv);
    if (!socket.io->try_recv(socket, static_cast<RecvOp&>(op))) return;
  }
  socket.reading = nullptr;
  op.finish();
}

bool RingIo::start_recv(Socket& base, RecvOp& op) {
  RingSocket& socket = of(base);
  WEIR_ASSERT(socket.reading == nullptr);
  if (socket.stash) {
    op.result = std::move(std::exchange(socket.stash, nullptr)->result);
    return true;
  }
  if (try_recv(socket, op)) return true;
  set_reading(socket, op, RingSocket::Reads::recv);
  return false;
}

bool RingIo::start_send(Socket& base, SendOp& op) {
  RingSocket& socket = of(base);
  op.result = {};
  bool empty = true;
  for (const Bytes& piece : op.pieces) empty = empty && piece.empty();
  if (empty) return true;
  set_writing(socket, op, RingSocket::Writes::send);
  submit_send(socket);
  return false;
}

std::size_t RingIo::try_send(Socket& base, Bytes bytes, SendOp::More more) {
  WEIR_ASSERT(of(base).writing == nullptr);
  return try_send_now(base.fd, bytes, more);
}

bool RingIo::start_readable(Socket& base, PollOp& op) {
  RingSocket& socket = of(base);
  op.result = {};
  if (socket.stash) return true;
  set_reading(socket, op, RingSocket::Reads::poll);
  if (!socket.has(Request::recv) && !socket.has(Request::read_poll)) {
    submit_poll(socket, Request::read_poll, POLLIN | POLLRDHUP);
  }
  return false;
}

bool RingIo::start_writable(Socket& base, PollOp& op) {
  RingSocket& socket = of(base);
  op.result = {};
  set_writing(socket, op, RingSocket::Writes::poll);
  if (!socket.has(Request::write_poll)) submit_poll(socket, Request::write_poll, POLLOUT);
  return false;
}

bool RingIo::start_accept(Socket& base, AcceptOp& op) {
  RingSocket& socket = of(base);
  WEIR_ASSERT(socket.accepting != nullptr);
  if (socket.accepting->stashed >= 0) {
    op.result = std::exchange(socket.accepting->stashed, -1);
    op.peer = socket.accepting->stashed_peer;
    return true;
  }
  set_reading(socket, op, RingSocket::Reads::accept);
  if (!socket.has(Request::accept)) submit_accept(socket);
  return false;
}

std::optional<Result<int>> RingIo::accept_queued(Socket& base, Peer& peer) {
  RingSocket& socket = of(base);
  if (socket.accepting->stashed >= 0) {
    peer = socket.accepting->stashed_peer;
    return Result<int>(std::exchange(socket.accepting->stashed, -1));
  }
  set_blocking(socket.fd, false);
  return accept_now(socket.fd, Blocking::yes, peer);
}

bool RingIo::start_connect(ConnectOp& op) {
  // A unix socket connects at once or never; waiting for a full backlog would occupy a kernel
  // thread.
  const bool local = op.target.is_unix();
  bool pending = false;
  op.socket = nullptr;
  const Result<int> fd = connect_now(op.target, local ? Blocking::no : Blocking::yes, pending);
  if (!fd) {
    op.result = fail(fd.error());
    return true;
  }
  if (local) set_blocking(*fd, true);
  RingSocket* socket = add(*fd);
  op.result = socket;
  if (!pending) return true;
  set_writing(*socket, op, RingSocket::Writes::connect);
  io_uring_prep_connect(&submit(*socket, Request::connect), *fd, op.target.get(), op.target.size());
  return false;
}

bool RingIo::holds_bytes(Socket& base) {
  RingSocket& socket = of(base);
  return socket.stash != nullptr || socket.has(Request::recv);
}

void RingIo::begin_splice(Socket& base) {
  RingSocket& socket = of(base);
  if (socket.splicing++ == 0) set_blocking(socket.fd, false);
}

void RingIo::end_splice(Socket& base) {
  RingSocket& socket = of(base);
  WEIR_ASSERT(socket.splicing > 0);
  if (--socket.splicing == 0) set_blocking(socket.fd, true);
}

void RingIo::wait(Instant until) {
  buffers_.refill();
  if (!wake_armed_) submit_wake();
  WEIR_CHECK(ring_->wait(until));
  ring_->reap([this](const io_uring_cqe& cqe) { on_completion(cqe); });
}

void RingIo::wake() {
  const std::uint64_t one = 1;
  ignore(::write(event_, &one, sizeof one), "a full counter wakes as well");
}

void RingIo::on_completion(const io_uring_cqe& cqe) {
  if (cqe.user_data == kIgnored) return;
  if (cqe.user_data == kWake) {
    wake_armed_ = false;
    return;
  }
  auto* socket = reinterpret_cast<RingSocket*>(cqe.user_data & ~std::uint64_t{7});
  WEIR_ASSERT(socket->magic == kRingSocketLive);
  const auto request = static_cast<Request>(cqe.user_data & 7);
  WEIR_ASSERT(socket->has(request));
  socket->pending &= static_cast<std::uint8_t>(~RingSocket::bit(request));
  switch (request) {
    case Request::recv: on_recv(*socket, cqe); break;
    case Request::read_poll: on_read_poll(*socket, cqe.res); break;
    case Request::accept: on_accept(*socket, cqe.res); break;
    case Request::send: on_send(*socket, cqe.res); break;
    case Request::write_poll: on_write_poll(*socket, cqe.res); break;
    case Request::connect: on_connect(*socket, cqe.res); break;
  }
}

Result<std::unique_ptr<Io>> make_ring_io(Loop& loop) {
  WEIR_TRY(ring, Ring::open());
  const int event = eventfd(0, EFD_CLOEXEC);
  if (event < 0) return std::unexpected(os_error(errno, "eventfd"));
  auto io = std::make_unique<RingIo>(loop, std::move(ring), event);
  if (const Result<void> opened = io->open(); !opened) return fail(opened.error());
  return io;
}

}  // namespace weir::io
