// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <latch>
#include <thread>

#include "io/listener.h"
#include "io/system_socket.h"
#include "server/diagnostics.h"
#include "server/listening.h"
#include "server/privileges.h"

namespace weir::server {
namespace {

constexpr Millis kCertificateLook{3'000};
constexpr std::uint64_t kDescriptorsKept = 128;  // for listeners, logs, pipes, configuration

std::string_view kind_of(const config::Listen& listen) {
  if (listen.tls) return listen.serves_http() ? " (https)" : " (tls, tcp)";
  return listen.serves_http() ? "" : " (tcp)";
}

std::string errno_text(int error) { return std::strerror(error); }

io::Backend backend_of(config::IoBackend backend) {
  switch (backend) {
    case config::IoBackend::automatic: return io::Backend::automatic;
    case config::IoBackend::ring: return io::Backend::ring;
    case config::IoBackend::epoll: return io::Backend::epoll;
  }
  WEIR_UNREACHABLE("backend");
}

std::size_t worker_count(const config::Config& config) {
  if (config.workers > 0) return static_cast<std::size_t>(config.workers);
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::size_t>(CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

// Settings that differ and that a reload does not apply.
std::vector<std::string_view> restart_only(const config::Config& old, const config::Config& now) {
  std::vector<std::string_view> settings;
  if (old.workers != now.workers) settings.emplace_back("workers");
  if (old.io != now.io) settings.emplace_back("io");
  if (old.user != now.user) settings.emplace_back("user");
  if (old.group != now.group) settings.emplace_back("group");
  if (old.admin.address != now.admin.address) settings.emplace_back("admin");
  return settings;
}

}  // namespace

Server::Server(std::shared_ptr<const config::Config> config, Load load)
    : Timer([](Timer& timer) { static_cast<Server&>(timer).end_drain(); }),
      config_(std::move(config)),
      load_(std::move(load)) {}

Server::~Server() {
  for (const Listening& listening : listening_) close_listening(listening);
}

std::string_view Server::backend_name() const { return control_->loop().io().name(); }

std::optional<std::string> Server::start() {
  raise_descriptor_limit();
  const std::size_t count = worker_count(*config_);
  const Result<io::Selected> selected = io::select_backend(backend_of(config_->io));
  if (!selected) return "io = \"ring\" is not possible here: " + io::describe(selected.error());
  backend_ = selected->backend;
  started_ = io::wall_now();
  metrics_ = std::make_unique<MetricsRegistry>(count, started_);
  start_diagnostics(config_->log_level);
  log_info("{}", selected->why);
  Listeners listeners;
  if (auto problem = open_listeners(*config_, listeners)) return problem;
  tls_.emplace(started_);
  const TlsContexts tls = load_tls(*config_, nullptr);  // with the rights that we still have
  int admin_fd = -1;
  open_admin(admin_fd);
  log_ = std::make_unique<LogWriter>(LogTarget(config_->access_log.to));
  log_->flush();  // has opened its file by then, with the rights that we still have
  if (auto problem = drop_privileges(config_->user, config_->group, files_of_user())) {
    return problem;
  }

  control_ = std::make_unique<Worker>(-1, backend_, 16_MiB, control_metrics_, nullptr);
  for (std::size_t i = 0; i < count; ++i) {
    proxy::WorkerMetrics& metrics = metrics_->worker(i);
    proxy::LogSink* sink = &log_->add_sink(metrics.log_lines_dropped);
    workers_.push_back(std::make_unique<Worker>(static_cast<int>(i), backend_,
                                                config_->limits.memory / count, metrics, sink));
  }
  std::vector<Worker*> all;
  for (const auto& worker : workers_) all.push_back(worker.get());
  for (Worker* worker : all) {
    if (const Result<void> open = worker->open(); !open) {
      return fmt::format("cannot start a worker: {}: {}", open.error().where,
                         errno_text(open.error().os_errno));
    }
  }
  if (!control_->open()) return "cannot start the control loop";
  signals_.emplace(control_->loop(), [this](int signal) { on_signal(signal); });
  if (admin_fd >= 0) {
    control_->listen(next_listener_++, admin_fd, {Service::Kind::handler, 0, &admin_});
  }
  if (const Result<void> open = signals_->open(); !open) {
    return "cannot take signals: " + errno_text(open.error().os_errno);
  }
  for (Worker* worker : all) {
    worker->start(all, [this] { control_->loop().post([this] { worker_ended(); }); });
  }
  names_ = std::make_unique<Names>(control_->loop(),
                                   [this](const std::string& name) { name_changed(name); });
  stapler_.emplace(control_->loop(), control_->scope(),
                   [this](const config::Address& address) { return names_->known(address); });
  names_->watch(server_names(*config_));
  names_->await_first_answers();
  if (draining_) return std::nullopt;  // asked to stop meanwhile
  publish(make_plan(config_, listeners, tls), listeners);
  watch_responders();
  watch_certificates();
  return std::nullopt;
}

// Without its admin socket Weir still serves: one broken thing breaks only itself.
void Server::open_admin(int& fd) {
  if (!config_->admin.address) return;
  const config::Address& address = *config_->admin.address;
  if (address.kind == config::Address::Kind::unix_path) {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(address.path).parent_path(), ignored);
  }
  const Result<io::SocketAddress> target = listen_address(address);
  const Result<int> opened =
      target ? io::listen_on(*target, 64, 0600) : Result<int>(std::unexpected(target.error()));
  if (!opened) {
    log_warn("no admin interface: cannot listen on {}: {}", address.text(),
             errno_text(opened.error().os_errno));
    return;
  }
  fd = *opened;
  if (address.kind == config::Address::Kind::unix_path) admin_file_ = address.path;
  log_info("admin interface on {}", io::SocketAddress::of_socket(fd).text());
}

// Opens what `config` listens on and is not open yet. On failure nothing of it stays open.
std::optional<std::string> Server::open_listeners(const config::Config& config,
                                                  Listeners& listeners) {
  std::vector<Listening> free = listening_;
  for (const config::Listen& listen : config.listens) {
    const auto same = [&](const Listening& old) { return old.settings.address == listen.address; };
    const auto old = std::ranges::find_if(free, same);
    if (old != free.end()) {
      listeners.all.push_back({old->id, old->fd, listen});
      free.erase(old);  // two listeners with port 0 have the same address and are two
      continue;
    }
    const Result<int> fd = listen_any(listen);
    if (!fd) {
      for (const Listening& other : listeners.opened) close_listening(other);
      return bind_failure(listen, fd.error());
    }
    listeners.opened.push_back({next_listener_++, *fd, listen});
    listeners.all.push_back(listeners.opened.back());
  }
  return std::nullopt;
}

std::vector<std::string> Server::files_of_user() const {
  std::vector<std::string> paths;
  const auto add = [&](const config::Address& address) {
    if (address.kind == config::Address::Kind::unix_path) paths.push_back(address.path);
  };
  for (const config::Listen& listen : config_->listens) add(listen.address);
  if (!admin_file_.empty()) paths.push_back(admin_file_);
  if (config_->access_log.to.starts_with('/')) paths.push_back(config_->access_log.to);
  return paths;
}

std::shared_ptr<const Plan> Server::make_plan(std::shared_ptr<const config::Config> config,
                                              const Listeners& listeners, const TlsContexts& tls) {
  std::shared_ptr<Plan> plan = weir::server::make_plan(config, *metrics_);
  for (const config::Upstream& upstream : config->upstreams) {
    auto& servers = plan->addresses.emplace_back();
    for (const config::Server& server : upstream.servers) {
      servers.push_back(names_->known(server.address));
    }
  }
  plan->upstream_tls = tls.upstreams;
  const std::uint16_t https_port = port_of_https(*config, listeners);
  for (std::size_t i = 0; i < listeners.all.size(); ++i) {
    const config::Listen& settings = listeners.all[i].settings;
    Service& service = plan->services[listeners.all[i].id];
    service.kind = settings.serves_http() ? Service::Kind::http : Service::Kind::tcp;
    service.listen_index = i;
    service.tls = settings.tls.has_value();
    service.tls_context = tls.listeners[i];
    if (settings.https_only) service.https_port = https_port;
  }
  return plan;
}

// As clients see it: of the first listener for HTTPS, with the port that the kernel chose if it was
// to choose.
std::uint16_t Server::port_of_https(const config::Config& config, const Listeners& listeners) {
  for (std::size_t i = 0; i < config.listens.size(); ++i) {
    const config::Listen& listen = config.listens[i];
    if (!listen.tls || !listen.tcp_upstream.empty()) continue;
    return io::SocketAddress::of_socket(listeners.all[i].fd).port();
  }
  return 0;
}

// Says what is wrong with the certificates, to `text` as well if there is one.
TlsContexts Server::load_tls(const config::Config& config, std::string* text) {
  std::vector<tls::Problem> problems;
  TlsContexts contexts = tls_->load(config, io::wall_now(), problems);
  for (const tls::Problem& problem : problems) {
    const bool error = problem.kind == tls::Problem::Kind::error;
    if (text != nullptr)
      *text += fmt::format("{}: {}\n", error ? "error" : "warning", problem.text);
    if (error) {
      log_error("{}", problem.text);
    } else {
      log_warn("{}", problem.text);
    }
  }
  return contexts;
}

// Certificates are renewed by programs that know nothing of Weir: their files are looked at.
void Server::watch_certificates() {
  if (draining_) return;
  if (tls_->changed()) {
    log_info("certificate files have changed");
    const Listeners listeners{listening_, {}};
    const TlsContexts tls = load_tls(*config_, nullptr);
    publish(make_plan(config_, listeners, tls), listeners);
    watch_responders();
  }
  control_->loop().timers().arm(certificate_watch_, control_->loop().now() + kCertificateLook);
}

// The responders' names as well, once it is known which they are.
void Server::watch_responders() {
  stapler_->watch(tls_->to_staple());
  std::set<std::string> names = server_names(*config_);
  names.merge(stapler_->hosts());
  names_->watch(names);
}

// Runs `act` on each worker's thread and waits until all have done it. None of them has ended: they
// end only after stop(), and nothing calls this then.
void Server::on_all_workers(const std::function<void(Worker&)>& act) {
  WEIR_ASSERT(!draining_);
  std::latch done(static_cast<std::ptrdiff_t>(workers_.size()));
  for (const auto& worker : workers_) {
    Worker* target = worker.get();
    target->loop().post([&act, &done, target] {
      act(*target);
      done.count_down();
    });
  }
  done.wait();
}

// Hands the plan to all workers and waits until each has taken it over, so that after a reload has
// been reported no new exchange runs by the old configuration.
void Server::publish(const std::shared_ptr<const Plan>& plan, const Listeners& listeners) {
  plan_ = plan;
  config_ = plan->config;
  control_->apply_settings(plan);
  std::uint64_t connections = config_->limits.connections;
  if (connections == 0) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    // Each may need one more towards a server.
    connections = limit.rlim_cur > 2 * kDescriptorsKept ? (limit.rlim_cur - kDescriptorsKept) / 2
                                                        : limit.rlim_cur / 4;
  }
  on_all_workers([&](Worker& worker) {
    worker.set_connections_max(connections);
    worker.loop().chunks.set_budget(plan->config->limits.memory / workers_.size());
    worker.apply(plan);
  });
  // Only now: whoever accepts hands connections to workers that know what they are for.
  on_all_workers([&](Worker& worker) {
    for (const Listening& listening : listeners.opened) {
      if (const Result<int> fd = io::duplicate(listening.fd); fd) {
        worker.listen(listening.id, *fd, plan->services.at(listening.id));
      } else {
        log_error("worker {} does not listen on {}: {}", worker.index(),
                  listening.settings.address.text(), errno_text(fd.error().os_errno));
      }
    }
  });
  for (const Listening& old : listening_) {
    if (plan->services.contains(old.id)) continue;
    log_info("no longer listening on {}", old.settings.address.text());
    close_listening(old);
  }
  listening_ = listeners.all;
  for (const Listening& listening : listeners.opened) {
    log_info("listening on {}{}", io::SocketAddress::of_socket(listening.fd).text(),
             kind_of(listening.settings));
  }
}

void Server::close_listening(const Listening& listening) {
  io::close_descriptor(listening.fd);
  const config::Address& address = listening.settings.address;
  if (address.kind == config::Address::Kind::unix_path) ::unlink(address.path.c_str());
}

Reloaded Server::reload() {
  if (draining_) return {false, "Weir is stopping\n"};
  if (plan_ == nullptr) {
    log_warn("not reloaded: Weir is starting; ask again when it is ready");
    return {false, "Weir is starting\n"};
  }
  if (!load_) return {false, "there is no configuration file to reload\n"};
  std::string text;
  std::shared_ptr<const config::Config> config = load_(text);
  Listeners listeners;
  if (config != nullptr) {
    if (auto problem = open_listeners(*config, listeners)) {
      text += *problem + "\n";
      config = nullptr;
    }
  }
  if (config == nullptr) {
    metrics_->reloaded(MetricsRegistry::Reload::failed, io::wall_now());
    log_error("reload failed, the old configuration stays in force:");
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
      log_error("  {}", rest.substr(0, rest[end] == '\n' ? end : end + 1));
      rest.remove_prefix(end + 1);
    }
    return {false, text};
  }
  for (const std::string_view setting : restart_only(*config_, *config)) {
    text += fmt::format("note: {} changes only at a restart\n", setting);
    log_warn("{} changes only at a restart", setting);
  }
  if (config->access_log.to != config_->access_log.to) {
    log_->set_target(LogTarget(config->access_log.to));
  }
  set_diagnostics_level(config->log_level);
  const TlsContexts tls = load_tls(*config, &text);
  publish(make_plan(config, listeners, tls), listeners);
  watch_responders();
  metrics_->reloaded(MetricsRegistry::Reload::succeeded, io::wall_now());
  log_info("reloaded: {} routes, {} upstreams, {} listeners", config->routes.size(),
           config->upstreams.size(), config->listens.size());
  return {true, text + "reloaded\n"};
}

void Server::name_changed(const std::string& name) {
  if (draining_) return;
  stapler_->name_known(name);
  for (const config::Upstream& upstream : config_->upstreams) {
    for (std::size_t i = 0; i < upstream.servers.size(); ++i) {
      const config::Address& address = upstream.servers[i].address;
      if (address.kind != config::Address::Kind::name || address.host != name) continue;
      for (const auto& worker : workers_) {
        Worker* target = worker.get();
        target->loop().post(
            [target, upstream = upstream.name, i, addresses = names_->known(address)] {
              target->set_addresses(upstream, i, addresses);
            });
      }
    }
  }
}

std::uint16_t Server::first_port() const {
  return io::SocketAddress::of_socket(listening_.front().fd).port();
}

void Server::reopen_logs() { log_->reopen(); }

Result<io::SocketAddress> Server::listen_with(const io::SocketAddress& address, unsigned unix_mode,
                                              proxy::Handler& handler) {
  const Result<int> fd = io::listen_on(address, 128, unix_mode);
  if (!fd) return std::unexpected(fd.error());
  const io::SocketAddress bound = io::SocketAddress::of_socket(*fd);
  control_->listen(next_listener_++, *fd, {Service::Kind::handler, 0, &handler});
  return bound;
}

int Server::run() {
  if (!draining_) log_info("ready");
  control_->run();
  stapler_.reset();
  signals_.reset();
  names_.reset();
  for (const auto& worker : workers_) worker->join();
  if (!admin_file_.empty()) ::unlink(admin_file_.c_str());
  log_->stop();
  log_info("stopped");
  stop_diagnostics();
  return 0;
}

void Server::on_signal(int signal) {
  switch (signal) {
    case SIGHUP: reload(); break;
    case SIGUSR1: reopen_logs(); break;
    default:
      if (++stops_ > 1) std::_Exit(1);  // asked twice: at once
      stop();
  }
}

ProcessStatus Server::process_status() {
  ProcessStatus status;
  status.version = WEIR_VERSION;
  status.backend = backend_name();
  status.state = draining_ ? "draining" : "running";
  status.pid = getpid();
  status.started = started_;
  status.now = io::wall_now();
  status.usage = read_process_usage();
  status.log_lines_lost = log_->lines_lost();
  status.files = config_->files;
  for (const Listening& listening : listening_) {
    status.listens.push_back(io::SocketAddress::of_socket(listening.fd).text());
  }
  status.certificates = tls_->certificates();
  if (draining_) return status;  // workers may be gone
  std::vector<std::vector<UpstreamStatus>> parts(workers_.size());
  on_all_workers([&](Worker& worker) {
    parts[static_cast<std::size_t>(worker.index())] = worker.upstream_status();
  });
  status.upstreams = merge_status(parts);
  return status;
}

// Stops accepting, lets what is under way end, and ends the rest when the time is over.
void Server::stop() {
  if (draining_) return;
  draining_ = true;
  certificate_watch_.disarm();
  stapler_->stop();
  const Millis bound = config_->timeouts.drain;
  log_info("stopping: waiting at most {} s for {} connections", bound.count() / 1000,
           metrics_->snapshot().total.connections_active);
  for (const auto& worker : workers_) {
    Worker* target = worker.get();
    target->loop().post([target] { target->drain(); });
  }
  // The workers accept what is queued before they close their own descriptors.
  for (const Listening& listening : listening_) close_listening(listening);
  listening_.clear();
  control_->loop().timers().arm(*this, control_->loop().now() + bound);
}

void Server::end_drain() {
  log_warn("the drain took longer than {} s: closing {} connections",
           config_->timeouts.drain.count() / 1000, metrics_->snapshot().total.connections_active);
  for (const auto& worker : workers_) {
    Worker* target = worker.get();
    target->loop().post([target] { target->abort_all(); });
  }
}

void Server::worker_ended() {
  if (++workers_ended_ < workers_.size()) return;
  Timer::disarm();
  control_->drain();
}

}  // namespace weir::server
