// SPDX-License-Identifier: Apache-2.0
#include "fuzz_world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "config/load.h"
#include "io/sim_io.h"

namespace weir::sim {
namespace {

constexpr Error kOver{Code::cancelled, Cause::none, 0, "over"};
constexpr int kHttpListener = 1;
constexpr int kTcpListener = 2;
constexpr std::uint16_t kTcpPort = 81;
constexpr std::uint16_t kHttp2Port = 82;
constexpr Millis kBound{3'600'000};     // of virtual time, for everything
constexpr Millis kPatience{2'000'000};  // longer than all waits of a script
constexpr Millis kConnectPatience{10'000};
constexpr std::string_view kUsualAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr Millis kSettles{20'000};  // what was told to end has ended

// Times are short, so that a black hole costs little; each is longer than what a script waits at
// once only where that is of no interest.
constexpr std::string_view kConfig = R"(
access_log = { to = "stdout" }
[limits]
head_size = "6KiB"
head_fields = 40
target_size = "1KiB"
requests_per_connection = 20
[timeouts]
client_head = "5s"
client_body = "5s"
client_write = "5s"
client_idle = "8s"
client_half_close = "2s"
upstream_connect = "2s"
upstream_head = "6s"
upstream_body = "5s"
upstream_write = "5s"
tunnel_idle = "10s"
drain = "5s"
[[listen]]
address = "127.0.0.1:8080"
[[listen]]
address = "127.0.0.1:9000"
tcp = { upstream = "raw" }
[upstream.app]
servers = ["10.0.0.1:80"]
idle_timeout = "3s"
[upstream.two]
servers = ["10.0.0.1:80", "10.0.0.2:80"]
[upstream.h2]
servers = ["10.0.0.1:82"]
protocol = "http2"
idle_timeout = "3s"
[upstream.raw]
servers = ["10.0.0.1:81"]
[[route]]
upstream = "app"
[[route]]
match = { path = "/two/**" }
upstream = "two"
[[route]]
match = { path = "/h2/**" }
upstream = "h2"
[[route]]
match = { path = "/fixed/**" }
respond = { status = 200, body = "fixed" }
[[route]]
match = { path = "/moved/**" }
redirect = { to = "https://{host}{uri}", status = 308 }
[[route]]
match = { path = "/api/**" }
upstream = "app"
strip_prefix = "/api"
add_prefix = "/v1"
request_headers = { set = { X-Added = "yes" }, remove = ["Cookie"] }
response_headers = { set = { Server = "w" }, remove = ["X-Powered-By"] }
)";

io::SocketAddress at(const char* ip, std::uint16_t port) {
  return *io::SocketAddress::from_ip(ip, port);
}

/// `bytes` with another field behind their first line.
std::string tagged(std::string_view bytes, std::string_view field) {
  const std::size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) return std::string(bytes);
  return fmt::format("{}\r\n{}{}", bytes.substr(0, end), field, bytes.substr(end));
}

struct Accept : io::AcceptOp {
  io::Io& io;
  io::Socket& listener;
  Accept(io::Io& i, io::Socket& l) : io(i), listener(l) {}
  bool await_ready() { return io.start_accept(listener, *this); }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  Result<int> await_resume() { return result; }
};

}  // namespace

FuzzLasting::FuzzLasting() {
  const config::Loaded loaded = config::load_text(kConfig, "fuzz.toml");
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
    if (loaded.config == nullptr) std::fprintf(stderr, "%s\n", diagnostic.message.c_str());
  }
  WEIR_CHECK(loaded.config != nullptr);
  std::shared_ptr<server::Plan> made = server::make_plan(loaded.config, metrics);
  for (const config::Upstream& upstream : loaded.config->upstreams) {
    auto& addresses = made->addresses.emplace_back();
    for (const config::Server& server : upstream.servers) {
      addresses.push_back({at(server.address.host.c_str(), server.address.port)});
    }
  }
  made->services[kHttpListener] = {server::Service::Kind::http, 0, nullptr};
  made->services[kTcpListener] = {server::Service::Kind::tcp, 1, nullptr};
  plan = std::move(made);
}

FuzzWorld::FuzzWorld(FuzzLasting& lasting, FuzzScript script)
    : lasting_(lasting), script_(std::move(script)), network_(script_.seed, script_.faults) {
  client_loop_.attach(io::make_sim_io(client_loop_, network_));
  server_loop_.attach(io::make_sim_io(server_loop_, network_));
  start_server();
  start_proxy();
}

FuzzWorld::~FuzzWorld() = default;

void FuzzWorld::start_proxy() {
  worker_ = std::make_unique<server::Worker>(0, io::Backend::automatic, script_.budget,
                                             lasting_.metrics.worker(0), &lasting_.log);
  worker_->open(io::make_sim_io(worker_->loop(), network_), script_.seed);
  worker_->begin();
  worker_->apply(lasting_.plan);
  for (const auto& [id, port] : {std::pair(kHttpListener, 8080), std::pair(kTcpListener, 9000)}) {
    const int fd = *network_.listen(at("127.0.0.1", static_cast<std::uint16_t>(port)));
    worker_->listen(id, fd, lasting_.plan->services.at(id));
  }
}

// Nobody listens at 10.0.0.2.
void FuzzWorld::start_server() {
  for (const std::uint16_t port : {std::uint16_t{80}, kTcpPort, kHttp2Port}) {
    const int fd = *network_.listen(at("10.0.0.1", port));
    listening_.push_back(server_loop_.io().adopt_listener(fd));
    servers_.spawn(&FuzzWorld::accept_loop, this, listening_.back(), port);
  }
}

Task<> FuzzWorld::accept_loop(FuzzWorld* self, io::Socket* listener, std::uint16_t port) {
  for (;;) {
    Accept accept(self->server_loop_.io(), *listener);
    const Result<int> fd = co_await accept;
    if (fd) {
      FuzzServed& served = self->served_.emplace_back();
      served.tunnel = port == kTcpPort;
      served.http2 = port == kHttp2Port;
      self->servers_.spawn(&FuzzWorld::serve, self, &served, *fd);
    } else if (fd.error().code == Code::cancelled) {
      break;
    } else {
      co_await pass(self->server_loop_, Millis(10));
    }
  }
  self->server_loop_.io().close(*listener);
}

Task<> FuzzWorld::serve(FuzzWorld* self, FuzzServed* served, int fd) {
  Wire wire(self->server_loop_, self->server_loop_.io().adopt(fd));
  wire.patience = kPatience;
  Scope answers(self->server_loop_.queue);
  served->wire = &wire;
  served->answers = &answers;
  if (served->tunnel) self->begin_answer(*served, http::Strict{});
  if (served->http2) answers.spawn(&FuzzWorld::speak_http2, self, served);
  Got& got = served->end;
  while (got == Got::bytes) {
    got = co_await wire.more();
    served->got += std::exchange(wire.in, {});
    if (got == Got::bytes && !served->http2) self->proceed(*served);
  }
  if (got == Got::stuck) self->violate("a connection to the server stays for ever");
  if (got != Got::end) wire.stream.cancel(kOver);
  served->over = served->over || got != Got::end || !served->tunnel;
  co_await answers.join();
  wire.stream.close(served->reset ? io::Stream::Close::reset : io::Stream::Close::orderly);
}

// Whatever it gets, and whether somebody listens still.
Task<> FuzzWorld::speak_http2(FuzzWorld* self, FuzzServed* served) {
  for (const FuzzStep& step : self->script_.http2_server) {
    if (step.kind == FuzzStep::Kind::wait) co_await pass(self->server_loop_, step.time);
    if (served->over) break;
    if (step.kind == FuzzStep::Kind::send && !co_await served->wire->send(step.bytes)) break;
    if (step.kind == FuzzStep::Kind::end) served->wire->stream.shutdown_write();
    if (step.kind == FuzzStep::Kind::reset) served->wire->stream.cancel(kOver);
    if (step.kind == FuzzStep::Kind::end || step.kind == FuzzStep::Kind::reset) break;
  }
}

void FuzzWorld::begin_answer(FuzzServed& served, http::Strict request) {
  FuzzArrival& arrival = arrivals_.emplace_back();
  arrival.number = arrivals_.size() - 1;
  arrival.request = std::move(request);
  arrival.served = &served;
  if (next_answer_ < script_.answers.size()) {
    arrival.answer = script_.answers[next_answer_++];
  } else {
    arrival.answer.steps.push_back({.bytes = std::string(kUsualAnswer)});
  }
  served.arrivals.push_back(&arrival);
  served.pending = !arrival.answer.early && !served.tunnel;
  if (!served.pending) served.answers->spawn(&FuzzWorld::answer, this, &served, &arrival);
}

// One request after the other: answered at its head or its end; the next one is looked at when this
// one has come to its end and the answer too.
void FuzzWorld::proceed(FuzzServed& served) {
  while (!served.over && !served.tunnel && served.at < served.got.size()) {
    const std::string_view rest = std::string_view(served.got).substr(served.at);
    http::Strict request = http::read_strict(rest, http::Strict::Kind::request);
    if (request.bad()) {
      violate("the server got what is no request ({}): {}", request.why, rest.substr(0, 300));
      served.over = true;
      return;
    }
    if (request.head != http::Strict::State::whole) return;
    if (!served.current) {
      served.current = true;
      judge_reuse(served);
      begin_answer(served, request);
    }
    FuzzArrival& arrival = *served.arrivals.back();
    arrival.request = std::move(request);
    const bool whole = arrival.request.whole();
    if (whole && std::exchange(served.pending, false)) {
      served.answers->spawn(&FuzzWorld::answer, this, &served, &arrival);
    }
    // The answer may have ended within, and have gone on to the next request or into a tunnel.
    const bool same = served.arrivals.back() == &arrival && served.current && !served.tunnel;
    if (!whole || !arrival.done || !same) return;
    served.at += arrival.request.size;
    served.current = false;
  }
}

Task<> FuzzWorld::answer(FuzzWorld* self, FuzzServed* served, FuzzArrival* arrival) {
  bool first = !served->tunnel;
  for (const FuzzStep& step : arrival->answer.steps) {
    if (step.kind == FuzzStep::Kind::wait) co_await pass(self->server_loop_, step.time);
    if (served->over) break;
    if (step.kind == FuzzStep::Kind::send && !step.bytes.empty()) {
      const std::string number = fmt::format("X-Arrival: {}", self->tag(arrival->number));
      const std::string bytes =
          first && step.bytes.starts_with("HTTP/1.") ? tagged(step.bytes, number) : step.bytes;
      first = false;
      arrival->sent += bytes;
      arrival->sent_at = self->network_.now();
      const bool sent = co_await served->wire->send(bytes);
      if (!sent) arrival->failed = served->over = true;
      continue;
    }
    if (step.kind == FuzzStep::Kind::end) {
      served->over = arrival->ended = true;
      served->wire->stream.shutdown_write();
    } else if (step.kind == FuzzStep::Kind::reset) {
      served->over = served->reset = true;
      served->wire->stream.cancel(kOver);
    }
  }
  arrival->done = true;
  const bool upgrade = !arrival->request.all("upgrade").empty();
  const http::Strict answer = read_response(arrival->sent, http::Strict::Kind::response).message;
  // To a lenient reader, one that is bad to the strict one may be a 101.
  if (upgrade && (answer.bad() || answer.status() == 101)) served->tunnel = true;
  self->proceed(*served);
}

Task<> FuzzWorld::read_client(FuzzWorld* self, Wire* wire, FuzzClient* client) {
  while (client->end == Got::bytes) {
    client->end = co_await wire->more();
    client->got += std::exchange(wire->in, {});
  }
  if (client->end == Got::stuck) self->violate("client {} waits for ever", client->index);
}

Task<> FuzzWorld::run_client(FuzzWorld* self, FuzzClient* client) {
  const bool tcp = client->index == FuzzScript::kTcpClient;
  const io::SocketAddress address = at("127.0.0.1", tcp ? 9000 : 8080);
  const Result<io::Socket*> socket =
      co_await io::connect(self->client_loop_, address, kConnectPatience);
  if (!socket) co_return;
  client->connected = true;
  Wire wire(self->client_loop_, *socket);
  wire.patience = kPatience;
  Scope reader(self->client_loop_.queue);
  reader.spawn(&FuzzWorld::read_client, self, &wire, client);
  const std::string name = fmt::format("X-Client: {}", self->tag(client->index));
  for (const FuzzStep& step : self->script_.clients[client->index]) {
    if (step.kind == FuzzStep::Kind::wait) {
      co_await pass(self->client_loop_, step.time);
    } else if (step.kind == FuzzStep::Kind::send) {
      const std::size_t end = step.bytes.find("\r\n");
      const bool request = end != std::string::npos && end > 8 && !tcp &&
                           step.bytes.compare(end - 8, 7, "HTTP/1.") == 0;
      const std::string bytes = request ? tagged(step.bytes, name) : step.bytes;
      client->sent += bytes;
      if (!co_await wire.send(bytes)) break;
    } else {
      client->left = step.kind == FuzzStep::Kind::reset;
      client->ended = !client->left;
      if (client->left) wire.stream.cancel(kOver);
      if (!client->left) wire.stream.shutdown_write();
      break;
    }
  }
  co_await reader.join();
  wire.stream.close(client->left ? io::Stream::Close::reset : io::Stream::Close::orderly);
}

Task<> FuzzWorld::drain_later(FuzzWorld* self, Millis when) {
  co_await pass(self->client_loop_, when);
  if (self->draining_) co_return;
  self->draining_ = true;
  self->worker_->loop().post([self] { self->worker_->drain(); });
  co_await pass(self->client_loop_, self->lasting_.plan->config->timeouts.drain);
  if (self->worker_->loop().stopping()) co_return;
  self->worker_->loop().post([self] { self->worker_->abort_all(); });
}

Task<> FuzzWorld::reload_later(FuzzWorld* self, Millis when) {
  co_await pass(self->client_loop_, when);
  if (self->draining_) co_return;
  self->worker_->loop().post([self] { self->worker_->apply(self->lasting_.plan); });
}

// Names what only this run can have said: a script may hold anything else.
std::string FuzzWorld::tag(std::size_t number) const {
  return fmt::format("{}-{:x}", number, (script_.seed + 77) * 0x9e3779b97f4a7c15);
}

void FuzzWorld::play() {
  for (std::size_t i = 0; i < FuzzScript::kClients; ++i) {
    if (script_.clients[i].empty()) continue;
    FuzzClient& client = client_list_.emplace_back();
    client.index = i;
    clients_.spawn(&FuzzWorld::run_client, this, &client);
  }
  if (script_.drain_at.count() >= 0) {
    operators_.spawn(&FuzzWorld::drain_later, this, script_.drain_at);
  }
  if (script_.reload_at.count() >= 0) {
    operators_.spawn(&FuzzWorld::reload_later, this, script_.reload_at);
  }
  const auto done = [&] { return clients_.running() == 0; };
  if (!network_.run(done, network_.now() + kBound)) {
    violate("no progress: {} clients are not done in time", clients_.running());
  }
}

void FuzzWorld::stop() {
  if (!draining_) operators_.spawn(&FuzzWorld::drain_later, this, Millis(0));
  const auto stopped = [&] { return worker_->loop().stopping() && operators_.running() == 0; };
  const Millis drain = lasting_.plan->config->timeouts.drain;
  if (!network_.run(stopped, network_.now() + drain + kSettles)) {
    violate("the proxy does not stop: {} still run", worker_->running());
  }
  // What is left cannot be taken down.
  if (worker_->running() > 0 || clients_.running() > 0) {
    std::fprintf(stderr, "%s", transcript().c_str());
    std::abort();
  }
  worker_->end();
  for (io::Socket* socket : listening_) server_loop_.io().cancel_recv(*socket, kOver);
  const auto closed = [&] { return servers_.running() == 0; };
  if (!network_.run(closed, network_.now() + kSettles)) {
    violate("{} connections to the server are still open", servers_.running());
    for (FuzzServed& served : served_) {
      if (served.wire != nullptr) served.wire->stream.cancel(kOver);
    }
    network_.run(closed, network_.now() + kSettles);
  }
  network_.rounds(3);
}

void FuzzWorld::run() {
  play();
  stop();
  lasting_.log_text.clear();
  lasting_.log.swap(lasting_.log_text);
  judge(*this);
}

std::string FuzzWorld::transcript() const {
  std::string text;
  for (const FuzzClient& client : client_list_) {
    text += fmt::format("--- client {} sent\n{}\n--- and got\n{}\n--- then {}\n", client.index,
                        client.sent, client.got,
                        client.left                 ? "it left"
                        : client.end == Got::end    ? "an end"
                        : client.end == Got::broken ? "a break"
                                                    : "nothing");
  }
  for (const FuzzServed& served : served_) text += "--- the server got\n" + served.got + "\n";
  for (const FuzzArrival& arrival : arrivals_) {
    text += fmt::format("--- it answered {}\n{}\n", arrival.number, arrival.sent);
  }
  text += "--- logged\n" + lasting_.log_text;
  for (const std::string& violation : violations_) text += "*** " + violation + "\n";
  return text;
}

}  // namespace weir::sim
