// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <utility>

#include "tls/stream.h"

namespace weir::tls {

using More = io::SendOp::More;

namespace {

bool has_bytes(const io::SendOp& op) {
  return std::ranges::any_of(op.pieces, [](Bytes piece) { return !piece.empty(); });
}

}  // namespace

bool Stream::start_send(io::SendOp& op, Millis stall) {
  WEIR_ASSERT(below_ != nullptr && facts_ != nullptr);
  WEIR_ASSERT(writing_ == nullptr);
  if (cancelled_ != nullptr) {
    op.result = fail(*cancelled_);
    return true;
  }
  if (write_ != Writing::open) {
    op.result = fail(Error{Code::reset, read_error_.cause, 0, "send"});
    return true;
  }
  writing_ = &op;
  send_stall_ = stall;
  if (!advance_writing()) return false;
  writing_ = nullptr;
  return true;
}

// Encrypts and sends until the operation has its result (true) or a send below waits.
bool Stream::advance_writing() {
  for (;;) {
    if (write_ == Writing::ended && has_bytes(*writing_)) {  // an alert came or is to be sent
      writing_->result = fail(Error{Code::reset, read_error_.cause, 0, "send"});
      sending_.rest();
      return true;
    }
    seal_some(*writing_);
    if (own_.empty() && out_.empty()) {
      writing_->result = {};
      sending_.rest();
      return true;
    }
    below_send_.pieces = {own_, out_.bytes(), {}, {}};
    below_send_.more = has_bytes(*writing_) ? More::yes : writing_->more;
    if (!below_->start_send(below_send_, send_stall_)) {
      sending_below_ = true;
      return false;
    }
    if (!take_sent()) return true;
  }
}

// False: it has failed, and `writing_` has the error.
bool Stream::take_sent() {
  own_ = {};
  tickets_wait_ = false;
  out_.clear();
  if (below_send_.result) return true;
  sending_.rest();
  writing_->result = fail(below_send_.result.error());
  return false;
}

void Stream::on_sent() {
  sending_below_ = false;
  if (shaking_ != nullptr) {
    own_ = {};
    if (below_send_.result) return receive_handshake();
    return finish_handshake(fail(handshake_fault(below_send_.result.error())));
  }
  if (take_sent() && !advance_writing()) return;
  if (below_send_.result) flush_own(More::no);  // what has come up meanwhile
  std::exchange(writing_, nullptr)->finish();
}

// At first records of one packet each, so that the client can begin to read what has come while
// the connection is still slow; then full ones, which cost less.
std::size_t Stream::record_size_now() {
  const Instant now = loop_->now();
  if (now - sent_at_ > Millis(kFirstRecordsIdleMillis)) burst_ = 0;
  sent_at_ = now;
  const std::size_t size = burst_ < kFirstRecords ? kFirstRecordSize : kRecordPlainMax;
  return std::min<std::size_t>(size, content_max_);
}

// Seals what comes next of the operation into `out_`.
void Stream::seal_some(io::SendOp& op) {
  answer_update();
  std::size_t left = 0;
  for (const Bytes& piece : op.pieces) left += piece.size();
  const bool ends = op.more == More::end;
  if (left == 0 && (!ends || write_ != Writing::open)) return;
  const std::size_t goes = std::min(left, kSealMax);
  const std::size_t records = goes / record_size_now() + 2;  // one for the end
  const std::size_t wanted = goes + records * sending_.overhead();
  // Beyond the budget if it has to be: the bytes hold memory that only their leaving frees.
  if (!loop_->chunks.allocate(wanted, out_)) loop_->chunks.allocate_beyond(kWindowHead, out_);
  const std::size_t reserved = 2 * sending_.overhead() + 8;  // of the end, and of a key update
  std::size_t sealed = 0;
  while (sealed < goes) {
    const std::size_t room = out_.room().size();
    if (room <= reserved + sending_.overhead()) break;
    const std::size_t size =
        std::min({record_size_now(), goes - sealed, room - reserved - sending_.overhead()});
    sealed += seal_record(op, size);
  }
  if (sealed < left || !ends) return;
  const std::array<char, 2> end = {1, static_cast<char>(Alert::close_notify)};
  const std::array<Bytes, 1> content = {Bytes(end.data(), end.size())};
  out_.grow(sending_.seal(Content::alert, content, out_.room().data()));
  write_ = Writing::said_end;
}

std::size_t Stream::seal_record(io::SendOp& op, std::size_t size) {
  std::array<Bytes, 4> content{};
  std::size_t taken = 0;
  for (std::size_t i = 0; i < op.pieces.size(); ++i) {
    const std::size_t count = std::min(op.pieces[i].size(), size - taken);
    content[i] = op.pieces[i].substr(0, count);
    op.pieces[i].remove_prefix(count);
    taken += count;
  }
  out_.grow(sending_.seal(Content::application, content, out_.room().data()));
  burst_ += taken;
  if (sending_.worn()) {
    const std::array<Bytes, 1> update = {Bytes("\x18\0\0\1\0", 5)};
    out_.grow(sending_.seal(Content::handshake, update, out_.room().data()));
    sending_.update();
  }
  return taken;
}

// A record of the protocol itself, to be sent before anything else.
void Stream::seal_own(Content type, Bytes content) {
  WEIR_ASSERT(!sending_below_);
  const std::size_t before = own_.size();
  own_.resize(before + content.size() + sending_.overhead());
  const std::array<Bytes, 1> pieces = {content};
  const std::size_t size = sending_.seal(type, pieces, own_.data() + before);
  WEIR_ASSERT(before + size == own_.size());
  sending_.rest();
}

void Stream::say_end() {
  if (write_ != Writing::open || facts_ == nullptr) return;
  write_ = Writing::said_end;
  const std::array<char, 2> end = {1, static_cast<char>(Alert::close_notify)};
  seal_own(Content::alert, {end.data(), end.size()});
}

// RFC 8446 section 4.6.3: before the next content, and once however often it was asked for.
void Stream::answer_update() {
  if (!std::exchange(answer_update_, false) || write_ != Writing::open) return;
  seal_own(Content::handshake, Bytes("\x18\0\0\1\0", 5));
  sending_.update();
}

void Stream::say_offence() {
  const std::array<char, 2> fatal = {2, static_cast<char>(std::exchange(owed_, kNoAlert))};
  if (fatal[1] == static_cast<char>(kNoAlert)) return;
  seal_own(Content::alert, {fatal.data(), fatal.size()});
}

// What does not leave now goes with the next send, or is tried again. While something waits no
// update is answered: a peer that asks and does not read would have answers pile up.
void Stream::flush_own(More more) {
  if (sending_below_) return;
  tickets_wait_ = false;
  say_offence();
  for (;;) {
    if (own_.empty()) answer_update();
    if (own_.empty()) break;
    own_.erase(0, below_->try_send(own_, more));
    if (own_.empty()) continue;
    loop_->timers().arm(*this, loop_->now() + Millis(kLastWordsMillis));
    return;
  }
  own_ = {};
}

}  // namespace weir::tls
