// SPDX-License-Identifier: Apache-2.0
//
// What nghttp2 asks and tells, on the way to an H2Session and its streams. Nothing here resumes a
// coroutine; exceptions do not exist, and a callback that fails ends its stream or the connection.
#pragma once

#include "proxy/h2_session.h"

namespace weir::proxy {

struct H2Callbacks {
  static nghttp2_session* make(H2Session& session, H2Session::Side side);

  /// The body of what is sent on a stream: nghttp2_data_source_read_callback.
  static ssize_t read_body(nghttp2_session* codec, std::int32_t id, std::uint8_t* buffer,
                           std::size_t length, std::uint32_t* flags, nghttp2_data_source* source,
                           void* user);

 private:
  static ssize_t send(nghttp2_session*, const std::uint8_t* data, std::size_t length, int,
                      void* user);
  static int send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header,
                       std::size_t length, nghttp2_data_source* source, void* user);
  static ssize_t frame_size(nghttp2_session*, std::uint8_t type, std::int32_t id,
                            std::int32_t connection_window, std::int32_t window,
                            std::uint32_t frame_max, void*);
  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* frame, void* user);
  static int begin_headers(nghttp2_session* codec, const nghttp2_frame* frame, void* user);
  static int header(nghttp2_session* codec, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t, void* user);
  static int invalid_header(nghttp2_session* codec, const nghttp2_frame* frame, const std::uint8_t*,
                            std::size_t, const std::uint8_t*, std::size_t, std::uint8_t, void*);
  static int frame_received(nghttp2_session* codec, const nghttp2_frame* frame, void* user);
  static int frame_invalid(nghttp2_session* codec, const nghttp2_frame* frame, int why, void* user);
  static int data_received(nghttp2_session* codec, std::uint8_t, std::int32_t id,
                           const std::uint8_t* data, std::size_t length, void* user);
  static int stream_closed(nghttp2_session* codec, std::int32_t id, std::uint32_t code, void* user);
  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int frame_not_sent(nghttp2_session* codec, const nghttp2_frame* frame, int, void* user);
};

}  // namespace weir::proxy
