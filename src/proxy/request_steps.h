// SPDX-License-Identifier: Apache-2.0
//
// What is changed on the way to the server: the forwarded headers, the route's header rules, the
// target. Plain functions; the results live in the exchange's arena.
#pragma once

#include <span>

#include "proxy/accepted.h"
#include "proxy/snapshot.h"

namespace weir::tls {
class Stream;
}

namespace weir::proxy {

/// What an exchange knows of the connection on which its request came.
struct ClientFacts {
  io::Peer peer;
  std::string_view peer_text;  ///< peer.text()
  std::string_view scheme = "http";
  const io::Stream* stream = nullptr;     ///< it; outlives the exchange
  const io::Peer* destination = nullptr;  ///< where it went, if a PROXY header has said so
  const tls::Stream* tls = nullptr;       ///< nullptr: a plain connection
  const PreambleRules* rules = nullptr;   ///< what the listener passes on unread; or nothing
  std::uint16_t https_port = 0;           ///< requests are redirected there; 0: they are not

  /// Takes over what is known of it. `arrival`: nullptr when nothing is.
  void see(const Wire& wire, const Arrival* arrival);
  [[nodiscard]] Ends ends() const { return ends_of(*stream, peer, destination); }
};

struct RequestSteps {
  std::span<const http::HeadEdit> edits;
  std::string_view target;  ///< what the server is asked for
  std::string_view client;  ///< the client's address, as far as it can be trusted
  std::string_view request_id;
  bool final_recipient = false;  ///< Max-Forwards is used up: no server may see the request
};

/// X-Forwarded-For, -Proto and -Host say what this proxy knows; what a peer that is not in
/// trusted_proxies claims is dropped, and Forwarded with it. X-Request-Id is made unless a trusted
/// peer sent one. Via names us (RFC 9110 section 7.6.3). The route's rules come last and win.
RequestSteps run_request_steps(const http::RequestHead& head, const ClientFacts& client,
                               const RouteEntry& route, const config::Config& config,
                               Random& random, Arena& arena);

/// The id by which logs know the request: a trusted peer's, or a new one.
struct RequestId {
  std::string_view text;
  bool made = false;
};
RequestId choose_request_id(const http::RequestHead& head, const ClientFacts& client,
                            const config::Config& config, Random& random, Arena& arena);

/// `to` with {scheme}, {host}, {path}, {query} and {uri} filled in from the request. What the
/// client chose does not make a path the name of a host ("//evil" becomes "/evil").
std::string_view redirect_target(std::string_view to, const http::RequestHead& head,
                                 std::string_view scheme, Arena& arena);

}  // namespace weir::proxy
