// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_body.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weir::proxy {

using Kind = http::BodyLength::Kind;

void H1BodyReader::begin(const http::BodyLength& length, const http::HeadLimits& limits,
                         Millis stall) {
  kind_ = length.kind;
  remaining_ = length.bytes;
  received_ = 0;
  limit_ = 0;
  stall_ = stall;
  activity_ = nullptr;
  complete_ = length.empty();
  failed_ = false;
  window_ = kWindowStart;
  chunked_.reset();
  if (kind_ == Kind::chunked) chunked_.reset(new Decoder(limits));
}

void H1BodyReader::begin_tunnel(Activity& activity, Millis idle) {
  begin(http::BodyLength::until_close(), http::HeadLimits{}, idle);
  window_ = kWindowHead;
  activity_ = &activity;
}

bool H1BodyReader::ready() const { return complete_ || !input_.view().empty() || input_.arrived(); }

const http::FieldList& H1BodyReader::trailers() const {
  static const http::FieldList kEmpty;
  return chunked_ ? chunked_->trailers() : kEmpty;
}

Error H1BodyReader::meaning(const Error& error) const {
  switch (error.code) {
    case Code::timed_out:
      return error.as(activity_ != nullptr ? Cause::tunnel_idle_timeout : causes_.timeout);
    case Code::malformed: return error.as(causes_.malformed);
    case Code::no_memory: return error.as(Cause::overload_memory);
    case Code::cancelled: return error;  // whoever cancelled knows why
    case Code::closed:
    case Code::reset:
    case Code::refused:
    case Code::unreachable:
    case Code::no_descriptors:
    case Code::unresolved:
    case Code::os: return error.as(causes_.truncated);
  }
  WEIR_UNREACHABLE("code");
}

// A window doubles when a receive fills it and halves when it does not fill a quarter.
void H1BodyReader::adapt_window() {
  if (input_.filled()) {
    window_ = std::min(window_ * 2, kWindowMax);
  } else if (input_.bytes().size() * 4 < window_) {
    window_ = std::max(window_ / 2, kWindowHead);
  }
}

// What is still to come is not to be waited for.
Error H1BodyReader::failure(const Error& error) {
  failed_ = error.code != Code::cancelled;
  return meaning(error);
}

// Receives once. False: the peer's end.
Task<Result<bool>> H1BodyReader::fill() {
  std::size_t window = window_;
  if (kind_ == Kind::known) {
    // The rest is known: ask for all of it if it is small, and for a full window if it is not.
    const std::uint64_t rest = std::min<std::uint64_t>(remaining_, 64_KiB);
    window = std::max(window, static_cast<std::size_t>(rest));
    if (remaining_ < window) window = static_cast<std::size_t>(remaining_);
  }
  for (;;) {
    const Instant waiting_since = input_.now();
    Result<bool> more = co_await input_.more(window, stall_);
    if (more) {
      adapt_window();
      if (activity_ != nullptr) activity_->moved = input_.now();
      co_return more;
    }
    // One direction of a tunnel may be silent as long as the other one moves.
    const bool other_moved = more.error().code == Code::timed_out && activity_ != nullptr &&
                             activity_->moved > waiting_since;
    if (other_moved) continue;
    co_return fail(failure(more.error()));
  }
}

Task<Result<Piece>> H1BodyReader::read() {
  if (complete_) co_return Piece{{}, true};
  for (;;) {
    if (input_.bytes().empty()) {
      WEIR_CO_TRY(more, co_await fill());
      if (!more) {
        if (kind_ == Kind::until_close) {
          complete_ = true;
          co_return Piece{{}, true};
        }
        co_return fail(Error{Code::closed, causes_.truncated, 0, "body"});
      }
    }
    Result<Piece> piece = kind_ == Kind::known     ? take_known()
                          : kind_ == Kind::chunked ? take_chunked()
                                                   : take_until_close();
    if (!piece || piece->last || !piece->bytes.empty()) co_return piece;
  }
}

Result<Piece> H1BodyReader::take_known() {
  const std::size_t count =
      static_cast<std::size_t>(std::min<std::uint64_t>(input_.bytes().size(), remaining_));
  const Bytes bytes = input_.view().substr(0, count);
  input_.consume(count);
  remaining_ -= count;
  return account({bytes, remaining_ == 0});
}

Result<Piece> H1BodyReader::take_chunked() {
  const std::span<char> bytes = input_.bytes();
  const Result<http::ChunkedDecoder::Step> step = chunked_->decode(bytes);
  if (!step) return fail(meaning(step.error()));
  const Bytes payload(bytes.data(), step->payload);
  input_.consume(step->consumed);
  return account({payload, step->done});
}

Result<Piece> H1BodyReader::take_until_close() {
  const Bytes bytes = input_.view();
  input_.consume(bytes.size());
  return account({bytes, false});
}

Result<Piece> H1BodyReader::account(Piece piece) {
  received_ += piece.bytes.size();
  if (limit_ != 0 && received_ > limit_) {
    failed_ = true;
    return fail(over_limit_, "body");
  }
  if (piece.last) {
    complete_ = true;
    // The next request, or the peer's end, is looked for from now on.
    if (kind_ != Kind::until_close) input_.arm(kWindowHead);
  }
  return piece;
}

PlainRun H1BodyReader::plain_run() {
  if (plain_ == nullptr || complete_ || !input_.bytes().empty() || !input_.idle()) return {};
  const bool within = kind_ == Kind::known && received_ + remaining_ <= limit_;
  if (limit_ != 0 && !within) return {};
  if (kind_ == Kind::known) return {plain_, remaining_};
  if (kind_ == Kind::until_close) return {plain_, kToTheEnd};
  return {};
}

Result<Piece> H1BodyReader::spliced(std::uint64_t bytes, Ended ended) {
  received_ += bytes;
  if (activity_ != nullptr && bytes > 0) activity_->moved = input_.now();
  if (kind_ == Kind::known) {
    WEIR_ASSERT(bytes <= remaining_);
    remaining_ -= bytes;
    if (remaining_ > 0 && ended == Ended::yes) {
      return fail(Error{Code::closed, causes_.truncated, 0, "body"});
    }
    if (remaining_ == 0) return account({{}, true});
    return Piece{};
  }
  complete_ = ended == Ended::yes;
  return Piece{{}, complete_};
}

void H1BodyWriter::begin(const http::BodyLength& length, Millis stall) {
  kind_ = length.kind;
  remaining_ = length.bytes;
  sent_ = 0;
  stall_ = stall;
  complete_ = false;
  ends_ = kind_ == Kind::until_close;
  activity_ = nullptr;
  trailer_rules_ = {};
}

void H1BodyWriter::begin_tunnel(Activity& activity, Millis idle) {
  begin(http::BodyLength::until_close(), idle);
  activity_ = &activity;
}

std::string& H1BodyWriter::new_head() {
  WEIR_ASSERT(head_.empty());
  return head_ = texts_.take();
}

void H1BodyWriter::drop_head() {
  if (!head_.empty()) texts_.give(std::exchange(head_, {}));
}

// Sends the head, if it has not left yet, and the pieces.
struct H1BodyWriter::Sending : io::Stream::Send {
  H1BodyWriter& writer;
  std::size_t payload;
  Sending(H1BodyWriter& w, const std::array<Bytes, 4>& all, More m)
      : Send(w.stream_, all, w.stall_, m), writer(w), payload(all[2].size()) {}
  Result<void> await_resume() {
    writer.drop_head();
    if (result) {
      writer.sent_ += payload;
      if (writer.activity_ != nullptr) writer.activity_->moved = stream.loop().now();
    }
    return result;
  }
};

H1BodyWriter::Sending H1BodyWriter::send(Bytes line, Bytes bytes, Bytes end,
                                         io::SendOp::More more) {
  return {*this, {head_, line, bytes, end}, more};
}

Task<Result<void>> H1BodyWriter::write(Bytes bytes) {
  WEIR_ASSERT(!complete_);
  if (kind_ == Kind::chunked) {
    std::array<char, 20> space;
    const Bytes line = http::chunk_line(bytes.size(), space);
    Result<void> sent = co_await send(line, bytes, http::kChunkEnd);
    co_return sent;
  }
  if (kind_ == Kind::known) {
    // Never past the promised length: what is behind it would be taken for the next message.
    WEIR_ASSERT(bytes.size() <= remaining_);
    remaining_ -= bytes.size();
  }
  if (kind_ == Kind::none) co_return Result<void>{};  // a response to HEAD, 204, 304
  Result<void> sent = co_await send({}, bytes, {});
  co_return sent;
}

Task<Result<void>> H1BodyWriter::finish(Bytes bytes, const http::FieldList* trailers) {
  WEIR_ASSERT(!complete_);
  std::array<char, 20> space;
  Bytes line;
  std::string end;
  if (kind_ == Kind::chunked) {
    if (!bytes.empty()) {
      line = http::chunk_line(bytes.size(), space);
      end = http::kChunkEnd;
    }
    end += http::kLastChunk;
    static const http::FieldList kNoTrailers;
    http::encode_trailers(end, trailers != nullptr ? *trailers : kNoTrailers, trailer_rules_);
  } else if (kind_ == Kind::known) {
    WEIR_ASSERT(bytes.size() == remaining_);
    remaining_ = 0;
  } else if (kind_ == Kind::none) {
    bytes = {};
  }
  // TLS has an end of its own to send, if need be alone.
  const bool says_end = ends_ && plain_ == nullptr;
  if (!head_.empty() || !bytes.empty() || !end.empty() || says_end) {
    const auto more = ends_ ? io::SendOp::More::end : io::SendOp::More::no;
    Result<void> sent = co_await send(line, bytes, end, more);
    if (!sent) co_return sent;
  }
  complete_ = true;
  // Now, not with the connection: what the peer still sends may take its time.
  if (ends_) stream_.shutdown_write();
  co_return Result<void>{};
}

Task<Result<void>> H1BodyWriter::flush() {
  if (head_.empty()) co_return Result<void>{};
  Result<void> sent = co_await send({}, {}, {});
  co_return sent;
}

io::TcpStream* H1BodyWriter::plain_sink() {
  const bool plain = kind_ == Kind::known || kind_ == Kind::until_close;
  return plain && head_.empty() ? plain_ : nullptr;
}

void H1BodyWriter::spliced(std::uint64_t bytes) {
  if (kind_ == Kind::known) {
    WEIR_ASSERT(bytes <= remaining_);
    remaining_ -= bytes;
  }
  sent_ += bytes;
  if (activity_ != nullptr && bytes > 0) activity_->moved = stream_.loop().now();
}

}  // namespace weir::proxy
