// SPDX-License-Identifier: Apache-2.0
#include "server/worker.h"

#include <pthread.h>
#include <sys/random.h>

#include <algorithm>

#include "base/thread_signals.h"
#include "io/listener.h"
#include "proxy/preamble.h"
#include "proxy/tcp_session.h"
#include "proxy/tls_accept.h"
#include "server/diagnostics.h"
#include "server/metrics_registry.h"
#include "server/shedding.h"

namespace weir::server {
namespace {

// A worker keeps a connection that it has accepted unless another one is clearly less busy.
constexpr std::uint64_t kHandOffAhead = 2;
constexpr Millis kAcceptPause{100};
constexpr Millis kRelievePause{100};
// Beyond limits.connections so many are told so with a response; further ones are closed.
constexpr std::uint64_t kTurnedAwayMax = 64;
constexpr Error kStopped{Code::cancelled, Cause::cancelled, 0, "stop"};

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  WEIR_CHECK(getrandom(&seed, sizeof seed, 0) == sizeof seed);
  return seed;
}

}  // namespace

std::shared_ptr<Plan> make_plan(std::shared_ptr<const config::Config> config,
                                MetricsRegistry& metrics) {
  auto plan = std::make_shared<Plan>();
  plan->router = std::make_shared<proxy::Router>(*config);
  plan->none_slot = metrics.route_slot("none");
  for (const config::Route& route : config->routes) {
    plan->route_slots.push_back(metrics.route_slot(route.name));
  }
  for (const config::Upstream& upstream : config->upstreams) {
    plan->upstream_slots.push_back(metrics.upstream_slot(upstream.name));
  }
  plan->config = std::move(config);
  return plan;
}

struct Worker::Listener {
  int id = 0;
  Service service;
  // Of the plan that named it last.
  std::shared_ptr<proxy::Upstream> tcp_upstream;
  std::shared_ptr<const proxy::PreambleRules> preamble;  // nullptr: nothing is to be known first
  io::Socket* socket = nullptr;                          // nullptr: closed, or not open yet
  bool closing = false;

  /// Of plain TCP without an upstream only what is passed through is served.
  [[nodiscard]] bool serves_others() const {
    return service.kind != Service::Kind::tcp || tcp_upstream != nullptr;
  }
};

Worker::Worker(int index, io::Backend backend, std::size_t chunk_budget,
               proxy::WorkerMetrics& metrics, proxy::LogSink* log)
    : index_(index), backend_(backend), metrics_(metrics), loop_(chunk_budget) {
  context_ = std::make_unique<proxy::Context>(loop_, metrics_, random_seed());
  log_ = log;
}

Worker::~Worker() {
  WEIR_ASSERT(!thread_.joinable());
  WEIR_ASSERT(connections_.empty());
}

Result<void> Worker::open() {
  Result<std::unique_ptr<io::Io>> io = io::make_io(backend_, loop_);
  if (!io) return std::unexpected(io.error());
  loop_.attach(std::move(*io));
  return {};
}

void Worker::open(std::unique_ptr<io::Io> io, std::uint64_t seed) {
  loop_.attach(std::move(io));
  context_->random = proxy::Random(seed);
}

void Worker::start(std::vector<Worker*> all, std::function<void()> ended) {
  all_ = std::move(all);
  const SignalsBlocked blocked;
  thread_ = std::thread([this, ended = std::move(ended)] {
    pthread_setname_np(pthread_self(), ("weir-" + std::to_string(index_)).c_str());
    run();
    pool_release();
    ended();
  });
}

void Worker::run() {
  begin();
  loop_.run();
  end();
}

void Worker::begin(std::vector<Worker*> all) {
  if (!all.empty()) all_ = std::move(all);
  if (loop_.io().can_splice()) context_->pipes = &pipes_.emplace();
  loop_.end_of_turn = [](void* self) {
    auto* worker = static_cast<Worker*>(self);
    worker->metrics_.buffer_bytes.set(worker->loop_.chunks.used());
    if (worker->loop_.chunks.starved() && !worker->relieving_) {
      worker->relieving_ = true;
      worker->context_->scope.spawn(&Worker::relieve_memory, worker);
    }
    if (worker->on_turn) worker->on_turn();
  };
  loop_.end_of_turn_context = this;
  context_->make_room = [](void* self) { return static_cast<Worker*>(self)->make_room(); };
  context_->make_room_self = this;
  if (all_.empty()) all_ = {this};
}

void Worker::end() {
  context_->pipes = nullptr;
  pipes_.reset();
  context_->snapshot.reset();
  listeners_.clear();
  upstreams_.clear();
  loop_.io().wait(loop_.now());  // what was closed is freed where it was made
}

void Worker::join() { thread_.join(); }

std::shared_ptr<proxy::Upstream> Worker::upstream(const Plan& plan, std::size_t index) {
  const config::Upstream& settings = plan.config->upstreams[index];
  std::shared_ptr<proxy::Upstream>& entry = upstreams_[settings.name];
  if (entry == nullptr) {
    const std::uint16_t slot = plan.upstream_slots[index];
    entry = std::make_shared<proxy::Upstream>(*context_, *metrics_.upstreams[slot].load());
  }
  const auto& tls = plan.upstream_tls;
  entry->configure(plan.config, settings, tls.empty() ? nullptr : tls[index]);
  for (std::size_t server = 0; server < settings.servers.size(); ++server) {
    const auto& addresses = plan.addresses[index][server];
    if (!addresses.empty()) entry->set_addresses(server, addresses);
  }
  return entry;
}

// Builds the new snapshot beside the old one, which lives on in the exchanges that began with it.
void Worker::apply(const std::shared_ptr<const Plan>& plan) {
  auto snapshot = std::make_shared<proxy::Snapshot>(plan->config, plan->router);
  const config::Config& config = *plan->config;
  std::map<std::string, std::shared_ptr<proxy::Upstream>> used;
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    used[config.upstreams[i].name] = upstream(*plan, i);
  }
  upstreams_.swap(used);
  for (const auto& [name, old] : used) {
    if (!upstreams_.contains(name)) old->close_idle();
  }
  snapshot->none.counts = metrics_.routes[plan->none_slot].load();
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const config::Route& route = config.routes[i];
    proxy::RouteEntry entry;
    entry.settings = &route;
    if (!route.upstream.empty()) entry.upstream = upstreams_.at(route.upstream);
    entry.counts = metrics_.routes[plan->route_slots[i]].load();
    entry.request_edits = proxy::edits_of(route.request_headers);
    entry.response_edits = proxy::edits_of(route.response_headers);
    snapshot->routes.push_back(std::move(entry));
  }
  for (const config::Listen& listen : config.listens) {
    snapshot->tcp_upstreams.push_back(
        listen.tcp_upstream.empty() ? nullptr : upstreams_.at(listen.tcp_upstream));
    snapshot->preambles.push_back(proxy::preamble_rules(listen, upstreams_));
  }
  context_->snapshot = std::move(snapshot);
  context_->log = config.access_log.to == "off" ? nullptr : log_;
  std::erase_if(listeners_, [](const auto& entry) {
    return entry.second->closing && entry.second->socket == nullptr;
  });
  for (const auto& [id, service] : plan->services) know_listener(id, service);
  for (auto& [id, listener] : listeners_) {
    const bool handled = listener->service.kind == Service::Kind::handler;
    if (!handled && !plan->services.contains(id)) close_listener(*listener);
  }
}

void Worker::apply_settings(const std::shared_ptr<const Plan>& plan) {
  context_->snapshot = std::make_shared<proxy::Snapshot>(plan->config, plan->router);
}

void Worker::set_addresses(const std::string& name, std::size_t server,
                           const std::vector<io::SocketAddress>& addresses) {
  const auto found = upstreams_.find(name);
  if (found == upstreams_.end()) return;
  if (server < found->second->settings().servers.size()) {
    found->second->set_addresses(server, addresses);
  }
}

// Known before it is open: another worker that has opened it already may hand a connection over.
Worker::Listener& Worker::know_listener(int id, const Service& service) {
  std::unique_ptr<Listener>& entry = listeners_[id];
  if (entry == nullptr) entry = std::make_unique<Listener>();
  entry->id = id;
  entry->service = service;
  entry->tcp_upstream = service.kind == Service::Kind::tcp
                            ? context_->snapshot->tcp_upstreams[service.listen_index]
                            : nullptr;
  entry->preamble = service.kind == Service::Kind::handler
                        ? nullptr
                        : context_->snapshot->preambles[service.listen_index];
  return *entry;
}

void Worker::listen(int id, int fd, const Service& service) {
  Listener& listener = know_listener(id, service);
  WEIR_ASSERT(listener.socket == nullptr);
  listener.socket = loop_.io().adopt_listener(fd);
  context_->scope.spawn(&Worker::accept_loop, this, &listener);
}

Task<> Worker::accept_loop(Worker* self, Listener* listener) {
  struct Accept : io::AcceptOp {
    io::Loop& loop;
    io::Socket& socket;
    Accept(io::Loop& l, io::Socket& s) : loop(l), socket(s) {}
    bool await_ready() { return loop.io().start_accept(socket, *this); }
    void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
    void await_resume() {}
  };
  RateLimit complaint;
  std::size_t in_turn = 0;
  while (!listener->closing) {
    Accept accept(self->loop_, *listener->socket);
    co_await accept;
    if (accept.result) {
      self->accepted(*accept.result, accept.peer, *listener);
    } else if (accept.result.error().code == Code::cancelled) {
      break;
    } else {
      // Out of descriptors or memory: make room and look again a little later.
      log_warn_limited(complaint, self->loop_.now(), "cannot accept: {}; closing idle connections",
                       name(accept.result.error().code));
      self->make_room();
      co_await io::sleep_until(self->loop_, self->loop_.now() + kAcceptPause);
    }
    if (++in_turn >= kAcceptsPerTurn) {
      in_turn = 0;
      co_await yield(self->loop_.queue);
    }
  }
  if (listener->socket != nullptr) {
    // Who has connected before the end is served: closing would reset what is queued.
    io::Peer peer;
    while (auto queued = self->loop_.io().accept_queued(*listener->socket, peer)) {
      if (!*queued) break;
      self->accepted(**queued, peer, *listener);
    }
    self->loop_.io().close(*listener->socket);
    listener->socket = nullptr;
  }
}

void Worker::accepted(int fd, const io::Peer& peer, Listener& listener) {
  metrics_.connections_accepted.add();
  std::uint64_t total = 0;
  for (const Worker* worker : all_) total += worker->connections();
  if (connections_max_ > 0 && total >= connections_max_ && !shed_idle(connections_)) {
    metrics_.connections_refused.add();
    if (total < connections_max_ + kTurnedAwayMax && listener.service.kind == Service::Kind::http &&
        !listener.service.tls) {
      adopt(fd, peer, listener.id, Admit::turn_away);
    } else {
      metrics_.causes[static_cast<std::size_t>(Cause::overload_connections)].add();
      loop_.io().discard(fd);
    }
    return;
  }
  Worker& target = least_loaded();
  if (&target == this || !target.expect_connection()) {
    adopt(fd, peer, listener.id, Admit::yes);
  } else {
    target.loop().post([&target, fd, peer, id = listener.id] {
      target.incoming_.fetch_sub(1, std::memory_order_relaxed);
      target.adopt(fd, peer, id, Admit::yes);
    });
  }
}

// A descriptor: of an idle connection to a server, or else of a client's.
bool Worker::make_room() {
  for (auto& [name, upstream] : upstreams_) {
    if (upstream->shed_idle()) return true;
  }
  return shed_idle(connections_);
}

// In this order, and the other way round in stop_when_empty(): whichever comes first, either the
// connection is kept by who accepted it or it is waited for.
bool Worker::expect_connection() {
  incoming_.fetch_add(1);
  if (!leaving_.load()) return true;
  incoming_.fetch_sub(1);
  return false;
}

Worker& Worker::least_loaded() {
  Worker* least = this;
  if (context_->draining) return *this;  // another one may have ended already
  for (Worker* worker : all_) {
    if (worker->connections() + kHandOffAhead <= least->connections()) least = worker;
  }
  return *least;
}

void Worker::adopt(int fd, const io::Peer& peer, int id, Admit admit) {
  const auto found = listeners_.find(id);
  if (found == listeners_.end()) {  // closed since two reloads
    loop_.io().discard(fd);
    return;
  }
  const Listener& listener = *found->second;
  proxy::Accepted accepted{loop_.io().adopt(fd), peer, {}, nullptr, nullptr};
  if (listener.service.https_port != 0) accepted.say().https_port = listener.service.https_port;
  proxy::Connection* connection = nullptr;
  if (listener.preamble != nullptr && listener.preamble->apply_to(peer)) {
    const proxy::Preamble::Successor successor{&Worker::succeed, this, id,
                                               admit == Admit::turn_away};
    connection = new proxy::Preamble(*context_, std::move(accepted), listener.preamble, successor);
  } else {
    connection = serve(listener, std::move(accepted), admit);
  }
  connections_.push_back(*connection);
  if (context_->draining) connection->drain();
  connection->start();
}

proxy::Connection* Worker::serve(const Listener& listener, proxy::Accepted accepted, Admit admit) {
  const Service& service = listener.service;
  if (service.tls) {
    proxy::TlsService tls{service.tls_context, listener.tcp_upstream, service.handler};
    return new proxy::TlsAccept(*context_, std::move(accepted), std::move(tls));
  }
  if (service.kind == Service::Kind::tcp) {
    return new proxy::TcpSession(*context_, std::move(accepted), listener.tcp_upstream);
  }
  auto* server = new proxy::H1Server(*context_, std::move(accepted), service.handler);
  if (admit == Admit::turn_away) server->turn_away(Cause::overload_connections);
  return server;
}

proxy::Connection* Worker::succeed(const proxy::Preamble::Successor& successor,
                                   proxy::Accepted accepted,
                                   std::shared_ptr<proxy::Upstream> upstream) {
  auto& self = *static_cast<Worker*>(successor.worker);
  if (upstream != nullptr) {
    return new proxy::TcpSession(*self.context_, std::move(accepted), std::move(upstream));
  }
  const auto found = self.listeners_.find(successor.listener);
  const bool served = found != self.listeners_.end() && found->second->serves_others();
  if (served) {
    return self.serve(*found->second, std::move(accepted),
                      successor.turned_away ? Admit::turn_away : Admit::yes);
  }
  // Closed since two reloads, or all that it was open for is passed through now.
  io::TcpStream(self.loop_, accepted.socket).close(io::Stream::Close::reset);
  return nullptr;
}

void Worker::close_listener(Listener& listener) {
  listener.closing = true;
  if (listener.socket != nullptr) loop_.io().cancel_recv(*listener.socket, kStopped);
}

void Worker::drain() {
  leaving_.store(true);
  context_->draining = true;
  for (auto& [id, listener] : listeners_) close_listener(*listener);
  connections_.for_each([](proxy::Connection& connection) { connection.drain(); });
  for (auto& [name, upstream] : upstreams_) upstream->close_idle();
  context_->scope.spawn(&Worker::stop_when_empty, this);
}

Task<> Worker::stop_when_empty(Worker* self) {
  // This coroutine is the last one in the scope.
  while (self->running() > 1 || self->incoming_.load() > 0) {
    co_await io::sleep_until(self->loop_, self->loop_.now() + Millis(10));
  }
  self->loop_.stop();
}

// While receives wait for memory: whoever holds it and takes nothing must not stop the others.
Task<> Worker::relieve_memory(Worker* self) {
  for (;;) {
    co_await io::sleep_until(self->loop_, self->loop_.now() + kRelievePause);
    if (!self->loop_.chunks.starved()) break;
    const std::size_t shed = shed_stalled(self->connections_);
    if (shed == 0) continue;
    log_warn_limited(self->memory_complaint_, self->loop_.now(),
                     "the memory for buffers is used up: closing {} connections whose peers take "
                     "nothing",
                     shed);
  }
  self->relieving_ = false;
}

void Worker::abort_all() {
  connections_.for_each([](proxy::Connection& connection) { connection.abort(kStopped); });
}

}  // namespace weir::server
