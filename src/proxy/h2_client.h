// SPDX-License-Identifier: Apache-2.0
//
// A connection to a server on which Weir speaks HTTP/2 as client: shared by the exchanges of its
// worker, each a stream of it, as many at once as the upstream's settings and the server allow. It
// belongs to its endpoint's list until it ends.
#pragma once

#include <memory>

#include "proxy/h2_session.h"
#include "proxy/upstream_request.h"

namespace weir::proxy {

class H2Client;

/// One request on a stream. Made by its connection; ends when it was released and its stream is
/// closed.
class H2ClientRequest final : public UpstreamRequest, public H2Stream, public Pooled {
 public:
  explicit H2ClientRequest(H2Client& connection);

  // UpstreamRequest
  void start(const http::RequestHead& head, std::string_view target,
             std::span<const http::HeadEdit> edits) override;
  Task<Result<void>> read_head(http::Method method, std::unique_ptr<ServerHead>& head) override;
  void request_sent() override;
  void unpin_head() override {}
  [[nodiscard]] bool head_started() const override { return head_started_; }
  BodyReader& body() override { return reader; }
  void begin_tunnel(Activity&, Millis) override { WEIR_UNREACHABLE("HTTP/2 has no 101"); }
  [[nodiscard]] Micros send_stall() const override;
  void cancel(Error why) override;
  [[nodiscard]] bool reused() const override { return reused_; }
  [[nodiscard]] bool unseen() const override { return unseen_; }
  void release(bool reusable) override;
  [[nodiscard]] Endpoint& endpoint() override;
  [[nodiscard]] Upstream& upstream() override;

  // BodyWriter
  Task<Result<void>> write(Bytes bytes) override { return writer.write(bytes); }
  Task<Result<void>> finish(Bytes bytes, const http::FieldList* trailers) override {
    return writer.finish(bytes, trailers);
  }
  Task<Result<void>> flush() override { return writer.flush(); }
  [[nodiscard]] Millis stall() const override { return writer.stall(); }

  // H2Stream
  void field(Bytes name, Bytes value) override;
  void spoiled(Cause why) override;
  void fields_complete(End end) override;
  void closed(std::uint32_t code) override;

  /// Its exchange has ended.
  [[nodiscard]] bool released() const { return released_; }
  void fail(Error why);

 private:
  [[nodiscard]] Result<void> complete(ServerHead& head, http::Method method);
  void keep_head();
  void reset();
  [[nodiscard]] Error error_of(std::uint32_t code) const;

  H2Client& connection_;
  std::unique_ptr<ServerHead> arriving_;  // of which fields come
  std::unique_ptr<ServerHead> arrived_;   // complete, and not read yet; the first of them
  bool arrived_last_ = false;             // the response ended with it
  io::Notice notice_;
  Instant sent_at_ = kNever;
  Error error_{};
  Cause spoiled_ = Cause::none;
  bool failed_ = false;
  bool head_started_ = false;
  bool final_head_ = false;  // what follows are trailers
  bool reused_;
  bool unseen_ = false;
  bool released_ = false;
  bool closed_ = false;
  bool reset_ = false;        // by us
  std::uint64_t length_ = 0;  // of the response, if its head says it
};

class H2Client final : public H2Session, public ListNode<H2Client>, public Pooled {
 public:
  /// A request on a connection that was made at `since` or later and has room for one; nullptr if
  /// none has. One whose server was told of a client (`ends`) is shared by the exchanges of that
  /// client only.
  static H2ClientRequest* open_kept(Upstream& upstream, Endpoint& endpoint, const Ends* ends,
                                    Instant since);
  /// Takes over a socket that was connected to the endpoint.
  static H2ClientRequest* open_new(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                                   Accepted connected, const Ends* ends);

  /// Ends one that is idle, if there is one.
  static bool retire_idle(Endpoint& endpoint);
  /// Takes no further requests, and ends after those that are under way.
  void retire();
  [[nodiscard]] bool idle() const { return requests_.empty(); }

 private:
  friend class H2ClientRequest;
  H2Client(Upstream& upstream, std::shared_ptr<Endpoint> endpoint, Accepted connected,
           const Ends* ends);

  static Task<> live(H2Client* self);
  void end();
  void settle();
  H2ClientRequest* open();
  [[nodiscard]] bool fit(Instant now) const;
  void remove(H2ClientRequest& request);

  // H2Session
  H2Stream* begin_stream(std::int32_t) override { return nullptr; }  // no server pushes
  [[nodiscard]] bool busy() const override { return !requests_.empty(); }
  void connection_failed(Error why) override;
  void peer_ended() override;
  void going_away() override { retire(); }
  void settings_came() override { settle(); }
  void over() override;
  [[nodiscard]] Millis write_stall() const override;
  [[nodiscard]] Millis idle_stall() const override;
  [[nodiscard]] std::size_t head_size_max() const override;
  [[nodiscard]] Millis head_timeout() const override;

  std::shared_ptr<Upstream> kept_;  // a reload may have dropped it
  Upstream& upstream_;
  std::shared_ptr<Endpoint> endpoint_;
  std::unique_ptr<const Ends> ends_;  // that the server was told of
  List<H2Stream> requests_;
  std::size_t open_ = 0;   // requests that are not released
  std::size_t count_ = 0;  // requests so far
  Instant created_;
  Event over_;
  bool retired_ = false;
  bool cut_ = false;  // lost with requests under way
  bool settling_;     // its server has not said yet how much it takes: others wait
};

}  // namespace weir::proxy
