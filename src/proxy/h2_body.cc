// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_body.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weir::proxy {

H2BodyReader::~H2BodyReader() {
  give_back();
  std::size_t unread = 0;
  for (const io::Chunk& chunk : waiting_) unread += chunk.size();
  if (unread > 0) flow_.consumed(stream_, unread);
  if (window_ > kH2Window) flow_.narrow(window_ - kH2Window);
}

void H2BodyReader::begin(std::int32_t stream, Expect expect, Millis stall) {
  stream_ = stream;
  stall_ = stall;
  ended_ = complete_ = expect == Expect::nothing;
}

void H2BodyReader::begin_tunnel(Activity& activity, Millis idle) {
  stall_ = idle;
  activity_ = &activity;
  complete_ = false;
}

http::FieldList& H2BodyReader::received_trailers() {
  if (trailers_ == nullptr) trailers_.reset(new http::FieldList);
  return *trailers_;
}

const http::FieldList& H2BodyReader::trailers() const {
  static const http::FieldList kNone;
  return trailers_ != nullptr ? *trailers_ : kNone;
}

// The budget has allowed the receive that brought the bytes and gets it back soon, and until then
// nothing further is received. So they may go beyond it, but not without end: a client can have a
// chunk made of each byte.
bool H2BodyReader::make_room(std::size_t wanted) {
  io::Chunk chunk;
  if (!loop_.chunks.allocate(std::min(wanted, kWindowStart), chunk)) {
    if (!hold_all_ && !loop_.chunks.little_beyond()) return false;
    loop_.chunks.allocate_beyond(std::min(wanted, kWindowStart), chunk);
  }
  waiting_.push_back(std::move(chunk));
  return true;
}

// Small pieces share a chunk, so that what is held is little more than what the window allows.
// Behind what was left out nothing is taken.
bool H2BodyReader::receive(Bytes bytes) {
  came_ += bytes.size();
  if (activity_ != nullptr) activity_->moved = loop_.now();
  while (!failed_ && !bytes.empty()) {
    const bool full = waiting_.empty() || waiting_.back().room().empty();
    if (full && !make_room(bytes.size())) break;
    io::Chunk& chunk = waiting_.back();
    const std::size_t count = std::min(bytes.size(), chunk.room().size());
    std::memcpy(chunk.room().data(), bytes.data(), count);
    chunk.grow(count);
    bytes.remove_prefix(count);
  }
  if (!bytes.empty()) flow_.consumed(stream_, bytes.size());
  notice_.give();
  return bytes.empty();
}

// What has come to its end is whole, whatever happens to the connection afterwards.
void H2BodyReader::fail(Error why) {
  if (failed_ || ended_) return;
  failed_ = true;
  error_ = why;
  notice_.give();
}

Error H2BodyReader::meaning(const Error& error) const {
  if (error.cause != Cause::none || error.code == Code::cancelled) return error;
  if (error.code == Code::timed_out) {
    return error.as(activity_ != nullptr ? Cause::tunnel_idle_timeout : causes_.timeout);
  }
  return error.as(causes_.truncated);
}

void H2BodyReader::give_back() {
  const std::size_t count = current_.size();
  current_.clear();
  if (count > 0) flow_.consumed(stream_, count);
}

// A whole window has come, and whoever reads has taken all of it and waits: then the peer waits as
// well, for the way that the window's opening takes.
void H2BodyReader::widen() {
  if (came_ - widened_at_ < window_) return;
  window_ += flow_.widen(stream_, window_);
  widened_at_ = came_;
}

Task<Result<Piece>> H2BodyReader::read() {
  give_back();
  if (complete_) co_return Piece{{}, true};
  while (!failed_ && !ended_ && waiting_.empty()) {
    widen();
    const Instant since = loop_.now();
    const bool told = co_await notice_.wait(stall_);
    if (told) continue;
    // One direction may be silent as long as the other one moves.
    if (activity_ != nullptr && activity_->moved > since) continue;
    if (other_moved_ != nullptr && *other_moved_ > since) continue;
    fail({Code::timed_out, Cause::none, 0, "body"});
  }
  // What came before a failure is passed on, as far as it was not cut.
  if (failed_ && waiting_.empty()) co_return std::unexpected(meaning(error_));
  if (!waiting_.empty()) {
    current_ = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
  }
  received_ += current_.size();
  if (limit_ != 0 && received_ > limit_) {
    failed_ = true;
    error_ = {Code::malformed, over_limit_, 0, "body"};
    co_return std::unexpected(error_);
  }
  complete_ = ended_ && !failed_ && waiting_.empty();
  co_return Piece{current_.bytes(), complete_};
}

void H2BodyWriter::begin(std::int32_t stream, Millis stall) {
  stream_ = stream;
  stall_ = stall;
}

void H2BodyWriter::begin_tunnel(Activity& activity, Millis idle) {
  stall_ = idle;
  activity_ = &activity;
}

Task<Result<void>> H2BodyWriter::write(Bytes bytes) {
  WEIR_ASSERT(!last_ && waiting_.empty());
  waiting_ = bytes;
  Result<void> sent = co_await wait();
  co_return sent;
}

Task<Result<void>> H2BodyWriter::finish(Bytes bytes, const http::FieldList* trailers) {
  WEIR_ASSERT(!last_ && waiting_.empty());
  if (complete_) co_return Result<void>{};
  waiting_ = bytes;
  last_ = true;
  if (trailers != nullptr && trailers->size() > 0) trailers_.trailers(*trailers, trailer_rules_);
  Result<void> sent = co_await wait();
  co_return sent;
}

// The deadline bounds a stall: as long as something is taken it begins anew.
Task<Result<void>> H2BodyWriter::wait() {
  if (!failed_) flow_.resume(stream_);
  while (!done()) {
    const std::uint64_t before = sent_;
    const Instant since = loop_.now();
    const bool told = co_await notice_.wait(stall_);
    if (told || sent_ != before) continue;
    if (activity_ != nullptr && activity_->moved > since) continue;
    fail({Code::timed_out, Cause::none, 0, "send"});
  }
  waiting_ = {};
  if (failed_) co_return std::unexpected(error_);
  co_return Result<void>{};
}

void H2BodyWriter::took(std::size_t count) {
  waiting_.remove_prefix(count);
  sent_ += count;
  if (count > 0) moved_ = loop_.now();
  if (activity_ != nullptr && count > 0) activity_->moved = moved_;
  if (waiting_.empty() && !last_) notice_.give();
}

void H2BodyWriter::sent_last() {
  complete_ = true;
  notice_.give();
}

void H2BodyWriter::fail(Error why) {
  if (failed_ || complete_) return;
  failed_ = true;
  error_ = why;
  notice_.give();
}

}  // namespace weir::proxy
