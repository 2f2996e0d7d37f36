// SPDX-License-Identifier: Apache-2.0
//
// Everything of one seed: the network, the real worker of the proxy, clients and servers that
// follow their scripts, and the list of what was wrong. One thread; time is the network's.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/scope.h"
#include "exchange.h"
#include "h2_peer.h"
#include "io/loop.h"
#include "io/sim_network.h"
#include "proxy/log_sink.h"
#include "server/metrics_registry.h"
#include "server/names.h"
#include "server/worker.h"
#include "stage.h"
#include "swarm.h"
#include "wire.h"

namespace weir::sim {

enum class Trace : std::uint8_t { no, print };
inline constexpr std::size_t kServers = 3;

using DrawSwarm = Swarm(Draw& draw, std::uint64_t seed, std::size_t servers);

class World {
 public:
  explicit World(std::uint64_t seed, Trace trace = Trace::no, DrawSwarm* draw = draw_swarm,
                 On on = On::sim);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  /// Plays the seed to its end, and judges it.
  void run();
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] std::uint64_t fingerprint() const { return network.trace(); }
  [[nodiscard]] std::size_t exchanges() const { return exchanges_.size(); }
  [[nodiscard]] Weather weather() const { return swarm.weather; }
  [[nodiscard]] const std::string& description() const { return description_; }
  [[nodiscard]] const std::deque<Exchange>& all() const { return exchanges_; }
  /// The access log so far.
  [[nodiscard]] std::string log() const;

  // --- for the actors -------------------------------------------------------------
  io::SimNetwork network;          // on a real stage nothing happens here, and its clock stands
  io::SimDescriptors descriptors;  // of the proxy
  Swarm swarm;
  io::Loop client_loop{64_MiB};
  io::Loop server_loop{64_MiB};

  /// nullptr: nobody has made one with this id.
  Exchange* find(std::uint64_t id);
  template <class... Args>
  void violate(fmt::format_string<Args...> format, Args&&... args) {
    add_violation(fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    if (trace_ == Trace::print) print(fmt::format(format, std::forward<Args>(args)...));
  }
  [[nodiscard]] const io::SocketAddress& address(Way way) const {
    return way == Way::tcp ? tcp_address_ : http_address_;
  }
  [[nodiscard]] H2Knobs h2_knobs(const Script& script) const;
  [[nodiscard]] H2Knobs h2_server_knobs() const;
  [[nodiscard]] const config::Timeouts& timeouts() const { return config_->timeouts; }
  [[nodiscard]] Millis idle_timeout() const { return config_->upstreams.front().idle_timeout; }
  /// Since when no worker sends new exchanges to the server with this number; kNever: some do.
  [[nodiscard]] Instant gone_since(std::size_t server) const { return gone_since_[server]; }
  /// A number below `limit`, for one side of an exchange. Where worlds are compared it does not
  /// depend on what others draw.
  std::uint64_t random(std::uint64_t id, Side side, std::uint64_t limit);
  /// A tcp session may be logged of which its client knows nothing.
  void lost_session() { ++sessions_lost_; }
  /// Connections of servers, to end those that nobody ends.
  void enter(Wire& wire) { open_.push_back(&wire); }
  void leave(Wire& wire) { std::erase(open_, &wire); }

 private:
  friend class Judge;

  struct Listening {
    io::Socket* socket = nullptr;
    Way way = Way::http;
    std::size_t server = 0;
    io::SocketAddress address{};
  };
  /// A worker, and what the world knows of it without asking it.
  struct Proxy {
    std::unique_ptr<proxy::LogSink> log;
    std::unique_ptr<server::Worker> worker;
    std::string lines;  // logged so far
    std::string spare;  // with room, to exchange
    std::uint64_t turns = 0;
    bool ended = false;
    std::shared_ptr<const config::Config> config;
    std::vector<std::vector<std::vector<io::SocketAddress>>> addresses;  // as those of a plan
  };

  void make_config();
  [[nodiscard]] const io::SocketAddress& server_address(Way way, std::size_t server) const;
  void draw_scripts();
  void start_proxy();
  void open_listener(Way way);
  void start_servers();
  std::shared_ptr<server::Plan> plan(const Reload& reload);
  void publish(const std::shared_ptr<server::Plan>& plan);
  void apply(Proxy& proxy, const std::shared_ptr<const server::Plan>& plan);
  void name_changed(const std::string& name);
  [[nodiscard]] std::size_t allowed(const Proxy& proxy) const;
  void look_who_is_gone();
  /// What has to hold at any time.
  void look_at(Proxy& proxy);
  void take_log(Proxy& proxy);
  /// What its thread does when its loop has stopped.
  void end(Proxy& proxy);
  [[nodiscard]] bool proxies_stopped() const;
  [[nodiscard]] std::size_t proxies_running() const;
  void play();
  void stop_proxy();
  void stop_servers();
  void add_violation(std::string text);
  void print(const std::string& text) const;

  static Task<> accept_loop(World* self, Listening* listening);
  static Task<> run_client(World* self, Script* script);
  static Task<> drain_later(World* self, Millis when);
  static Task<> reload_later(World* self, const Reload* reload);
  static Task<> crash_later(World* self, const Crash* crash);
  static Task<> calm_down(World* self, Millis when);

  std::uint64_t seed_;
  Trace trace_;
  On on_;
  Draw draw_;
  std::unique_ptr<Stage> stage_;
  std::map<std::pair<std::uint64_t, Side>, Draw> draws_;
  std::string description_;
  std::shared_ptr<config::Config> config_;
  std::uint64_t first_id_ = 0;
  std::deque<Exchange> exchanges_;
  std::deque<Script> scripts_;

  std::unique_ptr<server::MetricsRegistry> metrics_;
  proxy::LogSignal signal_;
  io::Loop control_loop_{1_MiB};
  std::unique_ptr<server::Names> names_;
  std::deque<Proxy> proxies_;
  std::shared_ptr<const server::Plan> plan_;
  io::SocketAddress http_address_;
  io::SocketAddress tcp_address_;
  int next_listener_ = 1;
  int http_listener_ = 0;
  int tcp_listener_ = 0;  // 0: there is none now
  std::array<Instant, kServers> gone_since_{};

  Scope clients_{client_loop.queue};
  Scope operators_{client_loop.queue};
  Scope servers_{server_loop.queue};
  std::deque<Listening> listening_;
  std::vector<Wire*> open_;
  std::size_t sessions_lost_ = 0;
  bool draining_ = false;
  std::vector<std::string> violations_;
};

/// Compares what was seen with what was logged.
void judge(World& world);

}  // namespace weir::sim
