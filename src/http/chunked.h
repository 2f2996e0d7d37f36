// SPDX-License-Identifier: Apache-2.0
//
// The chunked transfer coding, RFC 9112 section 7.1. The decoder works in place: the payload of all
// chunks in a buffer is moved together at its front, so that many tiny chunks leave in one write.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "http/head.h"

namespace weir::http {

/// Decodes one chunked body, piece by piece. Owned by one message; no thread.
class ChunkedDecoder {
 public:
  struct Step {
    std::size_t payload = 0;   ///< bytes of body now at the front of the buffer
    std::size_t consumed = 0;  ///< bytes of the buffer that belonged to the body's coding; the rest is
                               ///< behind them, at [consumed, size), and only when `done`
    bool done = false;         ///< the last chunk and its trailers were read
  };

  /// `trailer_bytes_max` bounds the trailer section, `extension_bytes_max` each chunk line.
  explicit ChunkedDecoder(const HeadLimits& limits) : limits_(limits) {}

  /// Decodes the bytes of `buffer` in place. Not done: all of the buffer was consumed.
  /// Errors: Code::malformed (the caller knows which cause it is for its side).
  Result<Step> decode(std::span<char> buffer);

  /// Bytes known to be left of the current chunk; a hint for the size of the next read.
  [[nodiscard]] std::uint64_t chunk_remaining() const { return remaining_; }

  /// Trailer fields, after `done`. Views into storage of this decoder.
  [[nodiscard]] const FieldList& trailers() const { return trailers_; }

 private:
  enum class State : std::uint8_t { size_first, size, extension, size_lf, data, data_cr, data_lf,
                                    trailers, done };
  HeadLimits limits_;
  State state_ = State::size_first;
  std::uint64_t remaining_ = 0;
  std::size_t line_bytes_ = 0;  // bytes of the current chunk line, to bound extensions
  std::string trailer_bytes_;
  FieldList trailers_;
};

/// The line before a chunk of `size` bytes: hexadecimal and CRLF. Returns a view of `space`.
std::string_view chunk_line(std::size_t size, std::array<char, 20>& space);

inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n";  ///< trailers and an empty line follow

}  // namespace weir::http
