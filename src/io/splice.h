// SPDX-License-Identifier: Apache-2.0
//
// Moving bytes from socket to socket through a pipe, without copying them to this process. For
// bulk: a pipe costs several system calls and, while bytes are in it, kernel memory. So it is held
// only while bytes pass, and what turns out to be a trickle is left to copying.
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

/// What is to be spliced, and how far it has come: right after an error, too.
struct Splice {
  TcpStream& source;
  TcpStream& sink;
  PipePool& pipes;
  std::uint64_t limit = 0;  ///< at most so many bytes; UINT64_MAX: until the source's end
  Millis read_stall{0};
  Millis write_stall{0};
  Instant* moved_at = nullptr;  ///< kept up to date while bytes move
  std::uint64_t taken = 0;      ///< from the source
  std::uint64_t passed = 0;     ///< of these, to the sink
};

/// Why a splice has returned.
enum class Spliced : std::uint8_t {
  limit,  ///< all of it was moved
  ended,  ///< the source has ended
  copy,   ///< go on by copying: no pipe is to be had, or too little comes at a time
};

/// Moves bytes of `work`. Nothing else may receive from the source or send to the sink meanwhile.
/// After an error: if sink_failed(), the sink is of no use, and bytes may be lost with it;
/// otherwise the source failed, and all that it gave was passed to the sink. Without an error all
/// that was taken was passed.
Task<Result<Spliced>> splice_bytes(Splice& work);

bool sink_failed(const Error& error);

}  // namespace weir::io
