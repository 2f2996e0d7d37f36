// SPDX-License-Identifier: Apache-2.0
#include "origin_h2.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "body.h"
#include "sockets.h"

namespace weir::bench {
namespace {

constexpr std::int32_t kStreamWindow = 1024 * 1024;
constexpr std::int32_t kConnectionWindow = 16 * 1024 * 1024;
constexpr std::uint32_t kStreamsMax = 1000;  // how many there are is for the proxies to say

}  // namespace

H2Server::H2Server(OnRequest on_request) : on_request_(std::move(on_request)) {
  const H2Callbacks callbacks = h2_callbacks();
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks.get(), on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks.get(), on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks.get(), on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks.get(), on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks.get(), on_stream_close);
  nghttp2_session* session = nullptr;
  if (nghttp2_session_server_new(&session, callbacks.get(), this) != 0) fail("nghttp2");
  session_.reset(session);
  h2_introduce(session, kStreamWindow, kConnectionWindow, kStreamsMax);
}

bool H2Server::receive(std::string_view bytes) {
  return nghttp2_session_mem_recv(session_.get(),
                                  reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                  bytes.size()) >= 0;
}

bool H2Server::produce(std::string& out) {
  if (!h2_produce(session_.get(), out)) return false;
  return !out.empty() || nghttp2_session_want_read(session_.get()) != 0;
}

int H2Server::on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* server) {
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const std::int32_t id = frame->hd.stream_id;
  Stream& stream = static_cast<H2Server*>(server)->streams_[id];
  return nghttp2_session_set_stream_user_data(session, id, &stream);
}

int H2Server::on_header(nghttp2_session* session, const nghttp2_frame* frame,
                        const std::uint8_t* name_bytes, std::size_t name_size,
                        const std::uint8_t* value_bytes, std::size_t value_size, std::uint8_t,
                        void*) {
  auto* stream =
      static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
  const std::string_view name(reinterpret_cast<const char*>(name_bytes), name_size);
  const std::string_view value(reinterpret_cast<const char*>(value_bytes), value_size);
  if (stream == nullptr || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  if (name == ":method") {
    stream->method = value;
  } else if (name == ":path") {
    stream->target = value;
  } else if (name == ":authority") {
    stream->head.append("host: ").append(value).append("\r\n");
  } else if (!name.starts_with(':')) {
    stream->head.append(name).append(": ").append(value).append("\r\n");
  }
  return 0;
}

int H2Server::on_data(nghttp2_session* session, std::uint8_t, std::int32_t id,
                      const std::uint8_t* data, std::size_t size, void*) {
  auto* stream = static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  stream->upload.take({reinterpret_cast<const char*>(data), size});
  return 0;
}

int H2Server::on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* server) {
  const std::int32_t id = frame->hd.stream_id;
  auto* stream = static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  if (stream == nullptr) return 0;
  auto& self = *static_cast<H2Server*>(server);
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    self.request(*stream);
  }
  const bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  if (may_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) self.answer(id, *stream);
  return 0;
}

int H2Server::on_stream_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* server) {
  static_cast<H2Server*>(server)->streams_.erase(id);
  return 0;
}

void H2Server::request(Stream& stream) const {
  stream.head.insert(0, stream.method + ' ' + stream.target + " HTTP/2\r\n").append("\r\n");
  if (!parse_request(stream.head, stream.request)) return;
  stream.upload.hashed = is_hashed(stream.request);
  on_request_(stream.request);
}

void H2Server::answer(std::int32_t id, Stream& stream) {
  Response& response = stream.response;
  if (is_upload(stream.request) || stream.upload.size > 0) {
    respond_uploaded(response, stream.upload);
  } else {
    respond(response, stream.request);
  }
  const std::size_t end = response.out.find("\r\n\r\n") + 4;
  // The body is what follows the head, if it is a text, or is generated.
  if (response.chunked) response.out.resize(end);
  response.out_sent = end;
  const bool has_body = response.left > 0 || end < response.out.size();
  const std::size_t status = response.out.find(' ') + 1;
  stream.fields = {h2_field(":status", std::string_view(response.out).substr(status, 3))};
  h2_append_fields(response.out, stream.fields);
  nghttp2_data_provider provider{.source = {.ptr = &response}, .read_callback = read_body};
  if (nghttp2_submit_response(session_.get(), id, stream.fields.data(), stream.fields.size(),
                              has_body ? &provider : nullptr) != 0) {
    fail("nghttp2");
  }
}

ssize_t H2Server::read_body(nghttp2_session*, std::int32_t, std::uint8_t* into, std::size_t size,
                            std::uint32_t* flags, nghttp2_data_source* source, void*) {
  auto& response = *static_cast<Response*>(source->ptr);
  std::size_t filled = response.out.copy(reinterpret_cast<char*>(into), size, response.out_sent);
  response.out_sent += filled;
  while (filled < size && response.left > 0) {
    const std::size_t from = response.at % kBlockSize;
    const auto run = std::min({size - filled, std::size_t{response.left}, kBlockSize - from});
    std::memcpy(into + filled, block().data() + from, run);
    response.at += run;
    response.left -= run;
    filled += run;
  }
  if (response.left == 0 && response.out_sent == response.out.size()) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  }
  return static_cast<ssize_t>(filled);
}

}  // namespace weir::bench
