// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_callbacks.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace weir::proxy {
namespace {

constexpr std::size_t kFrameHeader = 9;     // RFC 9113 section 4.1
constexpr std::size_t kFieldOverhead = 32;  // RFC 9113 section 6.5.2

H2Session& session_of(void* user) { return *static_cast<H2Session*>(user); }

H2Stream* stream_of(nghttp2_session* codec, std::int32_t id) {
  return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(codec, id));
}

Bytes bytes_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Destroyed when the session was made: it keeps its own copy.
template <class T, void (*destroy)(T*)>
struct Destroy {
  void operator()(T* object) const { destroy(object); }
};
using CallbacksPointer =
    std::unique_ptr<nghttp2_session_callbacks,
                    Destroy<nghttp2_session_callbacks, nghttp2_session_callbacks_del>>;
using OptionPointer = std::unique_ptr<nghttp2_option, Destroy<nghttp2_option, nghttp2_option_del>>;

// What nghttp2 keeps of a stream comes from the worker's pool, as all else of an exchange does. In
// front of each block stands its size.
constexpr std::size_t kSizeSpace = alignof(std::max_align_t);

void* allocate(std::size_t size, void*) {
  const std::size_t whole = size + kSizeSpace;
  auto* block = static_cast<char*>(pool_allocate(whole));
  std::memcpy(block, &whole, sizeof whole);
  return block + kSizeSpace;
}

std::size_t whole_size(const char* block) {
  std::size_t whole = 0;
  std::memcpy(&whole, block, sizeof whole);
  return whole;
}

void release(void* memory, void*) {
  if (memory == nullptr) return;
  char* block = static_cast<char*>(memory) - kSizeSpace;
  pool_free(block, whole_size(block));
}

void* allocate_zeroed(std::size_t count, std::size_t size, void*) {
  void* memory = allocate(count * size, nullptr);
  std::memset(memory, 0, count * size);
  return memory;
}

void* reallocate(void* memory, std::size_t size, void*) {
  void* larger = allocate(size, nullptr);
  if (memory != nullptr) {
    const std::size_t held = whole_size(static_cast<char*>(memory) - kSizeSpace) - kSizeSpace;
    std::memcpy(larger, memory, std::min(held, size));
    release(memory, nullptr);
  }
  return larger;
}

OptionPointer make_options() {
  nghttp2_option* option = nullptr;
  WEIR_CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_max_outbound_ack(option, kH2RepliesMax);
  nghttp2_option_set_max_settings(option, kH2SettingsMax);
  nghttp2_option_set_no_closed_streams(option, 1);
  // RFC 9218: its frame is the codec's business, as its field is.
  nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
  return OptionPointer(option);
}

// A frame that does nothing for a request. Those that answer what we sent, or carry one, are none.
bool does_nothing(const nghttp2_frame_hd& frame) {
  switch (frame.type) {
    case NGHTTP2_DATA: return frame.length == 0 && (frame.flags & NGHTTP2_FLAG_END_STREAM) == 0;
    case NGHTTP2_HEADERS: return false;
    case NGHTTP2_RST_STREAM: return false;  // counted when the stream is closed
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PING: return (frame.flags & NGHTTP2_FLAG_ACK) == 0;
    default: return true;
  }
}

bool is_request(const nghttp2_frame& frame) {
  return frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST;
}

}  // namespace

nghttp2_session* H2Callbacks::make(H2Session& session, H2Session::Side side) {
  nghttp2_session_callbacks* raw = nullptr;
  WEIR_CHECK(nghttp2_session_callbacks_new(&raw) == 0);
  const CallbacksPointer callbacks(raw);
  nghttp2_session_callbacks_set_send_callback(raw, send);
  nghttp2_session_callbacks_set_send_data_callback(raw, send_data);
  nghttp2_session_callbacks_set_data_source_read_length_callback(raw, frame_size);
  nghttp2_session_callbacks_set_on_begin_frame_callback(raw, begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(raw, begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(raw, header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(raw, invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(raw, frame_received);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(raw, frame_invalid);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw, data_received);
  nghttp2_session_callbacks_set_on_stream_close_callback(raw, stream_closed);
  nghttp2_session_callbacks_set_on_frame_send_callback(raw, frame_sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(raw, frame_not_sent);
  const OptionPointer options = make_options();
  nghttp2_session* codec = nullptr;
  const auto make_new =
      side == H2Session::Side::server ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
  nghttp2_mem memory{nullptr, allocate, release, allocate_zeroed, reallocate};
  WEIR_CHECK(make_new(&codec, raw, &session, options.get(), &memory) == 0);
  return codec;
}

// --- what is sent -------------------------------------------------------------------------------

ssize_t H2Callbacks::send(nghttp2_session*, const std::uint8_t* data, std::size_t length, int,
                          void* user) {
  H2Session& session = session_of(user);
  const std::span<char> room = session.output_.room();
  const std::size_t count = std::min(length, room.size());
  if (count < length) session.full_ = true;
  if (count == 0) return NGHTTP2_ERR_WOULDBLOCK;
  std::memcpy(room.data(), data, count);
  session.output_.grow(count);
  return static_cast<ssize_t>(count);
}

// A frame fits into the smallest output, so that one that has to wait fits into the next.
ssize_t H2Callbacks::frame_size(nghttp2_session*, std::uint8_t, std::int32_t,
                                std::int32_t connection_window, std::int32_t window,
                                std::uint32_t frame_max, void*) {
  const auto most =
      static_cast<std::int64_t>(std::min<std::size_t>(frame_max, kH2OutputMin - kFrameHeader));
  return static_cast<ssize_t>(std::min<std::int64_t>({most, connection_window, window}));
}

ssize_t H2Callbacks::read_body(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t length,
                               std::uint32_t* flags, nghttp2_data_source* source, void* user) {
  auto& stream = *static_cast<H2Stream*>(source->ptr);
  H2BodyWriter& writer = stream.writer;
  const std::size_t count = std::min(length, writer.waiting().size());
  const bool end = writer.last() && count == writer.waiting().size();
  if (count == 0 && !end) return NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (end) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!writer.trailers().all().empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      session_of(user).submit_trailers(stream);
    }
    if (count == 0) writer.sent_last();  // there may be no frame that send_data() is told of
  }
  return static_cast<ssize_t>(count);
}

int H2Callbacks::send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header,
                           std::size_t length, nghttp2_data_source* source, void* user) {
  H2Session& session = session_of(user);
  H2BodyWriter& writer = static_cast<H2Stream*>(source->ptr)->writer;
  WEIR_ASSERT(frame->data.padlen == 0);
  // It waited while its writer gave up.
  if (writer.waiting().size() < length) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const std::span<char> room = session.output_.room();
  if (room.size() < kFrameHeader + length) {
    session.full_ = true;
    return NGHTTP2_ERR_WOULDBLOCK;
  }
  std::memcpy(room.data(), header, kFrameHeader);
  std::ranges::copy(writer.waiting().substr(0, length), room.data() + kFrameHeader);
  session.output_.grow(kFrameHeader + length);
  // What we send is what the peer answers with windows.
  session.idle_frames_ = std::max<std::int64_t>(0, session.idle_frames_ - 2);
  writer.took(length);
  if (writer.last() && writer.waiting().empty()) writer.sent_last();
  return 0;
}

int H2Callbacks::frame_sent(nghttp2_session* codec, const nghttp2_frame* frame, void* user) {
  H2Session& session = session_of(user);
  const bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  if (is_request(*frame)) --session.unsent_;
  if (message && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    H2Stream* stream = stream_of(codec, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->end_sent = true;
    if (stream->unwanted) session.reset(stream->id, NGHTTP2_NO_ERROR);
    return 0;
  }
  if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
    session.terminate(frame->goaway.error_code, session.causes_.protocol);
  }
  return 0;
}

// A request that was not sent: the server has said meanwhile that it takes none.
int H2Callbacks::frame_not_sent(nghttp2_session* codec, const nghttp2_frame* frame, int,
                                void* user) {
  if (!is_request(*frame)) return 0;
  --session_of(user).unsent_;
  return stream_closed(codec, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM, user);
}

// --- what is received ---------------------------------------------------------------------------

int H2Callbacks::begin_frame(nghttp2_session*, const nghttp2_frame_hd* frame, void* user) {
  if (does_nothing(*frame)) session_of(user).count_idle_frame();
  if (frame->type == NGHTTP2_PRIORITY && frame->stream_id == 0) {
    session_of(user).terminate(NGHTTP2_PROTOCOL_ERROR, session_of(user).causes_.protocol);
  }
  return 0;
}

int H2Callbacks::begin_headers(nghttp2_session* codec, const nghttp2_frame* frame, void* user) {
  H2Session& session = session_of(user);
  session.head_size_ = 0;
  session.head_due_ = session.context_.loop.now() + session.head_timeout();
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const std::int32_t id = frame->hd.stream_id;
  H2Stream* stream = session.begin_stream(id);
  if (stream == nullptr) {
    nghttp2_submit_rst_stream(codec, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
  } else {
    nghttp2_session_set_stream_user_data(codec, id, stream);
  }
  return 0;
}

int H2Callbacks::header(nghttp2_session* codec, const nghttp2_frame* frame,
                        const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                        std::size_t value_size, std::uint8_t, void* user) {
  H2Session& session = session_of(user);
  session.head_size_ += name_size + value_size + kFieldOverhead;
  const std::size_t size_max = session.head_size_max();
  if (session.head_size_ > size_max * kH2HeadExcessMax) {
    session.terminate(NGHTTP2_ENHANCE_YOUR_CALM, session.causes_.flood);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  H2Stream* stream = stream_of(codec, frame->hd.stream_id);
  if (stream == nullptr) return 0;
  if (session.head_size_ > size_max) {
    stream->spoiled(Cause::head_too_large);
  } else {
    stream->field(bytes_of(name, name_size), bytes_of(value, value_size));
  }
  return 0;
}

// RFC 9113 section 8.2.1: malformed, and not to be passed on without the field.
int H2Callbacks::invalid_header(nghttp2_session* codec, const nghttp2_frame* frame,
                                const std::uint8_t*, std::size_t, const std::uint8_t*, std::size_t,
                                std::uint8_t, void*) {
  if (H2Stream* stream = stream_of(codec, frame->hd.stream_id)) {
    stream->spoiled(Cause::bad_header);
  }
  return 0;
}

int H2Callbacks::frame_received(nghttp2_session* codec, const nghttp2_frame* frame, void* user) {
  H2Stream* stream = nullptr;
  const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (frame->hd.type == NGHTTP2_HEADERS) {
    session_of(user).head_due_ = kNever;
    stream = stream_of(codec, frame->hd.stream_id);
    if (stream != nullptr) stream->fields_complete(end ? H2Stream::End::yes : H2Stream::End::no);
  } else if (frame->hd.type == NGHTTP2_DATA && end) {
    stream = stream_of(codec, frame->hd.stream_id);
    if (stream != nullptr) stream->reader.end();
  } else if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == frame->data.padlen) {
    if (frame->hd.length > 0) session_of(user).count_idle_frame();  // nothing but padding
  } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
    stream = stream_of(codec, frame->hd.stream_id);
    if (stream != nullptr) stream->reset_by_peer = true;
  } else if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
    session_of(user).settings_came();
  } else if (frame->hd.type == NGHTTP2_GOAWAY) {
    session_of(user).going_away();
  }
  return 0;
}

// The codec ends its stream. Nobody waits for the rest of such a head.
int H2Callbacks::frame_invalid(nghttp2_session* codec, const nghttp2_frame* frame, int,
                               void* user) {
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  session_of(user).head_due_ = kNever;
  H2Stream* stream = stream_of(codec, frame->hd.stream_id);
  if (stream != nullptr) stream->spoiled(Cause::bad_header);
  return 0;
}

int H2Callbacks::data_received(nghttp2_session* codec, std::uint8_t, std::int32_t id,
                               const std::uint8_t* data, std::size_t length, void* user) {
  H2Stream* stream = stream_of(codec, id);
  if (stream == nullptr) {
    session_of(user).consumed(id, length);  // nobody reads it
  } else if (!stream->reader.receive(bytes_of(data, length))) {
    stream->reader.fail({Code::no_memory, Cause::overload_memory, 0, "body"});
  }
  return 0;
}

int H2Callbacks::stream_closed(nghttp2_session* codec, std::int32_t id, std::uint32_t code,
                               void* user) {
  // A client begins them and ends them as it likes. A server does not: there it is our own doing.
  const bool asked = session_of(user).side_ == H2Session::Side::server;
  if (code != NGHTTP2_NO_ERROR && asked) session_of(user).count_idle_frame();
  H2Stream* stream = stream_of(codec, id);
  if (stream == nullptr) return 0;
  nghttp2_session_set_stream_user_data(codec, id, nullptr);
  stream->closed(code);
  return 0;
}

}  // namespace weir::proxy
