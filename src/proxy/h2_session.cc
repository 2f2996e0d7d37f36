// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_session.h"

#include <algorithm>
#include <array>

#include "proxy/h2_callbacks.h"

namespace weir::proxy {
namespace {

// Of a client that was told that its connection ends.
constexpr Millis kFarewell{1000};
constexpr Error kPeerGone{Code::closed, Cause::none, 0, "connection"};

/// The fields as nghttp2 takes them: it copies them before it returns.
class NameValues {
 public:
  explicit NameValues(const http::H2Fields& fields) {
    const auto& all = fields.all();
    nghttp2_nv* to = few_.data();
    if (all.size() > few_.size()) {
      many_.resize(all.size());
      to = many_.data();
    }
    data_ = to;
    size_ = all.size();
    for (const http::NameValue& field : all) {
      // Its interface is older than const.
      auto* name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(field.name.data()));
      auto* value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(field.value.data()));
      *to++ = {name, value, field.name.size(), field.value.size(), NGHTTP2_NV_FLAG_NONE};
    }
  }
  [[nodiscard]] const nghttp2_nv* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::array<nghttp2_nv, 32> few_;  // not initialised
  std::vector<nghttp2_nv> many_;
  const nghttp2_nv* data_;
  std::size_t size_;
};

}  // namespace

H2Session::H2Session(Context& context, Accepted&& accepted, Side side, const H2Causes& causes)
    : context_(context),
      side_(side),
      causes_(causes),
      wire_(context.loop, accepted),
      input_(wire_.stream()),
      session_(H2Callbacks::make(*this, side)) {
  input_.put_unread(std::move(accepted.unread));
  output_turn_.self = end_turn_.self = send_.self = this;
  output_turn_.run = [](Runnable& turn) { static_cast<Turn&>(turn).self->output(); };
  end_turn_.run = [](Runnable& turn) {
    H2Session& self = *static_cast<Turn&>(turn).self;
    self.input_.watch(nullptr);  // what has arrived may be told in this turn still
    self.over();
  };
  send_.callback = [](io::Op& op) { static_cast<Send&>(op).self->sent(); };
}

H2Session::~H2Session() { WEIR_ASSERT(!sending_); }

void H2Session::begin(std::span<const nghttp2_settings_entry> settings, std::int32_t window) {
  WEIR_CHECK(nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(),
                                     settings.size()) == 0);
  WEIR_CHECK(nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0, window) ==
             0);
  if (!input_.bytes().empty()) take_apart();
  arm();
  schedule_output();
}

void H2Session::arm() {
  if (lost_ || peer_ended_) return;
  input_.expect(busy() ? io::Work::under_way : io::Work::fresh);
  input_.arm(receive_size_);
  update_deadline();
  input_.watch(this);
}

void H2Session::update_deadline() {
  if (lost_ || lingering_ || peer_ended_) return;
  if (head_due_ == kNever) return input_.set_deadline(idle_stall());
  const auto left = std::chrono::duration_cast<Millis>(head_due_ - context_.loop.now());
  input_.set_deadline(std::max(left, Millis(1)));
}

void H2Session::input_arrived() {
  if (!lost_) receive();
}

void H2Session::receive() {
  const Result<bool> more = input_.take_arrived();
  if (!more || !*more) {
    receive_failed(more ? kPeerGone : more.error());
    return;
  }
  if (lingering_) return drop_input();
  if (!busy()) {
    receive_size_ = kWindowHead;
  } else if (input_.filled()) {
    receive_size_ = std::min(receive_size_ * 2, kH2ReceiveMax);
  }
  // What came may say that no more requests are taken: those that are on their way go first.
  if (unsent_ > 0) output();
  if (lost_) return;
  take_apart();
  arm();
  schedule_output();
}

void H2Session::take_apart() {
  const Bytes bytes = input_.view();
  const auto taken = nghttp2_session_mem_recv(
      session_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  input_.consume(bytes.size());
  input_.unpin();
  if (taken >= 0) return;
  const bool flooded = taken == NGHTTP2_ERR_FLOODED;
  terminate(flooded ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR,
            flooded ? causes_.flood : causes_.protocol);
}

// Nothing came in time, or nothing comes any more.
void H2Session::receive_failed(const Error& error) {
  const bool only_this = error.code == Code::timed_out || error.code == Code::no_memory;
  if (lingering_ || !only_this) {
    peer_ended_ = true;
    if (error.code != kPeerGone.code || lingering_) return lose(error);
    peer_ended();
    return check_end();
  }
  if (error.code == Code::timed_out && head_due_ <= context_.loop.now()) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM, causes_.head_timeout);
  } else if (error.code == Code::timed_out && !busy()) {
    go_away(Goaway::last, NGHTTP2_NO_ERROR);
  }
  arm();
}

// RFC 9113 section 5.4.1. The reason is counted for the connection, and for each exchange that it
// ends.
void H2Session::terminate(std::uint32_t code, Cause why) {
  if (terminated_) return;
  terminated_ = true;
  terminated_by_ = why;
  context_.metrics.causes[static_cast<std::size_t>(why)].add();
  nghttp2_session_terminate_session(session_.get(), code);
  schedule_output();
}

void H2Session::go_away(Goaway which, std::uint32_t code) {
  if (which == Goaway::notice) {
    nghttp2_submit_shutdown_notice(session_.get());
  } else {
    farewell_ = true;
    const std::int32_t last = nghttp2_session_get_last_proc_stream_id(session_.get());
    nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, last, code, nullptr, 0);
  }
  schedule_output();
}

// A token bucket: so many frames at once, and so many in a second.
void H2Session::count_idle_frame() {
  const Instant now = context_.loop.now();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - idle_counted_);
  if (seconds.count() > 0) {
    idle_frames_ = std::max<std::int64_t>(
        0, idle_frames_ - kH2IdleFramesPerSecond * std::min<std::int64_t>(seconds.count(), 3600));
    idle_counted_ = now;
  }
  if (++idle_frames_ > kH2IdleFramesMax) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM, causes_.flood);
  }
}

bool H2Session::crowded() const {
  return nghttp2_session_get_outbound_queue_size(session_.get()) >= kH2RepliesMax;
}

void H2Session::consumed(std::int32_t stream, std::size_t count) {
  if (ended()) return;
  // Of a stream that is closed the connection's window is given back all the same.
  if (nghttp2_session_consume(session_.get(), stream, count) == 0) schedule_output();
}

// Only of clients: servers are near, and have a window for each request on a connection anyway.
std::uint32_t H2Session::widen(std::int32_t stream, std::uint32_t window) {
  const std::uint32_t more = std::min(window, kH2WideningMax - widened_);
  if (side_ == Side::client || more == 0 || ended() || context_.loop.chunks.tight()) return 0;
  const auto wider = static_cast<std::int32_t>(window + more);
  const int failed =
      nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, stream, wider);
  if (failed != 0) return 0;
  widened_ += more;
  schedule_output();
  return more;
}

void H2Session::narrow(std::uint32_t by) { widened_ -= by; }

void H2Session::resume(std::int32_t stream) {
  if (ended()) return;
  ignore(nghttp2_session_resume_data(session_.get(), stream), "it may not have begun to wait");
  schedule_output();
}

void H2Session::submit_response(H2Stream& stream, const http::H2Fields& head, Body body) {
  if (ended()) return;
  const NameValues fields(head);
  nghttp2_data_provider provider{{.ptr = &stream}, H2Callbacks::read_body};
  ignore(nghttp2_submit_response(session_.get(), stream.id, fields.data(), fields.size(),
                                 body == Body::follows ? &provider : nullptr),
         "a stream that is gone tells by its writer");
  schedule_output();
}

void H2Session::submit_request(H2Stream& stream, const http::H2Fields& head, Body body) {
  if (ended()) return;
  const NameValues fields(head);
  nghttp2_data_provider provider{{.ptr = &stream}, H2Callbacks::read_body};
  stream.id = nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(),
                                     body == Body::follows ? &provider : nullptr, &stream);
  if (stream.id < 0) {
    stream.id = 0;
    stream.closed(NGHTTP2_REFUSED_STREAM);  // no number is left on this connection
  } else {
    ++unsent_;
  }
  schedule_output();
}

bool H2Session::takes_streams() const {
  return !ended() && !terminated_ && !farewell_ &&
         nghttp2_session_check_request_allowed(session_.get()) != 0;
}

std::size_t H2Session::peer_streams_max() const {
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

// Also what the kernel has taken counts: a peer that is gone acknowledges nothing of it.
Micros H2Session::send_stall() const { return stream().send_stall(); }

void H2Session::submit_interim(H2Stream& stream, const http::H2Fields& head) {
  if (ended()) return;
  const NameValues fields(head);
  ignore(nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, stream.id, nullptr,
                                fields.data(), fields.size(), nullptr),
         "a stream that is gone tells by its writer");
  schedule_output();
}

void H2Session::submit_trailers(H2Stream& stream) {
  const NameValues fields(stream.writer.trailers());
  ignore(nghttp2_submit_trailer(session_.get(), stream.id, fields.data(), fields.size()),
         "a stream that is gone tells by its writer");
}

void H2Session::reset(std::int32_t stream, std::uint32_t code) {
  if (ended()) return;
  ignore(nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, stream, code),
         "a stream that is gone needs none");
  schedule_output();
}

// A reset takes what is not sent yet along.
void H2Session::refuse_rest(H2Stream& stream) {
  stream.unwanted = true;
  if (stream.end_sent) reset(stream.id, NGHTTP2_NO_ERROR);
}

void H2Session::schedule_output() {
  if (!lost_ && !sending_) context_.loop.queue.push(output_turn_);
}

void H2Session::output() {
  if (lost_ || sending_) return;
  gather();
  if (lost_) return;
  if (output_.empty()) {
    output_.clear();
    return check_end();
  }
  send_.pieces = {output_.bytes()};
  sending_ = true;
  if (wire_.stream().start_send(send_, write_stall())) sent();
}

// Takes frames of all streams, as many as there is room for.
void H2Session::gather() {
  io::ChunkPool& chunks = context_.loop.chunks;
  if (nghttp2_session_want_write(session_.get()) == 0) return;
  // Beyond the budget if it has to be: what leaves makes room for what comes. A frame has to fit.
  if (output_.capacity() == 0) {
    const bool allowed = chunks.allocate(output_size_, output_);
    if (!allowed || output_.capacity() < kH2OutputMin) {
      output_.clear();
      chunks.allocate_beyond(kH2OutputMin, output_);
    }
  }
  full_ = false;
  const int failed = nghttp2_session_send(session_.get());
  if (failed != 0) return lose({Code::malformed, Cause::internal, 0, "frames"});
  output_size_ = full_ ? std::min(output_size_ * 2, kH2OutputMax) : kH2OutputMin;
}

void H2Session::sent() {
  sending_ = false;
  if (!send_.result) lose(send_.result.error());
  if (lost_) return check_end();
  bytes_sent_ += output_.size();
  output_.drop_bytes();
  if (!full_ || output_.capacity() < output_size_) output_.clear();
  schedule_output();
}

void H2Session::lose(Error why) {
  if (lost_) return;
  lost_ = true;
  input_.watch(nullptr);
  wire_.stream().cancel(why);
  connection_failed(why);
  check_end();
}

// The peer is let to read all that was sent to it: closing with unread input, such as windows that
// a client opens, would reset the connection.
void H2Session::drop_input() {
  dropped_ += input_.bytes().size();
  input_.consume(input_.bytes().size());
  input_.unpin();
  const auto left = std::chrono::duration_cast<Millis>(linger_due_ - context_.loop.now());
  if (dropped_ > kLingerBytesMax || left.count() <= 0) return lose(kPeerGone);
  input_.arm(kWindowStart);
  input_.set_deadline(left);
  input_.watch(this);
}

void H2Session::check_end() {
  if (sending_ || (lingering_ && !lost_)) return;
  if (!ended()) {
    const bool talks = nghttp2_session_want_write(session_.get()) != 0;
    const bool listens = nghttp2_session_want_read(session_.get()) != 0 && !peer_ended_;
    if (talks || listens || (peer_ended_ && busy() && !terminated_)) return;
    frames_end_ = true;
    if (terminated_) connection_failed({Code::malformed, terminated_by_, 0, "frames"});
  }
  if (busy()) return;
  if ((terminated_ || side_ == Side::server) && !lost_ && !peer_ended_) return linger();
  context_.loop.queue.push(end_turn_);
}

void H2Session::linger() {
  const Millis time = terminated_ ? Millis(kLingerMillis) : kFarewell;
  lingering_ = true;
  linger_due_ = context_.loop.now() + time;
  wire_.stream().shutdown_write();
  input_.set_deadline(time);
}

}  // namespace weir::proxy
