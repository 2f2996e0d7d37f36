// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "io/sim_io.h"

namespace weir::sim {
namespace {

constexpr Error kOver{Code::cancelled, Cause::none, 0, "over"};
constexpr int kHttpListener = 1;
constexpr int kTcpListener = 2;
constexpr std::size_t kServers = 3;
constexpr Millis kConnectPatience{10'000};
constexpr Millis kCalmBound{120'000};  // of virtual time, for everything
constexpr Millis kStormBound{3'600'000};
constexpr Millis kSettles{5'000};  // what was told to end has ended

io::SocketAddress at(const char* ip, std::uint16_t port) {
  return *io::SocketAddress::from_ip(ip, port);
}

std::string server_ip(std::size_t server) { return fmt::format("10.0.0.{}", server + 1); }

struct Accept : io::AcceptOp {
  io::Io& io;
  io::Socket& listener;
  Accept(io::Io& i, io::Socket& l) : io(i), listener(l) {}
  bool await_ready() { return io.start_accept(listener, *this); }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  Result<int> await_resume() { return result; }
};

Task<> serve(World* world, int fd, Way way) {
  Wire wire(world->server_loop, world->server_loop.io().adopt(fd));
  world->enter(wire);
  if (way == Way::tcp) {
    co_await serve_tcp(*world, wire);
  } else {
    co_await serve_http(*world, wire);
  }
  world->leave(wire);
}

}  // namespace

World::World(std::uint64_t seed, Trace trace)
    : network(seed), seed_(seed), trace_(trace), draw_(seed ^ 0x5eed) {
  client_loop.attach(io::make_sim_io(client_loop, network));
  server_loop.attach(io::make_sim_io(server_loop, network));
  http_address_ = at("127.0.0.1", 8080);
  tcp_address_ = at("127.0.0.1", 9000);
  // Every fourth seed is calm: then nothing may go wrong at all.
  weather_ = seed % 4 == 0 ? Weather::calm : Weather::stormy;
  if (weather_ == Weather::stormy && draw_.chance(0.2)) budget_ = 1_MiB;
  draw_scripts();
  make_config();
  start_servers();
  start_proxy();
}

World::~World() = default;

void World::draw_scripts() {
  const std::size_t clients = 1 + draw_.below(10);
  std::uint64_t id = seed_ % 1000 * 1000;
  for (std::size_t i = 0; i < clients; ++i) {
    Script& script = scripts_.emplace_back();
    script.pipelined = draw_.chance(0.3);
    script.begins = Millis(draw_.below(2'000));
    if (draw_.chance(0.15)) script.reads_every = Millis(1 + draw_.below(30));
    if (draw_.chance(0.3)) script.rests = Millis(draw_.below(100));
    const std::size_t count = 1 + draw_.below(8);
    for (std::size_t j = 0; j < count; ++j) {
      script.exchanges.push_back(&exchanges_.emplace_back(draw_exchange(draw_, ++id, weather_)));
    }
  }
}

// Times are short, so that a black hole costs little; each is longer than any pause of the scripts.
void World::make_config() {
  config_ = std::make_shared<config::Config>();
  config_->access_log.to = "stdout";  // the sink is the world's own
  config::Timeouts& t = config_->timeouts;
  t.client_head = t.client_body = t.client_write = Millis(5'000);
  t.client_idle = Millis(8'000);
  t.upstream_connect = Millis(2'000);
  t.upstream_head = Millis(6'000);
  t.upstream_body = t.upstream_write = Millis(5'000);
  t.tunnel_idle = Millis(10'000);
  t.drain = Millis(5'000);
  config_->access_log.to = "stdout";  // which is the sink that the test reads
  config_->listens.resize(2);
  config_->listens[1].tcp_upstream = "raw";
  for (const char* name : {"app", "raw"}) {
    config::Upstream& upstream = config_->upstreams.emplace_back();
    upstream.name = name;
    upstream.idle_timeout = Millis(3'000);
    upstream.idle_max = 1 + draw_.below(8);
    if (draw_.chance(0.5)) upstream.balance = config::Balance::least_connections;
    for (std::size_t i = 0; i < kServers; ++i) {
      config::Server& server = upstream.servers.emplace_back();
      server.address.host = server_ip(i);
      server.address.port = upstream.name == "raw" ? 81 : 80;
    }
  }
  config::Route& route = config_->routes.emplace_back();
  route.name = "all";
  route.upstream = "app";
}

std::shared_ptr<const server::Plan> World::plan(std::size_t servers) {
  auto config = std::make_shared<config::Config>(*config_);
  for (config::Upstream& upstream : config->upstreams) upstream.servers.resize(servers);
  std::shared_ptr<server::Plan> made = server::make_plan(config, metrics_);
  for (const config::Upstream& upstream : config->upstreams) {
    auto& addresses = made->addresses.emplace_back();
    for (const config::Server& server : upstream.servers) {
      addresses.push_back({at(server.address.host.c_str(), server.address.port)});
    }
  }
  made->services[kHttpListener] = {server::Service::Kind::http, 0, nullptr};
  made->services[kTcpListener] = {server::Service::Kind::tcp, 1, nullptr};
  return made;
}

void World::start_proxy() {
  proxy::WorkerMetrics& counts = metrics_.worker(0);
  log_ = std::make_unique<proxy::LogSink>(signal_, counts.log_lines_dropped);
  worker_ =
      std::make_unique<server::Worker>(0, io::Backend::automatic, budget_, counts, log_.get());
  worker_->open(io::make_sim_io(worker_->loop(), network), seed_);
  worker_->begin();
  const std::shared_ptr<const server::Plan> first = plan(kServers);
  worker_->apply(first);
  for (const auto& [id, address] :
       {std::pair(kHttpListener, http_address_), std::pair(kTcpListener, tcp_address_)}) {
    worker_->listen(id, *network.listen(address), first->services.at(id));
  }
}

void World::start_servers() {
  for (std::size_t i = 0; i < kServers; ++i) {
    for (const Way way : {Way::http, Way::tcp}) {
      const io::SocketAddress address = at(server_ip(i).c_str(), way == Way::tcp ? 81 : 80);
      io::Socket* socket = server_loop.io().adopt_listener(*network.listen(address));
      servers_.spawn(&World::accept_loop, this, &listening_.emplace_back(socket, way));
    }
  }
}

Task<> World::accept_loop(World* self, Listening* listening) {
  for (;;) {
    Accept accept(self->server_loop.io(), *listening->socket);
    const Result<int> fd = co_await accept;
    if (fd) {
      self->servers_.spawn(serve, self, *fd, listening->way);
    } else if (fd.error().code == Code::cancelled) {
      break;
    } else {
      co_await pass(self->server_loop, Millis(10));
    }
  }
  self->server_loop.io().close(*listening->socket);
}

Task<> World::run_client(World* self, Script* script) {
  co_await pass(self->client_loop, script->begins);
  int failures = 0;
  for (std::size_t next = 0; next < script->exchanges.size() && failures < 4;) {
    const Way way = script->exchanges[next]->way;
    const Result<io::Socket*> socket =
        co_await io::connect(self->client_loop, self->address(way), kConnectPatience);
    if (!socket) {
      ++failures;
      self->note("client: cannot connect");
      co_await pass(self->client_loop, Millis(50));
      continue;
    }
    Wire wire(self->client_loop, *socket, script->reads_every);
    if (way == Way::tcp) {
      co_await converse_tcp(*self, wire, *script->exchanges[next++]);
    } else {
      co_await converse(*self, wire, *script, next);
    }
  }
}

Task<> World::drain_later(World* self, Millis when) {
  co_await pass(self->client_loop, when);
  if (self->draining_) co_return;
  self->draining_ = true;
  self->note("--- drain");
  self->worker_->loop().post([self] { self->worker_->drain(); });
  co_await pass(self->client_loop, self->config_->timeouts.drain);
  if (self->worker_->loop().stopping()) co_return;
  self->note("--- abort what is left");
  self->worker_->loop().post([self] { self->worker_->abort_all(); });
}

Task<> World::reload_later(World* self, Millis when, std::size_t servers) {
  co_await pass(self->client_loop, when);
  if (self->draining_) co_return;
  self->note("--- reload with {} servers", servers);
  self->worker_->loop().post([self, servers] { self->worker_->apply(self->plan(servers)); });
}

Task<> World::calm_down(World* self, Millis when) {
  co_await pass(self->client_loop, when);
  self->note("--- the network calms down");
  self->network.faults = io::SimFaults{};
}

void World::play() {
  if (weather_ == Weather::stormy) {
    network.faults = draw_faults(draw_);
    if (draw_.chance(0.4)) server_idle_ = Millis(1 + draw_.below(100));
    resets_ = network.faults.reset > 0;
    if (draw_.chance(0.3)) operators_.spawn(&World::drain_later, this, Millis(draw_.below(4'000)));
    if (draw_.chance(0.3)) operators_.spawn(&World::calm_down, this, Millis(draw_.below(4'000)));
  }
  for (int i = 0; i < 3 && draw_.chance(0.4); ++i) {
    operators_.spawn(&World::reload_later, this, Millis(draw_.below(3'000)),
                     1 + draw_.below(kServers));
  }
  for (Script& script : scripts_) clients_.spawn(&World::run_client, this, &script);
  const Instant limit = network.now() + (weather_ == Weather::calm ? kCalmBound : kStormBound);
  if (!network.run([&] { return clients_.running() == 0; }, limit)) {
    violate("no progress: {} clients are not done in time", clients_.running());
  }
}

void World::stop_proxy() {
  if (!draining_) operators_.spawn(&World::drain_later, this, Millis(0));
  const Instant limit = network.now() + config_->timeouts.drain + kSettles;
  const auto done = [&] { return worker_->loop().stopping() && operators_.running() == 0; };
  if (!network.run(done, limit)) {
    violate("the proxy does not stop: {} still run", worker_->running());
  }
  // What is left cannot be taken down, and whoever looks at the seed needs the list.
  if (worker_->running() > 0 || clients_.running() > 0) {
    for (const std::string& text : violations_) std::fprintf(stderr, "%s\n", text.c_str());
    std::abort();
  }
  worker_->end();
}

void World::stop_servers() {
  for (Listening& listening : listening_) {
    server_loop.io().cancel_recv(*listening.socket, kOver);
  }
  const auto done = [&] { return servers_.running() == 0; };
  if (!network.run(done, network.now() + kSettles)) {
    violate("{} connections to servers are still open", servers_.running());
    for (Wire* wire : open_) wire->stream.cancel(kOver);
    network.run(done, network.now() + kSettles);
  }
  network.rounds(3);
}

void World::run() {
  play();
  stop_proxy();
  stop_servers();
  judge(*this);
}

Exchange* World::find(std::uint64_t id) {
  const auto found = std::ranges::find(exchanges_, id, &Exchange::id);
  return found == exchanges_.end() ? nullptr : &*found;
}

void World::add_violation(std::string text) {
  note("*** {}", text);
  violations_.push_back(std::move(text));
}

void World::print(const std::string& text) const {
  const double seconds = static_cast<double>(network.now().time_since_epoch().count()) / 1e6 - 1;
  fmt::print("{:12.6f}  {}\n", seconds, text);
}

}  // namespace weir::sim
