// SPDX-License-Identifier: Apache-2.0
//
// Everything of one seed: the network, the real worker of the proxy, clients and servers that
// follow their scripts, and the list of what was wrong. One thread; time is the network's.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "async/scope.h"
#include "exchange.h"
#include "io/loop.h"
#include "io/sim_network.h"
#include "proxy/log_sink.h"
#include "server/metrics_registry.h"
#include "server/worker.h"
#include "wire.h"

namespace weir::sim {

enum class Trace : std::uint8_t { no, print };

class World {
 public:
  World(std::uint64_t seed, Trace trace);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  /// Plays the seed to its end, and judges it.
  void run();
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] std::uint64_t fingerprint() const { return network.trace(); }
  [[nodiscard]] std::size_t exchanges() const { return exchanges_.size(); }
  [[nodiscard]] Weather weather() const { return weather_; }

  // --- for the actors -------------------------------------------------------------
  io::SimNetwork network;
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
  /// After so much idleness servers close a connection; zero: never.
  [[nodiscard]] Millis server_idle() const { return server_idle_; }
  /// Connections of servers, to end those that nobody ends.
  void enter(Wire& wire) { open_.push_back(&wire); }
  void leave(Wire& wire) { std::erase(open_, &wire); }

 private:
  friend class Judge;

  struct Listening {
    io::Socket* socket = nullptr;
    Way way = Way::http;
  };

  void make_config();
  void draw_scripts();
  void start_proxy();
  void start_servers();
  std::shared_ptr<const server::Plan> plan(std::size_t servers);
  void play();
  void stop_proxy();
  void stop_servers();
  void add_violation(std::string text);
  void print(const std::string& text) const;

  static Task<> accept_loop(World* self, Listening* listening);
  static Task<> run_client(World* self, Script* script);
  static Task<> drain_later(World* self, Millis when);
  static Task<> reload_later(World* self, Millis when, std::size_t servers);
  static Task<> calm_down(World* self, Millis when);

  std::uint64_t seed_;
  Trace trace_;
  Draw draw_;
  Weather weather_ = Weather::calm;
  std::shared_ptr<config::Config> config_;
  std::size_t budget_ = 64_MiB;
  std::deque<Exchange> exchanges_;
  std::deque<Script> scripts_;

  server::MetricsRegistry metrics_{1, WallTime{}};
  proxy::LogSignal signal_;
  std::unique_ptr<proxy::LogSink> log_;
  std::unique_ptr<server::Worker> worker_;
  io::SocketAddress http_address_;
  io::SocketAddress tcp_address_;
  std::vector<std::vector<std::vector<io::SocketAddress>>> addresses_;

  Scope clients_{client_loop.queue};
  Scope operators_{client_loop.queue};
  Scope servers_{server_loop.queue};
  std::deque<Listening> listening_;
  std::vector<Wire*> open_;
  Millis server_idle_{0};
  bool draining_ = false;
  bool resets_ = false;  // the network breaks connections
  std::vector<std::string> violations_;
};

// --- what clients and servers have in common -------------------------------------

/// A body, or the raw bytes of one direction of a tunnel, and how it is sent.
struct Sending {
  std::uint64_t id;
  Side side;
  Framing framing;
  std::size_t size;
  std::size_t stop_at = SIZE_MAX;  ///< bytes; then Sent::stopped
  Millis dawdles{0};
  bool trailers = false;
  bool* finished;    ///< set before the last of it leaves; not for Framing::until_close
  std::string head;  ///< goes ahead, in its own segment or with the first bytes
};
enum class Sent : std::uint8_t { whole, stopped, failed };
Task<Sent> send_body(World& world, Wire& wire, Sending what);

/// The connection of one client from its first request on; `next`: of the script.
Task<> converse(World& world, Wire& wire, Script& script, std::size_t& next);
/// A session through the TCP listener.
Task<> converse_tcp(World& world, Wire& wire, Exchange& x);
/// A connection that a server has accepted, to its end.
Task<> serve_http(World& world, Wire& wire);
Task<> serve_tcp(World& world, Wire& wire);

/// Compares what was seen with what was logged.
void judge(World& world);

}  // namespace weir::sim
