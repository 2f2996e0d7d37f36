// SPDX-License-Identifier: Apache-2.0
//
// One request to a server and its response, whatever protocol carries them: an HTTP/1 connection
// (h1_client.h) or a stream of an HTTP/2 one (h2_client.h). Used through an UpstreamLease.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "http/encode.h"
#include "proxy/h1_body.h"
#include "proxy/upstream.h"

namespace weir::proxy {

/// The head of a server's response, and what stands under its views where that is not the
/// connection's buffer.
struct ServerHead : http::ResponseHead, Pooled {
  std::unique_ptr<Arena> texts;
  std::unique_ptr<ServerHead> next;  ///< has come meanwhile; the list is short
};

class UpstreamRequest : public BodyWriter {
 public:
  /// Begins a request, whose head leaves with the first bytes of the body. An upgrade that the
  /// client asks for is offered where the protocol has that.
  virtual void start(const http::RequestHead& head, std::string_view target,
                     std::span<const http::HeadEdit> edits) = 0;
  /// The next response head, 1xx included. Views stay until unpin_head() or the end of the
  /// exchange. The time limit runs from when the request is complete (request_sent()). `head` is
  /// made when bytes are there: many exchanges wait at once.
  virtual Task<Result<void>> read_head(http::Method method, std::unique_ptr<ServerHead>& head) = 0;
  virtual void request_sent() = 0;
  virtual void unpin_head() = 0;
  /// Something of a response has come.
  [[nodiscard]] virtual bool head_started() const = 0;
  virtual BodyReader& body() = 0;
  /// After 101: both directions are raw bytes from now on.
  virtual void begin_tunnel(Activity& activity, Millis idle) = 0;
  /// How long the server has taken nothing of the bytes that wait for it.
  [[nodiscard]] virtual Micros send_stall() const = 0;
  /// Ends everything that waits here, with `why`.
  virtual void cancel(Error why) = 0;
  /// On a connection that was used before: it may turn out dead through nobody's fault.
  [[nodiscard]] virtual bool reused() const = 0;
  /// The server has said that it has not looked at the request: any one may be sent again.
  [[nodiscard]] virtual bool unseen() const = 0;
  /// The exchange has ended. `reusable`: cleanly in both directions, and the server keeps the
  /// connection. Deletes this, or keeps it for the next one.
  virtual void release(bool reusable) = 0;

  [[nodiscard]] virtual Endpoint& endpoint() = 0;
  [[nodiscard]] virtual Upstream& upstream() = 0;
};

}  // namespace weir::proxy
