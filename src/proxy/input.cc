// SPDX-License-Identifier: Apache-2.0
#include "proxy/input.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weir::proxy {

Input::~Input() {
  if (state_ == State::armed) {
    stream_.cancel_recv(Error{Code::cancelled, Cause::none, 0, "input"});
  }
}

Unread Input::take_unread() {
  WEIR_ASSERT(state_ == State::idle);
  return {std::move(chunk_), std::exchange(rest_, {})};
}

void Input::put_unread(Unread unread) {
  WEIR_ASSERT(rest_.empty());
  chunk_ = std::move(unread.chunk);
  rest_ = unread.bytes;
}

io::Chunk Input::pin(std::size_t count) {
  WEIR_ASSERT(count <= rest_.size());
  WEIR_ASSERT(chunk_.capacity() > 0);
  consume(count);
  return std::move(chunk_);
}

void Input::unpin(io::Chunk pinned) {
  const bool rest_is_pinned = !rest_.empty() && pinned.capacity() > 0 &&
                              rest_.data() >= pinned.bytes().data() &&
                              rest_.data() < pinned.bytes().data() + pinned.size();
  if (rest_is_pinned) {
    WEIR_ASSERT(chunk_.capacity() == 0);
    chunk_ = std::move(pinned);
  } else if (rest_.empty()) {
    chunk_ = io::Chunk();
  }
}

void Input::arm(std::size_t size) {
  if (state_ != State::idle || !rest_.empty()) return;
  start(size, Millis(0));  // what was given out of the last buffer may still be looked at
  if (state_ == State::arrived && watcher_ != nullptr) watch(watcher_);
}

void Input::watch(Watcher* watcher) {
  watcher_ = watcher;
  if (watcher == nullptr || state_ != State::arrived) return;
  // Arrived before anybody looked: told in the next turn, never from inside the caller.
  run = [](Runnable& self) { static_cast<Input&>(static_cast<RecvOp&>(self)).arrived_unasked(); };
  stream_.loop().queue.push(*this);
}

std::optional<Error> Input::failure() const {
  if (state_ != State::arrived || result) return std::nullopt;
  return result.error();
}

bool Input::begin(std::size_t size, Millis stall, Keep keep) {
  WEIR_ASSERT(keep == Keep::yes || rest_.empty());
  if (state_ == State::arrived) {
    Runnable::unlink();  // a notification of the watcher that is not needed any more
    return true;
  }
  if (state_ == State::armed) {
    stream_.set_recv_deadline(stall);
    return false;
  }
  if (keep == Keep::no) chunk_ = io::Chunk();  // a connection that waits holds no buffer
  return start(keep == Keep::yes ? kWindowHead : size, stall);
}

bool Input::start(std::size_t size, Millis stall) {
  window = static_cast<std::uint32_t>(size);
  work = next_work_;
  callback = [](Op& self) { static_cast<Input&>(static_cast<RecvOp&>(self)).arrived_unasked(); };
  state_ = State::armed;
  if (!stream_.start_recv(*this, stall)) return false;
  state_ = State::arrived;
  return true;
}

void Input::arrived_unasked() {
  state_ = State::arrived;
  if (watcher_ != nullptr) watcher_->input_arrived();
}

Result<bool> Input::take(std::size_t size_max, Keep keep) {
  WEIR_ASSERT(state_ != State::idle);
  state_ = State::arrived;
  if (!result) {
    const Error error = result.error();
    // A deadline, also of a wait for memory, and a cancelled receive end this wait, not the
    // connection; anything else stays.
    const bool only_this = error.code == Code::timed_out || error.code == Code::cancelled ||
                           error.code == Code::no_memory;
    if (only_this) state_ = State::idle;
    return fail(error);
  }
  if (result->empty()) return false;  // stays arrived: the end does not go away
  state_ = State::idle;
  io::Chunk piece = std::move(*result);
  if (keep == Keep::yes && !rest_.empty()) return append(std::move(piece), size_max);
  chunk_ = std::move(piece);
  rest_ = chunk_.writable();
  return true;
}

Result<bool> Input::take_arrived() {
  WEIR_ASSERT(state_ == State::arrived && rest_.empty());
  Runnable::unlink();  // a notification of the watcher that is not needed any more
  return take(0, Keep::no);
}

Result<bool> Input::append(io::Chunk piece, std::size_t size_max) {
  const std::size_t size = rest_.size() + piece.size();
  const bool fits =
      rest_.data() + rest_.size() == chunk_.room().data() && chunk_.room().size() >= piece.size();
  if (!fits) {
    io::Chunk larger;
    if (!stream_.loop().chunks.allocate(std::max(size, std::min(size * 2, size_max)), larger) ||
        larger.room().size() < size) {
      return fail(Code::no_memory, "head");
    }
    std::memcpy(larger.room().data(), rest_.data(), rest_.size());
    larger.grow(rest_.size());
    chunk_ = std::move(larger);
  }
  std::memcpy(chunk_.room().data(), piece.bytes().data(), piece.size());
  chunk_.grow(piece.size());
  const std::span<char> all = chunk_.writable();
  rest_ = fits ? all.subspan(all.size() - size) : all;
  return true;
}

}  // namespace weir::proxy
