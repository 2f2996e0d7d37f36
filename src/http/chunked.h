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

/// Decodes one chunked body, piece by piece. Owned by one message; no thread. Neither copied nor
/// moved, since the trailers are views into it.
///
/// Strict: sizes of at most 16 hexadecimal digits, CRLF only. Chunk extensions (RFC 9112 section
/// 7.1.1) are skipped, at most kExtensionLineMax bytes of one line and in total kExtensionTotal
/// plus a sixteenth of the payload: they are the part of a body that no body limit counts.
class ChunkedDecoder {
 public:
  static constexpr std::size_t kExtensionLineMax = 4_KiB;
  static constexpr std::size_t kExtensionTotal = 16_KiB;

  struct Step {
    std::size_t payload = 0;   ///< bytes of body now at the front of the buffer
    std::size_t consumed = 0;  ///< bytes of the buffer that belonged to the body's coding; the rest
                               ///< is behind them, at [consumed, size), and only when `done`
    bool done = false;         ///< the last chunk and its trailers were read
  };

  /// `limits` bound the trailer section like a head: head_size bytes, head_fields fields.
  explicit ChunkedDecoder(const HeadLimits& limits) : limits_(limits) {}
  ChunkedDecoder(const ChunkedDecoder&) = delete;
  ChunkedDecoder& operator=(const ChunkedDecoder&) = delete;

  /// Decodes the bytes of `buffer` in place. Not done: all of the buffer was consumed. Once done,
  /// nothing more is consumed; after an error, every further call is that error again.
  /// Errors: Code::malformed (the caller knows which cause it is for its side).
  Result<Step> decode(std::span<char> buffer);

  /// Bytes known to be left of the current chunk; a hint for the size of the next read.
  [[nodiscard]] std::uint64_t chunk_remaining() const { return remaining_; }

  /// Trailer fields, after `done`. Views into storage of this decoder.
  [[nodiscard]] const FieldList& trailers() const { return trailers_; }

 private:
  enum class State : std::uint8_t {
    size_first,  // at least one digit is due
    size,
    space,  // white space after the size, before ';'
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailers,
    done,
    failed,
  };

  bool read_line_byte(char c);
  bool size_digit(char c);
  bool extension_byte();
  bool chunk_line_end();
  /// Reads of `bytes` what belongs to the trailers; returns how many bytes that were.
  std::size_t read_trailers(Bytes bytes);
  bool take_trailers();

  HeadLimits limits_;
  State state_ = State::size_first;
  std::uint64_t remaining_ = 0;
  std::uint64_t payload_total_ = 0;
  std::uint64_t extension_total_ = 0;
  std::size_t digits_ = 0;        // of the current size
  std::size_t line_bytes_ = 0;    // of the current line's extensions
  std::string trailer_bytes_;     // unchanged from `done` on: trailers_ looks into it
  std::size_t trailer_line_ = 0;  // where the last line of trailer_bytes_ begins
  FieldList trailers_;
};

/// The line before a chunk of `size` bytes: hexadecimal and CRLF. Returns a view of `space`. Size 0
/// is not a chunk (it would be the end of the body).
std::string_view chunk_line(std::size_t size, std::array<char, 20>& space);

inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n";  ///< trailers and an empty line follow

}  // namespace weir::http
