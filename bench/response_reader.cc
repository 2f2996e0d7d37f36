// SPDX-License-Identifier: Apache-2.0
#include "response_reader.h"

#include <strings.h>

#include <algorithm>
#include <charconv>

namespace weir::bench {
namespace {

constexpr std::size_t kHeadMax = 64 * 1024;

std::string_view value_of(std::string_view line, std::string_view name) {
  if (line.size() < name.size() || strncasecmp(line.data(), name.data(), name.size()) != 0)
    return {};
  line.remove_prefix(name.size());
  while (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

}  // namespace

void ResponseReader::reset() {
  state_ = State::head;
  status_ = 0;
  body_size_ = 0;
  left_ = 0;
  chunks_ = {};
  pending_.clear();
}

void ResponseReader::skip(std::uint64_t size) {
  left_ -= size;
  if (left_ == 0) state_ = State::done;
}

std::size_t ResponseReader::take(std::string_view bytes) {
  if (pending_.empty()) {
    const std::size_t used = advance(bytes);
    if (done() || used == bytes.size()) return used;
    pending_.assign(bytes.substr(used));
    return bytes.size();
  }
  // The end of the response is never in the old bytes, or they would not be pending.
  const std::size_t before = pending_.size();
  pending_.append(bytes);
  const std::size_t used = advance(pending_);
  if (done()) {
    pending_.clear();
    return used - before;
  }
  pending_.erase(0, used);
  return bytes.size();
}

std::size_t ResponseReader::advance(std::string_view bytes) {
  std::size_t used = 0;
  while (state_ != State::done && used < bytes.size()) {
    const std::string_view rest = bytes.substr(used);
    if (state_ == State::head) {
      const std::size_t end = rest.find("\r\n\r\n");
      if (end == std::string_view::npos) {
        if (rest.size() > kHeadMax) state_ = State::done;
        return used;
      }
      understand(rest.substr(0, end + 2));
      used += end + 4;
    } else if (state_ == State::body) {
      const auto size = std::min<std::uint64_t>(left_, rest.size());
      skip(size);
      used += size;
    } else {
      std::string_view payload;
      const std::size_t step = chunks_.take(rest, payload);
      body_size_ += payload.size();
      used += step;
      if (chunks_.done()) state_ = State::done;
      if (step == 0) return used;
    }
  }
  return used;
}

/// `head` ends with the line end of its last field.
void ResponseReader::understand(std::string_view head) {
  if (!head.starts_with("HTTP/1.") || head.size() < 12) {
    state_ = State::done;
    return;
  }
  std::from_chars(head.data() + 9, head.data() + 12, status_);
  if (status_ < 200 && status_ != 101) return;
  bool chunked = false;
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t size = head.find("\r\n", at) - at;
    const std::string_view line = head.substr(at, size);
    if (const auto length = value_of(line, "content-length:"); !length.empty()) {
      std::from_chars(length.data(), length.data() + length.size(), body_size_);
    } else if (!value_of(line, "transfer-encoding:").empty()) {
      chunked = true;
    }
    at += size + 2;
  }
  left_ = body_size_;
  if (chunked) {
    body_size_ = 0;
    state_ = State::chunked;
  } else {
    state_ = left_ > 0 ? State::body : State::done;
  }
}

}  // namespace weir::bench
