// SPDX-License-Identifier: Apache-2.0
//
// One worker: a thread, its loop, and everything that lives on it: listeners, connections,
// upstreams with their pools. Methods in the first part are called by the control thread, the
// others run on the worker's own thread (posted). Workers share nothing but counters, which are
// read by anybody, and new connections, which are handed to the least loaded of them.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "io/select_backend.h"
#include "io/splice.h"
#include "proxy/h1_server.h"
#include "proxy/log_sink.h"
#include "proxy/preamble.h"
#include "proxy/snapshot.h"
#include "server/diagnostics.h"
#include "server/process_status.h"
#include "tls/server_context.h"

namespace weir::server {

class MetricsRegistry;
class Worker;

/// What serves the connections of a listener.
struct Service {
  enum class Kind : std::uint8_t { http, tcp, handler };
  Kind kind = Kind::http;
  std::size_t listen_index = 0;       ///< in Config::listens, but for handler
  proxy::Handler* handler = nullptr;  ///< for handler; outlives the worker
  bool tls = false;
  std::shared_ptr<const tls::ServerContext> tls_context = {};  ///< nullptr: no usable certificate
  std::uint16_t https_port = 0;  ///< where plain requests are redirected; 0: they are not
};

/// A configuration as the control thread hands it to every worker.
struct Plan {
  std::shared_ptr<const config::Config> config;
  std::shared_ptr<const proxy::Router> router;
  std::vector<std::uint16_t> route_slots;  ///< as Config::routes
  std::uint16_t none_slot = 0;
  std::vector<std::uint16_t> upstream_slots;  ///< as Config::upstreams
  /// Likewise; nullptr: plain, or what it needs cannot be used.
  std::vector<std::shared_ptr<const tls::ClientContext>> upstream_tls;
  /// Addresses known already: of literals always, of names as far as they are resolved.
  std::vector<std::vector<std::vector<io::SocketAddress>>> addresses;  ///< upstream, server
  /// Services of the listeners, by id. Listeners that are not named here are closed, but for those
  /// of handlers.
  std::map<int, Service> services;
};

/// Joins a configuration with its counters. Addresses and services are the caller's to add.
std::shared_ptr<Plan> make_plan(std::shared_ptr<const config::Config> config,
                                MetricsRegistry& metrics);

class Worker {
 public:
  Worker(int index, io::Backend backend, std::size_t chunk_budget, proxy::WorkerMetrics& metrics,
         proxy::LogSink* log);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // --- control thread
  // -----------------------------------------------------------------------------
  /// Prepares the loop; fails when the kernel does not give what it needs.
  Result<void> open();
  /// The same on a given backend: with the simulator's, which turns the loop itself.
  void open(std::unique_ptr<io::Io> io, std::uint64_t seed);
  /// Starts its thread. `all`: every worker, for handing off connections; `ended` is called on the
  /// thread when it has stopped.
  void start(std::vector<Worker*> all, std::function<void()> ended);
  void join();
  /// Runs the loop on the calling thread instead, until it is stopped: the control thread's worker.
  void run();
  /// What run() does before and after its loop, for whoever turns the loop by other means. `all`:
  /// as of start(); empty: those that start() was given, or this one alone.
  void begin(std::vector<Worker*> all = {});
  void end();
  io::Loop& loop() { return loop_; }
  /// Of what runs here; it is joined before the loop ends.
  Scope& scope() { return context_->scope; }
  /// Its connections, with those that were handed to it and that it has not taken yet.
  [[nodiscard]] std::uint64_t connections() const {
    return metrics_.connections_active.get() + incoming_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] int index() const { return index_; }

  // --- worker's thread
  // ----------------------------------------------------------------------------
  void apply(const std::shared_ptr<const Plan>& plan);
  /// The same without routes, for a worker whose listeners all have handlers.
  void apply_settings(const std::shared_ptr<const Plan>& plan);
  void set_addresses(const std::string& upstream, std::size_t server,
                     const std::vector<io::SocketAddress>& addresses);
  /// Takes over a duplicate of a listening socket.
  void listen(int id, int fd, const Service& service);
  /// Accepts what is queued and closes all listeners; connections end after what they are doing.
  void drain();
  /// Ends all connections now.
  void abort_all();
  /// What is known of the servers here.
  [[nodiscard]] std::vector<UpstreamStatus> upstream_status() const;
  /// Serves a connection that another worker has accepted.
  enum class Admit : std::uint8_t { yes, turn_away };
  void adopt(int fd, const io::Peer& peer, int listener, Admit admit);

  /// Connections, listeners and what else is here: what runs, and one for all connections.
  [[nodiscard]] std::size_t running() const {
    return context_->scope.running() + (connections_.empty() ? 0 : 1);
  }

  /// Called at the end of each turn; set before run().
  std::function<void()> on_turn;

  void set_connections_max(std::uint64_t max) { connections_max_ = max; }

 private:
  struct Listener;

  static Task<> accept_loop(Worker* self, Listener* listener);
  static Task<> stop_when_empty(Worker* self);
  static Task<> relieve_memory(Worker* self);
  void accepted(int fd, const io::Peer& peer, Listener& listener);
  /// Announces a connection from another worker; false: this one is about to end and takes none.
  /// Any thread.
  bool expect_connection();
  Worker& least_loaded();
  bool make_room();
  /// The connection that serves what a listener has accepted.
  proxy::Connection* serve(const Listener& listener, proxy::Accepted accepted, Admit admit);
  static proxy::Connection* succeed(const proxy::Preamble::Successor& successor,
                                    proxy::Accepted accepted,
                                    std::shared_ptr<proxy::Upstream> upstream);
  Listener& know_listener(int id, const Service& service);
  void close_listener(Listener& listener);
  std::shared_ptr<proxy::Upstream> upstream(const Plan& plan, std::size_t index);

  int index_;
  io::Backend backend_;
  proxy::WorkerMetrics& metrics_;
  proxy::LogSink* log_ = nullptr;
  io::Loop loop_;
  std::unique_ptr<proxy::Context> context_;
  std::optional<io::PipePool> pipes_;  // from begin() to end(), where the backend can splice
  std::map<std::string, std::shared_ptr<proxy::Upstream>> upstreams_;
  std::map<int, std::unique_ptr<Listener>> listeners_;
  List<proxy::Connection> connections_;
  std::vector<Worker*> all_;
  std::thread thread_;
  std::uint64_t connections_max_ = 0;
  std::atomic<std::uint64_t> incoming_{0};
  std::atomic<bool> leaving_{false};  // context_->draining, for the other workers
  bool relieving_ = false;            // relieve_memory() runs
  RateLimit memory_complaint_;
};

/// The servers as all workers together see them: down where one of them waits to try again.
std::vector<UpstreamStatus> merge_status(const std::vector<std::vector<UpstreamStatus>>& parts);

}  // namespace weir::server
