// SPDX-License-Identifier: Apache-2.0
#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tls/stream.h"

namespace weir::tls {
namespace {

// Receives below for one here that bring no content, before others are served.
constexpr int kReceivesAtOnce = 4;

constexpr unsigned char kHelloRequest = 0;      // RFC 5246 section 7.4.1.1
constexpr unsigned char kNewSessionTicket = 4;  // RFC 8446 section 4.6.1
constexpr unsigned char kKeyUpdate = 24;        // RFC 8446 section 4.6.3
constexpr std::size_t kMessageHeaderSize = 4;
constexpr std::size_t kTicketRecordMax = 4_KiB;
constexpr unsigned char kUserCanceled = 90;
constexpr unsigned char kWarning = 1;

}  // namespace

bool Stream::start_recv(io::RecvOp& op, Millis stall) {
  WEIR_ASSERT(below_ != nullptr && facts_ != nullptr);
  WEIR_ASSERT(reading_ == nullptr);
  if (cancelled_ != nullptr) {
    op.result = fail(*cancelled_);
    return true;
  }
  reading_ = &op;
  recv_stall_ = stall;
  recv_due_ = stall.count() <= 0 ? kNever : loop_->now() + stall;
  if (advance_reading()) {
    reading_ = nullptr;
    return true;
  }
  // One of before may be under way, with another deadline.
  if (receiving_below_) below_->set_recv_deadline(stall);
  return false;
}

Millis Stream::recv_left() {
  if (recv_due_ == kNever) return Millis(0);
  const auto left = std::chrono::duration_cast<Millis>(recv_due_ - loop_->now());
  return std::max(left, Millis(1));
}

// Receives until the operation has its result (true) or nothing has come.
bool Stream::advance_reading() {
  for (int i = 0; i < kReceivesAtOnce; ++i) {
    if (deliver(*reading_)) return true;
    if (receiving_below_) return false;
    keep_tail();
    receiving_.rest();
    below_recv_.unlink();
    const std::uint32_t window = reading_->window;
    below_recv_.window =
        window < kRecordPlainMax ? window : window + static_cast<std::uint32_t>(kRecordOverheadMax);
    below_recv_.work = reading_->work;
    if (!below_->start_recv(below_recv_, recv_left())) {
      receiving_below_ = true;
      const bool urgent = answer_update_ || owed_ != kNoAlert;
      if (urgent || !tickets_wait_) flush_own(io::SendOp::More::no);
      return false;
    }
    take_received();
  }
  below_recv_.run = [](Runnable& self) {
    static_cast<BelowRecv&>(static_cast<io::RecvOp&>(self)).stream.on_received();
  };
  below_recv_.result = io::Chunk();
  loop_->queue.push(below_recv_);
  return false;
}

// The stream's own receive has ended. It was started for one that may be gone since.
void Stream::on_received() {
  const bool again = !receiving_below_;  // advance_reading() goes on
  receiving_below_ = false;
  if (shaking_ != nullptr) return queue_step();
  if (!again) take_received();
  if (reading_ == nullptr || !advance_reading()) return;
  std::exchange(reading_, nullptr)->finish();
}

void Stream::take_received() {
  Result<io::Chunk> result = std::exchange(below_recv_.result, io::Chunk());
  if (!result) {
    read_error_ = result.error();
    const bool only_this = read_error_.code == Code::timed_out ||
                           read_error_.code == Code::no_memory ||
                           read_error_.code == Code::cancelled;
    if (read_error_.where == nullptr) read_error_.where = "recv";
    if (!only_this) {
      read_ = Reading::failed;
    } else if (reading_ == nullptr && shaking_ == nullptr) {
      read_error_ = {};  // whose wait it was is gone
    }
    return;
  }
  if (result->empty()) {
    read_error_ = Error{Code::closed, Cause::none, 0, "no close_notify"};
    read_ = Reading::failed;
    return;
  }
  in_ = std::move(*result);
  in_at_ = 0;
  // A head has its time as a whole; of other things each byte is a sign of life.
  const bool extends = reading_ != nullptr && reading_->work == io::Work::under_way;
  if (extends && recv_due_ != kNever) recv_due_ = loop_->now() + recv_stall_;
}

// Gives what is there. True: `op` has its result.
bool Stream::deliver(io::RecvOp& op) {
  io::Chunk plain;
  while (read_ == Reading::open || !opened_.empty()) {
    if (!opened_.empty()) {
      if (!make_room(op, plain)) break;
      const std::size_t count = std::min(opened_.size(), plain.room().size());
      std::memcpy(plain.room().data(), opened_.data(), count);
      plain.grow(count);
      opened_.remove_prefix(count);
      continue;
    }
    const std::span<char> record = next_record();
    if (record.empty() || !open_record(record, op, plain)) break;
  }
  let_go();
  if (!plain.empty()) {
    op.result = std::move(plain);
    return true;
  }
  if (read_error_.where != nullptr) {
    op.result = fail(read_error_);
    if (read_ != Reading::failed) read_error_ = {};
    return true;
  }
  if (read_ == Reading::open) return false;
  op.result = io::Chunk();
  return true;
}

// Of chunks of which nothing is left, or nothing is wanted.
void Stream::let_go() {
  if (!opened_.empty()) return;
  if (std::exchange(tail_opened_, false)) tail_.clear();
  if (in_at_ < in_.size() && read_ == Reading::open) return;
  in_.clear();
  in_at_ = 0;
}

// False: there is content already, and no more room for further.
bool Stream::make_room(const io::RecvOp& op, io::Chunk& plain) {
  if (plain.capacity() > 0) return !plain.room().empty();
  const std::size_t here = opened_.size() + tail_.size() + in_.size() - in_at_;
  const std::size_t wanted = std::min<std::size_t>(op.window, here);
  // It takes the place of what was received, which the budget has allowed.
  if (!loop_->chunks.allocate(wanted, plain)) loop_->chunks.allocate_beyond(kWindowHead, plain);
  return true;
}

// A whole record, in one piece; empty when there is none.
std::span<char> Stream::next_record() {
  if (std::exchange(tail_opened_, false)) tail_.clear();
  const std::span<char> rest = in_.writable().subspan(in_at_);
  if (tail_.empty()) {
    const auto size = record_size({rest.data(), rest.size()});
    if (!size) {
      fail_reading(size.error());
      return {};
    }
    return *size > 0 && *size <= rest.size() ? rest.first(*size) : std::span<char>{};
  }
  // What is missing of the record that has begun comes from what was received since.
  std::span<char> from = rest;
  for (;;) {
    const auto size = record_size(tail_.bytes());
    if (!size) {
      fail_reading(size.error());
      return {};
    }
    const std::size_t wanted = *size > 0 ? *size : kRecordHeaderSize;
    if (wanted == tail_.size()) return tail_.writable();
    if (from.empty()) return {};
    const std::size_t count = std::min(wanted - tail_.size(), from.size());
    if (tail_.room().size() < count) {
      io::Chunk larger;
      loop_->chunks.allocate_beyond(tail_.size() + count, larger);
      std::memcpy(larger.room().data(), tail_.bytes().data(), tail_.size());
      larger.grow(tail_.size());
      tail_ = std::move(larger);
    }
    std::memcpy(tail_.room().data(), from.data(), count);
    tail_.grow(count);
    from = from.subspan(count);
    in_at_ += static_cast<std::uint32_t>(count);
  }
}

// Its content may still be looked at, in its place.
void Stream::consume_record(std::span<char> record) {
  if (!tail_.empty()) {
    tail_opened_ = true;
  } else {
    in_at_ += static_cast<std::uint32_t>(record.size());
  }
}

// What was received of a record waits for its rest in a chunk of its own size: not of the
// receive's, and not of what the peer says it will send.
void Stream::keep_tail() {
  const Bytes rest = in_.bytes().substr(in_at_);
  if (!rest.empty()) {
    WEIR_ASSERT(tail_.empty());
    loop_->chunks.allocate_beyond(rest.size(), tail_);
    std::memcpy(tail_.room().data(), rest.data(), rest.size());
    tail_.grow(rest.size());
  }
  in_.clear();
  in_at_ = 0;
}

// False: no further record is to be opened now.
bool Stream::open_record(std::span<char> record, io::RecvOp& op, io::Chunk& plain) {
  if (!make_room(op, plain)) return false;
  const bool fits = receiving_.content_max(record.size()) <= plain.room().size();
  if (!fits && !plain.empty()) return false;
  char* out = fits ? plain.room().data() : record.data() + receiving_.payload_offset();
  // OpenSSL makes sessions of tickets, and wants them as they came. They come first.
  std::string sealed;
  if (handshake_ != nullptr && record.size() <= kTicketRecordMax) {
    sealed.assign(record.data(), record.size());
  }
  const auto opened = receiving_.open(record, out);
  consume_record(record);
  if (!opened) {
    fail_reading(opened.error());
    return false;
  }
  const bool ticket = opened->type == Content::handshake && opened->size > 0 &&
                      out[0] == static_cast<char>(kNewSessionTicket) && !sealed.empty();
  if (ticket) {
    handshake_->take_ticket(sealed);
  } else {
    handshake_.reset();
  }
  if (opened->type == Content::application && opened->size > 0) {
    empty_records_ = 0;
    if (fits) {
      plain.grow(opened->size);
    } else {
      opened_ = {out, opened->size};
    }
    return true;
  }
  on_content(opened->type, {out, opened->size});
  return read_ == Reading::open;
}

// Records that bring nothing cost as much as others, and a key update more.
void Stream::on_content(Content type, Bytes content) {
  if (++empty_records_ > kEmptyRecordsMax) return fail_reading(Alert::unexpected_message);
  switch (type) {
    case Content::application: return;
    case Content::alert: return on_alert(content);
    case Content::handshake: return on_message(content);
    case Content::change_cipher_spec: break;
  }
  fail_reading(Alert::unexpected_message);
}

// RFC 8446 section 6, RFC 5246 section 7.2.
void Stream::on_alert(Bytes content) {
  if (content.empty()) return fail_reading(Alert::unexpected_message);  // RFC 8446 section 5.4
  if (content.size() != 2) return fail_reading(Alert::decode_error);
  const auto level = static_cast<unsigned char>(content[0]);
  const auto description = static_cast<unsigned char>(content[1]);
  if (description == static_cast<unsigned char>(Alert::close_notify)) {
    read_ = Reading::ended;
    return;
  }
  const bool passes =
      receiving_.protocol() == Protocol::tls13 ? description == kUserCanceled : level == kWarning;
  if (passes) return;
  read_ = Reading::failed;
  read_error_ = Error{Code::reset, Cause::none, 0, "alert"};
  // A server of TLS 1.3 says so what it thinks of our certificate.
  if (context_->side() == Side::client) {
    const int reason = SSL_AD_REASON_OFFSET + description;
    const char* text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));  // static text
    read_error_ =
        Error{Code::reset, context_->causes().failed, 0, text == nullptr ? "alert" : text};
  }
  write_ = Writing::ended;
}

// The rest of the content behind a client's tickets, of which the last may not have come whole.
Bytes Stream::skip_tickets(Bytes content) {
  for (;;) {
    const std::size_t here = std::min<std::size_t>(ticket_left_, content.size());
    ticket_left_ -= static_cast<std::uint32_t>(here);
    content.remove_prefix(here);
    const bool another = content.size() >= kMessageHeaderSize &&
                         static_cast<unsigned char>(content[0]) == kNewSessionTicket;
    if (!another) return content;
    const auto byte = [&](std::size_t at) {
      return static_cast<std::uint32_t>(static_cast<unsigned char>(content[at]));
    };
    ticket_left_ = byte(1) << 16 | byte(2) << 8 | byte(3);
    content.remove_prefix(kMessageHeaderSize);
  }
}

// Of TLS 1.3 a key update can come, and to a client tickets. The next record has the new key, so an
// update ends its own (RFC 8446 section 5.1), and nobody cuts five bytes into several. Of TLS 1.2
// only a renegotiation can, which there is not: a client may ignore that it is asked for one.
void Stream::on_message(Bytes content) {
  if (context_->side() == Side::client) {
    const bool tls13 = receiving_.protocol() == Protocol::tls13;
    const bool asked = !tls13 && content.size() == kMessageHeaderSize &&
                       static_cast<unsigned char>(content[0]) == kHelloRequest;
    if (asked) return;
    const std::size_t before = content.size();
    if (tls13) content = skip_tickets(content);
    if (content.empty() && before > 0) return;
  }
  const bool update = receiving_.protocol() == Protocol::tls13 && content.size() == 5 &&
                      static_cast<unsigned char>(content[0]) == kKeyUpdate &&
                      content.substr(1, 3) == Bytes("\0\0\1", 3);
  if (!update) return fail_reading(Alert::unexpected_message);
  if (static_cast<unsigned char>(content[4]) > 1) return fail_reading(Alert::illegal_parameter);
  receiving_.update();
  if (content[4] == 1) answer_update_ = true;
}

void Stream::fail_reading(Alert alert) {
  read_ = Reading::failed;
  read_error_ = Error{Code::reset, context_->causes().bad_record, 0, "a damaged record"};
  if (write_ != Writing::open) return;
  write_ = Writing::ended;
  owed_ = alert;  // behind a send that is under way
  flush_own(io::SendOp::More::no);
}

}  // namespace weir::tls
