// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "http/h1_framing.h"
#include "proxy/h2_client.h"

namespace weir::proxy {
namespace {

bool bodiless(int status, http::Method method) {
  return method == http::Method::head || status == 204 || status == 304 || status < 200;
}

}  // namespace

H2ClientRequest::H2ClientRequest(H2Client& connection)
    : H2Stream(connection.upstream_.context().loop, connection, 0, kUpstreamBody),
      connection_(connection),
      notice_(connection.upstream_.context().loop),
      reused_(connection.count_ > 0) {
  reader.hold_all();
}

Endpoint& H2ClientRequest::endpoint() { return *connection_.endpoint_; }
Upstream& H2ClientRequest::upstream() { return connection_.upstream_; }

void H2ClientRequest::start(const http::RequestHead& head, std::string_view target,
                            std::span<const http::HeadEdit> edits) {
  http::Framing framing;
  framing.body = head.body;
  http::H2Fields& fields = upstream().context().h2_fields;
  const Endpoint& server = endpoint();
  const std::string_view name = !server.verified_name.empty()
                                    ? std::string_view(server.verified_name)
                                : server.address.is_unix() ? std::string_view("localhost")
                                                           : server.name;
  fields.request(head, {upstream().settings().tls ? "https" : "http", name}, target, edits,
                 framing);
  writer.rule_trailers(http::trailer_rules(head.fields, edits));
  const bool empty = head.body.empty();
  const Millis stall = upstream().timeouts().upstream_write;
  connection_.submit_request(*this, fields,
                             empty ? H2Session::Body::none : H2Session::Body::follows);
  writer.begin(id, stall);
  reader.begin(id, H2BodyReader::Expect::body, upstream().timeouts().upstream_body);
  if (empty) writer.complete_with_head();
}

void H2ClientRequest::request_sent() {
  sent_at_ = upstream().context().loop.now();
  notice_.give();
}

Task<Result<void>> H2ClientRequest::read_head(http::Method method,
                                              std::unique_ptr<ServerHead>& head) {
  io::Loop& loop = upstream().context().loop;
  while (arrived_ == nullptr && !failed_) {
    // The limit is a total from the end of the request; before that the server need not answer.
    Millis left{0};
    if (sent_at_ != kNever) {
      left = std::chrono::duration_cast<Millis>(sent_at_ + upstream().head_timeout() - loop.now());
      if (left.count() <= 0) co_return weir::fail(Code::timed_out, "head");
    }
    ignore(co_await notice_.wait(left), "what came is looked at");
  }
  if (arrived_ == nullptr) co_return weir::fail(error_);
  head = std::move(arrived_);
  arrived_ = std::move(head->next);
  Result<void> done = complete(*head, method);
  co_return done;
}

// What the fields say of the body, and the frames of its end.
Result<void> H2ClientRequest::complete(ServerHead& head, http::Method method) {
  if (spoiled_ != Cause::none) return weir::fail(spoiled_, "head");
  const auto length = http::field_length(head.fields, http::Version::http11);
  if (!length) return weir::fail(Cause::upstream_bad_response, "content-length");
  const bool known = length->kind == http::FieldLength::Kind::known;
  if (bodiless(head.status, method)) {
    head.body = http::BodyLength::none();
  } else if (known) {
    head.body = http::BodyLength::known(length->bytes);
  } else {
    head.body = arrived_last_ ? http::BodyLength::known(0) : http::BodyLength::chunked();
  }
  return {};
}

void H2ClientRequest::field(Bytes name, Bytes value) {
  if (final_head_) {
    if (arriving_ == nullptr) arriving_.reset(new ServerHead);  // its texts are the trailers'
    if (arriving_->texts == nullptr) arriving_->texts = std::make_unique<Arena>();
    Arena& texts = *arriving_->texts;
    const std::string_view kept = texts.copy(name);
    reader.received_trailers().push_back({kept, texts.copy(value), http::field_id(kept)});
    return;
  }
  head_started_ = true;
  if (arriving_ == nullptr) {
    arriving_.reset(new ServerHead);
    arriving_->texts = std::make_unique<Arena>();
    arriving_->version = http::Version::http2;
  }
  if (name == ":status") {
    arriving_->status = static_cast<int>(parse_u64(value).value_or(0));
    return;
  }
  if (arriving_->fields.size() >= upstream().head_limits().head_fields) {
    return spoiled(Cause::upstream_head_too_large);
  }
  Arena& texts = *arriving_->texts;
  const std::string_view kept = texts.copy(name);
  arriving_->fields.push_back({kept, texts.copy(value), http::field_id(kept)});
}

void H2ClientRequest::spoiled(Cause why) {
  head_started_ = true;
  if (spoiled_ != Cause::none) return;
  spoiled_ = why == Cause::head_too_large ? Cause::upstream_head_too_large
             : why == Cause::bad_header   ? Cause::upstream_bad_response
                                          : why;
}

// The last of too many informational heads is replaced by the next one.
void H2ClientRequest::keep_head() {
  std::unique_ptr<ServerHead>* place = &arrived_;
  for (std::size_t n = 1; *place != nullptr && n < kH2HeadsMax; ++n) place = &(*place)->next;
  *place = std::move(arriving_);
}

void H2ClientRequest::fields_complete(End end) {
  if (final_head_) {  // trailers
    if (spoiled_ != Cause::none) reader.fail({Code::malformed, spoiled_, 0, "trailers"});
    if (end == End::yes) reader.end();
    return;
  }
  if (arriving_ == nullptr) return;
  // RFC 9110 section 15: a status below 100 is none.
  if (arriving_->status < 100) spoiled(Cause::upstream_bad_response);
  // RFC 9113 section 8.1: nothing ends with an informational head.
  if (arriving_->status < 200 && end == End::yes) spoiled(Cause::upstream_bad_response);
  final_head_ = arriving_->status >= 200 || arriving_->status < 100;
  if (final_head_) {
    const auto length = http::field_length(arriving_->fields, http::Version::http11);
    if (length && length->kind == http::FieldLength::Kind::known) length_ = length->bytes;
  }
  keep_head();
  arrived_last_ = end == End::yes;
  if (end == End::yes) reader.end();
  notice_.give();
}

Micros H2ClientRequest::send_stall() const { return connection_.send_stall(); }

void H2ClientRequest::fail(Error why) {
  if (!failed_) {
    failed_ = true;
    error_ = why;
  }
  reader.fail(why);
  writer.fail(why);
  notice_.give();
}

void H2ClientRequest::cancel(Error why) {
  fail(why);
  reset();
}

// Once. Of a stream whose head still waits the codec then sends nothing; a second reset it would
// send, and for one of a stream that was never begun a server ends the connection: RFC 9113 section
// 5.1.
void H2ClientRequest::reset() {
  if (closed_ || reset_ || id <= 0) return;
  reset_ = true;
  connection_.reset(id, NGHTTP2_CANCEL);
}

// What the end of the stream means: RFC 9113 section 7. One that was refused was not looked at
// (section 8.7); one that the server has not ended was ended here, because its frames were wrong.
Error H2ClientRequest::error_of(std::uint32_t code) const {
  if (code == NGHTTP2_REFUSED_STREAM) return {Code::closed, Cause::none, 0, "refused stream"};
  if (code == NGHTTP2_NO_ERROR || reset_by_peer) return {Code::reset, Cause::none, 0, "stream"};
  return {Code::malformed, Cause::upstream_bad_response, 0, "stream"};
}

void H2ClientRequest::closed(std::uint32_t code) {
  closed_ = true;
  unseen_ = code == NGHTTP2_REFUSED_STREAM && !head_started_;
  // Node's server may say that the stream ended well before it says that the body did: of a known
  // length all is here then.
  if (code == NGHTTP2_NO_ERROR && length_ > 0 && reader.came() == length_) reader.end();
  if (code != NGHTTP2_NO_ERROR || !reader.ended()) {
    fail(error_of(code));
  } else if (!writer.complete()) {
    // RFC 9113 section 8.1: the server has answered and wants no more of the request.
    writer.fail(error_of(code));
  }
  if (released_) connection_.remove(*this);
}

void H2ClientRequest::release(bool reusable) {
  released_ = true;
  --connection_.open_;
  if (!reusable) reset();
  if (closed_ || id <= 0 || connection_.ended()) connection_.remove(*this);
}

}  // namespace weir::proxy
