// SPDX-License-Identifier: Apache-2.0
//
// The proxy in the world: its configuration, its workers, and what its operators do with it.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "resolver.h"
#include "world.h"

namespace weir::sim {
namespace {

constexpr Error kCrashed{Code::reset, Cause::none, 0, "crash"};
constexpr Millis kNotHere{100'000};       // time that never passes
constexpr std::uint64_t kLookEvery = 64;  // turns
constexpr std::size_t kBeyondConnectionsMax = 64 + 16 * 2;

std::string in_short(std::string_view text) {
  const auto line = nlohmann::json::parse(text, nullptr, false);
  if (line.is_discarded()) return std::string(text);
  std::string result = fmt::format(
      "{} {} {}, {} bytes sent, {} received, server {}, client {}", line.value("method", ""),
      line.value("path", ""), line.value("status", 0), line.value("bytes_sent", 0),
      line.value("bytes_received", 0), line.value("server", ""), line.value("client", ""));
  if (const int retries = line.value("retries", 0)) result += fmt::format(", retries {}", retries);
  if (const auto cause = line.value("cause", ""); !cause.empty()) result += ", cause " + cause;
  return result;
}

std::string ip_of(const io::SocketAddress& address) {
  const std::string text = address.text();
  return text.substr(0, text.rfind(':'));
}

}  // namespace

const io::SocketAddress& World::server_address(Way way, std::size_t server) const {
  return std::ranges::find_if(listening_,
                              [&](const Listening& listening) {
                                return listening.way == way && listening.server == server;
                              })
      ->address;
}

// Times are short, so that a black hole costs little; each is longer than any pause of the scripts.
void World::make_config() {
  config_ = std::make_shared<config::Config>();
  config_->access_log.to = "stdout";  // the sinks are the world's own
  config::Timeouts& t = config_->timeouts;
  t.client_head = t.client_body = t.client_write = Millis(5'000);
  t.client_idle = Millis(8'000);
  t.upstream_connect = Millis(2'000);
  t.upstream_head = Millis(6'000);
  t.upstream_body = t.upstream_write = Millis(5'000);
  t.tunnel_idle = Millis(10'000);
  t.drain = Millis(5'000);
  if (swarm.compared) {  // and nothing depends on them
    t.client_head = t.client_body = t.client_write = t.client_idle = kNotHere;
    t.upstream_connect = t.upstream_head = t.upstream_body = t.upstream_write = kNotHere;
    t.tunnel_idle = t.client_half_close = kNotHere;
  }
  config_->limits.requests_per_connection = swarm.client_requests_max;
  config_->limits.head_size = swarm.head_size;
  config_->limits.body_size = swarm.body_size;
  config_->listens.resize(2);
  config_->listens[1].tcp_upstream = "raw";
  for (const char* name : {"app", "raw"}) {
    config::Upstream& upstream = config_->upstreams.emplace_back();
    upstream.name = name;
    upstream.idle_timeout = Millis(3'000);
    upstream.idle_max = 1 + draw_.below(8);
    upstream.requests_max = swarm.server_requests_max;
    upstream.lifetime = swarm.server_lifetime;
    upstream.streams_max = swarm.server_streams_max;
    const bool http2 = swarm.h2_servers && upstream.name == "app";
    if (http2) upstream.protocol = config::UpstreamProtocol::http2;
    if (draw_.chance(0.5)) upstream.balance = config::Balance::least_connections;
    for (std::size_t i = 0; i < kServers; ++i) {
      config::Server& server = upstream.servers.emplace_back();
      server.address.kind = swarm.names ? config::Address::Kind::name : config::Address::Kind::ip;
      const Way way = upstream.name == "raw" ? Way::tcp : Way::http;
      const io::SocketAddress& address = server_address(way, i);
      server.address.host = swarm.names ? fmt::format("s{}.test", i) : ip_of(address);
      server.address.port = address.port();
      server.weight = 1 + static_cast<int>(draw_.below(3));
    }
  }
  config::Route& route = config_->routes.emplace_back();
  route.name = "all";
  route.upstream = "app";
}

std::shared_ptr<server::Plan> World::plan(const Reload& reload) {
  auto config = std::make_shared<config::Config>(*config_);
  for (config::Upstream& upstream : config->upstreams) upstream.servers.resize(reload.servers);
  if (reload.requests_max > 0) config->limits.requests_per_connection = reload.requests_max;
  if (reload.only_some_routes) config->routes.front().match.methods = {"GET"};
  if (reload.other_name) {
    config->upstreams.front().name = "other";
    config->routes.front().upstream = "other";
  }
  std::shared_ptr<server::Plan> made = server::make_plan(config, *metrics_);
  for (const config::Upstream& upstream : config->upstreams) {
    auto& addresses = made->addresses.emplace_back();
    for (const config::Server& server : upstream.servers) {
      addresses.push_back(names_->known(server.address));
    }
  }
  return made;
}

void World::start_proxy() {
  metrics_ = std::make_unique<server::MetricsRegistry>(swarm.workers, WallTime{});
  names_ = std::make_unique<server::Names>(
      control_loop_, [this](const std::string& name) { name_changed(name); },
      [this]() -> Result<std::unique_ptr<io::Resolver>> {
        return std::make_unique<SimResolver>(control_loop_, swarm, seed_, kServers);
      });
  descriptors.max = SIZE_MAX;
  for (std::size_t i = 0; i < swarm.workers; ++i) {
    Proxy& proxy = proxies_.emplace_back();
    proxy::WorkerMetrics& counts = metrics_->worker(i);
    proxy.log = std::make_unique<proxy::LogSink>(signal_, counts.log_lines_dropped);
    proxy.worker = std::make_unique<server::Worker>(static_cast<int>(i), io::Backend::automatic,
                                                    swarm.budget, counts, proxy.log.get());
    proxy.worker->open(stage_->proxy_io(proxy.worker->loop()), seed_ + i);
    if (on_ == On::sim) network.limit_descriptors(proxy.worker->loop(), descriptors);
    proxy.worker->set_connections_max(swarm.connections_max);
    proxy.worker->on_turn = [this, &proxy] { look_at(proxy); };
  }
  std::vector<server::Worker*> all;
  for (const Proxy& proxy : proxies_) all.push_back(proxy.worker.get());
  for (const Proxy& proxy : proxies_) proxy.worker->begin(all);
  names_->watch(server::server_names(*config_));
  if (weather() == Weather::calm && !swarm.compared) {  // the proxy waits for first answers
    stage_->run([] { return false; }, Millis(1'000));
  }
  Reload first;
  first.servers = kServers;
  const auto made = plan(first);
  http_listener_ = next_listener_++;
  tcp_listener_ = next_listener_++;
  made->services[http_listener_] = {server::Service::Kind::http, 0, nullptr};
  made->services[tcp_listener_] = {server::Service::Kind::tcp, 1, nullptr};
  plan_ = made;
  for (Proxy& proxy : proxies_) apply(proxy, made);
  open_listener(Way::http);
  open_listener(Way::tcp);
  descriptors.max = swarm.descriptors;
}

void World::open_listener(Way way) {
  const int id = way == Way::tcp ? tcp_listener_ : http_listener_;
  const Result<int> fd = stage_->listen(way == Way::tcp ? tcp_address_ : http_address_);
  if (!fd) return violate("the address of a listener that was removed is still taken");
  for (Proxy& proxy : proxies_) {
    const auto open = [worker = proxy.worker.get(), plan = plan_, id, fd = *fd] {
      worker->listen(id, fd, plan->services.at(id));
    };
    open();
  }
}

void World::apply(Proxy& proxy, const std::shared_ptr<const server::Plan>& made) {
  auto addresses = made->addresses;
  for (std::size_t u = 0; u < addresses.size(); ++u) {
    for (std::size_t s = 0; s < addresses[u].size(); ++s) {
      const bool kept = addresses[u][s].empty() && proxy.config != nullptr &&
                        proxy.config->upstreams[u].name == made->config->upstreams[u].name &&
                        s < proxy.addresses[u].size();
      if (kept) addresses[u][s] = proxy.addresses[u][s];  // stale is better than none
    }
  }
  proxy.config = made->config;
  proxy.addresses = std::move(addresses);
  proxy.worker->apply(made);
  look_who_is_gone();
}

void World::name_changed(const std::string& name) {
  if (draining_ || plan_ == nullptr) return;
  const config::Config& config = *plan_->config;
  for (std::size_t u = 0; u < config.upstreams.size(); ++u) {
    for (std::size_t s = 0; s < config.upstreams[u].servers.size(); ++s) {
      const config::Address& address = config.upstreams[u].servers[s].address;
      if (address.host != name) continue;
      note("names: {} has {} addresses", name, names_->known(address).size());
      for (Proxy& proxy : proxies_) {
        proxy.worker->loop().post([this, &proxy, u, s, upstream = config.upstreams[u].name,
                                   addresses = names_->known(address)] {
          proxy.worker->set_addresses(upstream, s, addresses);
          const bool same = u < proxy.addresses.size() && s < proxy.addresses[u].size() &&
                            proxy.config->upstreams[u].name == upstream;
          if (same) proxy.addresses[u][s] = addresses;
          look_who_is_gone();
        });
      }
    }
  }
}

void World::look_who_is_gone() {
  std::array<bool, kServers> used{};
  for (const Proxy& proxy : proxies_) {
    for (const auto& upstream : proxy.addresses) {
      for (const auto& addresses : upstream) {
        for (const io::SocketAddress& address : addresses) {
          for (std::size_t i = 0; i < kServers; ++i) {
            used[i] = used[i] || address == server_address(Way::http, i) ||
                      address == server_address(Way::tcp, i);
          }
        }
      }
    }
  }
  for (std::size_t i = 0; i < kServers; ++i) {
    if (used[i]) gone_since_[i] = kNever;
    if (!used[i] && gone_since_[i] == kNever) gone_since_[i] = network.now();
  }
}

// Buffers that may be in use. What HTTP/2 peers had sent already is held beyond the budget: of
// clients a part of it, of servers what their windows allow.
std::size_t World::allowed(const Proxy& proxy) const {
  const auto requests = metrics_->worker(proxy.worker->index()).requests_active.get();
  std::size_t allowed = swarm.budget;
  if (swarm.h2_clients > 0) allowed += swarm.budget / kBudgetBeyondPart + kWindowStart;
  if (swarm.h2_servers) allowed += requests * (kH2Window + kWindowStart);
  // And the frames that a connection is about to send.
  const bool h2 = swarm.h2_clients > 0 || swarm.h2_servers;
  if (h2) allowed += (proxy.worker->connections() + requests + kServers) * kH2OutputMin;
  return allowed;
}

void World::look_at(Proxy& proxy) {
  server::Worker& worker = *proxy.worker;
  const io::ChunkPool& chunks = worker.loop().chunks;
  if (chunks.used() > allowed(proxy)) {
    violate("{} bytes of buffers are in use, allowed are {}", chunks.used(), allowed(proxy));
  }
  // Whoever was told of memory is in the queue.
  if (chunks.starved() && chunks.has_room(4_KiB, io::Work::fresh) && worker.loop().queue.empty()) {
    violate("there is memory, and who waits for it was not told");
  }
  if (worker.loop().stopping()) client_loop.post([this, &proxy] { end(proxy); });
  if (trace_ == Trace::print) take_log(proxy);
  if (++proxy.turns % kLookEvery != 0) return;
  take_log(proxy);
  std::uint64_t connections = 0;
  for (const Proxy& each : proxies_) connections += each.worker->connections();
  if (swarm.connections_max > 0 && connections > swarm.connections_max + kBeyondConnectionsMax) {
    violate("{} connections, allowed are {}", connections, swarm.connections_max);
  }
  const std::size_t idle_max = config_->upstreams.front().idle_max;
  if (draining_) return;
  for (const server::UpstreamStatus& upstream : worker.upstream_status()) {
    for (const server::ServerStatus& server : upstream.servers) {
      const bool app = upstream.name != "raw";
      if (app && server.idle > idle_max) {
        violate("{} idle connections to {}, allowed are {}", server.idle, server.name, idle_max);
      }
    }
  }
}

void World::end(Proxy& proxy) {
  if (proxy.ended) return;
  proxy.ended = true;
  take_log(proxy);
  proxy.worker->end();
}

void World::take_log(Proxy& proxy) {
  proxy.log->swap(proxy.spare);
  if (trace_ == Trace::print) {
    for (std::string_view rest = proxy.spare; !rest.empty();) {
      const std::size_t end = rest.find('\n');
      note("proxy {}: logs {}", proxy.worker->index(), in_short(rest.substr(0, end)));
      rest.remove_prefix(end + 1);
    }
  }
  proxy.lines += proxy.spare;
  proxy.spare.clear();
}

Task<> World::drain_later(World* self, Millis when) {
  co_await pass(self->client_loop, when);
  if (self->draining_) co_return;
  self->draining_ = true;
  std::vector<Proxy*> order;
  for (Proxy& proxy : self->proxies_) order.push_back(&proxy);
  if (self->network.random(2) == 0) std::ranges::reverse(order);
  for (const Proxy* each : order) {
    const Proxy& proxy = *each;
    // They do not take the message at the same moment.
    if (each != order.front()) {
      co_await pass(self->client_loop, Millis(self->network.random(3) * self->network.random(50)));
    }
    self->note("--- drain of {}", proxy.worker->index());
    proxy.worker->loop().post([worker = proxy.worker.get()] { worker->drain(); });
  }
  if (self->swarm.compared) co_return;  // all of them end by themselves
  co_await pass(self->client_loop, self->config_->timeouts.drain);
  if (self->proxies_stopped()) co_return;
  self->note("--- abort what is left");
  for (const Proxy& proxy : self->proxies_) {
    proxy.worker->loop().post([worker = proxy.worker.get()] { worker->abort_all(); });
  }
}

Task<> World::reload_later(World* self, const Reload* reload) {
  co_await pass(self->client_loop, reload->when);
  if (self->draining_) co_return;
  self->note("--- reload: {} servers{}{}{}", reload->servers,
             reload->only_some_routes ? ", no route but for GET" : "",
             reload->other_name ? ", the upstream is called otherwise" : "",
             reload->tcp_listener ? "" : ", no tcp listener");
  const auto made = self->plan(*reload);
  made->services[self->http_listener_] = {server::Service::Kind::http, 0, nullptr};
  const bool opens = reload->tcp_listener && self->tcp_listener_ == 0;
  if (opens) self->tcp_listener_ = self->next_listener_++;
  if (!reload->tcp_listener) self->tcp_listener_ = 0;
  if (self->tcp_listener_ != 0) {
    made->services[self->tcp_listener_] = {server::Service::Kind::tcp, 1, nullptr};
  }
  self->plan_ = made;
  for (Proxy& proxy : self->proxies_) {
    proxy.worker->loop().post([self, &proxy, made] { self->apply(proxy, made); });
  }
  // As the control thread does it: the next step begins when all workers have done this one.
  const auto taken = [&] {
    return std::ranges::all_of(self->proxies_, [&](const Proxy& proxy) {
      return proxy.config == made->config || proxy.worker->loop().stopping();
    });
  };
  while (!taken()) {
    co_await pass(self->client_loop, Millis(1));
    if (self->plan_ != made) co_return;  // there is another one already
  }
  self->names_->watch(server::server_names(*made->config));
  if (!opens || self->plan_ != made || self->draining_) co_return;
  const Result<int> fd = self->network.listen(self->address(Way::tcp));
  if (!fd) co_return;
  for (Proxy& proxy : self->proxies_) {
    proxy.worker->loop().post([&proxy, made, fd = *fd, id = self->tcp_listener_] {
      proxy.worker->listen(id, fd, made->services.at(id));
    });
  }
}

Task<> World::crash_later(World* self, const Crash* crash) {
  co_await pass(self->client_loop, crash->begins);
  self->note("--- server {} crashes", crash->server);
  const auto set = [&](io::SimFate fate) {
    for (const std::uint16_t port : {80, 81}) {
      const auto address = io::SocketAddress::from_ip(server_ip(crash->server).c_str(), port);
      self->network.set_fate(*address, fate);
    }
  };
  set(crash->fate);
  for (Wire* wire : self->open_) {
    if (wire->server != crash->server) continue;
    wire->crashed = true;
    wire->stream.cancel(kCrashed);
  }
  co_await pass(self->client_loop, crash->lasts);
  self->note("--- server {} is back", crash->server);
  set(io::SimFate::reachable);
}

Task<> World::calm_down(World* self, Millis when) {
  co_await pass(self->client_loop, when);
  self->note("--- the network calms down");
  self->network.faults = io::SimFaults{};
}

}  // namespace weir::sim
