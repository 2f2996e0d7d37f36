// SPDX-License-Identifier: Apache-2.0
//
// The process: workers, listening sockets, the log writer, counters, and the control loop on the
// main thread that reacts to signals and to the admin socket. Reload is by difference: a new
// configuration is built completely first, and if any part of it fails nothing has changed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/admin.h"
#include "server/log_writer.h"
#include "server/metrics_registry.h"
#include "server/names.h"
#include "server/process_status.h"
#include "server/signals.h"
#include "server/stapler.h"
#include "server/tls_store.h"
#include "server/worker.h"

namespace weir::server {

struct Reloaded {
  bool ok = false;
  std::string text;  ///< what an operator is shown: diagnostics, or what changed
};

class Server : private io::Timer {
 public:
  using Load = std::function<std::shared_ptr<const config::Config>(std::string& diagnostics)>;
  /// `load` reads the configuration again for a reload; empty when there is no file.
  Server(std::shared_ptr<const config::Config> config, Load load);
  ~Server();

  /// Binds, drops privileges, starts the workers. An error is a sentence for the operator.
  std::optional<std::string> start();
  /// Until a signal or stop() ends it. The exit code.
  int run();

  // Called on the control thread (signals, admin).
  Reloaded reload();
  void stop();
  void reopen_logs();
  [[nodiscard]] MetricsRegistry& metrics() { return *metrics_; }
  /// Of the first listener, as the kernel chose it; 0 for a unix socket.
  [[nodiscard]] std::uint16_t first_port() const;
  [[nodiscard]] const config::Config& config() const { return *config_; }
  [[nodiscard]] std::string_view backend_name() const;
  /// What runs, beside the counters. Asks every worker for the state of its servers.
  [[nodiscard]] ProcessStatus process_status();
  [[nodiscard]] bool draining() const { return draining_; }
  io::Loop& loop() { return control_->loop(); }
  /// Further listeners of the control loop (admin, demo origin), served by `handler`.
  Result<io::SocketAddress> listen_with(const io::SocketAddress& address, unsigned unix_mode,
                                        proxy::Handler& handler);

 private:
  /// A listening socket that is open.
  struct Listening {
    int id = 0;
    int fd = -1;
    config::Listen settings;
  };
  /// The listening sockets of a configuration, in its order; some of them open already.
  struct Listeners {
    std::vector<Listening> all;
    std::vector<Listening> opened;  ///< of these, the new ones
  };
  std::optional<std::string> open_listeners(const config::Config& config, Listeners& listeners);
  std::shared_ptr<const Plan> make_plan(std::shared_ptr<const config::Config> config,
                                        const Listeners& listeners, const TlsContexts& tls);
  static std::uint16_t port_of_https(const config::Config& config, const Listeners& listeners);
  TlsContexts load_tls(const config::Config& config, std::string* text);
  void watch_certificates();
  void watch_responders();
  void on_all_workers(const std::function<void(Worker&)>& act);
  void publish(const std::shared_ptr<const Plan>& plan, const Listeners& listeners);
  std::vector<std::string> files_of_user() const;
  void open_admin(int& fd);
  void name_changed(const std::string& name);
  static void close_listening(const Listening& listening);
  void on_signal(int signal);
  void end_drain();
  void worker_ended();

  std::shared_ptr<const config::Config> config_;
  Load load_;
  Admin admin_{*this};
  std::string admin_file_;  // of the admin socket, if it is ours
  WallTime started_{};
  std::optional<TlsStore> tls_;  // from start() on
  struct CertificateWatch : io::Timer {
    explicit CertificateWatch(Server& owner)
        : Timer([](Timer& timer) {
            static_cast<CertificateWatch&>(timer).server.watch_certificates();
          }),
          server(owner) {}
    Server& server;
  } certificate_watch_{*this};
  io::Backend backend_ = io::Backend::epoll;
  std::unique_ptr<MetricsRegistry> metrics_;
  std::unique_ptr<LogWriter> log_;
  std::unique_ptr<Names> names_;
  std::vector<std::unique_ptr<Worker>> workers_;
  proxy::WorkerMetrics control_metrics_;  // not part of what is shown
  std::unique_ptr<Worker> control_;       // the main thread's: signals, admin, the demo's origin
  std::optional<Signals> signals_;        // from start() to the end of run()
  std::optional<Stapler> stapler_;        // likewise
  std::size_t workers_ended_ = 0;
  std::vector<Listening> listening_;
  std::shared_ptr<const Plan> plan_;
  int next_listener_ = 1;
  bool draining_ = false;
  int stops_ = 0;
};

}  // namespace weir::server
