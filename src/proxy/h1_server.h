// SPDX-License-Identifier: Apache-2.0
//
// A client's HTTP/1 connection: waits for a request, reads its head, makes an exchange of it, and
// decides whether another one can follow (pipelined requests wait in the input). While it waits
// there is no coroutine and no H1Request: only the receive that stays armed.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "http/h1_parse.h"
#include "proxy/connection.h"
#include "proxy/exchange.h"
#include "proxy/h1_body.h"
#include "proxy/handler.h"

namespace weir::proxy {

/// One request on an HTTP/1 connection: lives from its first byte until its response is complete.
class H1Request final : public Responder, public Pooled, private io::Timer {
 public:
  H1Request(io::TcpStream& stream, Input& input, Context& context, const io::Peer& peer,
            const io::Peer* destination);

  // Responder
  Task<Result<void>> inform(const http::ResponseHead& head) override;
  void start(const http::ResponseHead& head, std::span<const http::HeadEdit> edits,
             const http::BodyLength& length) override;
  void start_tunnel(const http::ResponseHead& head, std::span<const http::HeadEdit> edits,
                    Activity& activity, Millis idle) override;
  [[nodiscard]] bool started() const override { return started_; }
  void abort(Error why) override;
  void cancel_body(Error why) override;
  [[nodiscard]] std::uint64_t bytes_sent() const override { return writer.sent(); }
  [[nodiscard]] std::uint64_t bytes_received() const override { return reader.received(); }

  // BodyWriter
  Task<Result<void>> write(Bytes bytes) override { return writer.write(bytes); }
  Task<Result<void>> finish(Bytes bytes, const http::FieldList* trailers) override {
    // While the client still sends it is read on, for the response's sake: H1Server::linger.
    if (!keep_alive_ && reader.complete()) writer.end_with_message();
    return writer.finish(bytes, trailers);
  }
  Task<Result<void>> flush() override { return writer.flush(); }
  io::TcpStream* plain_sink() override { return writer.plain_sink(); }
  void spliced(std::uint64_t bytes) override { writer.spliced(bytes); }
  [[nodiscard]] Millis stall() const override { return writer.stall(); }

  /// The response left complete and the connection may carry another request.
  [[nodiscard]] bool reusable() const { return writer.complete() && keep_alive_ && !broken_; }
  [[nodiscard]] bool broken() const { return broken_; }
  /// An aborted message whose end is the connection's end can only be told from a whole one by a
  /// reset. And what a client does not take would stay in the kernel long after an orderly close.
  [[nodiscard]] bool needs_reset() const { return broken_ && (until_close_ || stalled_); }
  void refuse_reuse() { keep_alive_ = false; }
  /// Ends its exchange early, and every wait for the client.
  void cancel(Error why);
  [[nodiscard]] bool cancelled() const { return cancelled_; }
  /// Its client has ended its direction: unless something moves, it is given up after a while.
  void half_closed();
  /// It is answered: no half-close matters any more.
  void answered() { Timer::disarm(); }

  const Instant begun;
  ClientFacts client;
  io::Chunk head_buffer;  ///< under the head's views
  http::RequestHead head;
  H1BodyReader reader;
  H1BodyWriter writer;
  Exchange* exchange = nullptr;  ///< while one runs

 private:
  [[nodiscard]] bool body_can_be_drained() const;
  void on_timer();

  io::TcpStream& stream_;
  Context& context_;
  io::Peer::TextSpace peer_text_;
  std::uint64_t sent_before_ = 0;  // when the half-close was last looked at
  std::uint64_t unacknowledged_before_ = 0;
  Instant looked_at_{};
  bool cancelled_ = false;
  bool started_ = false;
  bool keep_alive_ = true;
  bool broken_ = false;
  bool stalled_ = false;  // because the client takes nothing
  bool until_close_ = false;
  bool continued_ = false;  // 100 was sent
};

class H1Server final : public Connection, private Input::Watcher {
 public:
  /// Takes over a connection. `handler`: nullptr for the proxy.
  H1Server(Context& context, Accepted accepted, Handler* handler);
  ~H1Server() override;

  void start() override;
  void drain() override;
  void abort(Error why) override;
  [[nodiscard]] bool idle() const override;
  [[nodiscard]] Micros stall() const override;
  /// Before start(): answers the first request with this cause instead, and ends.
  void turn_away(Cause cause) { turned_away_ = cause; }

 private:
  enum class Next : std::uint8_t { request, http2, end };

  void await_request();
  void input_arrived() override;
  Task<> serve();
  Task<Next> read_head();
  Task<> handle_request();
  Task<> drop_body();
  Next end_request();
  [[nodiscard]] bool may_go_on() const;
  void begin_request();
  void become_http2();
  void look_again(const http::HeadLimits& limits);
  Task<> refuse(Cause cause);
  Task<> linger();

  Context& context_;
  io::TcpStream stream_;
  Input input_;
  Handler* handler_;
  std::unique_ptr<H1Request> request_;
  std::unique_ptr<const io::Peer> destination_;  // where the client connected to, if that was told
  io::Peer peer_;
  std::uint32_t requests_ = 0;
  // What follows is packed: this and what waits in it is all that an idle connection costs.
  std::uint32_t accepted_;  // milliseconds of the loop's clock
  Cause turned_away_ = Cause::none;
  bool draining_ : 1 = false;
  bool aborted_ : 1 = false;  // it ends in its own time, and is not there to be closed once more
  bool unread_input_ : 1 = false;  // closing at once might reset the connection
};

}  // namespace weir::proxy
