// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "proxy/h2_server.h"
#include "proxy/websocket_key.h"

namespace weir::proxy {
namespace {

constexpr Error kClientGone{Code::closed, Cause::client_closed, 0, "stream"};

http::Framing framing_of(const http::BodyLength& length) {
  http::Framing framing;
  framing.body = length;
  framing.keep_content_length = length.kind == http::BodyLength::Kind::none;
  return framing;
}

}  // namespace

H2Request::H2Request(H2Server& server, std::int32_t number)
    : H2Stream(server.context_.loop, server, number, kClientBody),
      server_(server),
      context_(server.context_),
      begun_(context_.loop.now()),
      builder_(head_) {
  client_.peer = server.peer_;
  client_.peer_text = server.peer_.text_in(server.peer_text_);
  client_.see(server.wire(), server.arrival_.get());
  begin_.self = this;
  begin_.run = [](Runnable& begin) {
    H2Request* self = static_cast<Begin&>(begin).self;
    self->context_.scope.spawn(&H2Request::serve, self);
  };
}

H2Request::~H2Request() { server_.head_bytes_ -= head_bytes_; }

// Heads are not part of the budget for buffers: what a connection holds of them is bounded.
void H2Request::field(Bytes name, Bytes value) {
  const std::size_t size = name.size() + value.size();
  if (server_.head_bytes_ + size > kH2RequestHeadsMax) return spoiled(Cause::overload_memory);
  head_bytes_ += size;
  server_.head_bytes_ += size;
  const std::string_view kept_name = texts_.copy(name);
  const std::string_view kept_value = texts_.copy(value);
  if (builder_) {
    if (head_.fields.size() + builder_->cookies() >=
        context_.snapshot->config().limits.head_fields) {
      return spoiled(Cause::head_too_large);
    }
    builder_->add(kept_name, kept_value);
  } else {
    reader.received_trailers().push_back({kept_name, kept_value, http::field_id(kept_name)});
  }
}

void H2Request::spoiled(Cause why) {
  malformed_ = malformed_ || why == Cause::bad_header;
  if (state_ == State::head) {
    if (refused_ == Cause::none) refused_ = why;
  } else if (running()) {
    cancel({Code::malformed, why, 0, "trailers"});  // of its trailers
  }
}

void H2Request::fields_complete(End end) {
  if (state_ != State::head) {  // trailers
    if (end == End::yes) reader.end();
    return;
  }
  make_head(end);
  state_ = State::running;
  ++server_.running_;
  context_.loop.queue.push(begin_);
}

void H2Request::make_head(End end) {
  using Ends = http::H2RequestBuilder::End;
  const Ends ends = end == End::yes ? Ends::head : Ends::body_follows;
  const http::HeadLimits limits = context_.snapshot->head_limits();
  const Result<void> made = builder_->finish(ends, limits, cookie_);
  if (!made && refused_ == Cause::none) refused_ = made.error().cause;
  if (made && !builder_->protocol().empty()) {
    websocket_key_ = websocket_key(context_.random);
    head_.fields.push_back({"sec-websocket-key", websocket_key_});
  }
  builder_.reset();
  const config::Config& config = context_.snapshot->config();
  using Expect = H2BodyReader::Expect;
  reader.begin(id, end == End::yes ? Expect::nothing : Expect::body, config.timeouts.client_body);
  if (config.limits.body_size == 0 || !websocket_key_.empty()) return;
  reader.limit(config.limits.body_size, Cause::body_too_large);
  const bool too_large = head_.body.kind == http::BodyLength::Kind::known &&
                         head_.body.bytes > config.limits.body_size;
  if (too_large && refused_ == Cause::none) refused_ = Cause::body_too_large;
}

Task<> H2Request::serve(H2Request* self) {
  if (self->refused_ != Cause::none) {
    Exchange exchange(self->context_, self->head_, self->reader, *self, self->client_,
                      self->begun_);
    self->exchange_ = &exchange;
    using Logged = Exchange::Logged;
    const Logged logged = self->server_.handler_ == nullptr ? Logged::yes : Logged::no;
    co_await exchange.refuse(self->refused_, logged);
  } else if (self->server_.handler_ != nullptr) {
    co_await self->server_.handler_->handle(self->head_, self->reader, *self);
  } else {
    Exchange exchange(self->context_, self->head_, self->reader, *self, self->client_,
                      self->begun_);
    self->exchange_ = &exchange;
    if (self->closed_ || self->server_.ended()) exchange.abort(kClientGone);
    co_await exchange.run();
  }
  self->exchange_ = nullptr;
  self->server_.request_ended(*self);
}

void H2Request::closed(std::uint32_t code) {
  closed_ = true;
  const bool proper = code == NGHTTP2_NO_ERROR && writer.complete();
  if (!proper || !reader.ended()) {
    reader.fail(kClientGone);
    writer.fail(kClientGone);
  }
  if (!proper) cancel(kClientGone);
  if (!running()) server_.remove(*this);
}

void H2Request::cancel(Error why) {
  if (exchange_ != nullptr) exchange_->abort(why);
  reader.fail(why);
  // Who waits for the server has no answer yet and can be given one.
  const bool told =
      why.cause == Cause::overload_memory && exchange_ != nullptr && !started_ && !server_.ended();
  if (!told) writer.fail(why);
}

void H2Request::client_ended() {
  if (running() && !reader.ended()) cancel({Code::closed, Cause::client_body_truncated, 0, "body"});
}

// A client that reads nothing is not sent more and more of them.
Task<Result<void>> H2Request::inform(const http::ResponseHead& response) {
  WEIR_ASSERT(!started_);
  if (!closed_ && !server_.crowded()) {
    http::H2Fields& fields = context_.h2_fields;
    fields.response(response, {}, {});
    server_.submit_interim(*this, fields);
  }
  co_return Result<void>{};
}

void H2Request::send_head(const http::ResponseHead& response, std::span<const http::HeadEdit> edits,
                          const http::Framing& framing, H2Session::Body body) {
  WEIR_ASSERT(!started_);
  started_ = true;
  http::H2Fields& fields = context_.h2_fields;
  fields.response(response, edits, framing);
  if (!closed_) server_.submit_response(*this, fields, body);
}

void H2Request::start(const http::ResponseHead& response, std::span<const http::HeadEdit> edits,
                      const http::BodyLength& length) {
  http::Framing framing = framing_of(length);
  framing.date = context_.date();
  writer.begin(id, context_.snapshot->config().timeouts.client_write);
  writer.rule_trailers(http::trailer_rules(response.fields, edits));
  send_head(response, edits, framing,
            length.empty() ? H2Session::Body::none : H2Session::Body::follows);
  if (length.empty()) writer.complete_with_head();
}

// RFC 8441 section 5: what 101 is on HTTP/1 is 200 here, and nothing is to be proved by a hash.
void H2Request::start_tunnel(const http::ResponseHead& response,
                             std::span<const http::HeadEdit> edits, Activity& activity,
                             Millis idle) {
  http::ResponseHead head = response;
  head.status = 200;
  std::vector<http::HeadEdit> all(edits.begin(), edits.end());
  all.push_back({http::HeadEdit::Kind::remove, "sec-websocket-accept", {}});
  writer.begin(id, idle);
  writer.begin_tunnel(activity, idle);
  reader.begin_tunnel(activity, idle);
  http::Framing framing;
  framing.date = context_.date();
  send_head(head, all, framing, H2Session::Body::follows);
}

bool H2Request::takes_tunnel(const http::ResponseHead& head) const {
  const http::Field* accept = head.fields.find("sec-websocket-accept");
  return accept != nullptr && accept->value == websocket_accept(websocket_key_);
}

// RFC 9113 section 5.4.2.
void H2Request::abort(Error why) {
  if (!closed_) {
    const std::uint32_t code = malformed_                ? NGHTTP2_PROTOCOL_ERROR
                               : !websocket_key_.empty() ? NGHTTP2_CONNECT_ERROR
                                                         : NGHTTP2_INTERNAL_ERROR;
    server_.reset(id, code);
  }
  started_ = true;
  reader.fail(why);
  writer.fail(why);
}

}  // namespace weir::proxy
