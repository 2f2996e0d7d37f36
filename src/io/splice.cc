// SPDX-License-Identifier: Apache-2.0
#include "io/splice.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace weir::io {
namespace {

constexpr std::string_view kSink = "splice to the sink";

Error at_sink(Error error) {
  error.where = kSink.data();
  return error;
}

// What one splice(2) did.
struct Moved {
  std::size_t count = 0;
  bool again = false;  // nothing can be moved now
  int error = 0;
};

Moved move_bytes(int from, int to, std::uint64_t most) {
  const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(most, 1_MiB));
  for (;;) {
    const ssize_t moved =
        ::splice(from, nullptr, to, nullptr, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved >= 0) return {static_cast<std::size_t>(moved), false, 0};
    if (errno == EAGAIN) return {0, true, 0};
    if (errno != EINTR) return {0, false, errno};
  }
}

// The two sockets for the time of one splice_bytes(), and the pipe between them while there is
// something to move: who waits for a slow source has none.
struct Passage {
  Splice& work;
  std::optional<Pipe> pipe;
  std::size_t inside = 0;  // bytes in the pipe

  Passage(Splice& of, const Pipe& between) : work(of), pipe(between) {
    io().begin_splice(*work.source.plain_socket());
    io().begin_splice(*work.sink.plain_socket());
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  ~Passage() {
    if (work.source.plain_socket() != nullptr) io().end_splice(*work.source.plain_socket());
    if (work.sink.plain_socket() != nullptr) io().end_splice(*work.sink.plain_socket());
    give_back();
  }
  Io& io() { return work.source.loop().io(); }
  void give_back() {
    if (!pipe) return;
    work.pipes.give_back(*pipe, inside == 0 ? PipePool::State::empty : PipePool::State::unknown);
    pipe.reset();
  }

  Moved fill(std::uint64_t most) {
    const Moved moved = move_bytes(work.source.plain_socket()->fd, pipe->write_end, most);
    // The pipe is empty here, so it is the socket that has nothing.
    if (moved.again) io().clear_readable(*work.source.plain_socket());
    inside += moved.count;
    work.taken += moved.count;
    return moved;
  }
  Moved drain() {
    Socket& socket = *work.sink.plain_socket();
    const Moved moved = move_bytes(pipe->read_end, socket.fd, inside);
    if (moved.again) io().clear_writable(socket);
    if (moved.count > 0) socket.sent_at = work.source.loop().now();
    inside -= moved.count;
    work.passed += moved.count;
    return moved;
  }
};

// Sends on all that is in the pipe.
Task<Result<void>> deliver(Passage& passage) {
  const Splice& work = passage.work;
  while (passage.inside > 0) {
    const Moved moved = passage.drain();
    if (moved.error != 0) {
      const Error error = os_error(moved.error, kSink.data());
      if (means_lost(error)) work.sink.plain_socket()->lost = true;
      co_return fail(error);
    }
    if (!moved.again) continue;
    const Result<void> writable = co_await work.sink.writable(work.write_stall);
    if (!writable) co_return fail(at_sink(writable.error()));
  }
  co_return Result<void>{};
}

// One direction of a tunnel may be silent as long as the other one moves.
bool moved_meanwhile(const Splice& work, const Error& error, Instant since) {
  return error.code == Code::timed_out && work.moved_at != nullptr && *work.moved_at > since;
}

Task<Result<Spliced>> pass(Passage& passage) {
  Splice& work = passage.work;
  std::size_t in_turn = 0;
  std::size_t thin = 0;
  while (work.taken < work.limit) {
    if (!passage.pipe) passage.pipe = work.pipes.take();
    if (!passage.pipe) co_return Spliced::copy;
    const std::uint64_t most =
        std::min<std::uint64_t>(work.limit - work.taken, passage.pipe->capacity);
    const Moved moved = passage.fill(most);
    if (moved.error != 0) co_return std::unexpected(os_error(moved.error, "splice"));
    if (moved.again) {
      passage.give_back();
      const Instant waiting_since = work.source.loop().now();
      const Result<void> readable = co_await work.source.readable(work.read_stall);
      if (!readable && !moved_meanwhile(work, readable.error(), waiting_since)) {
        co_return fail(readable.error());
      }
      continue;
    }
    if (moved.count == 0) {
      const Result<Chunk> end = end_of(*work.source.plain_socket());
      if (!end) co_return fail(end.error());
      co_return Spliced::ended;
    }
    const Result<void> delivered = co_await deliver(passage);
    if (!delivered) co_return fail(delivered.error());
    if (work.moved_at != nullptr) *work.moved_at = work.source.loop().now();
    thin = moved.count < kSpliceThin && moved.count < most ? thin + 1 : 0;
    if (thin == kSpliceThinMax) co_return Spliced::copy;
    in_turn += moved.count;
    if (in_turn < kTurnBytesMax) continue;
    in_turn = 0;
    co_await yield(work.source.loop().queue);
    // Where neither side ever has to wait, nothing else would tell.
    if (const Error* why = work.source.cancelled(); why != nullptr) co_return fail(*why);
    if (const Error* why = work.sink.cancelled(); why != nullptr) co_return fail(at_sink(*why));
  }
  co_return Spliced::limit;
}

// Bytes that the backend has taken from the socket already come first. False: the source ended.
Task<Result<bool>> pass_held(Splice& work) {
  while (work.source.loop().io().holds_bytes(*work.source.plain_socket())) {
    Result<Chunk> chunk = co_await work.source.recv(kWindowHead, work.read_stall);
    if (!chunk) co_return fail(chunk.error());
    if (chunk->empty()) co_return false;
    work.taken += chunk->size();
    const std::array<Bytes, 4> pieces = {chunk->bytes(), {}, {}, {}};
    const Result<void> sent = co_await work.sink.send(pieces, work.write_stall);
    if (!sent) co_return fail(at_sink(sent.error()));
    work.passed += chunk->size();
  }
  co_return true;
}

}  // namespace

bool sink_failed(const Error& error) { return error.where == kSink.data(); }

PipePool::~PipePool() {
  WEIR_ASSERT(in_use_ == 0);
  for (const Pipe& pipe : idle_) {
    ::close(pipe.read_end);
    ::close(pipe.write_end);
  }
}

std::optional<Pipe> PipePool::take() {
  if (in_use_ >= pipes_max_) return std::nullopt;
  if (!idle_.empty()) {
    const Pipe pipe = idle_.back();
    idle_.pop_back();
    ++in_use_;
    return pipe;
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
  // A user may have only so much of it; a smaller pipe is better than none.
  std::size_t wanted = kSplicePipeSize;
  while (wanted >= kCapacityMin && ::fcntl(ends[0], F_SETPIPE_SZ, static_cast<int>(wanted)) < 0) {
    wanted /= 2;
  }
  const int capacity = ::fcntl(ends[0], F_GETPIPE_SZ);
  if (capacity < static_cast<int>(kCapacityMin)) {
    ::close(ends[0]);
    ::close(ends[1]);
    return std::nullopt;
  }
  ++in_use_;
  return Pipe{ends[0], ends[1], static_cast<std::size_t>(capacity)};
}

void PipePool::give_back(const Pipe& pipe, State state) {
  WEIR_ASSERT(in_use_ > 0);
  --in_use_;
  if (state == State::empty && idle_.size() < kSplicePipesIdleMax) {
    idle_.push_back(pipe);
    return;
  }
  ::close(pipe.read_end);
  ::close(pipe.write_end);
}

Task<Result<Spliced>> splice_bytes(Splice& work) {
  Io& io = work.source.loop().io();
  // What the backend holds is up to kWindowHead bytes, which must not be more than may be moved.
  if (!io.can_splice() || work.limit < kWindowHead) co_return Spliced::copy;
  if (io.holds_bytes(*work.source.plain_socket())) {
    WEIR_CO_TRY(more, co_await pass_held(work));
    if (!more) co_return Spliced::ended;
  }
  const std::optional<Pipe> pipe = work.pipes.take();
  if (!pipe) co_return Spliced::copy;
  Passage passage(work, *pipe);
  Result<Spliced> outcome = co_await pass(passage);
  co_return outcome;
}

}  // namespace weir::io
