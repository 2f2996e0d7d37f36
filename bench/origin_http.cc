// SPDX-License-Identifier: Apache-2.0
#include "origin_http.h"

#include <strings.h>

#include <algorithm>
#include <charconv>

namespace weir::bench {
namespace {

/// The value of `line` if it is the field `name` (with its colon); otherwise an empty view.
std::string_view value_of(std::string_view line, std::string_view name) {
  if (line.size() < name.size() || strncasecmp(line.data(), name.data(), name.size()) != 0)
    return {};
  line.remove_prefix(name.size());
  while (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

void look_at_field(std::string_view line, Request& request) {
  switch (line[0] | 0x20) {
    case 'c':
      if (const auto length = value_of(line, "content-length:"); !length.empty()) {
        std::from_chars(length.data(), length.data() + length.size(), request.body_size);
      } else if (const auto what = value_of(line, "connection:"); !what.empty()) {
        if (strncasecmp(what.data(), "close", 5) == 0) request.close = true;
        if (strncasecmp(what.data(), "keep-alive", 10) == 0) request.close = false;
      }
      break;
    case 't':
      if (!value_of(line, "transfer-encoding:").empty()) request.chunked = true;
      break;
    case 'e':
      if (!value_of(line, "expect:").empty()) request.expect_continue = true;
      break;
    default: break;
  }
}

}  // namespace

bool parse_request(std::string_view bytes, Request& request) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return false;
  request = {};
  request.head = bytes.substr(0, end + 4);
  std::string_view rest = bytes.substr(0, end + 2);
  const std::string_view line = rest.substr(0, rest.find("\r\n"));
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  request.method = line.substr(0, first);
  if (last > first) request.target = line.substr(first + 1, last - first - 1);
  request.close = line.ends_with("HTTP/1.0");
  for (rest.remove_prefix(line.size() + 2); !rest.empty();) {
    const std::size_t size = rest.find("\r\n");
    if (size > 0) look_at_field(rest.substr(0, size), request);
    rest.remove_prefix(size + 2);
  }
  return true;
}

std::size_t ChunkedReader::take(std::string_view bytes, std::string_view& payload) {
  payload = {};
  if (state_ == State::done || bytes.empty()) return 0;
  if (state_ == State::data) {
    payload = bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size()));
    left_ -= payload.size();
    if (left_ == 0) state_ = State::data_end;
    return payload.size();
  }
  const std::size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) return 0;
  switch (state_) {
    case State::size:
      std::from_chars(bytes.data(), bytes.data() + end, left_, 16);
      state_ = left_ == 0 ? State::trailers : State::data;
      break;
    case State::trailers:
      if (end == 0) state_ = State::done;
      break;
    case State::data_end: state_ = State::size; break;
    case State::data:
    case State::done: break;
  }
  return end + 2;
}

}  // namespace weir::bench
