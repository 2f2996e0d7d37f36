// SPDX-License-Identifier: Apache-2.0
//
// Message bodies as streams, whatever protocol carries them. The end of a body is an explicit act:
// only finish() makes a body complete, and a reader says `last` only when the sender did. Anything
// else is an abort that the other side can see.
#pragma once

#include <cstdint>
#include <limits>

#include "async/task.h"
#include "base/error.h"
#include "http/head.h"
#include "io/tcp_stream.h"

namespace weir::proxy {

/// Part of a body. The bytes are valid until the next read().
struct Piece {
  Bytes bytes;
  bool last = false;  ///< the body ends behind these bytes
};

inline constexpr std::uint64_t kToTheEnd = std::numeric_limits<std::uint64_t>::max();

/// A run of body bytes that stand plain on a socket, so that the kernel can move them (splice).
struct PlainRun {
  io::TcpStream* stream = nullptr;
  std::uint64_t bytes = 0;  ///< at most so many; kToTheEnd: to the end of the stream
};

/// The receiving end of one body. Owned by the protocol's connection; outlives the exchange.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// The next piece, at least one byte unless last. Not to be called after `last` or an error.
  virtual Task<Result<Piece>> read() = 0;
  /// Whether read() can go on without waiting; if not, what is pending elsewhere should be flushed.
  [[nodiscard]] virtual bool ready() const = 0;
  /// The body is known to be complete: `last` was given, or there is none.
  [[nodiscard]] virtual bool complete() const = 0;
  /// Trailer fields, once complete.
  [[nodiscard]] virtual const http::FieldList& trailers() const = 0;
  /// What could be spliced now; stream is nullptr when that is not possible.
  virtual PlainRun plain_run() { return {}; }
  /// Accounts for bytes that were spliced. `ended`: the stream ended behind them.
  enum class Ended : std::uint8_t { no, yes };
  virtual Result<Piece> spliced(std::uint64_t, Ended) { return Piece{}; }
  /// This side's stream has failed during a splice. Returns what that means.
  virtual Error splice_failed(const Error& error) { return error; }
  /// Updated while a splice moves bytes; nullptr: nobody looks.
  virtual Instant* moved_at() { return nullptr; }
  /// Bounds of the waits of a splice on this side.
  [[nodiscard]] virtual Millis stall() const = 0;
};

/// The sending end of one body, and of the head before it.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  /// Sends these bytes; returns when they have left or the peer cannot take them. Not empty.
  virtual Task<Result<void>> write(Bytes bytes) = 0;
  /// Sends these last bytes (may be empty) and makes the body complete.
  virtual Task<Result<void>> finish(Bytes bytes, const http::FieldList* trailers) = 0;
  /// Sends a head that waits for the first bytes of the body.
  virtual Task<Result<void>> flush() = 0;
  /// The stream on which plain body bytes may be spliced now, behind what was written; or nullptr.
  virtual io::TcpStream* plain_sink() { return nullptr; }
  virtual void spliced(std::uint64_t) {}
  [[nodiscard]] virtual Millis stall() const = 0;
};

}  // namespace weir::proxy
