// SPDX-License-Identifier: Apache-2.0
#include "io/sim_io.h"

#include <algorithm>
#include <cerrno>

#include "io/sim_socket.h"

namespace weir::io {
namespace {

SimEnd& own(SimSocket& socket) {
  return socket.connection->ends[static_cast<std::size_t>(socket.side)];
}
const SimEnd& own(const SimSocket& socket) {
  return socket.connection->ends[static_cast<std::size_t>(socket.side)];
}

}  // namespace

SimIo::SimIo(Loop& loop, SimNetwork& network) : loop_(loop), network_(network) {
  network_.loops_.push_back(this);
}

SimIo::~SimIo() { std::erase(network_.loops_, this); }

bool SimIo::ready() const {
  if (loop_.stopping()) return false;  // nobody turns it any more
  return !loop_.queue.empty() || woken_.load() || loop_.timers().next() <= network_.now();
}

SimSocket* SimIo::add(int fd) {
  auto* socket = new SimSocket;
  ++network_.sockets_;
  ++descriptors_->used;
  socket->fd = fd;
  socket->io = this;
  socket->retry = [](ChunkWaiter& waiter) {
    auto& self = static_cast<SimSocket&>(waiter);
    if (self.reading != nullptr) self.io->loop_.queue.push(*self.reading);
  };
  return socket;
}

Socket* SimIo::adopt(int fd) {
  const auto found = network_.unadopted_.find(fd);
  WEIR_ASSERT(found != network_.unadopted_.end());
  SimSocket* socket = add(fd);
  socket->connection = found->second.connection;
  socket->side = 1;
  --found->second.descriptors->used;  // the socket has it now
  network_.unadopted_.erase(found);
  own(*socket).socket = socket;
  return socket;
}

Socket* SimIo::adopt_listener(int fd) {
  const auto found = network_.listening_.find(fd);
  WEIR_ASSERT(found != network_.listening_.end());
  SimSocket* socket = add(fd);
  socket->listener = found->second;
  socket->listener->sockets.push_back(socket);
  return socket;
}

void SimIo::close(Socket& base) {
  SimSocket& socket = of(base);
  WEIR_ASSERT(socket.writing == nullptr);
  if (socket.reading != nullptr) std::exchange(socket.reading, nullptr)->unlink();
  socket.read_done = false;
  stop_waiting_for_memory(socket);
  if (socket.listener) {
    std::vector<SimSocket*>& sockets = socket.listener->sockets;
    std::erase(sockets, &socket);
    if (sockets.empty()) {
      for (const auto& waiting : socket.listener->queue) network_.close_end(waiting, 1, true);
      socket.listener->queue.clear();
      network_.listening_.erase(socket.fd);
    }
  } else {
    network_.close_end(socket.connection, socket.side, socket.reset_on_close);
  }
  socket.magic = 0;
  --network_.sockets_;
  --descriptors_->used;
  delete &socket;
}

void SimIo::stop_waiting_for_memory(SimSocket& socket) {
  socket.ChunkWaiter::unlink();
  loop_.chunks.offer();
}

// An event may have let a receive try that stands in the line for memory still, and what it took
// may have been offered to itself: it is not told again, and the offer is for the next.
void SimIo::leave_line(SimSocket& socket, RecvOp& op) {
  if (!socket.ChunkWaiter::linked() && !op.linked()) return;
  op.unlink();
  stop_waiting_for_memory(socket);
}

Peer SimIo::local_end(const Socket& socket) const {
  const auto& known = static_cast<const SimSocket&>(socket);
  return known.connection->ends[static_cast<std::size_t>(1 - known.side)].peer;
}

void SimIo::shutdown_write(Socket& base) {
  SimSocket& socket = of(base);
  SimEnd& end = own(socket);
  if (end.write_ended || end.broken) return;
  end.write_ended = true;
  network_.transmit_end(socket.connection, 1 - socket.side);
}

bool SimIo::readable(const SimSocket& socket) const {
  const SimEnd& end = own(socket);
  return end.broken || end.ended || !end.inbox.empty();
}

bool SimIo::writable(const SimSocket& socket) const {
  return own(socket).broken || network_.room(*socket.connection, 1 - socket.side) > 0;
}

bool SimIo::descriptor_wanting() const {
  return network_.chance(network_.faults.no_descriptors) || descriptors_->used >= descriptors_->max;
}

bool SimIo::try_recv(SimSocket& socket, RecvOp& op) {
  SimEnd& end = own(socket);
  if (!readable(socket)) return false;
  if (end.broken && end.inbox.empty() && !end.ended) {
    op.result = fail(Code::reset, "recv", ECONNRESET);
    leave_line(socket, op);
    return true;
  }
  if (end.inbox.empty()) {
    op.result = Chunk();
    end.told_of_end = true;
    end.waiting_since = {};
    leave_line(socket, op);
    return true;
  }
  Chunk chunk;
  if (!loop_.chunks.allocate(op.window, chunk, op.work)) {
    if (!socket.ChunkWaiter::linked()) loop_.chunks.wait(socket, op.work);
    return false;
  }
  std::size_t count = std::min(chunk.room().size(), end.inbox.size());
  if (network_.chance(network_.faults.short_read)) {
    count = 1 + network_.random(std::min(count, network_.faults.short_bytes_max));
  }
  std::copy_n(end.inbox.data(), count, chunk.room().data());
  chunk.grow(count);
  end.inbox.erase(0, count);
  end.taken += count;
  if (end.inbox.empty()) end.waiting_since = end.ended ? network_.lived() : Instant{};
  network_.wake_writer(socket.connection, 1 - socket.side);
  op.result = std::move(chunk);
  leave_line(socket, op);
  return true;
}

bool SimIo::try_send(SimSocket& socket, SendOp& op) {
  if (socket.send_cancelled) {
    op.result = fail(socket.send_why);
    return true;
  }
  const SimEnd& end = own(socket);
  for (Bytes& piece : op.pieces) {
    while (!piece.empty()) {
      if (end.broken) {
        op.result = fail(Code::reset, "send", EPIPE);
        return true;
      }
      WEIR_ASSERT(!end.write_ended);
      const std::size_t room = network_.room(*socket.connection, 1 - socket.side);
      std::size_t count = std::min(room, piece.size());
      if (count == 0) return false;
      const bool cut = network_.chance(network_.faults.short_write);
      if (cut) count = 1 + network_.random(std::min(count, network_.faults.short_bytes_max));
      network_.transmit(socket.connection, 1 - socket.side, piece.substr(0, count));
      piece.remove_prefix(count);
      socket.sent_at = loop_.now();
      if (cut && !piece.empty()) {
        network_.wake_writer(socket.connection, socket.side);
        return false;
      }
    }
  }
  op.result = {};
  return true;
}

bool SimIo::try_accept(SimSocket& socket, AcceptOp& op) {
  SimListener& listener = *socket.listener;
  if (listener.queue.empty()) return false;
  if (descriptor_wanting()) {
    op.result = std::unexpected(os_error(EMFILE, "accept"));
    return true;
  }
  const std::shared_ptr<SimConnection> connection = listener.queue.front();
  listener.queue.pop_front();
  const int fd = network_.next_descriptor_++;
  network_.unadopted_.emplace(fd, SimNetwork::Unadopted{connection, descriptors_});
  ++descriptors_->used;
  op.peer = connection->ends[1].peer;
  op.result = fd;
  return true;
}

bool SimIo::try_read(SimSocket& socket) {
  switch (socket.reads) {
    case SimSocket::Reads::recv: return try_recv(socket, static_cast<RecvOp&>(*socket.reading));
    case SimSocket::Reads::poll: return readable(socket);
    case SimSocket::Reads::accept:
      return try_accept(socket, static_cast<AcceptOp&>(*socket.reading));
    case SimSocket::Reads::none: break;
  }
  WEIR_UNREACHABLE("reads");
}

bool SimIo::try_write(SimSocket& socket) {
  switch (socket.writes) {
    case SimSocket::Writes::send: return try_send(socket, static_cast<SendOp&>(*socket.writing));
    case SimSocket::Writes::poll: return writable(socket);
    case SimSocket::Writes::connect:
    case SimSocket::Writes::none: break;
  }
  WEIR_UNREACHABLE("writes");
}

void SimIo::set_reading(SimSocket& socket, Op& op, SimSocket::Reads kind) {
  WEIR_ASSERT(socket.reading == nullptr);
  socket.reading = &op;
  socket.reads = kind;
  op.socket = &socket;
  op.run = run_read;
}

void SimIo::set_writing(SimSocket& socket, Op& op, SimSocket::Writes kind) {
  WEIR_ASSERT(socket.writing == nullptr);
  socket.writing = &op;
  socket.writes = kind;
  socket.send_cancelled = false;
  op.socket = &socket;
  op.run = run_write;
}

void SimIo::run_read(Runnable& runnable) {
  auto& op = static_cast<Op&>(runnable);
  SimSocket& socket = of(*op.socket);
  WEIR_ASSERT(socket.reading == &op);
  const bool done = std::exchange(socket.read_done, false);
  if (done) {
    own(socket).taken = socket.told_taken;
    own(socket).told_of_end = socket.told_of_end;
  }
  if (!done && !socket.io->try_read(socket)) return;
  socket.reading = nullptr;
  op.finish();
}

void SimIo::run_write(Runnable& runnable) {
  auto& op = static_cast<Op&>(runnable);
  SimSocket& socket = of(*op.socket);
  WEIR_ASSERT(socket.writing == &op);
  if (!socket.io->try_write(socket)) return;
  socket.writing = nullptr;
  op.finish();
}

bool SimIo::start_recv(Socket& base, RecvOp& op) {
  SimSocket& socket = of(base);
  const bool later = network_.chance(network_.faults.deferred);
  if (!later && try_recv(socket, op)) return true;
  set_reading(socket, op, SimSocket::Reads::recv);
  if (later) network_.wake_reader(socket.connection, socket.side);
  return false;
}

bool SimIo::start_send(Socket& base, SendOp& op) {
  SimSocket& socket = of(base);
  socket.send_cancelled = false;
  const SimEnd& end = own(socket);
  const bool waits = end.waiting_since != Instant{};
  socket.send_known = {end.taken, end.told_of_end,
                       waits ? network_.lived() - end.waiting_since : Micros(0)};
  const bool later = network_.chance(network_.faults.deferred);
  if (!later && try_send(socket, op)) return true;
  set_writing(socket, op, SimSocket::Writes::send);
  if (later) network_.wake_writer(socket.connection, socket.side);
  return false;
}

bool SimIo::start_readable(Socket& base, PollOp& op) {
  SimSocket& socket = of(base);
  op.result = {};
  if (readable(socket)) return true;
  set_reading(socket, op, SimSocket::Reads::poll);
  return false;
}

bool SimIo::start_writable(Socket& base, PollOp& op) {
  SimSocket& socket = of(base);
  op.result = {};
  if (writable(socket)) return true;
  set_writing(socket, op, SimSocket::Writes::poll);
  return false;
}

bool SimIo::start_accept(Socket& base, AcceptOp& op) {
  SimSocket& socket = of(base);
  if (try_accept(socket, op)) return true;
  set_reading(socket, op, SimSocket::Reads::accept);
  return false;
}

std::optional<Result<int>> SimIo::accept_queued(Socket& listener, Peer& peer) {
  AcceptOp op;
  if (!try_accept(of(listener), op)) return std::nullopt;
  peer = op.peer;
  return op.result;
}

bool SimIo::start_connect(ConnectOp& op) {
  const SimFaults& faults = network_.faults;
  op.socket = nullptr;
  if (descriptor_wanting()) {
    op.result = std::unexpected(os_error(EMFILE, "socket"));
    return true;
  }
  SimSocket* socket = add(network_.next_descriptor_++);
  const std::shared_ptr<SimConnection> connection = network_.make_connection();
  socket->connection = connection;
  connection->ends[0].socket = socket;
  op.result = socket;
  set_writing(*socket, op, SimSocket::Writes::connect);
  Instant at = network_.now() + network_.delay();
  const auto known = network_.fates_.find(op.target.text());
  SimFate fate = known == network_.fates_.end() ? SimFate::reachable : known->second;
  if (network_.chance(faults.connect_silent)) fate = SimFate::silent;
  if (fate == SimFate::silent) return false;
  if (network_.chance(faults.connect_slow)) {
    const auto slow = static_cast<std::uint64_t>(Micros(faults.connect_slow_max).count());
    at += Micros(static_cast<std::int64_t>(network_.random(slow + 1)));
  }
  if (network_.chance(faults.connect_refused)) fate = SimFate::refused;
  if (network_.chance(faults.connect_unreachable)) fate = SimFate::unreachable;
  network_.schedule(at, [this, connection, fate, target = op.target] {
    if (fate == SimFate::reachable) return network_.attempt_connect(connection, target);
    const int why = fate == SimFate::refused ? ECONNREFUSED : EHOSTUNREACH;
    network_.finish_connect(connection, std::unexpected(os_error(why, "connect")));
  });
  return false;
}

void SimIo::cancel_recv(Socket& base, Error why) {
  SimSocket& socket = of(base);
  if (socket.reading == nullptr || socket.read_done) return;
  Op& op = *std::exchange(socket.reading, nullptr);
  const bool starved = socket.ChunkWaiter::linked();
  if (starved && why.code == Code::timed_out) why.code = Code::no_memory;
  switch (socket.reads) {
    case SimSocket::Reads::recv: static_cast<RecvOp&>(op).result = fail(why); break;
    case SimSocket::Reads::poll: static_cast<PollOp&>(op).result = fail(why); break;
    case SimSocket::Reads::accept: static_cast<AcceptOp&>(op).result = fail(why); break;
    case SimSocket::Reads::none: WEIR_UNREACHABLE("no operation");
  }
  stop_waiting_for_memory(socket);
  op.run = run_finish;
  loop_.queue.push(op);
}

void SimIo::cancel_send(Socket& base, Error why) {
  SimSocket& socket = of(base);
  if (socket.writing == nullptr || socket.send_cancelled) return;
  switch (socket.writes) {
    case SimSocket::Writes::send:
      // As with io_uring, a send keeps its memory until it completes some time later.
      socket.send_cancelled = true;
      socket.send_why = why;
      return network_.wake_writer(socket.connection, socket.side);
    case SimSocket::Writes::poll: static_cast<PollOp&>(*socket.writing).result = fail(why); break;
    case SimSocket::Writes::connect:
      static_cast<ConnectOp&>(*socket.writing).result = fail(why);
      break;
    case SimSocket::Writes::none: WEIR_UNREACHABLE("no operation");
  }
  Op& op = *std::exchange(socket.writing, nullptr);
  op.run = run_finish;
  loop_.queue.push(op);
}

void SimIo::cancel_connect(ConnectOp& op, Error why) {
  if (op.socket == nullptr) return;
  SimSocket& socket = of(*std::exchange(op.socket, nullptr));
  WEIR_ASSERT(socket.writing == &op);
  cancel_send(socket, why);
  close(socket);
}

std::unique_ptr<Io> make_sim_io(Loop& loop, SimNetwork& network) {
  return std::make_unique<SimIo>(loop, network);
}

}  // namespace weir::io
