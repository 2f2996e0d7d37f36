// SPDX-License-Identifier: Apache-2.0
//
// Where a response ends and how large its body is, as the load generator must know it. Like
// origin_http.h it is for well-behaved servers and no model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "origin_http.h"

namespace weir::bench {

/// One response, from the pieces in which it arrives. Responses 1xx other than 101 are passed over.
class ResponseReader {
 public:
  /// Takes bytes from the front up to the end of the response; returns how many. Keeps none of
  /// them in view after it has returned.
  std::size_t take(std::string_view bytes);
  /// The end of the response, or bytes that are none: then status() is 0.
  [[nodiscard]] bool done() const { return state_ == State::done; }
  [[nodiscard]] bool begun() const { return state_ != State::head || !pending_.empty(); }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::uint64_t body_size() const { return body_size_; }
  /// So many bytes of the body are still to come and are nothing else; 0 if that is not known.
  [[nodiscard]] std::uint64_t plain_left() const { return state_ == State::body ? left_ : 0; }
  /// Says that `size` of plain_left() have come.
  void skip(std::uint64_t size);
  void reset();

 private:
  enum class State : std::uint8_t { head, body, chunked, done };
  std::size_t advance(std::string_view bytes);
  void understand(std::string_view head);

  State state_ = State::head;
  int status_ = 0;
  std::uint64_t left_ = 0;
  std::uint64_t body_size_ = 0;
  ChunkedReader chunks_;
  std::string pending_;  // framing that is not complete yet
};

}  // namespace weir::bench
