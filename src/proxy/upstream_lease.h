// SPDX-License-Identifier: Apache-2.0
//
// The use of a connection to a server for one exchange. Its end gives the connection back to the
// pool or closes it, whichever is right; unique ownership.
#pragma once

#include "proxy/upstream_request.h"

namespace weir::proxy {

class UpstreamLease {
 public:
  UpstreamLease() = default;
  UpstreamLease(UpstreamLease&& other) noexcept
      : request_(std::exchange(other.request_, nullptr)) {}
  UpstreamLease& operator=(UpstreamLease&& other) noexcept;
  ~UpstreamLease() { release(false); }

  /// Takes a connection that is there: an idle one, or a place on one that is shared; empty if
  /// there is none. `ends`: as of Upstream::connect. `since`: not one that was made before;
  /// Instant::min() for any. An idle one is never newer.
  static UpstreamLease of_kept(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                               const Ends* ends, Instant since);
  /// Takes over a connection to the endpoint, on which this protocol was agreed.
  static UpstreamLease of_new(Upstream& upstream, const std::shared_ptr<Endpoint>& endpoint,
                              Accepted connected, const Ends* ends,
                              config::UpstreamProtocol protocol);

  /// Ends the use. `reusable`: the exchange ended cleanly in both directions and the server keeps
  /// the connection.
  void release(bool reusable);
  explicit operator bool() const { return request_ != nullptr; }
  UpstreamRequest* operator->() { return request_; }
  const UpstreamRequest* operator->() const { return request_; }
  UpstreamRequest& operator*() { return *request_; }

 private:
  explicit UpstreamLease(UpstreamRequest* request);
  UpstreamRequest* request_ = nullptr;
};

}  // namespace weir::proxy
