// SPDX-License-Identifier: Apache-2.0
//
// Moving bytes from socket to socket through a pipe, without copying them to this process. For
// proven bulk: a pipe costs several system calls and, while bytes are in it, kernel memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "async/task.h"
#include "io/tcp_stream.h"

namespace weir::io {

struct Pipe {
  int read_end = -1;
  int write_end = -1;
  std::size_t capacity = 0;
};

/// The pipes of one worker. Outlives the splices that use it.
class PipePool {
 public:
  explicit PipePool(std::size_t pipes_max = kSplicePipesMax) : pipes_max_(pipes_max) {}
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;
  ~PipePool();

  /// An empty pipe of at least kCapacityMin. Nothing: there are too many, or the system gives none.
  std::optional<Pipe> take();
  enum class State : std::uint8_t { empty, unknown };
  /// A pipe that may still hold bytes is closed.
  void give_back(const Pipe& pipe, State state);
  [[nodiscard]] std::size_t in_use() const { return in_use_; }

  static constexpr std::size_t kCapacityMin = 64_KiB;

 private:
  std::size_t pipes_max_;
  std::size_t in_use_ = 0;
  std::vector<Pipe> idle_;
};

/// Moves up to `limit` bytes (UINT64_MAX: until the source's end) and returns how many: fewer than
/// `limit` mean that the source has ended. Nothing else may receive from `source` or send to `sink`
/// meanwhile. After an error: if sink_failed(), the sink is of no use, and bytes may be lost with
/// it; otherwise the source failed, and all that it gave was passed to the sink; if not_spliced(),
/// nothing was moved at all and the caller has to copy. `moved_at`: kept up to date while bytes
/// move.
Task<Result<std::uint64_t>> splice_bytes(TcpStream& source, TcpStream& sink, std::uint64_t limit,
                                         Millis read_stall, Millis write_stall, PipePool& pipes,
                                         Instant* moved_at = nullptr);

bool sink_failed(const Error& error);
bool not_spliced(const Error& error);

}  // namespace weir::io
