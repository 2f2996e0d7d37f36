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
constexpr std::string_view kNone = "no pipe for splice";

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

// The two sockets and the pipe between them, for the time of one splice_bytes().
struct Passage {
  TcpStream& source;
  TcpStream& sink;
  PipePool& pipes;
  Pipe pipe;
  std::size_t inside = 0;  // bytes in the pipe

  Passage(TcpStream& from, TcpStream& to, PipePool& pool, const Pipe& between)
      : source(from), sink(to), pipes(pool), pipe(between) {
    io().begin_splice(*source.plain_socket());
    io().begin_splice(*sink.plain_socket());
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  ~Passage() {
    if (source.plain_socket() != nullptr) io().end_splice(*source.plain_socket());
    if (sink.plain_socket() != nullptr) io().end_splice(*sink.plain_socket());
    pipes.give_back(pipe, inside == 0 ? PipePool::State::empty : PipePool::State::unknown);
  }
  Io& io() { return source.loop().io(); }

  Moved fill(std::uint64_t most) {
    const Moved moved = move_bytes(source.plain_socket()->fd, pipe.write_end,
                                   std::min<std::uint64_t>(most, pipe.capacity));
    // The pipe is empty here, so it is the socket that has nothing.
    if (moved.again) io().clear_readable(*source.plain_socket());
    inside += moved.count;
    return moved;
  }
  Moved drain() {
    Socket& socket = *sink.plain_socket();
    const Moved moved = move_bytes(pipe.read_end, socket.fd, inside);
    if (moved.again) io().clear_writable(socket);
    if (moved.count > 0) socket.sent_at = source.loop().now();
    inside -= moved.count;
    return moved;
  }
};

// Sends on all that is in the pipe.
Task<Result<void>> deliver(Passage& passage, Millis write_stall) {
  while (passage.inside > 0) {
    const Moved moved = passage.drain();
    if (moved.error != 0) {
      const Error error = os_error(moved.error, kSink.data());
      if (means_lost(error)) passage.sink.plain_socket()->lost = true;
      co_return fail(error);
    }
    if (!moved.again) continue;
    const Result<void> writable = co_await passage.sink.writable(write_stall);
    if (!writable) co_return fail(at_sink(writable.error()));
  }
  co_return Result<void>{};
}

Task<Result<std::uint64_t>> pass(Passage& passage, std::uint64_t limit, Millis read_stall,
                                 Millis write_stall, Instant* moved_at) {
  std::uint64_t total = 0;
  std::size_t in_turn = 0;
  while (total < limit) {
    const Moved moved = passage.fill(limit - total);
    if (moved.error != 0) co_return std::unexpected(os_error(moved.error, "splice"));
    if (moved.again) {
      const Result<void> readable = co_await passage.source.readable(read_stall);
      if (!readable) co_return fail(readable.error());
      continue;
    }
    if (moved.count == 0) {
      const Result<Chunk> end = end_of(*passage.source.plain_socket());
      if (!end) co_return fail(end.error());
      break;
    }
    const Result<void> delivered = co_await deliver(passage, write_stall);
    if (!delivered) co_return fail(delivered.error());
    total += moved.count;
    if (moved_at != nullptr) *moved_at = passage.source.loop().now();
    in_turn += moved.count;
    if (in_turn < kTurnBytesMax) continue;
    in_turn = 0;
    co_await yield(passage.source.loop().queue);
  }
  co_return total;
}

// Bytes that the backend has taken from the socket already come first. Returns how many; `ended`
// when the source had no more.
Task<Result<std::uint64_t>> pass_held(TcpStream& source, TcpStream& sink, Millis read_stall,
                                      Millis write_stall, bool& ended) {
  std::uint64_t total = 0;
  while (!ended && source.loop().io().holds_bytes(*source.plain_socket())) {
    Result<Chunk> chunk = co_await source.recv(kWindowHead, read_stall);
    if (!chunk) co_return fail(chunk.error());
    ended = chunk->empty();
    if (ended) break;
    const std::array<Bytes, 4> pieces = {chunk->bytes(), {}, {}, {}};
    const Result<void> sent = co_await sink.send(pieces, write_stall);
    if (!sent) co_return fail(at_sink(sent.error()));
    total += chunk->size();
  }
  co_return total;
}

}  // namespace

bool sink_failed(const Error& error) { return error.where == kSink.data(); }
bool not_spliced(const Error& error) { return error.where == kNone.data(); }

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

Task<Result<std::uint64_t>> splice_bytes(TcpStream& source, TcpStream& sink, std::uint64_t limit,
                                         Millis read_stall, Millis write_stall, PipePool& pipes,
                                         Instant* moved_at) {
  Io& io = source.loop().io();
  // What the backend holds is up to kWindowHead bytes, which must not be more than may be moved.
  if (!io.can_splice() || limit < kWindowHead) co_return fail(Code::os, kNone.data());
  const std::optional<Pipe> pipe = pipes.take();
  if (!pipe) co_return fail(Code::os, kNone.data());
  std::uint64_t held = 0;
  bool ended = false;
  if (io.holds_bytes(*source.plain_socket())) {
    Result<std::uint64_t> first = co_await pass_held(source, sink, read_stall, write_stall, ended);
    if (!first || ended) {
      pipes.give_back(*pipe, PipePool::State::empty);
      co_return first;
    }
    held = *first;
  }
  Passage passage(source, sink, pipes, *pipe);
  Result<std::uint64_t> passed =
      co_await pass(passage, limit - held, read_stall, write_stall, moved_at);
  if (!passed) co_return passed;
  co_return held + *passed;
}

}  // namespace weir::io
