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
#include "proxy/h1_body.h"
#include "proxy/upstream.h"

namespace weir::proxy {

/// The head of a server's response.
struct ServerHead : http::ResponseHead, Pooled {};

class H1Client final : public ListNode<H1Client>,
                       public BodyWriter,
                       private Input::Watcher,
                       public Pooled {
 public:
  /// `ends`: what the server was told of the connection's client; nullptr: nothing.
  H1Client(Upstream& upstream, std::shared_ptr<Endpoint> endpoint, io::Socket* socket,
           const Ends* ends);
  ~H1Client() override;

  /// Begins a request: encodes its head, which leaves with the first bytes of the body.
  void start(const http::RequestHead& head, std::string_view target,
             std::span<const http::HeadEdit> edits, bool upgrade);
  // The request's body.
  Task<Result<void>> write(Bytes bytes) override { return writer_.write(bytes); }
  Task<Result<void>> finish(Bytes bytes, const http::FieldList* trailers) override {
    return writer_.finish(bytes, trailers);
  }
  Task<Result<void>> flush() override { return writer_.flush(); }
  io::TcpStream* plain_sink() override { return writer_.plain_sink(); }
  void spliced(std::uint64_t bytes) override { writer_.spliced(bytes); }
  [[nodiscard]] Millis stall() const override { return writer_.stall(); }
  [[nodiscard]] bool request_complete() const { return writer_.complete(); }

  /// The next response head, 1xx included. Views stay until unpin_head() or the end of the
  /// exchange. The time limit runs from when the request is complete (request_sent()). `head` is
  /// made when bytes are there: many exchanges wait at once.
  Task<Result<void>> read_head(http::Method method, std::unique_ptr<ServerHead>& head);
  void request_sent();
  void unpin_head() { input_.unpin(std::move(head_)); }
  [[nodiscard]] bool head_started() const { return head_started_; }
  BodyReader& body() { return reader_; }

  /// After 101: both directions are raw bytes from now on.
  void begin_tunnel(Activity& activity, Millis idle);

  [[nodiscard]] Micros send_stall() const { return stream_.send_stall(); }
  /// Ends everything that waits here, with `why`.
  void cancel(Error why);

  /// Used for an earlier request: it may turn out dead through nobody's fault.
  [[nodiscard]] bool reused() const { return requests_ > 1; }
  [[nodiscard]] Endpoint& endpoint() { return *endpoint_; }
  [[nodiscard]] Upstream& upstream() { return upstream_; }

  /// Takes an idle connection out of its pool; nullptr if there is none that is fit. One whose
  /// server was told of a client is fit for that client only.
  static std::unique_ptr<H1Client> take_idle(Upstream& upstream, Endpoint& endpoint,
                                             const Ends* ends);
  /// Puts a connection into its pool if nothing about it is in doubt, else closes it.
  static void give_back(std::unique_ptr<H1Client> client, bool response_keep_alive);
  /// Closes this idle connection and removes it from its pool. Deletes this.
  void discard_idle();

 private:
  friend class UpstreamLease;
  void input_arrived() override { discard_idle(); }
  void begin_exchange();
  [[nodiscard]] bool fit(Instant now) const;
  [[nodiscard]] bool late(Instant now) const;
  static H1Client* find_idle(Endpoint& endpoint, const Ends* ends);

  Upstream& upstream_;
  std::shared_ptr<Endpoint> endpoint_;
  std::unique_ptr<const Ends> ends_;  // that the server was told of
  io::TcpStream stream_;
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

/// The use of a connection for one exchange. Its end gives the connection back to the pool or
/// closes it, whichever is right; unique ownership.
class UpstreamLease {
 public:
  UpstreamLease() = default;
  UpstreamLease(UpstreamLease&&) = default;
  UpstreamLease& operator=(UpstreamLease&& other) noexcept;
  ~UpstreamLease() { release(false); }

  /// Takes an idle connection; empty if there is none.
  static UpstreamLease of_idle(Upstream& upstream, Endpoint& endpoint, const Ends* ends);
  /// Takes over a socket that was connected to the endpoint. `ends`: as of Upstream::connect.
  static UpstreamLease of_new(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                              io::Socket* socket, const Ends* ends);

  /// Ends the use. `reusable`: the exchange ended cleanly in both directions and the server keeps
  /// the connection.
  void release(bool reusable);
  explicit operator bool() const { return client_ != nullptr; }
  H1Client* operator->() { return client_.get(); }
  const H1Client* operator->() const { return client_.get(); }
  H1Client& operator*() { return *client_; }

 private:
  explicit UpstreamLease(std::unique_ptr<H1Client> client);
  std::unique_ptr<H1Client> client_;
};

}  // namespace weir::proxy
