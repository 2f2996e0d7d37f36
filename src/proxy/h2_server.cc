// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_server.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weir::proxy {
namespace {

// A client may have begun a stream before it has read that no more are taken: RFC 9113 section 6.8.
constexpr Millis kNotice{1000};
constexpr Millis kQuiet{1000};
// Exchanges that are ended by their clients take a moment to end: not more of them than this for
// each stream that may be open.
constexpr std::size_t kRunningPerStream = 2;
constexpr H2Causes kFromClient{Cause::client_head_timeout, Cause::h2_protocol_error,
                               Cause::h2_flood};
constexpr Error kClientGone{Code::closed, Cause::client_closed, 0, "connection"};

}  // namespace

H2Server::H2Server(Context& context, Accepted accepted, Handler* handler)
    : H2Session(context, std::move(accepted), Side::server, kFromClient),
      Timer([](Timer& timer) { static_cast<H2Server&>(timer).on_timer(); }),
      context_(context),
      handler_(handler),
      arrival_(std::move(accepted.arrival)),
      peer_(accepted.peer),  // was copied, not moved
      started_(context.loop.now()),
      quiet_since_(started_) {
  context_.metrics.connections_active.add();
}

H2Server::~H2Server() { context_.metrics.connections_active.sub(); }

void H2Server::start() {
  const auto head_size = static_cast<std::uint32_t>(head_size_max());
  const std::array<nghttp2_settings_entry, 5> settings{{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kH2Streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kH2Window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, head_size},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  begin(settings, kH2ConnectionWindow);
  begun_ = true;
  if (leaving_ != Leaving::no) announce_end();
}

H2Stream* H2Server::begin_stream(std::int32_t id) {
  if (leaving_ == Leaving::soon || running_ >= kH2Streams * kRunningPerStream) return nullptr;
  const std::size_t requests_max = context_.snapshot->config().limits.requests_per_connection;
  if (++accepted_ >= requests_max && requests_max > 0) drain();
  auto* request = new H2Request(*this, id);
  requests_.push_back(*request);
  return request;
}

void H2Server::request_ended(H2Request& request) {
  request.state_ = H2Request::State::ended;
  --running_;
  if (!request.closed_) {
    // RFC 9113 section 8.1: a complete response may end the request before its end.
    const bool whole = request.writer.complete() && !request.malformed_;
    if (!whole) {
      reset(request.id, request.malformed_ ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR);
    } else if (!request.reader.ended()) {
      refuse_rest(request);
    }
  }
  if (request.closed_ || ended()) remove(request);
}

void H2Server::remove(H2Request& request) {
  WEIR_ASSERT(!request.running());
  delete &request;
  if (requests_.empty()) {
    quiet_since_ = context_.loop.now();
    update_deadline();
  }
  check_end();
}

// Those that run end in their own time, and are removed then.
void H2Server::connection_failed(Error why) {
  if (why.cause == Cause::none) why = kClientGone;
  cut_ = !requests_.empty() || sending();
  requests_.for_each([&](H2Stream& stream) {
    auto& request = static_cast<H2Request&>(stream);
    if (request.running()) {
      request.cancel(why);
    } else {
      delete &request;
    }
  });
}

// The client may have ended its direction on purpose, or be gone: it is answered as long as
// something moves.
void H2Server::peer_ended() {
  half_closed_ = true;
  requests_.for_each([](H2Stream& stream) { static_cast<H2Request&>(stream).client_ended(); });
  sent_before_ = moved();
  const Millis grace = context_.snapshot->config().timeouts.client_half_close;
  context_.loop.timers().arm(*this, context_.loop.now() + grace);
}

// What the client has acknowledged: a chunk that leaves may take a slow one long.
std::uint64_t H2Server::moved() const { return bytes_sent() - stream().unacknowledged(); }

void H2Server::on_timer() {
  if (half_closed_) {
    if (moved() == sent_before_) return lose(kClientGone);
    return peer_ended();
  }
  leaving_ = Leaving::soon;
  go_away(Goaway::last, NGHTTP2_NO_ERROR);
}

void H2Server::over() {
  stream().close(cut_ ? io::Stream::Close::reset : io::Stream::Close::orderly);
  delete this;
}

void H2Server::drain() {
  if (leaving_ != Leaving::no) return;
  leaving_ = Leaving::noticed;
  if (begun_) announce_end();
}

void H2Server::announce_end() {
  go_away(Goaway::notice, NGHTTP2_NO_ERROR);
  if (!half_closed_) context_.loop.timers().arm(*this, context_.loop.now() + kNotice);
}

void H2Server::abort(Error why) { lose(why); }

// One that asks nothing gets a moment to begin. And a client that reads an answer opens windows: a
// connection that were closed by then would be reset, and what is under way on it lost.
bool H2Server::idle() const {
  const bool quiet = requests_.empty() && context_.loop.now() - quiet_since_ >= kQuiet;
  return quiet && !sending() && !lost() && stream().unacknowledged() == 0;
}

Micros H2Server::stall() const { return lost() ? Micros(0) : send_stall(); }

Millis H2Server::write_stall() const { return context_.snapshot->config().timeouts.client_write; }

Millis H2Server::idle_stall() const {
  if (busy()) return Millis(0);
  const config::Timeouts& timeouts = context_.snapshot->config().timeouts;
  if (accepted_ > 0) return timeouts.client_idle;
  // A total: a connection that asks nothing does not last by other frames.
  const auto left =
      std::chrono::duration_cast<Millis>(started_ + timeouts.client_head - context_.loop.now());
  return std::max(left, Millis(1));
}

Millis H2Server::head_timeout() const { return context_.snapshot->config().timeouts.client_head; }

std::size_t H2Server::head_size_max() const { return context_.snapshot->config().limits.head_size; }

}  // namespace weir::proxy
