// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream_lease.h"

#include <utility>

#include "proxy/h1_client.h"
#include "proxy/h2_client.h"

namespace weir::proxy {

UpstreamLease& UpstreamLease::operator=(UpstreamLease&& other) noexcept {
  if (this != &other) {
    release(false);
    request_ = std::exchange(other.request_, nullptr);
  }
  return *this;
}

UpstreamLease UpstreamLease::of_kept(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                                     const Ends* ends, Instant since) {
  UpstreamRequest* request = nullptr;
  if (upstream.shares_connections()) {
    request = H2Client::open_kept(upstream, *endpoint, ends, since);
  } else if (since == Instant::min()) {
    request = H1Client::take_idle(upstream, *endpoint, ends);
  }
  UpstreamLease lease(request);
  if (lease) upstream.counts().reuses.add();
  return lease;
}

UpstreamLease UpstreamLease::of_new(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                                    Accepted connected, const Ends* ends,
                                    config::UpstreamProtocol protocol) {
  upstream.counts().connects.add();
  if (protocol == config::UpstreamProtocol::http2) {
    return UpstreamLease(H2Client::open_new(upstream, endpoint, std::move(connected), ends));
  }
  return UpstreamLease(H1Client::open_new(upstream, endpoint, std::move(connected), ends));
}

UpstreamLease::UpstreamLease(UpstreamRequest* request) : request_(request) {
  if (request_ == nullptr) return;
  ++request_->endpoint().active;
  request_->upstream().counts().active.add();
}

void UpstreamLease::release(bool reusable) {
  if (request_ == nullptr) return;
  --request_->endpoint().active;
  request_->upstream().counts().active.sub();
  std::exchange(request_, nullptr)->release(reusable);
}

}  // namespace weir::proxy
