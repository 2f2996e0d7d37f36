// SPDX-License-Identifier: Apache-2.0
//
// A client's connection of which something has to be known before it is served: whose it is (a
// PROXY header) or where it wants to go (the name in a TLS ClientHello). It reads no more than
// that, within timeouts.client_head in total, and makes way for the connection that serves the
// rest: the ClientHello and what came behind it are handed on as they came. What does not say it in
// time, or not well, is closed with a cause, logged and counted.
#pragma once

#include <memory>
#include <string>

#include "io/tcp_stream.h"
#include "proxy/connection.h"
#include "proxy/context.h"
#include "proxy/input.h"
#include "proxy/passthrough.h"
#include "proxy/proxy_protocol.h"

namespace weir::proxy {

/// What a listener wants to know of its connections first. Immutable, shared by them.
struct PreambleRules {
  config::ProxyPeers proxy_peers;  ///< who begins with a PROXY header
  Passthrough passthrough;         ///< empty: no ClientHello is looked at
  /// The listener serves what no entry of passthrough is for; otherwise that is closed.
  enum class Others : std::uint8_t { served, closed } others = Others::served;

  /// Whether a connection of this peer begins with a PROXY header.
  [[nodiscard]] bool expects_header(const io::Peer& peer) const;
  /// Whether there is anything to be known of it.
  [[nodiscard]] bool apply_to(const io::Peer& peer) const {
    return !passthrough.empty() || expects_header(peer);
  }
};

/// Of a listener, with the upstreams of this worker; nullptr when there is nothing to be known.
std::shared_ptr<const PreambleRules> preamble_rules(
    const config::Listen& listen,
    const std::map<std::string, std::shared_ptr<Upstream>>& upstreams);

class Preamble final : public Connection {
 public:
  /// Makes the connection that serves the rest: as plain TCP to `upstream`, or, where that is
  /// nullptr, as its listener does. Returns nullptr, and has closed it, when there is none any
  /// more.
  struct Successor {
    Connection* (*make)(const Successor& self, Accepted accepted,
                        std::shared_ptr<Upstream> upstream) = nullptr;
    void* worker = nullptr;
    int listener = 0;
    bool turned_away = false;  ///< too many connections: to be told so
  };

  Preamble(Context& context, Accepted accepted, std::shared_ptr<const PreambleRules> rules,
           const Successor& successor);
  ~Preamble() override;

  void start() override { context_.scope.spawn(&Preamble::run, this); }
  void drain() override;
  void abort(Error why) override { stream_.cancel(why); }
  [[nodiscard]] bool idle() const override;
  [[nodiscard]] Micros stall() const override { return Micros(0); }

 private:
  static Task<> run(Preamble* self);
  Task<Result<void>> serve();
  Task<Result<void>> read_header();
  Task<Result<void>> read_hello();
  Task<Result<void>> more(std::size_t size_max, Cause late);
  Task<> refuse(Error why);
  void make_way();
  void log(Cause cause);

  Context& context_;
  std::shared_ptr<Snapshot> snapshot_;
  std::shared_ptr<const PreambleRules> rules_;
  std::shared_ptr<Upstream> upstream_;  // to which it is passed through
  Successor successor_;
  io::TcpStream stream_;
  Input input_;
  io::Peer peer_;                                // the connection's own, then the header's
  std::unique_ptr<const io::Peer> destination_;  // the header's
  std::string name_;                             // that a ClientHello wants
  Instant accepted_;
  WallTime accepted_wall_;
  Instant due_;
  bool silent_ = true;  // nothing has come yet
};

}  // namespace weir::proxy
