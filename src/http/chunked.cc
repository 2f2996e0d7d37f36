// SPDX-License-Identifier: Apache-2.0
#include "http/chunked.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/assert.h"
#include "http/chars.h"
#include "http/h1_lines.h"

namespace weir::http {
namespace {

constexpr std::size_t kSizeDigitsMax = 16;  // 64 bits

}  // namespace

Result<ChunkedDecoder::Step> ChunkedDecoder::decode(std::span<char> buffer) {
  Step step;
  while (step.consumed < buffer.size() && state_ != State::done && state_ != State::failed) {
    if (state_ == State::data) {
      const auto size = static_cast<std::size_t>(
          std::min<std::uint64_t>(remaining_, buffer.size() - step.consumed));
      if (step.payload != step.consumed) {
        std::memmove(buffer.data() + step.payload, buffer.data() + step.consumed, size);
      }
      step.payload += size;
      step.consumed += size;
      payload_total_ += size;
      remaining_ -= size;
      if (remaining_ == 0) state_ = State::data_cr;
    } else if (state_ == State::trailers) {
      step.consumed +=
          read_trailers({buffer.data() + step.consumed, buffer.size() - step.consumed});
    } else if (!read_line_byte(buffer[step.consumed++])) {
      state_ = State::failed;
    }
  }
  if (state_ == State::failed) return fail(Code::malformed, "chunked body");
  WEIR_ASSERT(step.payload <= step.consumed);
  step.done = state_ == State::done;
  return step;
}

/// One byte of a chunk line, or of the CRLF behind a chunk's data. False when it cannot stand
/// there.
bool ChunkedDecoder::read_line_byte(char c) {
  switch (state_) {
    case State::size_first:
    case State::size:
      if (hex_value(c) >= 0) return size_digit(c);
      if (state_ == State::size_first) return false;
      if (c == '\r') state_ = State::size_lf;
      if (c == '\r') return true;
      if (c != ';' && c != ' ' && c != '\t') return false;
      state_ = c == ';' ? State::extension : State::space;
      return extension_byte();
    case State::space:
      if (c == ';') state_ = State::extension;
      return (c == ';' || c == ' ' || c == '\t') && extension_byte();
    case State::extension:
      if (c == '\r') {
        state_ = State::size_lf;
        return true;
      }
      // A bare LF or another control byte would end the line for other parsers.
      return is(c, kFieldByte) && extension_byte();
    case State::size_lf: return c == '\n' && chunk_line_end();
    case State::data_cr: state_ = State::data_lf; return c == '\r';
    case State::data_lf: state_ = State::size_first; return c == '\n';
    case State::data:
    case State::trailers:
    case State::done:
    case State::failed: break;
  }
  WEIR_UNREACHABLE("not in a chunk line");
}

bool ChunkedDecoder::size_digit(char c) {
  state_ = State::size;
  if (++digits_ > kSizeDigitsMax) return false;  // RFC 9112 section 7.1: expect overflow
  remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(hex_value(c));
  return true;
}

bool ChunkedDecoder::extension_byte() {
  ++extension_total_;
  return ++line_bytes_ <= kExtensionLineMax &&
         extension_total_ <= kExtensionTotal + payload_total_ / 16;
}

bool ChunkedDecoder::chunk_line_end() {
  state_ = remaining_ == 0 ? State::trailers : State::data;
  digits_ = 0;
  line_bytes_ = 0;
  return true;
}

std::size_t ChunkedDecoder::read_trailers(Bytes bytes) {
  const std::size_t lf = bytes.find('\n');
  const std::size_t size = lf == Bytes::npos ? bytes.size() : lf + 1;
  if (trailer_bytes_.size() + size > limits_.head_size) {
    state_ = State::failed;
    return size;
  }
  // The usual trailer section is empty; then nothing is stored beyond the string's own two bytes.
  trailer_bytes_.append(bytes.substr(0, size));
  if (lf == Bytes::npos) return size;
  if (trailer_bytes_.size() - trailer_line_ == 2 && trailer_bytes_[trailer_line_] == '\r') {
    state_ = take_trailers() ? State::done : State::failed;
  } else if (!still_incomplete(trailer_bytes_, 0, trailer_line_)) {
    state_ = State::failed;
  }
  trailer_line_ = trailer_bytes_.size();
  return size;
}

bool ChunkedDecoder::take_trailers() {
  const FieldLines lines = read_field_lines(trailer_bytes_, 0, limits_.head_fields, trailers_);
  return lines.outcome == FieldLines::Outcome::complete && lines.count <= limits_.head_fields;
}

std::string_view chunk_line(std::size_t size, std::array<char, 20>& space) {
  WEIR_ASSERT(size > 0);
  const auto [end, error] = std::to_chars(space.data(), space.data() + 16, size, 16);
  WEIR_ASSERT(error == std::errc{});
  std::memcpy(end, kChunkEnd.data(), kChunkEnd.size());
  return {space.data(), static_cast<std::size_t>(end - space.data()) + kChunkEnd.size()};
}

}  // namespace weir::http
