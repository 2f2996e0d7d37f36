// SPDX-License-Identifier: Apache-2.0
//
// A client's HTTP/2 connection: makes an exchange of each stream. Streams run beside each other and
// share the connection's output; how many there are, and what each may hold, is bounded
// (base/limits.h).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/connection.h"
#include "proxy/exchange.h"
#include "proxy/h2_session.h"
#include "proxy/handler.h"

namespace weir::proxy {

class H2Server;

/// One request of an HTTP/2 connection: lives until its exchange has ended and its stream is
/// closed.
class H2Request final : public Responder, public H2Stream, public Pooled {
 public:
  H2Request(H2Server& server, std::int32_t number);
  ~H2Request() override;

  // H2Stream
  void field(Bytes name, Bytes value) override;
  void spoiled(Cause why) override;
  void fields_complete(End end) override;
  void closed(std::uint32_t code) override;

  // Responder
  Task<Result<void>> inform(const http::ResponseHead& head) override;
  void start(const http::ResponseHead& head, std::span<const http::HeadEdit> edits,
             const http::BodyLength& length) override;
  void start_tunnel(const http::ResponseHead& head, std::span<const http::HeadEdit> edits,
                    Activity& activity, Millis idle) override;
  [[nodiscard]] bool takes_tunnel(const http::ResponseHead& head) const override;
  [[nodiscard]] bool started() const override { return started_; }
  void abort(Error why) override;
  void cancel_body(Error why) override { reader.fail(why); }
  [[nodiscard]] std::uint64_t bytes_sent() const override { return writer.sent(); }
  [[nodiscard]] std::uint64_t bytes_received() const override { return reader.received(); }

  // BodyWriter
  Task<Result<void>> write(Bytes bytes) override { return writer.write(bytes); }
  Task<Result<void>> finish(Bytes bytes, const http::FieldList* trailers) override {
    return writer.finish(bytes, trailers);
  }
  Task<Result<void>> flush() override { return writer.flush(); }
  [[nodiscard]] Millis stall() const override { return writer.stall(); }

  /// Its exchange runs, or is about to.
  [[nodiscard]] bool running() const { return state_ == State::running; }
  /// Ends its exchange early.
  void cancel(Error why);
  /// The client sends nothing more: what it still owes will not come.
  void client_ended();

 private:
  friend class H2Server;
  enum class State : std::uint8_t { head, running, ended };
  struct Begin : Runnable {
    H2Request* self = nullptr;
  };

  static Task<> serve(H2Request* self);
  void make_head(End end);
  void begin_body();
  void send_head(const http::ResponseHead& head, std::span<const http::HeadEdit> edits,
                 const http::Framing& framing, H2Session::Body body);

  H2Server& server_;
  Context& context_;
  const Instant begun_;
  ClientFacts client_;
  http::RequestHead head_;
  std::optional<http::H2RequestBuilder> builder_;
  Arena texts_;  // under the head
  std::string cookie_;
  std::string websocket_key_;   // that the server is asked with; empty: no tunnel is asked for
  std::size_t head_bytes_ = 0;  // kept of the head
  Exchange* exchange_ = nullptr;
  Begin begin_;
  State state_ = State::head;
  Cause refused_ = Cause::none;
  bool started_ = false;
  bool closed_ = false;     // its stream is no more
  bool malformed_ = false;  // RFC 9113 section 8.1.1
};

class H2Server final : public Connection, private H2Session, private io::Timer {
 public:
  /// Takes over a connection on which the client speaks HTTP/2, from its preface on. `handler`:
  /// nullptr for the proxy.
  H2Server(Context& context, Accepted accepted, Handler* handler);
  ~H2Server() override;

  void start() override;
  void drain() override;
  void abort(Error why) override;
  [[nodiscard]] bool idle() const override;
  [[nodiscard]] Micros stall() const override;

 private:
  friend class H2Request;

  // H2Session
  H2Stream* begin_stream(std::int32_t id) override;
  [[nodiscard]] bool busy() const override { return !requests_.empty(); }
  void connection_failed(Error why) override;
  void peer_ended() override;
  void settings_came() override {}
  void going_away() override {}  // it begins no streams, and those that are open go on
  void over() override;
  [[nodiscard]] Millis write_stall() const override;
  [[nodiscard]] Millis idle_stall() const override;
  [[nodiscard]] std::size_t head_size_max() const override;
  [[nodiscard]] Millis head_timeout() const override;

  void announce_end();
  [[nodiscard]] std::uint64_t moved() const;
  void request_ended(H2Request& request);
  void remove(H2Request& request);
  void on_timer();

  Context& context_;
  Handler* handler_;
  std::unique_ptr<Arrival> arrival_;
  io::Peer peer_;
  io::Peer::TextSpace peer_text_{};
  List<H2Stream> requests_;
  std::size_t head_bytes_ = 0;     // kept of the heads of all
  std::size_t running_ = 0;        // of their exchanges
  std::size_t accepted_ = 0;       // requests so far
  std::uint64_t sent_before_ = 0;  // when the half-close was last looked at
  Instant started_;
  Instant quiet_since_;  // with no request open
  enum class Leaving : std::uint8_t { no, noticed, soon } leaving_ = Leaving::no;
  bool begun_ = false;
  bool half_closed_ = false;
  bool cut_ = false;  // lost before all was answered
};

}  // namespace weir::proxy
