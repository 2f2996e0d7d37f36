// SPDX-License-Identifier: Apache-2.0
//
// As much of HTTP/1.1 as origin needs: requests from well-behaved clients and proxies. It is not a
// model: it checks little, and src/http is where the careful code is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::bench {

struct Request {
  std::string_view method;
  std::string_view target;
  std::string_view head;        ///< first line to empty line, as it came
  std::uint64_t body_size = 0;  ///< Content-Length
  bool chunked = false;
  bool close = false;  ///< the client wants the connection closed after the response
  bool expect_continue = false;
};

/// A head at the start of `bytes`; false when it is not complete. `request.head.size()` is its
/// size.
bool parse_request(std::string_view bytes, Request& request);

/// The end of a chunked body, found piece by piece. Trailers are skipped.
class ChunkedReader {
 public:
  /// Takes what `bytes` begins with: one step of framing, or `payload` bytes. Returns its size; 0
  /// when more bytes are needed or the body is `done()`.
  std::size_t take(std::string_view bytes, std::string_view& payload);
  [[nodiscard]] bool done() const { return state_ == State::done; }

 private:
  enum class State : std::uint8_t { size, data, data_end, trailers, done };
  State state_ = State::size;
  std::uint64_t left_ = 0;
};

}  // namespace weir::bench
