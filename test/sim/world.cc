// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "actors.h"
#include "resolver.h"

namespace weir::sim {
namespace {

constexpr Error kOver{Code::cancelled, Cause::none, 0, "over"};
constexpr Millis kCalmBound{120'000};  // of the stage's time, for everything
constexpr Millis kStormBound{3'600'000};
constexpr Millis kSettles{5'000};  // what was told to end has ended

struct Accept : io::AcceptOp {
  io::Io& io;
  io::Socket& listener;
  Accept(io::Io& i, io::Socket& l) : io(i), listener(l) {}
  bool await_ready() { return io.start_accept(listener, *this); }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  Result<int> await_resume() { return result; }
};

Task<> serve(World* world, int fd, Way way, std::size_t server) {
  Wire wire(world->server_loop, world->server_loop.io().adopt(fd));
  wire.server = server;
  world->enter(wire);
  if (way == Way::tcp) {
    co_await serve_tcp(*world, wire);
  } else if (world->swarm.h2_servers) {
    co_await serve_http2(*world, wire);
  } else {
    co_await serve_http(*world, wire);
  }
  world->leave(wire);
}

}  // namespace

World::World(std::uint64_t seed, Trace trace, DrawSwarm* draw, On on)
    : network(seed), seed_(seed), trace_(trace), on_(on), draw_(seed ^ 0x5eed) {
  swarm = draw(draw_, seed, kServers);
  stage_ = make_stage(on, swarm.narrow ? Buffers::narrow : Buffers::usual, network);
  description_ = describe(swarm);
  note("{}", description_);
  client_loop.attach(stage_->actor_io(client_loop));
  server_loop.attach(stage_->actor_io(server_loop));
  control_loop_.attach(stage_->actor_io(control_loop_));
  http_address_ = *io::SocketAddress::from_ip("127.0.0.1", 8080);
  tcp_address_ = *io::SocketAddress::from_ip("127.0.0.1", 9000);
  draw_scripts();
  start_servers();
  make_config();
  start_proxy();
}

World::~World() = default;

void World::draw_scripts() {
  std::uint64_t id = seed_ % 1000 * 100'000;
  first_id_ = id + 1;
  for (std::size_t i = 0; i < swarm.clients; ++i) {
    Script& script = scripts_.emplace_back();
    // What breaks takes those before it along, as far as they have not arrived.
    const bool breaks = swarm.compared && swarm.weather == Weather::stormy;
    script.pipelined = draw_.chance(0.3) && !breaks;
    script.begins = Millis(draw_.below(2'000));
    if (draw_.chance(0.15)) script.reads_every = Millis(1 + draw_.below(30));
    if (draw_.chance(0.3)) script.rests = Millis(draw_.below(100));
    if (draw_.chance(swarm.h2_clients)) script.streams = 1 + draw_.below(8);
    if (swarm.long_rests) script.rests = Millis(draw_.below(12'000));
    const std::size_t count = 1 + draw_.below(swarm.crowd ? 2 : 8);
    for (std::size_t j = 0; j < count; ++j) {
      script.exchanges.push_back(&exchanges_.emplace_back(draw_exchange(draw_, ++id, swarm)));
      fit_http2(*script.exchanges.back(), script, swarm);
    }
  }
}

void World::start_servers() {
  for (std::size_t i = 0; i < kServers; ++i) {
    for (const Way way : {Way::http, Way::tcp}) {
      Listening& listening = listening_.emplace_back(nullptr, way, i);
      listening.address =
          *io::SocketAddress::from_ip(server_ip(i).c_str(), way == Way::tcp ? 81 : 80);
      listening.socket = server_loop.io().adopt_listener(*stage_->listen(listening.address));
      servers_.spawn(&World::accept_loop, this, &listening);
    }
  }
}

Task<> World::accept_loop(World* self, Listening* listening) {
  for (;;) {
    Accept accept(self->server_loop.io(), *listening->socket);
    const Result<int> fd = co_await accept;
    if (fd) {
      self->servers_.spawn(serve, self, *fd, listening->way, listening->server);
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
    script->exchanges[next]->begun_at = self->network.now();
    const Result<io::Socket*> socket =
        co_await self->stage_->connect(self->client_loop, self->address(way));
    if (!socket) {
      ++failures;
      self->note("client: cannot connect for {}", script->exchanges[next]->id);
      if (way == Way::tcp) self->lost_session();
      co_await pass(self->client_loop, Millis(50));
      continue;
    }
    const bool http2 = script->exchanges[next]->http2;
    // Who reads slowly does it on the connection, or stream by stream.
    const bool by_stream = http2 && script->streams % 2 == 0;
    Wire wire(self->client_loop, *socket, by_stream ? Millis(0) : script->reads_every);
    const std::size_t before = next;
    if (way == Way::tcp) {
      co_await converse_tcp(*self, wire, *script->exchanges[next++]);
    } else if (way == Way::malformed) {
      co_await converse_malformed(*self, wire, *script->exchanges[next++]);
    } else if (http2) {
      co_await converse_http2(*self, wire, *script, next);
    } else {
      co_await converse(*self, wire, *script, next);
    }
    if (next == before) ++failures;
  }
}

void World::play() {
  network.faults = swarm.faults;
  if (swarm.drains) operators_.spawn(&World::drain_later, this, swarm.drain_at);
  if (swarm.calms) operators_.spawn(&World::calm_down, this, swarm.calm_at);
  for (const Reload& reload : swarm.reloads) {
    operators_.spawn(&World::reload_later, this, &reload);
  }
  for (const Crash& crash : swarm.crashes) operators_.spawn(&World::crash_later, this, &crash);
  for (Script& script : scripts_) clients_.spawn(&World::run_client, this, &script);
  const Millis bound = weather() == Weather::calm || swarm.compared ? kCalmBound : kStormBound;
  if (!stage_->run([&] { return clients_.running() == 0; }, bound)) {
    violate("no progress: {} clients are not done in time{}", clients_.running(),
            network.spinning() ? ": the loops spin" : "");
  }
}

bool World::proxies_stopped() const {
  return std::ranges::all_of(proxies_, [](const Proxy& p) { return p.worker->loop().stopping(); });
}

std::size_t World::proxies_running() const {
  std::size_t running = 0;
  for (const Proxy& proxy : proxies_) running += proxy.worker->running();
  return running;
}

void World::stop_proxy() {
  if (!draining_) operators_.spawn(&World::drain_later, this, Millis(0));
  const auto done = [&] { return proxies_stopped() && operators_.running() == 0; };
  if (!stage_->run(done, config_->timeouts.drain + kSettles)) {
    violate("the proxy does not stop: {} still run", proxies_running());
  }
  // What is left cannot be taken down, and whoever looks at the seed needs the list.
  if (proxies_running() > 0 || clients_.running() > 0 || operators_.running() > 0) {
    for (const std::string& text : violations_) std::fprintf(stderr, "%s\n", text.c_str());
    std::abort();
  }
  for (Proxy& proxy : proxies_) end(proxy);
}

void World::stop_servers() {
  for (Listening& listening : listening_) {
    server_loop.io().cancel_recv(*listening.socket, kOver);
  }
  const auto done = [&] { return servers_.running() == 0; };
  if (!stage_->run(done, kSettles)) {
    violate("{} connections to servers are still open", servers_.running());
    for (Wire* wire : open_) wire->stream.cancel(kOver);
    stage_->run(done, kSettles);
  }
  stage_->rounds(3);
}

void World::run() {
  play();
  stop_proxy();
  stop_servers();
  judge(*this);
}

Exchange* World::find(std::uint64_t id) {
  const bool known = id >= first_id_ && id - first_id_ < exchanges_.size();
  return known ? &exchanges_[id - first_id_] : nullptr;
}

std::string World::log() const {
  std::string lines;
  for (const Proxy& proxy : proxies_) lines += proxy.lines;
  return lines;
}

H2Knobs World::h2_server_knobs() const {
  H2Knobs knobs;
  knobs.window = swarm.h2_window;
  knobs.connection_window = swarm.h2_window * 2;
  knobs.streams_max = swarm.h2_streams_max;
  knobs.frame_max = swarm.h2_frame_max;
  knobs.padding_max = swarm.h2_padding;
  return knobs;
}

H2Knobs World::h2_knobs(const Script& script) const {
  H2Knobs knobs = h2_server_knobs();
  knobs.streams_max = 0;
  if (script.streams % 2 == 0) knobs.reads_every = script.reads_every;
  return knobs;
}

std::uint64_t World::random(std::uint64_t id, Side side, std::uint64_t limit) {
  if (!swarm.compared) return network.random(limit);
  return draws_.try_emplace(std::pair(id, side), id * 2 + static_cast<std::uint64_t>(side))
      .first->second.below(limit);
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
