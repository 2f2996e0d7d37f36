// SPDX-License-Identifier: Apache-2.0
//
// The servers that answer: which one is next (balancing), what is known of its health, and its idle
// connections (pool). All of it belongs to one worker; nothing is locked. An endpoint is one
// address: a server given by name is as many endpoints as its name has addresses, and these may
// change.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "async/task.h"
#include "base/list.h"
#include "config/config.h"
#include "io/address.h"
#include "io/notice.h"
#include "io/tcp_stream.h"
#include "proxy/accepted.h"
#include "proxy/context.h"
#include "proxy/ends.h"

namespace weir::tls {
class ClientContext;
struct KnownServer;
}  // namespace weir::tls

namespace weir::proxy {

class H1Client;
class H2Client;

/// Who waits for a connection that another exchange is making. Lives in its coroutine.
struct OpeningWaiter : io::Notice {
  using Notice::Notice;
  std::optional<Error> failure;
};

/// A connection to a server while it is made, for whoever may have to end it.
class Connecting {
 public:
  /// What is under way ends with `why`; what is begun later is not ended: its owner asks
  /// cancelled().
  void cancel(Error why) {
    handle_.cancel(why);
    if (stream_ != nullptr) stream_->cancel(why);
  }
  [[nodiscard]] bool cancelled() const { return handle_.cancelled(); }

 private:
  friend class Upstream;
  /// While something is done on the new connection.
  class Step {
   public:
    Step(Connecting& connecting, io::Stream& stream) : connecting_(connecting) {
      connecting_.stream_ = &stream;
    }
    ~Step() { connecting_.stream_ = nullptr; }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Connecting& connecting_;
  };

  io::ConnectHandle handle_;
  io::Stream* stream_ = nullptr;
};

/// One address of an upstream, as one worker sees it. Shared by the upstream and by the leases on
/// it; it lives on when a reload or the resolver has dropped it, until its last exchange has ended.
class Endpoint {
 public:
  Endpoint(const io::SocketAddress& address, std::string name);
  ~Endpoint();

  io::SocketAddress address;
  std::string name;  ///< for logs: the address
  int weight = 1;
  bool backup = false;
  bool retired = false;  ///< not in the configuration any more: connections are not kept

  // TLS.
  std::string verified_name;                ///< "": plain
  std::shared_ptr<tls::KnownServer> known;  ///< nullptr: plain, or TLS cannot be spoken
  /// A connection was made as a new one would be: a reload may have changed whom to trust.
  [[nodiscard]] bool would_make(const Wire& wire) const;

  // Balancing.
  int current = 0;         ///< smooth weighted round robin
  std::size_t active = 0;  ///< exchanges now

  // Health by use.
  int failures = 0;    ///< connects that failed in a row
  Instant retry_at{};  ///< not chosen before, unless nothing else is left
  Error last_error{};

  // Idle connections, most recently used first.
  List<H1Client> idle;
  std::size_t idle_count = 0;

  // Shared connections (HTTP/2), idle or not, most recently made first.
  List<H2Client> shared;
  std::size_t opening = 0;   ///< being made, until their servers say how much they take
  List<io::Notice> waiting;  ///< for one of them: OpeningWaiter
  std::size_t waiting_count = 0;
};

/// What a failed connect means for an exchange.
Error connect_cause(Error error);
/// What the log says of a failure beside its cause: what OpenSSL said of a server, or that the time
/// of a connect went by in a handshake; mostly "". Static text.
const char* detail_of(const Error& error);

/// The servers of one [upstream.NAME], as one worker sees them.
class Upstream : public std::enable_shared_from_this<Upstream> {
 public:
  /// `metrics` are this worker's counts for it. Endpoints are set afterwards.
  Upstream(Context& context, UpstreamCounts& counts);
  ~Upstream();

  /// Takes over a configuration; endpoints that are in both live on, with their pool and health.
  /// `tls`: nullptr if it is plain, or if its settings cannot be used.
  void configure(std::shared_ptr<const config::Config> config, const config::Upstream& settings,
                 std::shared_ptr<const tls::ClientContext> tls = nullptr);
  /// The addresses of one of its servers: a literal's own, or what the resolver found. Empty: the
  /// name has none now.
  void set_addresses(std::size_t server, const std::vector<io::SocketAddress>& addresses);

  /// The next endpoint for a request, not one of `tried`; nullptr if there is none left. Prefers
  /// servers that work, then those whose wait is over soonest; backups only without others.
  std::shared_ptr<Endpoint> pick(std::span<const Endpoint* const> tried);
  /// A connection could not be made: the endpoint rests, twice as long each time.
  void failed(Endpoint& endpoint, Error error);
  void worked(Endpoint& endpoint);
  /// Not even its kernel acknowledges what was sent: other connections to it are dead as well.
  static void vanished(Endpoint& endpoint);
  /// Closes all idle connections, of what was dropped or of all.
  void close_idle();
  /// Closes the connection that has been idle for longest at one of its servers, or one that is
  /// shared and idle. False: there is none.
  bool shed_idle();
  /// Whether its servers are told of each connection for which client it is.
  [[nodiscard]] bool tells_ends() const {
    return settings_->proxy_protocol != config::ProxyProtocol::off;
  }
  /// Whether exchanges share connections (HTTP/2).
  [[nodiscard]] bool shares_connections() const {
    return settings_->protocol == config::UpstreamProtocol::http2;
  }
  /// Whether a shared connection is being made on which there will be a place. Then one waits for
  /// it in await_opening(), at most the time that it may take, or until `waiter` is given notice;
  /// its failure is that of all who wait. Who comes first finds the place.
  [[nodiscard]] bool place_to_come(const Endpoint& endpoint) const;
  Task<Result<void>> await_opening(Endpoint& endpoint, OpeningWaiter& waiter);
  /// Connects to one of its servers, tells it of `ends` (nullptr: nothing) and makes the TLS
  /// handshake. When descriptors run out what is idle makes room first.
  Task<Result<Accepted>> connect(Endpoint& endpoint, Connecting& connecting, const Ends* ends);
  /// Likewise, for a connection that is to be shared. It counts as one that is being made until
  /// opened() is called of it, which whoever gets it sees to.
  Task<Result<Accepted>> connect_shared(Endpoint& endpoint, Connecting& connecting);
  /// A shared connection has its place among the others, or there will be none.
  void opened(Endpoint& endpoint, std::optional<Error> failure);

  [[nodiscard]] const config::Upstream& settings() const { return *settings_; }
  [[nodiscard]] const config::Timeouts& timeouts() const { return config_->timeouts; }
  [[nodiscard]] Millis connect_timeout() const;
  [[nodiscard]] Millis head_timeout() const;
  [[nodiscard]] http::HeadLimits head_limits() const;
  [[nodiscard]] const std::string& name() const { return settings_->name; }
  /// The servers of which no address is known now, as they are configured.
  [[nodiscard]] std::vector<std::string> unresolved_servers() const;
  [[nodiscard]] bool unresolved() const { return endpoints_.empty(); }
  [[nodiscard]] std::span<const std::shared_ptr<Endpoint>> endpoints() const { return endpoints_; }
  Context& context() { return context_; }
  UpstreamCounts& counts() { return counts_; }

 private:
  Task<Result<io::Socket*>> connect_once(const Endpoint& endpoint, io::ConnectHandle& connecting);
  static void drop_kept(Endpoint& endpoint);
  [[nodiscard]] Millis left(Instant due) const;
  [[nodiscard]] std::string verified_name(const config::Server& server) const;
  Endpoint* round_robin(std::span<Endpoint* const> candidates);
  Endpoint* least_connections(std::span<Endpoint* const> candidates);
  void rebuild();
  void add_endpoint(std::vector<std::shared_ptr<Endpoint>>& next, const io::SocketAddress& address,
                    std::size_t server);

  Context& context_;
  UpstreamCounts& counts_;
  std::shared_ptr<const config::Config> config_;
  const config::Upstream* settings_ = nullptr;  // in config_
  std::shared_ptr<const tls::ClientContext> tls_;
  std::size_t turn_ = 0;
  std::vector<std::vector<io::SocketAddress>> addresses_;  // by server
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  std::vector<Endpoint*> candidates_;  // of one pick(); kept for its room
};

}  // namespace weir::proxy
