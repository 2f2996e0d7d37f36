// SPDX-License-Identifier: Apache-2.0
#include "server/worker.h"

#include <gtest/gtest.h>

#include "config/load.h"
#include "io/sim_io.h"
#include "io/tcp_stream.h"
#include "server/metrics_registry.h"

namespace weir::server {
namespace {

constexpr Millis kPatience{10'000};
constexpr int kListener = 1;

// Two workers on one simulated network, and clients.
class WorkersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const config::Loaded loaded =
        config::load_text("[[listen]]\naddress = \":80\"\n[[route]]\nrespond = 200\n", "t.toml");
    ASSERT_NE(loaded.config, nullptr);
    clients.attach(io::make_sim_io(clients, network));
    const auto plan = make_plan(loaded.config, metrics);
    plan->services[kListener] = {Service::Kind::http, 0, nullptr};
    std::vector<Worker*> all;
    for (Worker* worker : {&first, &second}) {
      worker->open(io::make_sim_io(worker->loop(), network), 1);
      all.push_back(worker);
    }
    const int fd = *network.listen(address);
    for (Worker* worker : all) worker->begin(all);
    for (Worker* worker : all) worker->apply(plan);
    for (Worker* worker : all) worker->listen(kListener, fd, plan->services.at(kListener));
  }
  void TearDown() override {
    for (Worker* worker : {&first, &second}) {
      if (!worker->loop().stopping()) worker->loop().post([worker] { worker->drain(); });
    }
    EXPECT_TRUE(run([&] { return first.loop().stopping() && second.loop().stopping(); }));
    EXPECT_EQ(network.sockets(), 0u);
    for (Worker* worker : {&first, &second}) worker->end();
  }

  template <class Done>
  bool run(Done done) {
    return network.run(done, network.now() + kPatience);
  }

  static Task<> ask(WorkersTest* self) {
    const Result<io::Socket*> socket =
        co_await io::connect(self->clients, self->address, kPatience);
    WEIR_CHECK(socket.has_value());
    io::TcpStream stream(self->clients, *socket);
    const std::array<Bytes, 4> pieces = {Bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), {}, {}, {}};
    const Result<void> sent = co_await stream.send(pieces, kPatience);
    const Result<io::Chunk> answer = co_await stream.recv(4_KiB, kPatience);
    if (sent && answer && answer->bytes().starts_with("HTTP/1.1 200")) ++self->answered;
    while (!self->over) {
      // tidy: allow sleep because its time is virtual
      co_await io::sleep_until(self->clients, self->clients.now() + Millis(10));
    }
  }

  io::SimNetwork network{1};
  const io::SocketAddress address = *io::SocketAddress::from_ip("127.0.0.1", 80);
  io::Loop clients{1_MiB};
  MetricsRegistry metrics{2, WallTime{}};
  Worker first{0, io::Backend::automatic, 1_MiB, metrics.worker(0), nullptr};
  Worker second{1, io::Backend::automatic, 1_MiB, metrics.worker(1), nullptr};
  Scope scope{clients.queue};
  int answered = 0;
  bool over = false;
};

TEST_F(WorkersTest, AConnectionGoesToWhoeverHasLess) {
  for (int i = 0; i < 8; ++i) {
    scope.spawn(ask, this);
    EXPECT_TRUE(run([&] { return answered == i + 1; }));
  }
  EXPECT_GE(first.connections(), 3u);
  EXPECT_GE(second.connections(), 3u);
  over = true;
  EXPECT_TRUE(run([&] { return scope.running() == 0; }));
}

// The workers of a process do not take the message that it drains at the same moment.
TEST_F(WorkersTest, NoConnectionIsHandedToAWorkerThatHasEnded) {
  second.loop().post([&] { second.drain(); });
  ASSERT_TRUE(run([&] { return second.loop().stopping(); }));
  for (int i = 0; i < 4; ++i) {
    scope.spawn(ask, this);
    EXPECT_TRUE(run([&] { return answered == i + 1; })) << i;
  }
  over = true;
  EXPECT_TRUE(run([&] { return scope.running() == 0; }));
}

}  // namespace
}  // namespace weir::server
