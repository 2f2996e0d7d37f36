// SPDX-License-Identifier: Apache-2.0
#include "proxy/h1_client.h"

#include <utility>

namespace weir::proxy {

H1Client::H1Client(Upstream& upstream, std::shared_ptr<Endpoint> endpoint, Accepted connected,
                   const Ends* ends)
    : upstream_(upstream),
      endpoint_(std::move(endpoint)),
      ends_(ends == nullptr ? nullptr : new const Ends(*ends)),
      wire_(upstream.context().loop, connected),
      input_(wire_.stream()),
      reader_(input_, wire_.plain(), kUpstreamBody),
      writer_(wire_.stream(), wire_.plain(), upstream.context().texts),
      created_(upstream.context().loop.now()) {}

H1Client::~H1Client() {
  // Of an HTTP message the framing tells that it is cut; of a tunnel only a reset does.
  // A server that was offered one may have begun it without our having seen its answer.
  // What it does not take would stay in the kernel long after an orderly close.
  const bool cut = stalled_ || (tunnel_ ? !(reader_.complete() && writer_.complete()) : offered_);
  wire_.stream().close(cut ? io::Stream::Close::reset : io::Stream::Close::orderly);
}

H1Client* H1Client::open_new(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                             Accepted connected, const Ends* ends) {
  auto* client = new H1Client(upstream, endpoint, std::move(connected), ends);
  client->begin_exchange();
  return client;
}

void H1Client::begin_exchange() {
  ++requests_;
  head_started_ = false;
  sent_ = false;
}

void H1Client::start(const http::RequestHead& head, std::string_view target,
                     std::span<const http::HeadEdit> edits) {
  http::Framing framing;
  framing.body = head.body;
  framing.upgrade = head.upgrade;
  offered_ = !framing.upgrade.empty();
  last_ = !head.body.empty() && http::content_is_unusual(head.method);
  framing.keep_alive = !last_;
  http::encode_request(writer_.new_head(), head, target, edits, framing);
  writer_.begin(head.body, upstream_.timeouts().upstream_write);
  if (head.body.kind == http::BodyLength::Kind::chunked) {
    writer_.rule_trailers(http::trailer_rules(head.fields, edits));
  }
}

void H1Client::request_sent() {
  sent_ = true;
  idle_since_ = upstream_.context().loop.now();
  input_.set_deadline(upstream_.head_timeout());
}

Task<Result<void>> H1Client::read_head(http::Method method, std::unique_ptr<ServerHead>& head) {
  const http::HeadLimits limits = upstream_.head_limits();
  unpin_head();
  std::size_t scanned = 0;
  for (;;) {
    if (!input_.view().empty()) {
      head_started_ = true;
      if (head == nullptr) head.reset(new ServerHead);
      const Result<std::size_t> size =
          http::parse_response_head(input_.view(), limits, method, scanned, *head);
      if (!size) co_return fail(size.error());
      if (*size > 0) {
        head_ = input_.pin(*size);
        if (head->status >= 200) offered_ = false;
        reader_.begin(head->body, limits, upstream_.timeouts().upstream_body);
        // With no body to come, the server's end is looked for from now on.
        if (reader_.complete() && head->status >= 200) input_.arm(kWindowHead);
        co_return Result<void>{};
      }
    }
    // The limit is a total from the end of the request; before that the server need not answer.
    Millis stall{0};
    if (sent_) {
      const Instant due = idle_since_ + upstream_.head_timeout();
      stall = std::chrono::duration_cast<Millis>(due - input_.now());
      if (stall.count() <= 0) co_return fail(Code::timed_out, "head");
    }
    Result<bool> more = co_await input_.more_behind(limits.head_size + kWindowHead, stall);
    if (!more) co_return fail(more.error());
    if (!*more) co_return fail(Code::closed, "head");
  }
}

void H1Client::begin_tunnel(Activity& activity, Millis idle) {
  tunnel_ = true;
  reader_.begin_tunnel(activity, idle);
  writer_.begin_tunnel(activity, idle);
}

void H1Client::cancel(Error why) {
  stalled_ |= why.cause == Cause::upstream_write_timeout || why.cause == Cause::overload_memory;
  wire_.stream().cancel(why);
}

bool H1Client::fit(Instant now) const {
  if (last_ || (ends_ != nullptr) != upstream_.tells_ends()) return false;
  if (!endpoint_->would_make(wire_)) return false;
  const config::Upstream& settings = upstream_.settings();
  if (settings.lifetime.count() > 0 && now - created_ >= settings.lifetime) return false;
  if (settings.requests_max > 0 && requests_ >= settings.requests_max) return false;
  return !endpoint_->retired;
}

// Its deadline may just have passed, and its receive be about to be told.
bool H1Client::late(Instant now) const {
  const Millis idle_timeout = upstream_.settings().idle_timeout;
  return idle_timeout.count() > 0 && now - idle_since_ >= idle_timeout;
}

// The one that was used last, of those for this client if servers are told whose they are.
H1Client* H1Client::find_idle(Endpoint& endpoint, const Ends* ends) {
  if (ends == nullptr) return endpoint.idle.empty() ? nullptr : &endpoint.idle.front();
  H1Client* found = nullptr;
  endpoint.idle.for_each([&](H1Client& client) {
    const bool own = client.ends_ == nullptr || *client.ends_ == *ends;
    if (found == nullptr && own) found = &client;
  });
  return found;
}

H1Client* H1Client::take_idle(Upstream& upstream, Endpoint& endpoint, const Ends* ends) {
  const Instant now = upstream.context().loop.now();
  while (H1Client* const client = find_idle(endpoint, ends)) {
    if (client->late(now) || !client->fit(now)) {
      client->discard_idle();
      continue;
    }
    client->ListNode<H1Client>::unlink();
    --endpoint.idle_count;
    upstream.counts().idle.sub();
    client->input_.watch(nullptr);
    client->input_.set_deadline(Millis(0));
    client->begin_exchange();
    return client;
  }
  return nullptr;
}

void H1Client::give_back(std::unique_ptr<H1Client> client, bool response_keep_alive) {
  Upstream& upstream = client->upstream_;
  Endpoint& endpoint = *client->endpoint_;
  const Instant now = upstream.context().loop.now();
  client->unpin_head();
  // Bytes behind the response, an early end, a body half read: nothing doubtful is used again.
  const bool clean = response_keep_alive && client->reader_.complete() &&
                     client->writer_.complete() && client->input_.view().empty() &&
                     !client->input_.arrived() && client->fit(now);
  const std::size_t idle_max = upstream.settings().idle_max;
  // Of clients that have left connections are left as well, and must not keep those of others out.
  const bool full = endpoint.idle_count >= idle_max;
  if (clean && full && client->ends_ != nullptr && idle_max > 0) {
    endpoint.idle.back().discard_idle();
  }
  if (!clean || endpoint.idle_count >= idle_max) return;
  H1Client& kept = *client.release();
  kept.idle_since_ = now;
  endpoint.idle.push_front(kept);
  ++endpoint.idle_count;
  upstream.counts().idle.add();
  kept.input_.watch(&kept);  // armed since the response was complete
  kept.input_.set_deadline(upstream.settings().idle_timeout);
}

void H1Client::discard_idle() {
  WEIR_ASSERT(ListNode<H1Client>::linked());
  ListNode<H1Client>::unlink();
  --endpoint_->idle_count;
  upstream_.counts().idle.sub();
  delete this;  // the pool owned it
}

}  // namespace weir::proxy
