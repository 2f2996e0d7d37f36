// SPDX-License-Identifier: Apache-2.0
//
// What is known of one exchange when it has ended: made once, read once, by the access log and by
// the metrics. Views live as long as the exchange, so nothing here is kept.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/time.h"
#include "http/head.h"
#include "io/address.h"

namespace weir::proxy {

struct RouteCounts;
struct UpstreamCounts;

struct Record {
  WallTime started;
  std::string_view protocol;       ///< "HTTP/1.1", "HTTP/2", "TCP"; "TLS": a handshake that failed
  const io::Peer* peer = nullptr;  ///< who is connected to us
  std::string_view client;  ///< the client's address: the peer's, or what a trusted proxy said
  std::string_view method;
  std::string_view host;         ///< authority as the client sent it
  std::string_view target;       ///< path and query as the client sent it
  std::string_view tls_version;  ///< "" without TLS
  std::string_view tls_cipher;
  std::string_view detail;  ///< what went wrong in the words of who noticed it; mostly ""
  std::string_view user_agent;
  std::string_view referer;
  std::string_view user;  ///< authenticated user; "" in this stage
  std::string_view request_id;
  std::string_view route;  ///< "" when none matched
  std::string_view upstream;
  std::string_view server;              ///< the address that was used last
  RouteCounts* route_counts = nullptr;  ///< counted there; nullptr: nowhere
  UpstreamCounts* upstream_counts = nullptr;
  int status = 0;  ///< sent to the client; 0: none was
  Cause cause = Cause::none;
  int retries = 0;
  std::uint64_t bytes_received = 0;  ///< body bytes from the client
  std::uint64_t bytes_sent = 0;      ///< body bytes to the client
  Micros duration{0};                ///< first byte of the head to the end
  Micros connect{-1};                ///< of the last attempt; negative: a kept connection, or none
  Micros first_byte{-1};             ///< request sent to response head; negative: none came
};

}  // namespace weir::proxy
