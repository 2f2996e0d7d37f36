// SPDX-License-Identifier: Apache-2.0
#include "proxy/h2_client.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weir::proxy {
namespace {

constexpr H2Causes kFromServer{Cause::upstream_head_timeout, Cause::upstream_bad_response,
                               Cause::upstream_bad_response};
constexpr Error kServerGone{Code::closed, Cause::none, 0, "connection"};

}  // namespace

H2Client::H2Client(Upstream& upstream, std::shared_ptr<Endpoint> endpoint, Accepted connected,
                   const Ends* ends)
    : H2Session(upstream.context(), std::move(connected), Side::client, kFromServer),
      kept_(upstream.weak_from_this().lock()),  // null where it is not shared: in unit tests
      upstream_(upstream),
      endpoint_(std::move(endpoint)),
      ends_(ends == nullptr ? nullptr : new const Ends(*ends)),
      created_(upstream.context().loop.now()),
      over_(upstream.context().loop.queue),
      settling_(ends == nullptr) {
  endpoint_->shared.push_front(*this);
  upstream.context().scope.spawn(&H2Client::live, this);
}

// Its worker does not end before it.
Task<> H2Client::live(H2Client* self) {
  co_await self->over_.wait();
  delete self;
}

H2ClientRequest* H2Client::open_new(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                                    Accepted connected, const Ends* ends) {
  auto* client = new H2Client(upstream, endpoint, std::move(connected), ends);
  const std::array<nghttp2_settings_entry, 4> settings{{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kH2Window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(client->head_size_max())},
  }};
  // Of each stream its whole window may wait for a slow reader, and the others still move.
  const auto all = static_cast<std::uint32_t>(upstream.settings().streams_max) * kH2Window;
  client->begin(settings, static_cast<std::int32_t>(std::max(all, kH2ConnectionWindow)));
  return client->open();
}

H2ClientRequest* H2Client::open_kept(Upstream& upstream, Endpoint& endpoint, const Ends* ends,
                                     Instant since) {
  const Instant now = upstream.context().loop.now();
  H2Client* found = nullptr;
  endpoint.shared.for_each([&](H2Client& client) {
    if (found != nullptr) return;
    const bool own = ends == nullptr || (client.ends_ != nullptr && *client.ends_ == *ends);
    if (own && client.created_ >= since && client.fit(now)) found = &client;
  });
  return found == nullptr ? nullptr : found->open();
}

H2ClientRequest* H2Client::open() {
  auto* request = new H2ClientRequest(*this);
  ++count_;
  ++open_;
  requests_.push_back(*request);
  update_deadline();
  return request;
}

bool H2Client::fit(Instant now) const {
  const config::Upstream& settings = upstream_.settings();
  if (retired_ || settling_ || !takes_streams() || endpoint_->retired) return false;
  if ((ends_ != nullptr) != upstream_.tells_ends() || !endpoint_->would_make(wire())) return false;
  if (settings.lifetime.count() > 0 && now - created_ >= settings.lifetime) return false;
  if (settings.requests_max > 0 && count_ >= settings.requests_max) return false;
  return open_ < std::min<std::size_t>(settings.streams_max, peer_streams_max());
}

bool H2Client::retire_idle(Endpoint& endpoint) {
  bool done = false;
  endpoint.shared.for_each([&](H2Client& client) {
    if (done || client.retired_ || !client.idle()) return;
    client.retire();
    done = true;
  });
  return done;
}

// Before it only the request that the connection was made for is on it: a server may allow one.
void H2Client::settle() {
  if (std::exchange(settling_, false)) upstream_.opened(*endpoint_, std::nullopt);
}

void H2Client::retire() {
  if (retired_) return;
  retired_ = true;
  if (requests_.empty()) end();
}

// At the end of the worker nobody waits for a server to read a farewell.
void H2Client::end() {
  if (upstream_.context().draining) return lose(kServerGone);
  go_away(Goaway::last, NGHTTP2_NO_ERROR);
}

void H2Client::remove(H2ClientRequest& request) {
  delete &request;
  if (!requests_.empty() || ended()) return check_end();
  // One that can carry nothing more, or that nobody will ask again, ends.
  if (retired_ || !fit(upstream_.context().loop.now())) {
    retired_ = true;
    end();
  }
  update_deadline();
  check_end();
}

void H2Client::connection_failed(Error why) {
  settle();
  ListNode<H2Client>::unlink();
  cut_ = !requests_.empty();
  requests_.for_each([&](H2Stream& stream) {
    auto& request = static_cast<H2ClientRequest&>(stream);
    if (request.released()) {
      delete &request;
    } else {
      request.fail(why);
    }
  });
}

void H2Client::peer_ended() { lose(kServerGone); }

void H2Client::over() {
  settle();
  ListNode<H2Client>::unlink();
  stream().close(cut_ ? io::Stream::Close::reset : io::Stream::Close::orderly);
  over_.set();
}

Millis H2Client::write_stall() const { return upstream_.timeouts().upstream_write; }

Millis H2Client::idle_stall() const {
  return busy() ? Millis(0) : upstream_.settings().idle_timeout;
}

std::size_t H2Client::head_size_max() const { return upstream_.head_limits().head_size; }

Millis H2Client::head_timeout() const { return upstream_.head_timeout(); }

}  // namespace weir::proxy
