// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 for origin: a request is put into the words of HTTP/1.1, answered as such, and the answer
// put into frames. What waits or breaks off (/slow, /late, /short) is for HTTP/1.1 only: here it is
// answered at once and in full. No I/O; one object for each connection, owned by it.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "h2.h"
#include "origin_connection.h"

namespace weir::bench {

class H2Server {
 public:
  /// Told of each request when its head has arrived.
  using OnRequest = std::function<void(const Request&)>;

  explicit H2Server(OnRequest on_request);

  /// Takes what the client has sent; false when that is not HTTP/2.
  bool receive(std::string_view bytes);
  /// Appends what is to be sent, a share of it at a time; false when the session is over.
  bool produce(std::string& out);

 private:
  struct Stream {
    std::string method;
    std::string target;
    std::string head;  // fields, and from request() on all of it
    Request request;
    Upload upload;
    Response response;
    std::vector<nghttp2_nv> fields;
  };

  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* server);
  static int on_header(nghttp2_session* session, const nghttp2_frame* frame,
                       const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                       std::size_t value_size, std::uint8_t flags, void* server);
  static int on_data(nghttp2_session* session, std::uint8_t flags, std::int32_t id,
                     const std::uint8_t* data, std::size_t size, void* server);
  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* server);
  static int on_stream_close(nghttp2_session* session, std::int32_t id, std::uint32_t error,
                             void* server);
  static ssize_t read_body(nghttp2_session* session, std::int32_t id, std::uint8_t* into,
                           std::size_t size, std::uint32_t* flags, nghttp2_data_source* source,
                           void* server);

  void request(Stream& stream) const;
  void answer(std::int32_t id, Stream& stream);

  OnRequest on_request_;
  H2Session session_;
  std::map<std::int32_t, Stream> streams_;
};

}  // namespace weir::bench
