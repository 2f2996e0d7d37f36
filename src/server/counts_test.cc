// SPDX-License-Identifier: Apache-2.0
//
// What one proxied request costs, in numbers that do not depend on the machine: system calls,
// allocations, coroutine frames. A change of a number here is a change of the price of every
// request: justify it in the commit that makes it.
#undef _FORTIFY_SOURCE  // it would define recv() here before we do
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <span>

#include "config/load.h"
#include "io/listener.h"
#include "io/ring_io.h"
#include "server/worker.h"

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
#define WEIR_SANITIZED 1
#else
#define WEIR_SANITIZED 0
#endif

namespace {

// What this thread has asked the system for. Other tests of the program count as well; differences
// are what is looked at.
struct Asked {
  int receives = 0;  // that brought something, or the end
  int empty_receives = 0;
  long received = 0;  // bytes
  long spliced = 0;   // bytes, counted twice: into a pipe and out of it
  int splices = 0;
  int sends = 0;
  int corked = 0;  // of these, with MSG_MORE
  int waits = 0;
  int controls = 0;  // epoll_ctl
  int allocations = 0;
  long bytes = 0;  // allocated and not freed
};
// tidy: allow thread-local because hooks of the C library have no context
thread_local Asked asked;

}  // namespace

// The program's own definitions come before the C library's.
extern "C" {

ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  const ssize_t got = syscall(SYS_recvfrom, fd, buffer, size, flags, nullptr, nullptr);
  if (got > 0) asked.received += got;
  ++(got >= 0 ? asked.receives : asked.empty_receives);
  return got;
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
  const ssize_t got = syscall(SYS_recvmsg, fd, message, flags);
  ++(got >= 0 ? asked.receives : asked.empty_receives);
  return got;
}
ssize_t send(int fd, const void* buffer, size_t size, int flags) {
  ++asked.sends;
  asked.corked += (flags & MSG_MORE) != 0;
  return syscall(SYS_sendto, fd, buffer, size, flags, nullptr, 0);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  ++asked.sends;
  asked.corked += (flags & MSG_MORE) != 0;
  return syscall(SYS_sendmsg, fd, message, flags);
}
ssize_t splice(int from, off64_t* from_at, int to, off64_t* to_at, size_t size, unsigned flags) {
  const ssize_t moved = syscall(SYS_splice, from, from_at, to, to_at, size, flags);
  ++asked.splices;
  if (moved > 0) asked.spliced += moved;
  return moved;
}
int epoll_wait(int fd, epoll_event* events, int most, int timeout) {
  ++asked.waits;
  return static_cast<int>(syscall(SYS_epoll_wait, fd, events, most, timeout));
}
int epoll_ctl(int fd, int what, int on, epoll_event* event) noexcept {
  ++asked.controls;
  return static_cast<int>(syscall(SYS_epoll_ctl, fd, what, on, event));
}

#if !WEIR_SANITIZED
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void __libc_free(void* memory);

static void* counted(void* memory) {
  ++asked.allocations;
  asked.bytes += static_cast<long>(malloc_usable_size(memory));
  return memory;
}
void* malloc(size_t size) { return counted(__libc_malloc(size)); }
void* calloc(size_t count, size_t size) { return counted(__libc_calloc(count, size)); }
void* realloc(void* memory, size_t size) {
  asked.bytes -= static_cast<long>(malloc_usable_size(memory));
  return counted(__libc_realloc(memory, size));
}
void free(void* memory) {
  asked.bytes -= static_cast<long>(malloc_usable_size(memory));
  __libc_free(memory);
}
#endif

}  // extern "C"

namespace weir::server {
namespace {

constexpr std::string_view kConfig = R"(
[access_log]
to = "stderr"
[[listen]]
address = "127.0.0.1:1"
[upstream.app]
servers = ["127.0.0.1:1"]
[[route]]
match = { host = "www.a-name-of-some-length.example", path = "/files/**" }
upstream = "app"
response_headers = { set = { X-Served = "weir" } }
)";

constexpr std::string_view kRequest =
    "GET /files/a/b?c=d HTTP/1.1\r\nHost: www.a-name-of-some-length.example\r\n"
    "User-Agent: counts/1\r\nAccept: */*\r\n\r\n";

struct Socket {
  explicit Socket(int fd = -1) : fd(fd) {}
  Socket(Socket&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd, other.fd);
    return *this;
  }
  ~Socket() {
    if (fd >= 0) ::close(fd);
  }
  [[nodiscard]] bool readable(int timeout_ms = 0) const {
    pollfd look{fd, POLLIN, 0};
    return ::poll(&look, 1, timeout_ms) > 0;
  }
  /// A view of `space`: the test itself must not allocate while it counts.
  [[nodiscard]] std::string_view read_some(std::span<char> space) const {
    const ssize_t got = ::read(fd, space.data(), space.size());
    return {space.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
  }
  void write_all(std::string_view text) const {
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  int fd;
};

// A worker that is turned by hand, between a client and an origin that are plain sockets of the
// test.
class Counts : public ::testing::TestWithParam<io::Backend> {
 protected:
  void SetUp() override {
    pool_release();  // what an earlier test has left there would look like no memory at all
    metrics->routes[0].store(&route_counts);
    metrics->upstreams[0].store(&upstream_counts);
    ASSERT_TRUE(worker.open().has_value());
    worker.begin();
    const io::SocketAddress any = *io::SocketAddress::from_ip("127.0.0.1", 0);
    origin_listener = Socket(*io::listen_on(any, 16, 0));
    const int fd = *io::listen_on(any, 1024, 0);
    address = io::SocketAddress::of_socket(fd);
    auto plan = std::make_shared<Plan>();
    plan->config = config::load_text(kConfig, "counts.toml").config;
    ASSERT_NE(plan->config, nullptr);
    plan->router = std::make_shared<proxy::Router>(*plan->config);
    plan->route_slots = {0};
    plan->upstream_slots = {0};
    plan->addresses = {{{io::SocketAddress::of_socket(origin_listener.fd)}}};
    plan->services[1] = {Service::Kind::http, 0, nullptr};
    worker.apply(plan);
    worker.listen(1, fd, plan->services[1]);
    response = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" +
               std::string(1024, 'x');
  }
  void TearDown() override {
    client = Socket();
    clients.clear();
    origin = Socket();
    worker.drain();
    for (int i = 0; i < 2000 && metrics->connections_active.get() > 0; ++i) turn(Millis(5));
    for (int i = 0; i < 20; ++i) turn(Millis(5));  // the drain looks each 10 ms
    worker.end();
  }
  void turn(Millis wait = Millis(0)) { worker.loop().turn(worker.loop().now() + wait); }
  template <class Done>
  void turn_until(Done done) {
    for (int i = 0; i < 1000 && !done(); ++i) turn(Millis(1));
    ASSERT_TRUE(done());
  }
  Socket connect() {
    Socket made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(made.fd, address.get(), address.size()), 0);
    return made;
  }
  [[nodiscard]] tcp_info info() const {
    tcp_info result{};
    socklen_t size = sizeof result;
    EXPECT_EQ(getsockopt(client.fd, IPPROTO_TCP, TCP_INFO, &result, &size), 0);
    return result;
  }
  void request(const Socket& from, std::string_view text = kRequest) {
    from.write_all(text);
    if (origin.fd < 0) {
      turn_until([&] { return origin_listener.readable(); });
      origin = Socket(::accept(origin_listener.fd, nullptr, nullptr));
    }
    turn_until([&] { return origin.readable(); });
    EXPECT_TRUE(origin.read_some(space).ends_with("\r\n\r\n"));
    origin.write_all(response);
    turn_until([&] { return from.readable(); });
    const std::string_view got = from.read_some(space);  // head and body left in one send
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 ") && got.ends_with("xxxx")) << got.size();
    turn();
    turn();
  }

  std::unique_ptr<proxy::WorkerMetrics> metrics = std::make_unique<proxy::WorkerMetrics>();
  proxy::RouteCounts route_counts;
  proxy::UpstreamCounts upstream_counts;
  proxy::LogSignal signal;
  proxy::Count dropped;
  proxy::LogSink sink{signal, dropped};
  Worker worker{0, GetParam(), 64_MiB, *metrics, &sink};
  io::SocketAddress address;
  Socket origin_listener;
  Socket origin;
  Socket client;
  std::vector<Socket> clients;
  std::string response;
  std::array<char, 8192> space{};
};

std::vector<io::Backend> backends() {
  std::vector<io::Backend> all = {io::Backend::epoll};
  if (io::ring_self_test()) all.push_back(io::Backend::ring);
  return all;
}
INSTANTIATE_TEST_SUITE_P(Backends, Counts, ::testing::ValuesIn(backends()), [](const auto& info) {
  return info.param == io::Backend::ring ? std::string("ring") : std::string("epoll");
});

constexpr int kRounds = 20;
// Coroutine frames, the request and the arena's blocks. Fewer is better, and more needs a reason.
constexpr std::uint64_t kFramesPerRequest = 18;
// The ring's account of a response whose head and body leave in one send: an idle connection does
// not keep it.
constexpr std::uint64_t kFramesOfTheRing = 1;
// nginx needs 528.
constexpr long kIdleBytesMax = 460;

TEST_P(Counts, OfAProxiedKeepAliveRequest) {
  client = connect();
  for (int i = 0; i < 10; ++i) request(client);  // until everything that is kept is there
  const PoolCounts pool = pool_counts();
  const Asked before = asked;
  for (int i = 0; i < kRounds; ++i) request(client);
  const Asked after = asked;
  const PoolCounts pool_after = pool_counts();
  if (GetParam() ==
      io::Backend::epoll) {  // the ring's system calls are not functions of the library
    EXPECT_EQ(after.receives - before.receives, 2 * kRounds);
    EXPECT_EQ(after.empty_receives - before.empty_receives, 0);
    EXPECT_EQ(after.sends - before.sends, 2 * kRounds);
    EXPECT_EQ(after.controls - before.controls, 0);
  }
  const std::uint64_t frames =
      kFramesPerRequest + (GetParam() == io::Backend::ring ? kFramesOfTheRing : 0);
  EXPECT_EQ(pool_after.allocations - pool.allocations, frames * kRounds);
  EXPECT_EQ(pool_after.live, pool.live);
  EXPECT_EQ(upstream_counts.connects.get(), 1u);
  EXPECT_EQ(worker.loop().chunks.used(), 0u);
  if (WEIR_SANITIZED) return;  // nothing is pooled there
  EXPECT_EQ(pool_after.misses - pool.misses, 0u);
  EXPECT_EQ(after.allocations - before.allocations, 0);
}

// A body whose length says that it is bulk passes through a pipe from its first bytes: only what
// came with the head is seen by the process.
TEST_P(Counts, OfABulkResponse) {
  constexpr std::size_t kSize = 1_MiB;
  client = connect();
  for (int i = 0; i < 10; ++i) request(client);
  std::string bulk = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n";
  const std::size_t whole = bulk.size() + kSize;
  bulk.resize(whole, 'x');
  client.write_all(kRequest);
  turn_until([&] { return origin.readable(); });
  EXPECT_TRUE(origin.read_some(space).ends_with("\r\n\r\n"));
  const Asked before = asked;
  std::size_t written = 0;
  std::size_t read = 0;
  turn_until([&] {
    const ssize_t sent =
        ::send(origin.fd, bulk.data() + written, whole - written, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) written += static_cast<std::size_t>(sent);
    turn();
    while (client.readable()) read += client.read_some(space).size();
    return read >= kSize;
  });
  EXPECT_EQ(written, whole);
  if (GetParam() == io::Backend::epoll) EXPECT_LE(asked.received - before.received, 16 << 10);
  EXPECT_GE(asked.spliced - before.spliced, 2 * static_cast<long>(kSize - 16_KiB));
  EXPECT_LE(asked.splices - before.splices, 2 * 256);  // of 4 KiB on average at the least
}

// The end of the connection leaves with the last bytes, not in a packet of its own: seen by who
// gets it as one segment more than what set the connection up and acknowledged the request.
TEST_P(Counts, TheEndOfAConnectionLeavesWithTheResponse) {
  client = connect();
  for (int i = 0; i < 3; ++i) request(client);
  const auto segments = [&](std::string_view text) {
    client = connect();
    const int before = asked.corked;
    const tcp_info begun = info();
    request(client, text);
    turn_until([&] { return client.readable(); });
    EXPECT_TRUE(client.read_some(space).empty());  // it has ended
    if (GetParam() == io::Backend::epoll) EXPECT_EQ(asked.corked - before, 1);
    return info().tcpi_segs_in - begun.tcpi_segs_in;
  };
  std::string closing(kRequest);
  closing.insert(closing.size() - 2, "Connection: close\r\n");
  EXPECT_LE(segments(closing), 2u);  // perhaps an acknowledgment, and all the rest
}

TEST_P(Counts, MemoryOfAnIdleConnection) {
  constexpr int kConnections = 200;
  for (int i = 0; i < 10; ++i) clients.push_back(connect());
  for (const Socket& each : clients) request(each);
  const std::size_t running = worker.running();
  const auto bytes = [] { return asked.bytes + static_cast<long>(pool_used_bytes()); };
  const long before = bytes();
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(connect());
    request(clients.back());
  }
  EXPECT_EQ(metrics->connections_active.get(), kConnections + 10u);
  EXPECT_EQ(worker.loop().chunks.used(), 0u);  // no buffer at all
  EXPECT_EQ(worker.running(), running);        // and no coroutine
  if (WEIR_SANITIZED) return;
  const long each = (bytes() - before) / kConnections;
  std::printf("%ld bytes of memory per idle connection, %zu of them its H1Server\n", each,
              sizeof(proxy::H1Server));
  EXPECT_LE(each, kIdleBytesMax);
}

}  // namespace
}  // namespace weir::server
