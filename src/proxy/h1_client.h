// SPDX-License-Identifier: Apache-2.0
//
// A connection to a server on which Weir speaks HTTP/1.1 as client: one exchange at a time, kept
// for the next one in the endpoint's pool. While it is idle its receive stays armed, so that a
// server which closes it (or says something that nobody asked for) removes it from the pool at
// once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "http/h1_parse.h"
#include "io/tcp_stream.h"
#include "proxy/upstream_request.h"

namespace weir::proxy {

class H1Client final : public ListNode<H1Client>,
                       public UpstreamRequest,
                       private Input::Watcher,
                       public Pooled {
 public:
  /// `ends`: what the server was told of the connection's client; nullptr: nothing.
  H1Client(Upstream& upstream, std::shared_ptr<Endpoint> endpoint, Accepted connected,
           const Ends* ends);
  ~H1Client() override;

  // UpstreamRequest
  void start(const http::RequestHead& head, std::string_view target,
             std::span<const http::HeadEdit> edits) override;
  Task<Result<void>> write(Bytes bytes) override { return writer_.write(bytes); }
  Task<Result<void>> finish(Bytes bytes, const http::FieldList* trailers) override {
    return writer_.finish(bytes, trailers);
  }
  Task<Result<void>> flush() override { return writer_.flush(); }
  io::TcpStream* plain_sink() override { return writer_.plain_sink(); }
  void spliced(std::uint64_t bytes) override { writer_.spliced(bytes); }
  [[nodiscard]] Millis stall() const override { return writer_.stall(); }
  Task<Result<void>> read_head(http::Method method, std::unique_ptr<ServerHead>& head) override;
  void request_sent() override;
  void unpin_head() override { input_.unpin(std::move(head_)); }
  [[nodiscard]] bool head_started() const override { return head_started_; }
  BodyReader& body() override { return reader_; }
  void begin_tunnel(Activity& activity, Millis idle) override;
  [[nodiscard]] Micros send_stall() const override { return wire_.stream().send_stall(); }
  void cancel(Error why) override;
  [[nodiscard]] bool reused() const override { return requests_ > 1; }
  [[nodiscard]] bool unseen() const override { return false; }
  void release(bool reusable) override { give_back(std::unique_ptr<H1Client>(this), reusable); }
  [[nodiscard]] Endpoint& endpoint() override { return *endpoint_; }
  [[nodiscard]] Upstream& upstream() override { return upstream_; }

  /// Takes an idle connection out of its pool, for an exchange; nullptr if there is none that is
  /// fit. One whose server was told of a client (`ends`) is fit for that client only.
  static H1Client* take_idle(Upstream& upstream, Endpoint& endpoint, const Ends* ends);
  /// Takes over a connection to the endpoint, for an exchange.
  static H1Client* open_new(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                            Accepted connected, const Ends* ends);
  /// Puts a connection into its pool if nothing about it is in doubt, else closes it.
  static void give_back(std::unique_ptr<H1Client> client, bool response_keep_alive);
  /// Closes this idle connection and removes it from its pool. Deletes this.
  void discard_idle();

 private:
  void input_arrived() override { discard_idle(); }
  void begin_exchange();
  [[nodiscard]] bool fit(Instant now) const;
  [[nodiscard]] bool late(Instant now) const;
  static H1Client* find_idle(Endpoint& endpoint, const Ends* ends);

  Upstream& upstream_;
  std::shared_ptr<Endpoint> endpoint_;
  std::unique_ptr<const Ends> ends_;  // that the server was told of
  Wire wire_;
  Input input_;
  io::Chunk head_;  // under the response's head
  H1BodyReader reader_;
  H1BodyWriter writer_;
  Instant created_;
  Instant idle_since_{};
  std::size_t requests_ = 0;
  bool head_started_ = false;
  bool sent_ = false;
  bool tunnel_ = false;
  bool offered_ = false;  // an upgrade, and the server has not answered
  bool last_ = false;     // the server was told that no other request follows
  bool stalled_ = false;  // ended because the server takes nothing
};

}  // namespace weir::proxy
