// SPDX-License-Identifier: Apache-2.0
#include "proxy/exchange.h"

#include <fmt/format.h>

#include "http/h1_parse.h"
#include "http/uri.h"
#include "proxy/grpc.h"
#include "proxy/https_rules.h"
#include "proxy/observe.h"
#include "tls/stream.h"

namespace weir::proxy {

Exchange::Exchange(Context& context, const http::RequestHead& head, BodyReader& body,
                   Responder& responder, const ClientFacts& client, Instant started)
    : context_(context),
      snapshot_(context.snapshot),
      head_(head),
      body_(body),
      responder_(responder),
      client_(client),
      started_(started),
      started_wall_(context.loop.wall_time()),
      uploads_(context.loop.queue) {
  context_.metrics.requests_active.add();
}

Exchange::~Exchange() { context_.metrics.requests_active.sub(); }

Task<> Exchange::run() {
  match_route();
  steps_ = run_request_steps(head_, client_, *route_, snapshot_->config(), context_.random, arena_);
  if (misdirected(head_, client_)) {
    co_await fail_with({Code::refused, Cause::misdirected_request, 0, "route"});
  } else if (client_.https_port != 0 && !stays_plain(head_)) {
    co_await redirect_to_https();
  } else if (route_->settings == nullptr) {
    co_await fail_with({Code::refused, Cause::no_route, 0, "route"});
  } else if (const auto& fixed = route_->settings->respond; fixed) {
    co_await respond_fixed(fixed->status, fixed->content_type, fixed->body);
  } else if (const auto& to = route_->settings->redirect; to) {
    const std::string_view target = redirect_target(to->to, head_, client_.scheme, arena_);
    co_await redirect(to->status, target);
  } else if (steps_.final_recipient) {
    co_await answer_as_final_recipient();
  } else {
    co_await forward();
  }
  log();
}

Task<> Exchange::refuse(Cause cause, Logged logged) {
  route_ = &snapshot_->none;
  const config::Config& config = snapshot_->config();
  steps_.client = client_.peer_text;
  steps_.request_id = choose_request_id(head_, client_, config, context_.random, arena_).text;
  co_await fail_with({Code::malformed, cause, 0, "request"});
  if (logged == Logged::yes) log();
}

void Exchange::match_route() {
  std::string space;
  route_ = &snapshot_->route(head_, http::normalize_path(head_.path, space));
}

// Sends the request, to another server if that is safe, and forwards what comes back.
Task<> Exchange::forward() {
  for (;;) {
    Result<void> answered = co_await attempt();
    if (answered) break;
    if (!upload_done_) co_await finish_upload(Upload::cancel);
    const Error error = aborted_.where != nullptr ? aborted_ : answered.error();
    if (error.code == Code::timed_out && server_stall() > Micros(0)) {
      route_->upstream->vanished(*endpoint_);
    }
    lease_.release(false);
    if (!may_retry()) {
      co_await fail_with(error);
      co_return;
    }
    ++retries_;
  }
  if (response_->status == 101) {
    co_await tunnel();
  } else {
    co_await respond_from_upstream();
  }
}

// One server: lease a connection, send the request, read the head of the final response.
Task<Result<void>> Exchange::attempt() {
  Upstream& upstream = *route_->upstream;
  if (next_ == nullptr) next_ = upstream.pick({});
  endpoint_ = std::move(next_);
  if (endpoint_ == nullptr) {
    co_return fail(upstream.unresolved() ? Cause::upstream_unresolved : Cause::upstream_unavailable,
                   "pick");
  }
  if (!take_kept()) {
    Result<void> found = co_await find_connection();
    if (aborted_.where != nullptr) co_return fail(aborted_);
    if (!found) {
      if (tried_count_ < tried_.size()) tried_[tried_count_++] = endpoint_.get();
      since_ = Instant::min();
      lease_fault_ = LeaseFault::connect;
      co_return fail(connect_cause(found.error()));
    }
  }
  co_await send_request();
  Result<void> head = co_await read_response_head();
  co_return head;
}

bool Exchange::take_kept() {
  Upstream& upstream = *route_->upstream;
  ends_.reset(upstream.tells_ends() ? new const Ends(client_.ends()) : nullptr);
  lease_ = UpstreamLease::of_kept(upstream, endpoint_, ends_.get(), since_);
  return static_cast<bool>(lease_);
}

// One that another exchange is making, or a new one.
Task<Result<void>> Exchange::find_connection() {
  Upstream& upstream = *route_->upstream;
  const Instant begun = context_.loop.now();
  while (upstream.place_to_come(*endpoint_)) {
    Result<void> opened = co_await await_opening();
    if (aborted_.where != nullptr || !opened) co_return opened;
    if (take_kept()) co_return Result<void>{};
  }
  const config::UpstreamProtocol protocol = upstream.settings().protocol;  // a reload may change it
  const bool shared = upstream.shares_connections() && ends_ == nullptr;
  Result<Accepted> connected;
  if (shared) {
    connected = co_await upstream.connect_shared(*endpoint_, connecting_);
  } else {
    connected = co_await upstream.connect(*endpoint_, connecting_, ends_.get());
  }
  if (connected) {
    lease_ =
        UpstreamLease::of_new(upstream, endpoint_, std::move(*connected), ends_.get(), protocol);
    connect_ = context_.loop.now() - begun;
    co_return Result<void>{};
  }
  // Descriptors that are wanting here, and who has left, say nothing about the server.
  const bool its_fault =
      connected.error().code != Code::no_descriptors && aborted_.where == nullptr;
  if (its_fault) upstream.failed(*endpoint_, connected.error());
  co_return std::unexpected(connected.error());
}

Task<Result<void>> Exchange::await_opening() {
  OpeningWaiter waiter(context_.loop);
  opening_ = &waiter;
  Result<void> opened = co_await route_->upstream->await_opening(*endpoint_, waiter);
  opening_ = nullptr;
  co_return opened;
}

// A request without a body leaves at once. A body is sent beside reading the response, which may
// come before the body's end.
Task<> Exchange::send_request() {
  lease_->start(head_, steps_.target, steps_.edits);
  sent_at_ = context_.loop.now();
  if (!head_.body.empty()) {
    upload_done_ = false;
    uploads_.spawn(&Exchange::upload, this);
    co_return;
  }
  // If this fails the reason, perhaps a response, is in what the server has sent.
  ignore(co_await lease_->finish({}, nullptr), "the head will tell");
  lease_->request_sent();
}

Task<> Exchange::upload(Exchange* self) {
  Result<void> flushed;
  // The head goes ahead: the body may take its time, or wait for "100 Continue".
  if (!self->body_.ready() || self->head_.expect_continue) flushed = co_await self->lease_->flush();
  if (flushed) {
    self->upload_result_ =
        co_await pump(self->body_, *self->lease_, self->context_.loop, self->context_.pipes);
  } else {
    self->upload_result_ = {Pumped::Side::writer, flushed.error()};
  }
  self->upload_done_ = true;
  self->sent_at_ = self->context_.loop.now();
  if (self->upload_result_.failed == Pumped::Side::reader) {
    // The client's fault: what the server made of half a request is of no use.
    const Error error = self->upload_result_.error;
    if (error.code != Code::cancelled) self->abort_upstream(error);
  } else if (self->upload_result_.error.code == Code::timed_out) {
    self->abort_upstream(self->upload_result_.error.as(Cause::upstream_write_timeout));
  } else {
    self->lease_->request_sent();  // a writer that failed: the server may have answered already
  }
}

Task<Result<void>> Exchange::read_response_head() {
  for (std::size_t heads = 1;; ++heads) {
    Result<void> read = co_await lease_->read_head(head_.method, response_);
    if (!read) co_return fail(head_fault(read.error()));
    const int status = response_->status;
    if (first_byte_.count() < 0) first_byte_ = context_.loop.now() - sent_at_;
    if (status >= 200) break;
    if (status == 101) {
      // RFC 9110 section 7.8: to what was offered, and not before the request is complete.
      if (!http::upgrade_agreed(head_.upgrade, response_->upgrade) ||
          !responder_.takes_tunnel(*response_)) {
        co_return fail(Cause::upstream_bad_response, "unasked 101");
      }
      if (!upload_done_) co_return fail(Cause::upstream_bad_response, "early 101");
      break;
    }
    continued_ = continued_ || status == 100;
    // Perhaps a part of it went: nothing may follow.
    if (Result<void> told = co_await responder_.inform(*response_); !told) {
      lease_fault_ = LeaseFault::server;
      co_return fail(client_fault(told.error()));
    }
    if (aborted_.where != nullptr) co_return fail(aborted_);
    if (heads % kTurnRequestsMax == 0) co_await yield(context_.loop.queue);
  }
  route_->upstream->worked(*endpoint_);
  co_return Result<void>{};
}

// Nothing reached the server, or it says that it has not looked (RFC 9113 section 8.7), or a kept
// connection was closed before it can have seen the request and the method may be sent again (RFC
// 9110 section 9.2.2, RFC 9112 section 9.3.1).
bool Exchange::may_retry() {
  if (aborted_.where != nullptr || retries_ + 1 >= static_cast<int>(kAttemptsMax)) return false;
  if (lease_fault_ == LeaseFault::connect) {
    next_ = route_->upstream->pick({tried_.data(), tried_count_});
    return next_ != nullptr;
  }
  const bool safe = lease_fault_ == LeaseFault::unseen ||
                    (lease_fault_ == LeaseFault::kept_connection && idempotent(head_.method));
  if (safe && since_ == Instant::min() && head_.body.empty()) {
    next_ = endpoint_;
    since_ = context_.loop.now();
    return true;
  }
  return false;
}

Error Exchange::head_fault(Error error) {
  const bool gone = error.code == Code::closed || error.code == Code::reset;
  const bool dead = gone && lease_->reused() && !lease_->head_started();
  lease_fault_ = lease_->unseen() ? LeaseFault::unseen
                 : dead           ? LeaseFault::kept_connection
                                  : LeaseFault::server;
  if (aborted_.where != nullptr) return aborted_;
  if (error.cause != Cause::none) return error;
  switch (error.code) {
    case Code::timed_out: return error.as(Cause::upstream_head_timeout);
    case Code::closed: return error.as(Cause::upstream_closed);
    case Code::no_memory: return error.as(Cause::overload_memory);
    case Code::malformed: return error.as(Cause::upstream_bad_response);
    case Code::reset:
    case Code::cancelled:
    case Code::refused:
    case Code::unreachable:
    case Code::no_descriptors:
    case Code::unresolved:
    case Code::os: return error.as(Cause::upstream_reset);
  }
  WEIR_UNREACHABLE("code");
}

Task<> Exchange::respond_from_upstream() {
  status_ = response_->status;
  const bool keep_alive = response_->keep_alive;
  // The server has answered what it had not read. What is still sent it may take for a request.
  const bool early = !upload_done_;
  const bool unwanted = status_ >= 300 || (head_.expect_continue && !continued_);
  responder_.start(*response_, response_edits(*response_), response_->body);
  response_.reset();
  lease_->unpin_head();
  const Pumped pumped = co_await pump(lease_->body(), responder_, context_.loop, context_.pipes);
  if (pumped.failed != Pumped::Side::none) {
    const Error error = aborted_.where != nullptr               ? aborted_
                        : pumped.failed == Pumped::Side::reader ? pumped.error
                                                                : client_fault(pumped.error);
    note(error);
    responder_.abort(error);
    if (!upload_done_) co_await finish_upload(Upload::cancel);
    lease_.release(false);
    co_return;
  }
  // The response may be complete before the request is. A server that keeps the connection may
  // still want the rest; one that closes it, or has refused, does not. RFC 9110 section 10.1.1.
  if (early) co_await finish_upload(keep_alive && !unwanted ? Upload::wait : Upload::cancel);
  lease_.release(keep_alive && !early && upload_result_.failed == Pumped::Side::none);
}

// After 101 both directions are raw bytes, each ended by its sender (a half-close).
Task<> Exchange::tunnel() {
  status_ = 101;
  const Millis idle = snapshot_->config().timeouts.tunnel_idle;
  activity_.moved = context_.loop.now();
  context_.metrics.tunnels_active.add();
  responder_.start_tunnel(*response_, route_->response_edits, activity_, idle);
  response_.reset();
  lease_->unpin_head();
  lease_->begin_tunnel(activity_, idle);
  Result<void> flushed = co_await responder_.flush();
  if (flushed) {
    upload_done_ = false;
    uploads_.spawn(&Exchange::upload_tunnel, this);
    const Pumped down = co_await pump(lease_->body(), responder_, context_.loop, context_.pipes);
    if (down.failed != Pumped::Side::none) {
      const bool reader = down.failed == Pumped::Side::reader;
      end_tunnel(reader ? down.error : client_fault(down.error));
    }
    co_await uploads_.join();
  } else {
    end_tunnel(client_fault(flushed.error()));
  }
  context_.metrics.tunnels_active.sub();
  lease_.release(false);
}

Task<> Exchange::upload_tunnel(Exchange* self) {
  const Pumped up =
      co_await pump(self->body_, *self->lease_, self->context_.loop, self->context_.pipes);
  self->upload_done_ = true;
  if (up.failed != Pumped::Side::none) {
    const bool reader = up.failed == Pumped::Side::reader;
    self->end_tunnel(reader ? up.error : up.error.as(Cause::upstream_truncated));
  }
}

void Exchange::note(const Error& error) {
  cause_ = error.cause;
  detail_ = detail_of(error);
}

void Exchange::end_tunnel(Error error) {
  if (cause_ != Cause::none) return;  // one direction has said why; the other follows
  if (aborted_.where != nullptr) error = aborted_;
  note(error);
  responder_.abort(error);
  abort_upstream(error);
}

Task<> Exchange::finish_upload(Upload how) {
  if (how == Upload::cancel) {
    const Error why{Code::cancelled, Cause::none, 0, "upload"};
    responder_.cancel_body(why);
    lease_->cancel(why);
  }
  co_await uploads_.join();
}

Task<> Exchange::respond_fixed(int status, std::string_view content_type, std::string_view body) {
  http::ResponseHead head;
  head.status = status;
  const bool bodiless = status == 204 || status == 304 || head_.method == http::Method::head;
  if (!content_type.empty() && !body.empty()) {
    head.fields.push_back({"Content-Type", content_type, http::FieldId::content_type});
  }
  if (const Cause cause = cause_; cause != Cause::none && snapshot_->config().cause_header) {
    head.fields.push_back({"weir-cause", describe(cause).name});
  }
  status_ = status;
  if (bodiless) {
    if (status != 204 && status != 304) {
      const std::string_view length = arena_.copy(fmt::format_int(body.size()).c_str());
      head.fields.push_back({"Content-Length", length, http::FieldId::content_length});
    }
    responder_.start(head, response_edits(head), http::BodyLength::none());
    body = {};
  } else {
    responder_.start(head, response_edits(head), http::BodyLength::known(body.size()));
  }
  if (Result<void> sent = co_await responder_.finish(body, nullptr); !sent) {
    const Error error = aborted_.where != nullptr ? aborted_ : client_fault(sent.error());
    if (cause_ == Cause::none) cause_ = error.cause;
    responder_.abort(error);
  }
}

Task<> Exchange::redirect_to_https() {
  const std::string_view to = https_target(head_, client_.https_port, arena_);
  if (to.empty()) {
    co_await fail_with({Code::malformed, Cause::bad_host, 0, "https_only"});
  } else {
    co_await redirect(308, to);
  }
}

std::span<const http::HeadEdit> Exchange::response_edits(const http::ResponseHead& head) {
  const std::span<const http::HeadEdit> edits = route_->response_edits;
  const bool hsts = client_.tls != nullptr && snapshot_->hsts();
  return hsts ? with_hsts(edits, head, arena_) : edits;
}

Task<> Exchange::redirect(int status, std::string_view to) {
  http::ResponseHead head;
  head.status = status_ = status;
  head.fields.push_back({"Location", to, http::FieldId::location});
  responder_.start(head, response_edits(head), http::BodyLength::known(0));
  if (Result<void> sent = co_await responder_.finish({}, nullptr); !sent) {
    cause_ = client_fault(sent.error()).cause;
    responder_.abort(sent.error());
  }
}

// RFC 9110 section 7.6.2. TRACE is not reflected: what it would show was not meant for scripts.
Task<> Exchange::answer_as_final_recipient() {
  if (head_.method == http::Method::trace) {
    co_await fail_with({Code::refused, Cause::unsupported_method, 0, "TRACE"});
  } else {
    co_await respond_fixed(200, {}, {});
  }
}

// Answers with the cause if the client can still be answered, otherwise makes the end visible.
Task<> Exchange::fail_with(Error error) {
  note(error.cause == Cause::none ? error.as(Cause::internal) : error);
  const CauseText& text = describe(cause_);
  const bool client_there = text.http_status != 0 && cause_ != Cause::client_closed;
  if (responder_.started() || !client_there) {
    responder_.abort(error);
    co_return;
  }
  if (is_grpc(head_)) {
    co_await fail_grpc();
    co_return;
  }
  const std::string body = fmt::format("{} {}\n\n{}: {}\n", text.http_status,
                                       http::reason_phrase(text.http_status), text.name, text.what);
  co_await respond_fixed(text.http_status, "text/plain; charset=utf-8", body);
}

// A response that is only a head, whose fields are the trailers that the client looks at.
Task<> Exchange::fail_grpc() {
  const CauseText& text = describe(cause_);
  const std::string said = grpc_message(fmt::format("{}: {}", text.name, text.what));
  http::ResponseHead head;
  head.status = status_ = 200;
  head.fields.push_back({"content-type", "application/grpc", http::FieldId::content_type});
  head.fields.push_back({"grpc-status", grpc_status(cause_)});
  head.fields.push_back({"grpc-message", arena_.copy(said)});
  if (snapshot_->config().cause_header) head.fields.push_back({"weir-cause", text.name});
  responder_.start(head, route_->response_edits, http::BodyLength::none());
  ignore(co_await responder_.finish({}, nullptr), "the head was all");
}

Error Exchange::client_fault(Error error) const {
  if (error.cause != Cause::none) return error;
  return error.as(error.code == Code::timed_out ? Cause::client_write_timeout
                                                : Cause::client_closed);
}

void Exchange::abort_upstream(Error why) {
  if (aborted_.where == nullptr) {
    aborted_ = why;
    if (aborted_.where == nullptr) aborted_.where = "abort";
  }
  connecting_.cancel(aborted_);
  if (opening_ != nullptr) opening_->give();
  if (lease_) lease_->cancel(why);
}

void Exchange::abort(Error why) {
  abort_upstream(why);
  responder_.cancel_body(why);
}

void Exchange::log() {
  Record record;
  record.started = started_wall_;
  record.protocol = http::version_name(head_.version);
  record.peer = &client_.peer;
  record.client = steps_.client;
  record.method = head_.method_name;
  record.host = head_.authority;
  if (client_.tls != nullptr) {
    record.tls_version = client_.tls->facts().version;
    record.tls_cipher = client_.tls->facts().cipher;
  }
  record.target = head_.target;
  const auto value = [&](http::FieldId id) {
    const http::Field* field = head_.fields.find(id);
    return field == nullptr ? std::string_view{} : field->value;
  };
  if (context_.log != nullptr) {
    record.user_agent = value(http::FieldId::user_agent);
    record.referer = value(http::FieldId::referer);
  }
  record.request_id = steps_.request_id;
  if (route_->settings != nullptr) record.route = route_->settings->name;
  record.route_counts = route_->counts;
  if (route_->upstream != nullptr) {
    record.upstream = route_->upstream->name();
    record.upstream_counts = &route_->upstream->counts();
  }
  if (endpoint_ != nullptr) record.server = endpoint_->name;
  record.status = responder_.started() ? status_ : 0;
  record.cause = cause_;
  record.detail = detail_;
  record.retries = retries_;
  record.bytes_received = responder_.bytes_received();
  record.bytes_sent = responder_.bytes_sent();
  record.duration = context_.loop.now() - started_;
  record.connect = connect_;
  record.first_byte = first_byte_;
  observe(context_, record);
}

}  // namespace weir::proxy
