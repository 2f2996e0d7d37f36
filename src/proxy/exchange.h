// SPDX-License-Identifier: Apache-2.0
//
// One request and its response: match the route, run its request steps, pick a server, lease a
// connection, send the request while reading the response, run its response steps, forward until
// both ends are finished, log once. The same for every protocol (h1_server.h, h2_request.h), and
// nothing here knows which it is.
#pragma once

#include <array>
#include <memory>

#include "async/scope.h"
#include "proxy/pump.h"
#include "proxy/request_steps.h"
#include "proxy/snapshot.h"
#include "proxy/upstream_lease.h"

namespace weir::proxy {

/// The means to answer one request. Implemented by each protocol; outlives the exchange.
class Responder : public BodyWriter {
 public:
  /// Sends an informational response (1xx but 101) now; protocols that cannot carry it ignore it.
  virtual Task<Result<void>> inform(const http::ResponseHead& head) = 0;
  /// Begins the response; its head leaves with the first bytes of the body. Once per exchange.
  virtual void start(const http::ResponseHead& head, std::span<const http::HeadEdit> edits,
                     const http::BodyLength& length) = 0;
  /// Begins a 101 response, after which request body and response body are the tunnel's raw bytes.
  virtual void start_tunnel(const http::ResponseHead& head, std::span<const http::HeadEdit> edits,
                            Activity& activity, Millis idle) = 0;
  [[nodiscard]] virtual bool started() const = 0;
  /// Whether a 101 of the server is what the client asked for, beyond what the exchange knows.
  [[nodiscard]] virtual bool takes_tunnel(const http::ResponseHead&) const { return true; }
  /// The response can not be completed: makes that visible to the client.
  virtual void abort(Error why) = 0;
  /// Ends a read of the request body that is under way.
  virtual void cancel_body(Error why) = 0;
  [[nodiscard]] virtual std::uint64_t bytes_sent() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes_received() const = 0;
};

class Exchange {
 public:
  /// `head`, `body` and `responder` belong to the protocol's connection and outlive the exchange.
  Exchange(Context& context, const http::RequestHead& head, BodyReader& body, Responder& responder,
           const ClientFacts& client, Instant started);
  ~Exchange();

  Task<> run();
  /// Answers a request that is malformed, or wants what nobody may have, with this cause.
  enum class Logged : std::uint8_t { yes, no };
  Task<> refuse(Cause cause, Logged logged);

  /// Ends it early (the client left, the drain took too long): every wait completes, run() returns.
  void abort(Error why);

  /// How long the server has taken nothing of the request's bytes that wait for it.
  [[nodiscard]] Micros server_stall() const { return lease_ ? lease_->send_stall() : Micros(0); }

 private:
  static constexpr std::size_t kAttemptsMax = 4;

  enum class Upload : std::uint8_t { wait, cancel };
  /// Where an attempt failed, which decides whether it may be repeated.
  enum class LeaseFault : std::uint8_t { none, connect, kept_connection, unseen, server };

  // The steps, in order.
  void match_route();
  Task<> forward();
  Task<Result<void>> attempt();
  [[nodiscard]] bool take_kept();
  Task<Result<void>> find_connection();
  Task<Result<void>> await_opening();
  Task<> send_request();
  Task<Result<void>> read_response_head();
  Task<> respond_from_upstream();
  Task<> tunnel();
  Task<> respond_fixed(int status, std::string_view content_type, std::string_view body);
  Task<> answer_as_final_recipient();
  Task<> redirect(int status, std::string_view to);
  Task<> redirect_to_https();
  std::span<const http::HeadEdit> response_edits(const http::ResponseHead& head);
  Task<> fail_with(Error error);
  Task<> fail_grpc();
  void log();

  static Task<> upload(Exchange* self);
  static Task<> upload_tunnel(Exchange* self);
  Task<> finish_upload(Upload how);
  void note(const Error& error);
  void end_tunnel(Error error);
  void abort_upstream(Error why);
  [[nodiscard]] bool may_retry();
  Error head_fault(Error error);
  [[nodiscard]] Error client_fault(Error error) const;

  Context& context_;
  std::shared_ptr<Snapshot> snapshot_;
  const http::RequestHead& head_;
  BodyReader& body_;
  Responder& responder_;
  const ClientFacts& client_;
  Instant started_;
  WallTime started_wall_;

  const RouteEntry* route_ = nullptr;
  Arena arena_;
  RequestSteps steps_;

  std::array<const Endpoint*, kAttemptsMax> tried_{};
  std::size_t tried_count_ = 0;
  int retries_ = 0;
  Instant since_ = Instant::min();  // the next attempt uses a connection that was made since then
  LeaseFault lease_fault_ = LeaseFault::none;
  std::unique_ptr<const Ends> ends_;  // that the server is told of; nullptr: it is told nothing
  Connecting connecting_;
  OpeningWaiter* opening_ = nullptr;  // while another exchange connects
  UpstreamLease lease_;
  std::shared_ptr<Endpoint> endpoint_;    // used last
  std::shared_ptr<Endpoint> next_;        // to be used by the next attempt
  std::unique_ptr<ServerHead> response_;  // from when it has come until it was passed on
  Scope uploads_;
  Pumped upload_result_;
  bool upload_done_ = true;
  bool continued_ = false;  // the server has sent 100
  Activity activity_;

  int status_ = 0;
  Cause cause_ = Cause::none;
  const char* detail_ = "";  // static text
  Error aborted_{};          // where != nullptr: by abort()
  Instant sent_at_{};
  Micros first_byte_{-1};
  Micros connect_{-1};
};

}  // namespace weir::proxy
