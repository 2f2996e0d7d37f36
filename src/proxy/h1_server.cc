// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_server.h"

#include <algorithm>

#include "proxy/h2_server.h"

namespace weir::proxy {
namespace {

// What is read and thrown away of a request body that nobody wants, so that the connection can be
// used again: less than a new connection costs.
constexpr std::uint64_t kDrainBytesMax = 64_KiB;
// At the start of a drain an idle client may be about to send: it is still answered for so long.
constexpr Millis kDrainIdle{1000};
// A new connection is not taken for an idle one for so long.
constexpr std::uint16_t kFreshSixteenths = 16;
constexpr Error kClientGone{Code::closed, Cause::client_closed, 0, "client"};

// Seconds are too coarse, and more is not needed: it is compared with kFreshSixteenths.
std::uint16_t sixteenths(Instant instant) {
  return static_cast<std::uint16_t>(instant.time_since_epoch().count() / 62'500);
}

/// RFC 9113 section 3.3: a client that knows it speaks HTTP/2 here begins with its preface, of
/// which a part may have come.
bool begins_http2(Bytes bytes) {
  constexpr std::size_t kTelling = std::string_view("PRI *").size();
  const Bytes seen = bytes.substr(0, http::kH2Preface.size());
  return seen.size() >= kTelling && http::kH2Preface.starts_with(seen);
}

// A ClientHello. RFC 8446 section 5.1.
bool begins_tls(Bytes seen) { return seen.starts_with(Bytes("\x16\3", 2)); }

}  // namespace

H1Server::H1Server(Context& context, Accepted accepted, Handler* handler)
    : context_(context),
      wire_(context.loop, accepted),
      input_(wire_.stream()),
      arrival_(std::move(accepted.arrival)),
      peer_(accepted.peer),
      accepted_(sixteenths(context.loop.now())) {
  if (handler != nullptr) {
    if (arrival_ == nullptr) arrival_ = std::make_unique<Arrival>();
    arrival_->handler = handler;
  }
  input_.put_unread(std::move(accepted.unread));
  context_.metrics.connections_active.add();
}

H1Server::~H1Server() { context_.metrics.connections_active.sub(); }

void H1Server::start() {
  if (input_.bytes().empty()) {
    await_request();
  } else {
    context_.scope.spawn(&H1Server::serve, this);
  }
}

// Leaves it to the input to start serve() when the client says something.
void H1Server::await_request() {
  const config::Timeouts& timeouts = context_.snapshot->config().timeouts;
  input_.expect(io::Work::fresh);
  input_.arm(kWindowHead);
  input_.set_deadline(draining_ || context_.draining ? kDrainIdle
                      : requests_ == 0               ? timeouts.client_head
                                                     : timeouts.client_idle);
  input_.watch(this);
}

// Between requests: there is one to serve, or the connection has ended. During an exchange: the
// client sent something ahead (the next request, it waits), ended its direction, or is gone.
void H1Server::input_arrived() {
  if (request_ == nullptr) {
    input_.watch(nullptr);
    context_.scope.spawn(&H1Server::serve, this);
    return;  // this may be gone
  }
  if (!input_.ended()) return;
  // Without TLS's own end it is as with TCP: the client may have gone, or only ended its direction.
  const std::optional<Error> failure = input_.failure();
  if (failure && failure->code != Code::closed) {
    abort(kClientGone);
    return;
  }
  request_->half_closed();
}

// Serves the request that has arrived, and all that have come with it.
Task<> H1Server::serve() {
  // Cancelled between two requests: what is asked now could not be answered.
  while (wire_.stream().cancelled() == nullptr) {
    const Next head = co_await read_head();
    if (head == Next::end) break;
    if (head == Next::http2) {
      become_http2();
      co_return;
    }
    co_await handle_request();
    if (may_go_on() && !request_->reader.complete()) co_await drop_body();
    if (end_request() == Next::end) break;
    ++requests_;
    if (input_.bytes().empty() && !input_.arrived()) {
      await_request();
      co_return;
    }
    if (requests_ % kTurnRequestsMax == 0) co_await yield(context_.loop.queue);
  }
  const bool reset = request_ != nullptr && request_->needs_reset();
  if (unread_input_ && !reset) co_await linger();
  request_.reset();
  wire_.stream().close(reset ? io::Stream::Close::reset : io::Stream::Close::orderly);
  delete this;
}

// The preface stays in front of what the other one reads.
void H1Server::become_http2() {
  request_.reset();
  Handler* handler = this->handler();
  Accepted accepted = wire_.release(peer_, input_.take_unread(), std::move(arrival_));
  auto* server = new H2Server(context_, std::move(accepted), handler);
  ListNode<Connection>::replace_by(*server);
  if (draining_) server->drain();
  server->start();
  delete this;
}

void H1Server::begin_request() {
  request_.reset(new H1Request(wire_, input_, context_, peer_, arrival_.get()));
}

// Reads a request's head, of which something has arrived, or the end of the connection.
Task<H1Server::Next> H1Server::read_head() {
  input_.expect(io::Work::fresh);
  if (input_.bytes().empty()) {
    WEIR_ASSERT(input_.arrived());  // so this does not wait
    Result<bool> more = co_await input_.more(kWindowHead, Millis(0));
    if (!more && more.error().code == Code::no_memory) {
      // Something may have been asked, but there is no room to look at it.
      begin_request();
      co_await refuse(Cause::overload_memory);
      co_return Next::end;
    }
    if (!more || !*more) co_return Next::end;  // nobody asked anything: nothing to answer or log
  }
  begin_request();
  const std::shared_ptr<Snapshot> snapshot = context_.snapshot;
  const http::HeadLimits limits = snapshot->head_limits();
  const Instant due = request_->begun + snapshot->config().timeouts.client_head;
  std::size_t scanned = 0;
  for (;;) {
    const bool http2 = requests_ == 0 && begins_http2(input_.view());
    if (http2 && input_.view().size() >= http::kH2Preface.size()) co_return Next::http2;
    if (begins_tls(input_.view())) {  // which no line may ever end
      co_await refuse(Cause::tls_to_plain_port);
      co_return Next::end;
    }
    const Result<std::size_t> size =
        http2 ? Result<std::size_t>(0)
              : http::parse_request_head(input_.view(), limits, scanned, request_->head);
    if (!size) {
      look_again(limits);
      co_await refuse(size.error().cause);
      co_return Next::end;
    }
    if (*size > 0) {
      request_->head_buffer = input_.pin(*size);
      break;
    }
    const auto left = std::chrono::duration_cast<Millis>(due - context_.loop.now());
    const Millis stall = std::max(left, Millis(1));  // the head's time is a total
    Result<bool> more = co_await input_.more_behind(limits.head_size + kWindowHead, stall);
    if (more && *more) continue;
    look_again(limits);
    if (!more && more.error().code == Code::timed_out) {
      co_await refuse(Cause::client_head_timeout);
    } else if (!more && more.error().code == Code::no_memory) {
      co_await refuse(Cause::overload_memory);
    }
    co_return Next::end;
  }
  if (turned_away_ == Cause::none) co_return Next::request;
  co_await refuse(turned_away_);
  co_return Next::end;
}

Task<> H1Server::handle_request() {
  const std::shared_ptr<Snapshot> snapshot = context_.snapshot;
  const config::Config& config = snapshot->config();
  http::RequestHead& head = request_->head;
  request_->reader.begin(head.body, snapshot->head_limits(), config.timeouts.client_body);
  const std::size_t requests_max = config.limits.requests_per_connection;
  if (requests_max > 0 && requests_ + 1 >= requests_max) request_->refuse_reuse();
  if (config.limits.body_size > 0) {
    if (head.body.kind == http::BodyLength::Kind::known &&
        head.body.bytes > config.limits.body_size) {
      co_await refuse(Cause::body_too_large);
      co_return;
    }
    request_->reader.limit(config.limits.body_size, Cause::body_too_large);
  }
  input_.watch(this);
  if (head.body.empty()) input_.arm(kWindowHead);
  input_.expect(io::Work::under_way);
  if (Handler* own = handler(); own != nullptr) {
    co_await own->handle(head, request_->reader, *request_);
  } else {
    Exchange exchange(context_, head, request_->reader, *request_, request_->client,
                      request_->begun);
    request_->exchange = &exchange;
    co_await exchange.run();
    request_->exchange = nullptr;
  }
  request_->answered();
  input_.watch(nullptr);
}

bool H1Server::may_go_on() const {
  return request_->reusable() && !request_->reader.failed() && !context_.draining && !draining_;
}

// What is left of a body that nobody wanted, if it is not too much.
Task<> H1Server::drop_body() {
  std::uint64_t dropped = 0;
  while (!request_->reader.complete() && dropped <= kDrainBytesMax) {
    Result<Piece> piece = co_await request_->reader.read();
    if (!piece) break;
    dropped += piece->bytes.size();
  }
}

// Makes the connection ready for the next request, or says that it cannot be.
H1Server::Next H1Server::end_request() {
  const bool body_left = !request_->reader.complete();
  if (body_left || !may_go_on()) {
    // A client that did not ask for the end may have sent the next request already.
    unread_input_ = body_left || !input_.bytes().empty() || request_->head.keep_alive;
    return Next::end;
  }
  io::Chunk head_buffer = std::move(request_->head_buffer);
  request_.reset();
  input_.unpin(std::move(head_buffer));
  return Next::request;
}

// Before a refusal: what an earlier look found are views of a buffer that may have moved since.
void H1Server::look_again(const http::HeadLimits& limits) {
  request_->head = {};
  std::size_t scanned = 0;
  ignore(http::parse_request_head(input_.view(), limits, scanned, request_->head),
         "only what can be read of it is of interest");
}

// Answers a request that cannot be an exchange. The connection ends: where the next request would
// begin is not known, or the client is not to be trusted with it.
Task<> H1Server::refuse(Cause cause) {
  request_->refuse_reuse();
  // The method may be all that is known of the request. RFC 9110 section 9.3.2.
  request_->head.method = http::method_from_name(request_->head.method_name);
  Exchange exchange(context_, request_->head, request_->reader, *request_, request_->client,
                    request_->begun);
  using Logged = Exchange::Logged;
  co_await exchange.refuse(cause, handler() == nullptr ? Logged::yes : Logged::no);
  unread_input_ = true;
}

// Lets the client read the last response: what it still sends is read and dropped for a while,
// because closing with unread input resets the connection and may destroy the response. RFC 9112
// section 9.6.
Task<> H1Server::linger() {
  wire_.stream().shutdown_write();
  const Instant due = context_.loop.now() + Millis(kLingerMillis);
  std::size_t dropped = input_.bytes().size();
  input_.consume(dropped);
  std::size_t in_turn = 0;
  while (dropped < kLingerBytesMax) {
    const auto left = std::chrono::duration_cast<Millis>(due - context_.loop.now());
    if (left.count() <= 0) break;
    Result<bool> more = co_await input_.more(kWindowStart, left);
    if (!more || !*more) break;
    const std::size_t size = input_.bytes().size();
    dropped += size;
    in_turn += size;
    input_.consume(size);
    if (in_turn < kTurnBytesMax) continue;
    in_turn = 0;
    co_await yield(context_.loop.queue);
  }
}

void H1Server::abort(Error why) {
  aborted_ = true;
  if (request_ != nullptr) {
    request_->cancel(why);
  } else {
    wire_.stream().cancel(why);
  }
}

// One that was just made is about to ask; one that is turned away has no place that its end would
// free for somebody else.
bool H1Server::idle() const {
  const auto age = static_cast<std::uint16_t>(sixteenths(context_.loop.now()) - accepted_);
  const bool fresh = requests_ == 0 && age < kFreshSixteenths;
  return request_ == nullptr && !aborted_ && !fresh && turned_away_ == Cause::none;
}

Micros H1Server::stall() const {
  const bool running = request_ != nullptr && request_->exchange != nullptr;
  if (!running || request_->cancelled()) return Micros(0);
  return std::max(wire_.stream().send_stall(), request_->exchange->server_stall());
}

void H1Server::drain() {
  draining_ = true;
  if (request_ != nullptr) {
    request_->refuse_reuse();
  } else {
    input_.set_deadline(kDrainIdle);
  }
}

H1Request::H1Request(Wire& wire, Input& input, Context& context, const io::Peer& peer,
                     const Arrival* arrival)
    : Timer([](Timer& timer) { static_cast<H1Request&>(timer).on_timer(); }),
      begun(context.loop.now()),
      reader(input, wire.plain(), kClientBody),
      writer(wire.stream(), wire.plain(), context.texts),
      stream_(wire.stream()),
      context_(context) {
  client.peer = peer;
  client.peer_text = peer.text_in(peer_text_);
  client.see(wire, arrival);
}

void H1Request::cancel(Error why) {
  cancelled_ = true;
  if (exchange != nullptr) exchange->abort(why);
  // Who stands still because of the server has no answer yet and can be given one.
  const bool told = why.cause == Cause::overload_memory && exchange != nullptr && !started_;
  if (!told) stream_.cancel(why);
}

// A half-close may be meant (printf … | nc) or be all that is seen of a client that left; the
// server is given a little time to answer, and as long as something moves the client is there.
void H1Request::half_closed() {
  sent_before_ = bytes_sent();
  unacknowledged_before_ = stream_.unacknowledged();
  looked_at_ = context_.loop.now();
  const Millis grace = context_.snapshot->config().timeouts.client_half_close;
  context_.loop.timers().arm(*this, context_.loop.now() + grace);
}

void H1Request::on_timer() {
  // What the client takes may not be seen as sent for long: a socket that was full takes more only
  // when a good part of it has left, and a splice accounts for what it moved when it ends.
  const io::Socket* socket = stream_.plain_socket();
  const bool taken = stream_.unacknowledged() != unacknowledged_before_ ||
                     (socket != nullptr && socket->sent_at > looked_at_);
  if (taken || bytes_sent() != sent_before_) {
    half_closed();
  } else {
    cancel(kClientGone);
  }
}

Task<Result<void>> H1Request::inform(const http::ResponseHead& response) {
  WEIR_ASSERT(!started_);
  if (head.version == http::Version::http10) co_return Result<void>{};  // RFC 9110 section 15.2
  if (response.status == 100) continued_ = true;
  std::string text = context_.texts.take();
  http::encode_response(text, response, {}, http::Framing{});
  const std::array<Bytes, 4> pieces = {text};
  const Millis stall = context_.snapshot->config().timeouts.client_write;
  Result<void> sent = co_await stream_.send(pieces, stall);
  context_.texts.give(std::move(text));
  // A part of it may have left: no other response can be begun any more, whatever the reason is.
  if (!sent) {
    started_ = broken_ = true;
    keep_alive_ = false;
  }
  co_return sent;
}

bool H1Request::body_can_be_drained() const {
  if (reader.complete()) return true;
  if (reader.failed()) return false;
  if (head.expect_continue && !continued_) return false;  // it may come, or never
  return head.body.kind == http::BodyLength::Kind::known && head.body.bytes <= kDrainBytesMax;
}

void H1Request::start(const http::ResponseHead& response, std::span<const http::HeadEdit> edits,
                      const http::BodyLength& length) {
  WEIR_ASSERT(!started_);
  started_ = true;
  http::Framing framing;
  framing.version =
      head.version == http::Version::http10 ? http::Version::http10 : http::Version::http11;
  framing.body = length;
  using Kind = http::BodyLength::Kind;
  if (length.kind == Kind::chunked || length.kind == Kind::until_close) {
    // Chunked where the client knows it: the end is then explicit.
    until_close_ = framing.version == http::Version::http10;
    framing.body = until_close_ ? http::BodyLength::until_close() : http::BodyLength::chunked();
  }
  const bool early = response.status >= 300 && !body_can_be_drained();  // nobody reads the rest
  keep_alive_ = keep_alive_ && head.keep_alive && !until_close_ && !early && !context_.draining &&
                !(head.expect_continue && !continued_ && !reader.complete());
  framing.keep_alive = keep_alive_;
  framing.keep_content_length = length.kind == Kind::none;
  if (response.fields.find(http::FieldId::date) == nullptr) framing.date = context_.date();
  http::encode_response(writer.new_head(), response, edits, framing);
  writer.begin(framing.body, context_.snapshot->config().timeouts.client_write);
  if (framing.body.kind == Kind::chunked) {
    writer.rule_trailers(http::trailer_rules(response.fields, edits));
  }
}

void H1Request::start_tunnel(const http::ResponseHead& response,
                             std::span<const http::HeadEdit> edits, Activity& activity,
                             Millis idle) {
  WEIR_ASSERT(!started_);
  started_ = true;
  keep_alive_ = false;
  until_close_ = true;
  http::Framing framing;
  framing.upgrade = response.upgrade;
  http::encode_response(writer.new_head(), response, edits, framing);
  writer.begin_tunnel(activity, idle);
  reader.begin_tunnel(activity, idle);
}

void H1Request::abort(Error why) {
  broken_ = true;
  stalled_ = why.cause == Cause::client_write_timeout || why.cause == Cause::overload_memory;
  keep_alive_ = false;
  stream_.cancel(why);
}

void H1Request::cancel_body(Error why) {
  if (!reader.complete()) stream_.cancel_recv(why);
}

}  // namespace weir::proxy
