// SPDX-License-Identifier: Apache-2.0
#include "io/sim_network.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/sim_socket.h"

namespace weir::io {
namespace {

constexpr int kFirstDescriptor = 1
                                 << 24;  // no descriptor of this process: closing one hurts nobody
constexpr std::int64_t kEpochMicros = 1'700'000'000'000'000;
constexpr Micros kRound{1};  // what a round of turns costs, so that nobody spins in frozen time
constexpr Millis kRetransmit{1000};
constexpr std::uint64_t kWallJumpMax = 3'000'000'000'000'000;  // nearly a century of microseconds

enum Note : std::uint64_t { kConnected = 1, kRefused, kSent, kDelivered, kEnd, kReset, kTurned };

Peer peer_of(const SocketAddress& target, std::uint64_t connection) {
  Peer peer;
  peer.unix_socket = target.is_unix();
  // Its own for each connection: 127.0.0.0/8.
  const auto part = [&](int shift) { return static_cast<std::uint8_t>(connection >> shift); };
  peer.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, part(16), part(8), part(0)};
  peer.port = static_cast<std::uint16_t>(1024 + connection % 60'000);
  return peer;
}

}  // namespace

SimNetwork::SimNetwork(std::uint64_t seed, SimFaults with)
    : faults(with), generator_(seed), now_(Micros(1'000'000)), next_descriptor_(kFirstDescriptor) {}

SimNetwork::~SimNetwork() { WEIR_ASSERT(loops_.empty()); }

WallTime SimNetwork::wall_time() const {
  return {kEpochMicros + (now_ + wall_offset_).time_since_epoch().count()};
}

void SimNetwork::limit_descriptors(Loop& loop, SimDescriptors& descriptors) {
  const auto found = std::ranges::find_if(loops_, [&](SimIo* io) { return &io->loop_ == &loop; });
  WEIR_ASSERT(found != loops_.end());
  WEIR_ASSERT((*found)->descriptors_->used == 0);
  (*found)->descriptors_ = &descriptors;
}

std::uint64_t SimNetwork::random(std::uint64_t limit) {
  WEIR_ASSERT(limit > 0);
  return generator_() % limit;
}

bool SimNetwork::chance(double probability) {
  if (probability <= 0) return false;
  return static_cast<double>(generator_() >> 11) * 0x1.0p-53 < probability;
}

void SimNetwork::note(std::uint64_t what, std::uint64_t a, std::uint64_t b) {
  for (const std::uint64_t value :
       {what, a, b, static_cast<std::uint64_t>(now_.time_since_epoch().count())}) {
    trace_ = (trace_ ^ value) * 0x9e3779b97f4a7c15;
    trace_ ^= trace_ >> 29;
  }
}

Micros SimNetwork::delay() {
  delay_bound_ = std::max({delay_bound_, faults.delay_min, faults.delay_max});
  const std::int64_t width = (faults.delay_max - faults.delay_min).count();
  if (width <= 0) return faults.delay_min;
  return faults.delay_min +
         Micros(static_cast<std::int64_t>(random(static_cast<std::uint64_t>(width) + 1)));
}

void SimNetwork::schedule(Instant at, Event event) {
  // The second key shuffles what happens at the same time.
  events_.emplace(std::tuple(std::max(at, now_), generator_(), sequence_++), std::move(event));
}

Result<int> SimNetwork::listen(const SocketAddress& address, int backlog) {
  for (const auto& [fd, listener] : listening_) {
    if (listener->address == address) return std::unexpected(os_error(EADDRINUSE, "bind"));
  }
  auto listener = std::make_shared<SimListener>();
  listener->address = address;
  listener->backlog = static_cast<std::size_t>(std::max(backlog, 1));
  listening_.emplace(next_descriptor_, std::move(listener));
  return next_descriptor_++;
}

void SimNetwork::close_descriptor(int fd) {
  const auto found = unadopted_.find(fd);
  if (found == unadopted_.end()) return;
  const Connection connection = found->second.connection;
  --found->second.descriptors->used;
  unadopted_.erase(found);
  close_end(connection, 1, true);
}

bool SimNetwork::turn_ready_loops() {
  std::vector<SimIo*> order = loops_;
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random(i)]);
  bool turned = false;
  for (SimIo* io : order) {
    if (std::ranges::find(loops_, io) == loops_.end() || !io->ready()) continue;
    io->woken_.store(false);
    io->loop_.turn(now_);
    turned = true;
  }
  return turned;
}

Instant SimNetwork::next_happening() {
  Instant next = events_.empty() ? kNever : std::get<0>(events_.begin()->first);
  for (SimIo* io : loops_) {
    if (!io->loop_.stopping()) next = std::min(next, io->loop_.timers().next());
  }
  return next;
}

void SimNetwork::advance(Instant to) {
  now_ = std::max(now_, to);
  while (!events_.empty() && std::get<0>(events_.begin()->first) <= now_) {
    spins_ = 0;
    Event event = std::move(events_.extract(events_.begin()).mapped());
    event();
  }
}

// As if the process had been stopped for a while, or somebody had set the clock.
void SimNetwork::jump_clocks() {
  if (chance(faults.clock_jump)) {
    const auto most = static_cast<std::uint64_t>(Micros(faults.clock_jump_max).count());
    const Micros jump(static_cast<std::int64_t>(random(most + 1)));
    now_ += jump;
    jumped_ += jump;
  }
  if (chance(faults.wall_jump)) {
    wall_offset_ = Micros(static_cast<std::int64_t>(random(2 * kWallJumpMax)) -
                          static_cast<std::int64_t>(kWallJumpMax));
  }
}

bool SimNetwork::run_until(bool (*done)(void*), void* context, Instant limit) {
  const Micros jumped_before = jumped_;
  const auto end = [&] { return limit + (jumped_ - jumped_before); };
  while (!done(context)) {
    if (spinning()) return false;
    if (turn_ready_loops()) {
      ++spins_;
      ++turns_;
      jump_clocks();
      advance(now_ + kRound);
      if (now_ > end()) return done(context);
      continue;
    }
    spins_ = 0;
    const Instant next = next_happening();
    if (next > end() || next == kNever) return false;
    now_ = std::max(now_, next);
    // Nobody is ready: this only tells the loops the time, so that what happens next happens then.
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      if (!loops_[i]->loop_.stopping()) loops_[i]->loop_.turn(now_);
    }
    advance(now_);
  }
  return true;
}

void SimNetwork::rounds(int count) {
  for (int i = 0; i < count; ++i) {
    turn_ready_loops();
    advance(now_ + kRound);
  }
}

SimNetwork::Connection SimNetwork::make_connection() {
  auto connection = std::make_shared<SimConnection>();
  connection->id = next_connection_++;
  if (chance(faults.reset)) connection->reset_at = random(faults.reset_within);
  return connection;
}

void SimNetwork::attempt_connect(const Connection& connection, const SocketAddress& target) {
  if (connection->ends[0].closed) return;
  for (const auto& [fd, listener] : listening_) {
    if (!(listener->address == target)) continue;
    if (listener->queue.size() < listener->backlog) return establish(connection, *listener);
    if (target.is_unix()) break;
    schedule(now_ + kRetransmit,
             [this, connection, target] { attempt_connect(connection, target); });
    return;
  }
  note(kRefused, connection->id, 0);
  finish_connect(connection, std::unexpected(os_error(ECONNREFUSED, "connect")));
}

void SimNetwork::establish(const Connection& connection, SimListener& listener) {
  note(kConnected, connection->id, 0);
  connection->ends[1].peer = peer_of(listener.address, connection->id);
  sockaddr_storage address{};
  std::memcpy(&address, listener.address.get(), listener.address.size());
  connection->ends[0].peer = Peer::from(address);
  listener.queue.push_back(connection);
  for (SimSocket* socket : listener.sockets) {
    if (socket->reading != nullptr) socket->io->loop_.queue.push(*socket->reading);
  }
  schedule(now_ + delay(), [this, connection] { finish_connect(connection, {}); });
}

void SimNetwork::finish_connect(const Connection& connection, Result<void> result) {
  SimSocket* socket = connection->ends[0].socket;
  if (socket == nullptr || socket->writes != SimSocket::Writes::connect) return;
  if (socket->writing == nullptr) return;
  if (connection->ends[0].broken && result) result = fail(Code::reset, "connect", ECONNRESET);
  auto& op = static_cast<ConnectOp&>(*std::exchange(socket->writing, nullptr));
  op.socket = nullptr;
  op.run = SimIo::run_finish;
  socket->io->loop_.queue.push(op);
  if (result) return;
  op.result = fail(result.error());
  socket->io->close(*socket);
}

std::size_t SimNetwork::room(const SimConnection& connection, int to) const {
  const SimEnd& end = connection.ends[static_cast<std::size_t>(to)];
  const std::size_t held = end.in_flight + end.inbox.size();
  return held >= faults.receive_capacity ? 0 : faults.receive_capacity - held;
}

void SimNetwork::transmit(const Connection& connection, int to, Bytes bytes) {
  SimEnd& end = connection->ends[static_cast<std::size_t>(to)];
  SimEnd& sender = connection->ends[static_cast<std::size_t>(1 - to)];
  const SimKnown& known = sender.socket->send_known;
  if (sender.known.empty() || !(sender.known.back().second == known)) {
    sender.known.emplace_back(sender.sent, known);
  }
  sender.sent += bytes.size();
  end.in_flight += bytes.size();
  end.last_delivery = std::max(end.last_delivery + Micros(1), now_ + delay());
  note(kSent, connection->id, bytes.size());
  schedule(end.last_delivery,
           [this, connection, to, copy = std::string(bytes)] { deliver(connection, to, copy); });
  connection->sent += bytes.size();
  if (connection->sent <= connection->reset_at) return;
  connection->reset_at = UINT64_MAX;
  connection->broken_by_network = true;
  transmit_reset(connection, 0);
  transmit_reset(connection, 1);
}

void SimNetwork::transmit_end(const Connection& connection, int to) {
  SimEnd& end = connection->ends[static_cast<std::size_t>(to)];
  end.last_delivery = std::max(end.last_delivery + Micros(1), now_ + delay());
  schedule(end.last_delivery, [this, connection, to] {
    SimEnd& there = connection->ends[static_cast<std::size_t>(to)];
    if (there.broken || there.closed) return;
    note(kEnd, connection->id, static_cast<std::uint64_t>(to));
    there.ended = true;
    if (there.waiting_since == Instant{}) there.waiting_since = lived();
    wake_reader(connection, to);
  });
}

void SimNetwork::deliver(const Connection& connection, int to, Bytes bytes) {
  SimEnd& end = connection->ends[static_cast<std::size_t>(to)];
  end.in_flight -= bytes.size();
  if (end.broken) return;
  if (end.closed) return transmit_reset(connection, 1 - to);  // nobody will read it
  note(kDelivered, connection->id, bytes.size());
  end.inbox += bytes;
  if (end.waiting_since == Instant{}) end.waiting_since = lived();
  wake_reader(connection, to);
}

void SimNetwork::transmit_reset(const Connection& connection, int at) {
  // The kernel keeps what arrived before, an end as well.
  const bool loses = chance(faults.reset_loses);
  SimEnd& told = connection->ends[static_cast<std::size_t>(at)];
  Instant when = now_ + delay();
  if (!loses) when = told.last_delivery = std::max(told.last_delivery + Micros(1), when);
  schedule(when, [this, connection, at, loses] {
    SimEnd& end = connection->ends[static_cast<std::size_t>(at)];
    if (end.broken || end.closed) return;
    note(kReset, connection->id, static_cast<std::uint64_t>(at));
    end.broken = true;
    if (loses) end.inbox.clear();
    if (loses) end.ended = false;
    wake_reader(connection, at);
    wake_writer(connection, at);
  });
}

void SimNetwork::close_end(const Connection& connection, int side, bool reset) {
  SimEnd& end = connection->ends[static_cast<std::size_t>(side)];
  WEIR_ASSERT(!end.closed);
  // What arrived and was not read makes an orderly end impossible. RFC 9112 section 9.6.
  const bool unread = !end.inbox.empty();
  end.closed = true;
  end.socket = nullptr;
  if (end.broken) return;
  if (reset || unread) {
    transmit_reset(connection, 1 - side);
  } else if (!end.write_ended) {
    transmit_end(connection, 1 - side);
  }
  wake_writer(connection, 1 - side);
}

void SimNetwork::wake_reader(const Connection& connection, int side) {
  schedule(now_ + delay(), [this, connection, side] {
    SimSocket* socket = connection->ends[static_cast<std::size_t>(side)].socket;
    if (socket == nullptr || socket->reading == nullptr) return;
    if (!socket->read_done && chance(faults.told_late)) {
      SimEnd& end = connection->ends[static_cast<std::size_t>(side)];
      const std::pair known(end.taken, end.told_of_end);
      socket->read_done = socket->io->try_read(*socket);
      socket->told_taken = std::exchange(end.taken, known.first);
      socket->told_of_end = std::exchange(end.told_of_end, known.second);
    }
    socket->io->loop_.queue.push(*socket->reading);
  });
}

SimKnown known_when_sent(Socket& base, std::uint64_t place) {
  const auto& socket = static_cast<SimSocket&>(base);
  auto& known = socket.connection->ends[static_cast<std::size_t>(1 - socket.side)].known;
  while (known.size() > 1 && known[1].first <= place) known.pop_front();
  return known.empty() ? SimKnown{} : known.front().second;
}

std::shared_ptr<SimConnection> connection_of(Socket& socket) {
  return static_cast<SimSocket&>(socket).connection;
}

void SimNetwork::wake_writer(const Connection& connection, int side) {
  schedule(now_ + delay(), [connection, side] {
    SimSocket* socket = connection->ends[static_cast<std::size_t>(side)].socket;
    if (socket == nullptr || socket->writing == nullptr) return;
    if (socket->writes == SimSocket::Writes::connect) return;
    socket->io->loop_.queue.push(*socket->writing);
  });
}

}  // namespace weir::io
