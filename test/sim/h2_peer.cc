// SPDX-License-Identifier: Apache-2.0
#include "h2_peer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "actors.h"

namespace weir::sim {
namespace {

constexpr Error kOver{Code::cancelled, Cause::none, 0, "over"};
constexpr std::size_t kBatch = 16'384;  // bytes that are gathered at once
constexpr std::size_t kSlowPiece = 4_KiB;

std::vector<nghttp2_nv> name_values(const H2FieldList& fields) {
  std::vector<nghttp2_nv> all;
  for (const auto& [name, value] : fields) {
    auto* n = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data()));
    auto* v = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data()));
    all.push_back({n, v, name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  return all;
}

}  // namespace

/// What nghttp2 calls. Nothing here sends, or resumes anybody at once.
struct H2PeerCallbacks {
  static H2Peer& peer_of(void* user) { return *static_cast<H2Peer*>(user); }
  static H2Line* line_of(nghttp2_session* session, std::int32_t id) {
    return static_cast<H2Line*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    const bool request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (!request || frame->hd.stream_id > peer_of(user).last_) return 0;
    H2Line& line = peer_of(user).add_line();
    line.id = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, line.id, &line);
    return 0;
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t, void*) {
    H2Line* line = line_of(session, frame->hd.stream_id);
    if (line == nullptr) return 0;
    line->fields_.emplace_back(std::string(reinterpret_cast<const char*>(name), name_size),
                               std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }

  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Peer& peer = peer_of(user);
    // Of a head that took too long; and the clock jumps, or the way is narrow.
    const bool late = frame->hd.type == NGHTTP2_GOAWAY &&
                      frame->goaway.error_code == NGHTTP2_ENHANCE_YOUR_CALM &&
                      (peer.world_.swarm.faults.clock_jump > 0 || !is_roomy(peer.world_));
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR && !late) {
      const std::string_view why(reinterpret_cast<const char*>(frame->goaway.opaque_data),
                                 frame->goaway.opaque_data_len);
      peer.world_.violate("the proxy ends a connection: {} {}",
                          nghttp2_http2_strerror(frame->goaway.error_code), why);
    }
    const bool carries = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    H2Line* line = carries ? line_of(session, frame->hd.stream_id) : nullptr;
    if (line == nullptr) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) line->ended = true;
    if (frame->hd.type == NGHTTP2_HEADERS) line->take_fields();
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      peer.begun_.push_back(line);
    }
    line->readable_.give();
    return 0;
  }

  static int data_received(nghttp2_session* session, std::uint8_t, std::int32_t id,
                           const std::uint8_t* data, std::size_t size, void*) {
    if (H2Line* line = line_of(session, id)) {
      line->in_.append(reinterpret_cast<const char*>(data), size);
      line->readable_.give();
    }
    return 0;
  }

  static int invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int why, void* user) {
    peer_of(user).world_.violate("the proxy sent a frame of kind {} on stream {}: {}",
                                 frame->hd.type, frame->hd.stream_id, nghttp2_strerror(why));
    return 0;
  }

  static int stream_closed(nghttp2_session* session, std::int32_t id, std::uint32_t code, void*) {
    if (H2Line* line = line_of(session, id)) line->close(code);
    return 0;
  }

  // A request that was not sent because no more are taken.
  static int not_sent(nghttp2_session* session, const nghttp2_frame* frame, int, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (H2Line* line = line_of(session, frame->hd.stream_id)) line->close(NGHTTP2_REFUSED_STREAM);
    return 0;
  }

  static int frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Peer& peer = peer_of(user);
    const bool gone = frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.last_stream_id < INT32_MAX;
    if (gone) peer.gone_at = peer.world_.network.lived();
    if (peer.role_ != H2Peer::Role::server || frame->hd.type != NGHTTP2_HEADERS) return 0;
    const H2Line* line = line_of(session, frame->hd.stream_id);
    Exchange* x = line == nullptr ? nullptr : line->exchange;
    if (x != nullptr && x->server_wire == peer.wire_.connection()) peer.answered_.push_back(x);
    return 0;
  }

  static ssize_t read_out(nghttp2_session* session, std::int32_t id, std::uint8_t* buffer,
                          std::size_t length, std::uint32_t* flags, nghttp2_data_source* source,
                          void* user) {
    auto& line = *static_cast<H2Line*>(source->ptr);
    const std::size_t count = std::min({length, line.out_.size(), peer_of(user).knobs_.frame_max});
    const bool end = line.last_ && count == line.out_.size();
    if (count == 0 && !end) return NGHTTP2_ERR_DEFERRED;
    std::memcpy(buffer, line.out_.data(), count);
    line.out_.erase(0, count);
    if (end) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      line.last_handed_ = true;
    }
    if (end && line.trailers) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const H2FieldList trailers = {{"x-trailer", "yes"}};
      const std::vector<nghttp2_nv> fields = name_values(trailers);
      nghttp2_submit_trailer(session, id, fields.data(), fields.size());
    }
    if (line.out_.empty()) line.sendable_.give();
    return static_cast<ssize_t>(count);
  }

  static ssize_t padding(nghttp2_session*, const nghttp2_frame* frame, std::size_t most,
                         void* user) {
    const std::size_t length = frame->hd.length;
    return static_cast<ssize_t>(std::min(most, length + peer_of(user).knobs_.padding_max));
  }
};

H2Line::H2Line(H2Peer& peer)
    : patience(peer.wire_.patience), peer_(peer), readable_(loop()), sendable_(loop()) {}

io::Loop& H2Line::loop() { return peer_.wire_.stream.loop(); }

void H2Line::close(std::uint32_t why) {
  if (closed) return;
  closed = true;
  code = why;
  readable_.give();
  sendable_.give();
}

// As text, for comparing, and as the actors read it.
void H2Line::take_fields() {
  std::string text;
  for (const auto& [name, value] : fields_) text += name + ": " + value + "\r\n";
  if (final_head_) {
    trailers_ += text;
    fields_.clear();
    return;
  }
  bodiless = ended;
  Head head;
  head.fields = std::move(fields_);
  fields_.clear();
  const std::string_view status = head.get(":status");
  head.first = status.empty() ? fmt::format("{} {} HTTP/2", head.get(":method"), head.get(":path"))
                              : fmt::format("HTTP/2.0 {} ", status);
  final_head_ = !status.starts_with('1');
  heads_.push_back({std::move(head), std::move(text)});
}

/// False: nothing came in time. What the clock has jumped does not count.
Task<bool> H2Line::await_more() {
  const io::SimNetwork& network = peer_.world_.network;
  const bool simulated = peer_.wire_.connection() != nullptr;
  const Instant due = network.lived() + patience;
  for (;;) {
    const bool told = co_await readable_.wait(patience);
    if (told || !simulated || network.lived() >= due) co_return told;
  }
}

Task<Got> H2Line::read_head(Head& head) {
  while (heads_.empty()) {
    if (closed) co_return peer_.end() == Got::end ? Got::end : Got::broken;
    if (!co_await await_more()) co_return Got::stuck;
  }
  head = std::move(heads_.front().head);
  head_text = std::move(heads_.front().text);
  heads_.erase(heads_.begin());
  co_return Got::bytes;
}

Task<Body> H2Line::read_body(Check& check, std::uint64_t stop_at, Seen* seen) {
  const Body body = co_await read_any(check, stop_at);
  if (seen != nullptr) {
    seen->size = check.at;
    seen->text = check.text;
    seen->trailers = trailers_;
    seen->end = name(body);
  }
  co_return body;
}

Task<Body> H2Line::read_any(Check& check, std::uint64_t stop_at) {
  while (stop_at > check.at) {
    if (!in_.empty()) {
      const bool slow = peer_.knobs_.reads_every.count() > 0;
      if (slow) co_await pass(loop(), peer_.knobs_.reads_every);
      const std::string bytes = in_.substr(0, slow ? kSlowPiece : in_.size());
      in_.erase(0, bytes.size());
      if (!check.take(bytes)) co_return Body::foreign;
      nghttp2_session_consume(peer_.session_.get(), id, bytes.size());
      peer_.flush();
    } else if (ended || closed) {
      co_return ended ? Body::whole : Body::cut;
    } else if (!co_await await_more()) {
      co_return Body::stuck;
    }
  }
  co_return Body::left;
}

Task<> H2Line::wait_closed() {
  while (!closed) ignore(co_await readable_.wait(Millis(0)), "looked at");
}

nghttp2_data_provider H2Line::provider() { return {{.ptr = this}, H2PeerCallbacks::read_out}; }

void H2Line::send_head(const H2FieldList& fields, Last last) {
  if (closed) return;
  const std::vector<nghttp2_nv> all = name_values(fields);
  nghttp2_data_provider body = provider();
  nghttp2_submit_response(peer_.session_.get(), id, all.data(), all.size(),
                          last == Last::yes ? nullptr : &body);
  peer_.flush();
}

void H2Line::send_informational(const H2FieldList& fields) {
  if (closed) return;
  const std::vector<nghttp2_nv> all = name_values(fields);
  nghttp2_submit_headers(peer_.session_.get(), NGHTTP2_FLAG_NONE, id, nullptr, all.data(),
                         all.size(), nullptr);
  peer_.flush();
}

Task<bool> H2Line::put(std::string bytes, Last last) {
  out_ += bytes;
  last_ = last == Last::yes;
  if (closed) co_return false;
  nghttp2_session_resume_data(peer_.session_.get(), id);
  peer_.flush();
  while (!handed() && !closed) ignore(co_await sendable_.wait(Millis(0)), "looked at");
  co_return handed();
}

// Once: of a stream that was not begun nothing is sent, and then nothing may be.
void H2Line::reset(std::uint32_t why) {
  if (closed || std::exchange(reset_, true)) return;
  nghttp2_submit_rst_stream(peer_.session_.get(), NGHTTP2_FLAG_NONE, id, why);
  peer_.flush();
}

H2Peer::H2Peer(World& world, Wire& wire, Role role, const H2Knobs& knobs, Service* service)
    : world_(world),
      wire_(wire),
      role_(role),
      knobs_(knobs),
      service_(service),
      scope_(wire.stream.loop().queue),
      rest_(wire.stream.loop()) {
  using Calls = H2PeerCallbacks;
  nghttp2_session_callbacks* calls = nullptr;
  WEIR_CHECK(nghttp2_session_callbacks_new(&calls) == 0);
  nghttp2_session_callbacks_set_on_begin_headers_callback(calls, Calls::begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(calls, Calls::header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(calls, Calls::frame_received);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, Calls::data_received);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(calls, Calls::invalid_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(calls, Calls::stream_closed);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(calls, Calls::not_sent);
  nghttp2_session_callbacks_set_on_frame_send_callback(calls, Calls::frame_sent);
  nghttp2_session_callbacks_set_select_padding_callback(calls, Calls::padding);
  nghttp2_option* option = nullptr;
  WEIR_CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_session* session = nullptr;
  const auto make =
      role == Role::server ? nghttp2_session_server_new2 : nghttp2_session_client_new2;
  WEIR_CHECK(make(&session, calls, this, option) == 0);
  session_.reset(session);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(calls);
}

H2Peer::~H2Peer() = default;

void H2Peer::start() {
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, knobs_.window}};
  if (role_ == Role::client) settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  if (knobs_.streams_max > 0) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, knobs_.streams_max});
  }
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(knobs_.connection_window));
  flush();
  scope_.spawn(&H2Peer::receive, this);
}

H2Line& H2Peer::add_line() { return *lines_.emplace_back(std::make_unique<H2Line>(*this)); }

H2Line* H2Peer::request(const H2FieldList& fields, Sink::Last last) {
  if (!takes_requests()) return nullptr;
  H2Line& line = add_line();
  const std::vector<nghttp2_nv> all = name_values(fields);
  nghttp2_data_provider body = line.provider();
  line.id = nghttp2_submit_request(session_.get(), nullptr, all.data(), all.size(),
                                   last == Sink::Last::yes ? nullptr : &body, &line);
  WEIR_CHECK(line.id > 0);
  flush();
  return &line;
}

bool H2Peer::takes_requests() const {
  return end_ == Got::bytes && nghttp2_session_check_request_allowed(session_.get()) != 0;
}

// RFC 9113 section 6.8: it is never raised.
void H2Peer::take_last() {
  last_ = std::min(last_, nghttp2_session_get_last_proc_stream_id(session_.get()));
}

void H2Peer::go_away(Goaway which) {
  if (end_ != Got::bytes) return;
  if (which == Goaway::warning) {
    nghttp2_submit_shutdown_notice(session_.get());
  } else {
    take_last();
    nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, last_, NGHTTP2_NO_ERROR, nullptr, 0);
  }
  flush();
}

void H2Peer::leave() {
  if (end_ != Got::bytes) return;
  leaving_ = true;
  take_last();
  nghttp2_session_terminate_session2(session_.get(), last_, NGHTTP2_NO_ERROR);
  flush();
}

void H2Peer::ping() {
  if (end_ != Got::bytes) return;
  nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
  flush();
}

std::size_t H2Peer::open() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(lines_, [](const auto& line) { return !line->closed; }));
}

bool H2Peer::done() const {
  return nghttp2_session_want_read(session_.get()) == 0 &&
         nghttp2_session_want_write(session_.get()) == 0;
}

std::string H2Peer::gather() {
  std::string batch;
  while (batch.size() < kBatch) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_.get(), &data);
    if (size <= 0) break;
    batch.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
    for (Exchange* x : std::exchange(answered_, {})) {
      x->answered_from = std::min(x->answered_from, wire_.handed + batch.size() - 1);
    }
  }
  return batch;
}

void H2Peer::flush() {
  if (!sending_ && !shut_ && end_ == Got::bytes) scope_.spawn(&H2Peer::send_all, this);
}

Task<> H2Peer::sent() {
  while (sending_ && end_ == Got::bytes) ignore(co_await rest_.wait(Millis(0)), "looked at");
}

Task<> H2Peer::send_all(H2Peer* self) {
  self->sending_ = true;
  for (bool sent = true; sent && self->end_ == Got::bytes;) {
    std::string batch = self->gather();
    if (batch.empty()) break;
    sent = co_await self->wire_.send(std::move(batch));
  }
  self->sending_ = false;
  self->rest_.give();
  if (!self->done() || self->shut_ || self->end_ != Got::bytes) co_return;
  self->shut_ = true;
  self->wire_.stream.shutdown_write();
}

void H2Peer::lose(Got how) {
  end_ = how;
  rest_.give();
  if (how != Got::end) wire_.stream.cancel(kOver);
  for (const auto& line : lines_) line->close(NGHTTP2_INTERNAL_ERROR);
}

// What is idle may be ended.
Task<Got> H2Peer::more() {
  const bool idle = idle_patience.count() > 0 && open() == 0 && !leaving_;
  const Millis patience = wire_.patience;
  if (idle) wire_.patience = idle_patience;
  Got got = co_await wire_.more();
  wire_.patience = patience;
  if (got == Got::stuck && idle) {
    service_->idle();
    got = co_await wire_.more();
  }
  if (got == Got::stuck) world_.violate("a connection of HTTP/2 stays for ever");
  co_return got;
}

bool H2Peer::take_apart() {
  const std::string bytes = std::exchange(wire_.in, {});
  const ssize_t taken = nghttp2_session_mem_recv(
      session_.get(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) {
    world_.violate("the proxy broke the rules of HTTP/2: {}",
                   nghttp2_strerror(static_cast<int>(taken)));
    return false;
  }
  for (H2Line* line : std::exchange(begun_, {})) service_->stream_begun(*line);
  flush();
  return true;
}

Task<> H2Peer::receive(H2Peer* self) {
  for (;;) {
    const Got got = co_await self->more();
    if (got != Got::bytes) {
      self->lose(got);
      break;
    }
    if (!self->take_apart()) {
      self->lose(Got::broken);
      break;
    }
  }
}

}  // namespace weir::sim
