// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_server.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/observe.h"

namespace weir::proxy {
namespace {

// What is read and thrown away of a request body that nobody wants, so that the connection can be
// used again: less than a new connection costs.
constexpr std::uint64_t kDrainBytesMax = 64_KiB;
// At the start of a drain an idle client may be about to send: it is still answered for so long.
constexpr Millis kDrainIdle{1000};
// A new connection is not taken for an idle one for so long.
constexpr Millis kFresh{1000};
constexpr Error kClientGone{Code::closed, Cause::client_closed, 0, "client"};

}  // namespace

H1Server::H1Server(Context& context, io::Socket* socket, const io::Peer& peer, Handler* handler)
    : Timer([](Timer& timer) { static_cast<H1Server&>(timer).on_timer(); }),
      context_(context),
      stream_(context.loop, socket),
      input_(stream_),
      handler_(handler),
      peer_text_(peer.text()),
      accepted_(context.loop.now()) {
  facts_.peer = peer;
  facts_.peer_text = peer_text_;
  context_.metrics.connections_active.add();
}

H1Server::~H1Server() { context_.metrics.connections_active.sub(); }

Task<> H1Server::serve() {
  for (;;) {
    const Next next = co_await read_request();
    if (next == Next::end) break;
    const Next after = co_await end_request();
    if (after == Next::end) break;
    if (++requests_ % kTurnRequestsMax == 0) co_await yield(context_.loop.queue);
  }
  const bool reset = request_ != nullptr && request_->needs_reset();
  if (unread_input_ && !reset) co_await linger();
  request_.reset();
  stream_.close(reset ? io::Stream::Close::reset : io::Stream::Close::orderly);
}

// Waits for a request and runs it to its end.
Task<H1Server::Next> H1Server::read_request() {
  const config::Timeouts& timeouts = context_.snapshot->config().timeouts;
  input_.expect(io::Work::fresh);
  if (input_.bytes().empty()) {
    const Millis idle = draining_ || context_.draining ? kDrainIdle
                        : requests_ == 0               ? timeouts.client_head
                                                       : timeouts.client_idle;
    Result<bool> more = co_await input_.more(kWindowHead, idle);
    if (!more && more.error().code == Code::no_memory) {
      // Something may have been asked, but there is no room to look at it.
      request_.reset(new H1Request(stream_, input_, context_));
      co_await refuse(Cause::overload_memory, context_.loop.now());
      co_return Next::end;
    }
    if (!more || !*more) co_return Next::end;  // nobody asked anything: nothing to answer or log
  }
  const Instant begun = context_.loop.now();
  request_.reset(new H1Request(stream_, input_, context_));
  const Next head = co_await read_rest_of_head(begun);
  if (head == Next::end) co_return Next::end;
  if (turned_away_ != Cause::none) {
    co_await refuse(turned_away_, begun);
    co_return Next::end;
  }
  co_await handle_request(begun);
  co_return Next::request;
}

Task<H1Server::Next> H1Server::read_rest_of_head(Instant begun) {
  const std::shared_ptr<Snapshot> snapshot = context_.snapshot;
  const http::HeadLimits limits = snapshot->head_limits();
  const Instant due = begun + snapshot->config().timeouts.client_head;
  std::size_t scanned = 0;
  for (;;) {
    const Result<std::size_t> size =
        http::parse_request_head(input_.view(), limits, scanned, request_->head);
    if (!size) {
      look_again(limits);
      co_await refuse(size.error().cause, begun);
      co_return Next::end;
    }
    if (*size > 0) {
      request_->head_buffer = input_.pin(*size);
      co_return Next::request;
    }
    const auto left = std::chrono::duration_cast<Millis>(due - context_.loop.now());
    const Millis stall = std::max(left, Millis(1));  // the head's time is a total
    Result<bool> more = co_await input_.more_behind(limits.head_size + kWindowHead, stall);
    if (more && *more) continue;
    look_again(limits);
    if (!more && more.error().code == Code::timed_out) {
      co_await refuse(Cause::client_head_timeout, begun);
    } else if (!more && more.error().code == Code::no_memory) {
      co_await refuse(Cause::overload_memory, begun);
    }
    co_return Next::end;
  }
}

Task<> H1Server::handle_request(Instant begun) {
  const std::shared_ptr<Snapshot> snapshot = context_.snapshot;
  const config::Config& config = snapshot->config();
  http::RequestHead& head = request_->head;
  request_->reader.begin(head.body, snapshot->head_limits(), config.timeouts.client_body);
  const std::size_t requests_max = config.limits.requests_per_connection;
  if (requests_max > 0 && requests_ + 1 >= requests_max) request_->refuse_reuse();
  if (config.limits.body_size > 0) {
    if (head.body.kind == http::BodyLength::Kind::known &&
        head.body.bytes > config.limits.body_size) {
      co_await refuse(Cause::body_too_large, begun);
      co_return;
    }
    request_->reader.limit(config.limits.body_size, Cause::body_too_large);
  }
  input_.watch(this);
  if (head.body.empty()) input_.arm(kWindowHead);
  input_.expect(io::Work::under_way);
  if (handler_ != nullptr) {
    co_await handler_->handle(head, request_->reader, *request_);
  } else {
    Exchange exchange(context_, head, request_->reader, *request_, facts_, begun);
    exchange_ = &exchange;
    co_await exchange.run();
    exchange_ = nullptr;
  }
  Timer::disarm();
  input_.watch(nullptr);
}

// Makes the connection ready for the next request, or says that it cannot be.
Task<H1Server::Next> H1Server::end_request() {
  const bool body_left = !request_->reader.complete();
  if (!request_->reusable() || request_->reader.failed() || context_.draining || draining_) {
    // A client that did not ask for the end may have sent the next request already.
    unread_input_ = body_left || !input_.bytes().empty() || request_->head.keep_alive;
    co_return Next::end;
  }
  if (body_left) {
    std::uint64_t drained = 0;
    while (!request_->reader.complete() && drained <= kDrainBytesMax) {
      Result<Piece> piece = co_await request_->reader.read();
      if (!piece) break;
      drained += piece->bytes.size();
    }
    if (!request_->reader.complete()) {
      unread_input_ = true;
      co_return Next::end;
    }
  }
  io::Chunk head_buffer = std::move(request_->head_buffer);
  request_.reset();
  input_.unpin(std::move(head_buffer));
  co_return Next::request;
}

// Before a refusal: what an earlier look found are views of a buffer that may have moved since.
void H1Server::look_again(const http::HeadLimits& limits) {
  request_->head = {};
  std::size_t scanned = 0;
  ignore(http::parse_request_head(input_.view(), limits, scanned, request_->head),
         "only what can be read of it is of interest");
}

// Answers a request that did not become an exchange. The connection ends: where the next request
// would begin is not known, or the client is not to be trusted with it.
Task<> H1Server::refuse(Cause cause, Instant begun) {
  const CauseText& text = describe(cause);
  const config::Config& config = context_.snapshot->config();
  const std::string body = fmt::format("{} {}\n\n{}: {}\n", text.http_status,
                                       http::reason_phrase(text.http_status), text.name, text.what);
  http::ResponseHead head;
  head.status = text.http_status;
  head.fields.push_back({"Content-Type", "text/plain; charset=utf-8", http::FieldId::content_type});
  if (config.cause_header) head.fields.push_back({"weir-cause", text.name});
  const fmt::format_int length(body.size());
  auto framing = http::BodyLength::known(body.size());
  // The method may be all that is known of the request. RFC 9110 section 9.3.2.
  if (request_->head.method_name == "HEAD") {
    head.fields.push_back({"Content-Length", length.c_str(), http::FieldId::content_length});
    framing = http::BodyLength::none();
  }
  request_->refuse_reuse();
  request_->start(head, {}, framing);
  const bool bodiless = framing.kind == http::BodyLength::Kind::none;
  Result<void> sent = co_await request_->finish(bodiless ? Bytes{} : Bytes(body), nullptr);
  ignore(sent, "the client may be gone; what was wrong with it is logged either way");
  unread_input_ = true;
  if (handler_ != nullptr) co_return;

  Record record;
  record.started = context_.loop.wall_time();
  record.protocol = request_->head.version == http::Version::http10 ? "HTTP/1.0" : "HTTP/1.1";
  record.peer = &facts_.peer;
  record.client = facts_.peer_text;
  record.method = request_->head.method_name;
  record.host = request_->head.authority;
  record.target = request_->head.target;
  const auto value = [&](http::FieldId id) {
    const http::Field* field = request_->head.fields.find(id);
    return field == nullptr ? std::string_view{} : field->value;
  };
  record.user_agent = value(http::FieldId::user_agent);
  record.referer = value(http::FieldId::referer);
  Arena arena;
  record.request_id =
      choose_request_id(request_->head, facts_, config, context_.random, arena).text;
  record.route_counts = context_.snapshot->none.counts;
  record.status = text.http_status;
  record.cause = cause;
  record.bytes_sent = request_->bytes_sent();
  record.duration = context_.loop.now() - begun;
  observe(context_, record);
}

// Lets the client read the last response: what it still sends is read and dropped for a while,
// because closing with unread input resets the connection and may destroy the response. RFC 9112
// section 9.6.
Task<> H1Server::linger() {
  stream_.shutdown_write();
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

// During an exchange: the client sent something ahead (the next request, it waits), ended its
// direction, or is gone.
void H1Server::input_arrived() {
  if (!input_.ended()) return;
  if (input_.failure()) {
    abort(kClientGone);
    return;
  }
  // A half-close may be meant (printf … | nc) or be all that is seen of a client that left; the
  // server is given a little time to answer, and as long as something moves the client is there.
  sent_before_ = request_ != nullptr ? request_->bytes_sent() : 0;
  const Millis grace = context_.snapshot->config().timeouts.client_half_close;
  context_.loop.timers().arm(*this, context_.loop.now() + grace);
}

void H1Server::on_timer() {
  if (request_ == nullptr) return;
  if (request_->bytes_sent() != sent_before_) {
    input_arrived();
    return;
  }
  abort(kClientGone);
}

void H1Server::abort(Error why) {
  aborted_ = true;
  if (exchange_ != nullptr) exchange_->abort(why);
  // Who stands still because of the server has no answer yet and can be given one.
  const bool told =
      why.cause == Cause::overload_memory && exchange_ != nullptr && !request_->started();
  if (!told) stream_.cancel(why);
}

// One that was just made is about to ask; one that is turned away has no place that its end would
// free for somebody else.
bool H1Server::idle() const {
  const bool fresh = requests_ == 0 && context_.loop.now() - accepted_ < kFresh;
  return request_ == nullptr && !aborted_ && !fresh && turned_away_ == Cause::none;
}

Micros H1Server::stall() const {
  if (exchange_ == nullptr || aborted_) return Micros(0);
  return std::max(stream_.send_stall(), exchange_->server_stall());
}

void H1Server::drain() {
  draining_ = true;
  if (request_ != nullptr) {
    request_->refuse_reuse();
  } else {
    input_.set_deadline(kDrainIdle);
  }
}

H1Request::H1Request(io::TcpStream& stream, Input& input, Context& context)
    : reader(input, &stream, kClientBody),
      writer(stream, &stream, head_text_),
      stream_(stream),
      context_(context),
      head_text_(context.texts.take()) {}

H1Request::~H1Request() { context_.texts.give(std::move(head_text_)); }

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
  WEIR_ASSERT(head_text_.empty());
  http::encode_response(head_text_, response, edits, framing);
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
  http::encode_response(head_text_, response, edits, framing);
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
