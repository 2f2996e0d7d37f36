// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/ring_backend.h"
#include "io/system_socket.h"

namespace weir::io {
namespace {

void advance(SendOp& op, std::size_t count) {
  for (Bytes& piece : op.pieces) {
    const std::size_t step = std::min(count, piece.size());
    piece.remove_prefix(step);
    count -= step;
  }
}

bool all_sent(const SendOp& op) {
  return std::all_of(op.pieces.begin(), op.pieces.end(), [](const Bytes& p) { return p.empty(); });
}

// The request has to be made again: it was interrupted, or cancelled for an owner that is gone.
bool again(int result) { return result == -EINTR || result == -ECANCELED; }

}  // namespace

void RingIo::read_done(RingSocket& socket) {
  socket.read_done = true;
  loop_.queue.push(*socket.reading);
}

void RingIo::write_done(RingSocket& socket) {
  Op& op = *std::exchange(socket.writing, nullptr);
  op.socket = nullptr;
  socket.message.reset();
  loop_.queue.push(op);
}

void RingIo::on_recv(RingSocket& socket, const io_uring_cqe& cqe) {
  const bool has_buffer = (cqe.flags & IORING_CQE_F_BUFFER) != 0;
  const unsigned slot = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
  Chunk chunk;
  if (cqe.res > 0) {
    WEIR_ASSERT(has_buffer);
    chunk = buffers_.take(slot, static_cast<std::size_t>(cqe.res));
    socket.drained = (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
  } else if (has_buffer) {
    buffers_.put_back(slot);
  }
  if (socket.closing) {
    if (socket.pending == 0) finish_close(socket);
    return;
  }
  if (cqe.res > 0) return on_received(socket, std::move(chunk));
  if (cqe.res == 0) return on_received(socket, end_of(socket));
  const bool wanted = socket.reading != nullptr && socket.reads == RingSocket::Reads::recv;
  if (cqe.res == -ENOBUFS || again(cqe.res)) {
    // All buffers were taken, or the budget holds them back: try_recv() sorts that out.
    socket.drained = false;
    if (wanted)
      loop_.queue.push(*socket.reading);
    else if (socket.reading != nullptr)
      read_done(socket);
    return;
  }
  if (cqe.res == -EAGAIN) {
    // The descriptor does not block while splice uses it.
    if (socket.reading != nullptr) submit_poll(socket, Request::read_poll, POLLIN | POLLRDHUP);
    return;
  }
  on_received(socket, std::unexpected(os_error(-cqe.res, "recv")));
}

void RingIo::on_received(RingSocket& socket, Result<Chunk> result) {
  if (socket.reading != nullptr && socket.reads == RingSocket::Reads::recv) {
    static_cast<RecvOp&>(*socket.reading).result = std::move(result);
    read_done(socket);
    return;
  }
  WEIR_ASSERT(socket.stash == nullptr);
  socket.stash = std::make_unique<RingSocket::Stash>();
  socket.stash->result = std::move(result);
  if (socket.reading != nullptr) read_done(socket);  // a poll: there is something to receive
}

void RingIo::on_read_poll(RingSocket& socket, int result) {
  if (socket.closing) {
    if (socket.pending == 0) finish_close(socket);
    return;
  }
  socket.drained = false;
  if (socket.reading == nullptr) return;
  if (socket.reads == RingSocket::Reads::recv) {
    loop_.queue.push(*socket.reading);
  } else if (again(result)) {
    submit_poll(socket, Request::read_poll, POLLIN | POLLRDHUP);
  } else {
    read_done(socket);
  }
}

void RingIo::on_accept(RingSocket& socket, int result) {
  RingSocket::Accepting& accepting = *socket.accepting;
  if (socket.closing) {
    if (result >= 0) ::close(result);
    if (socket.pending == 0) finish_close(socket);
    return;
  }
  if (result < 0) {
    if (socket.reading == nullptr) return;
    if (again(result) || result == -EAGAIN || transient_accept_error(-result)) {
      return submit_accept(socket);
    }
    static_cast<AcceptOp&>(*socket.reading).result = std::unexpected(os_error(-result, "accept"));
    return read_done(socket);
  }
  const Peer peer = Peer::from(accepting.address);
  if (socket.reading == nullptr) {
    accepting.stashed = result;
    accepting.stashed_peer = peer;
    return;
  }
  auto& op = static_cast<AcceptOp&>(*socket.reading);
  op.result = result;
  op.peer = peer;
  read_done(socket);
}

void RingIo::on_send(RingSocket& socket, int result) {
  WEIR_ASSERT(socket.writing != nullptr);
  auto& op = static_cast<SendOp&>(*socket.writing);
  if (result > 0) {
    advance(op, static_cast<std::size_t>(result));
    socket.sent_at = loop_.now();
  }
  if (all_sent(op)) {
    op.result = {};
    return write_done(socket);
  }
  if (socket.send_cancelled) return write_done(socket);
  if (result == -EAGAIN) {
    if (!socket.has(Request::write_poll)) submit_poll(socket, Request::write_poll, POLLOUT);
    return;
  }
  if (result >= 0 || again(result)) return submit_send(socket);
  const Error error = os_error(-result, "send");
  if (means_lost(error)) socket.lost = true;
  op.result = fail(error);
  write_done(socket);
}

void RingIo::on_write_poll(RingSocket& socket, int result) {
  if (socket.closing) {
    if (socket.pending == 0) finish_close(socket);
    return;
  }
  if (socket.writing == nullptr) return;
  switch (socket.writes) {
    case RingSocket::Writes::send:
      if (!socket.has(Request::send)) submit_send(socket);
      break;
    case RingSocket::Writes::poll:
      if (again(result)) return submit_poll(socket, Request::write_poll, POLLOUT);
      write_done(socket);
      break;
    case RingSocket::Writes::connect:
    case RingSocket::Writes::none: WEIR_UNREACHABLE("a poll for neither a send nor a poll");
  }
}

void RingIo::on_connect(RingSocket& socket, int result) {
  auto& op = static_cast<ConnectOp&>(*socket.writing);
  if (result == -EINTR && !socket.send_cancelled) {
    result = connect_result(socket.fd) ? 0 : result;
  }
  if (!socket.send_cancelled && result == -EAGAIN) {
    op.result = fail(Code::refused, "connect", EAGAIN);
  } else if (!socket.send_cancelled && result < 0) {
    op.result = std::unexpected(os_error(-result, "connect"));
  }
  write_done(socket);
  if (!op.result) close(socket);
}

void RingIo::cancel_recv(Socket& base, Error why) {
  RingSocket& socket = of(base);
  if (socket.reading == nullptr || socket.read_done) return;
  Op& op = *std::exchange(socket.reading, nullptr);
  // What is not with the kernel waits for memory, or was just told that there is some.
  const bool starved = socket.reads == RingSocket::Reads::recv && !socket.has(Request::recv) &&
                       !socket.has(Request::read_poll);
  if (starved && why.code == Code::timed_out) why.code = Code::no_memory;
  switch (socket.reads) {
    case RingSocket::Reads::recv: static_cast<RecvOp&>(op).result = fail(why); break;
    case RingSocket::Reads::poll: static_cast<PollOp&>(op).result = fail(why); break;
    case RingSocket::Reads::accept: static_cast<AcceptOp&>(op).result = fail(why); break;
    case RingSocket::Reads::none: WEIR_UNREACHABLE("no operation");
  }
  // A receive stays with the kernel: what it brings is kept for the next one. An accept must not
  // take a connection from the workers that go on accepting.
  if (socket.has(Request::accept)) submit_cancel(socket, Request::accept);
  stop_waiting_for_memory(socket);
  op.run = run_finish;
  loop_.queue.push(op);
}

void RingIo::cancel_send(Socket& base, Error why) {
  RingSocket& socket = of(base);
  if (socket.writing == nullptr || socket.send_cancelled) return;
  if (socket.writes == RingSocket::Writes::poll) {
    static_cast<PollOp&>(*socket.writing).result = fail(why);
    return write_done(socket);
  }
  // The kernel reads the operation's memory until it says that it does not.
  socket.send_cancelled = true;
  if (socket.writes == RingSocket::Writes::connect) {
    static_cast<ConnectOp&>(*socket.writing).result = fail(why);
    if (socket.has(Request::connect)) submit_cancel(socket, Request::connect);
    return;
  }
  static_cast<SendOp&>(*socket.writing).result = fail(why);
  if (socket.has(Request::send)) {
    submit_cancel(socket, Request::send);
  } else {
    write_done(socket);
  }
}

void RingIo::cancel_connect(ConnectOp& op, Error why) {
  if (op.socket != nullptr) cancel_send(*op.socket, why);
}

}  // namespace weir::io
