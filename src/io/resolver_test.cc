// SPDX-License-Identifier: Apache-2.0
#include "io/resolver.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

namespace weir::io {
namespace {

// A name server on loopback that knows what the test tells it, and can be silent.
class NameServer {
 public:
  struct Answer {
    std::vector<std::string> addresses;  // IPv4; none: no such name
    std::uint32_t ttl_seconds = 0;
    bool silent = false;
  };

  NameServer() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    SocketAddress any = *SocketAddress::from_ip("127.0.0.1", 0);
    EXPECT_EQ(::bind(fd_, any.get(), any.size()), 0);
    address_ = SocketAddress::of_socket(fd_);
    thread_ = std::thread([this] { run(); });
  }
  ~NameServer() {
    stopping_ = true;
    ::sendto(fd_, "", 0, 0, address_.get(), address_.size());
    thread_.join();
    ::close(fd_);
  }
  [[nodiscard]] std::string address() const { return address_.text(); }
  void set(const std::string& name, Answer answer) {
    const std::lock_guard lock(mutex_);
    answers_[name] = std::move(answer);
  }
  int queries(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return queries_[name];
  }

 private:
  void run() {
    std::array<char, 512> buffer;
    while (!stopping_) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      const ssize_t count = ::recvfrom(fd_, buffer.data(), buffer.size(), 0,
                                       reinterpret_cast<sockaddr*>(&from), &size);
      if (count < 17) continue;
      const std::string reply = answer(std::string(buffer.data(), static_cast<std::size_t>(count)));
      if (reply.empty()) continue;
      ::sendto(fd_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }

  std::string answer(const std::string& query) {
    std::string name;
    std::size_t at = 12;
    while (query[at] != 0) {
      const auto length = static_cast<std::size_t>(query[at]);
      if (!name.empty()) name += '.';
      name += query.substr(at + 1, length);
      at += length + 1;
    }
    const bool ipv4 = query[at + 2] == 1;
    const std::string question = query.substr(12, at + 5 - 12);
    const std::lock_guard lock(mutex_);
    if (ipv4) ++queries_[name];
    const Answer& known = answers_[name];
    if (known.silent) return {};
    const bool missing = known.addresses.empty();
    const std::size_t count = ipv4 ? known.addresses.size() : 0;
    std::string reply = query.substr(0, 2);
    reply += std::string{'\x81', static_cast<char>(missing ? 0x83 : 0x80),
                         0,      1,
                         0,      static_cast<char>(count),
                         0,      0,
                         0,      0};
    reply += question;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t ttl = htonl(known.ttl_seconds);
      const SocketAddress ip = *SocketAddress::from_ip(known.addresses[i], 0);
      reply += std::string{'\xc0', '\x0c', 0, 1, 0, 1};
      reply.append(reinterpret_cast<const char*>(&ttl), 4);
      reply += std::string{0, 4};
      reply.append(
          reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in*>(ip.get())->sin_addr),
          4);
    }
    return reply;
  }

  int fd_;
  SocketAddress address_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::map<std::string, Answer> answers_;
  std::map<std::string, int> queries_;
  std::thread thread_;
};

std::vector<std::string> texts(const Resolution& resolution) {
  std::vector<std::string> result;
  for (const SocketAddress& address : resolution.addresses) result.push_back(address.text());
  return result;
}

// What a watcher has been told.
class Told {
 public:
  Resolver::Callback callback() {
    return [this](const Resolution& resolution) {
      const std::lock_guard lock(mutex_);
      last_ = resolution;
      ++count_;
      changed_.notify_all();
    };
  }
  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return count_ > 0 && condition(last_); });
  }
  bool wait_for(const std::vector<std::string>& addresses) {
    return wait([&](const Resolution& r) { return texts(r) == addresses && !r.error; });
  }
  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Resolution last_;
  int count_ = 0;
};

ResolverOptions quick(const NameServer& server) {
  ResolverOptions options;
  options.servers = server.address();
  options.timeout = Millis(50);
  options.tries = 1;
  options.ttl_min = options.ttl_max = Millis(20);
  options.retry_min = Millis(10);
  options.retry_max = Millis(40);
  return options;
}

TEST(Resolver, AnswersAreSortedAndFollowTheServer) {
  NameServer server;
  server.set("a.test", {{"10.0.0.2", "10.0.0.1", "10.0.0.2"}, 3600, false});
  auto resolver = std::move(*make_resolver(quick(server)));
  Told told;
  resolver->watch("a.test", told.callback());
  EXPECT_TRUE(told.wait_for({"10.0.0.1:0", "10.0.0.2:0"}));
  server.set("a.test", {{"10.0.0.3"}, 3600, false});  // the ceiling is what brings it
  EXPECT_TRUE(told.wait_for({"10.0.0.3:0"}));
}

TEST(Resolver, TheTimeToLiveIsHonouredAndSameAnswersAreNotTold) {
  NameServer server;
  ResolverOptions options = quick(server);
  options.ttl_max = Millis(300'000);
  server.set("long.test", {{"10.0.0.1"}, 3600, false});
  server.set("short.test", {{"10.0.0.1"}, 0, false});
  auto resolver = std::move(*make_resolver(options));
  Told lasting, brief;
  resolver->watch("long.test", lasting.callback());
  resolver->watch("short.test", brief.callback());
  ASSERT_TRUE(lasting.wait_for({"10.0.0.1:0"}));
  ASSERT_TRUE(brief.wait_for({"10.0.0.1:0"}));
  while (server.queries("short.test") < 6) std::this_thread::yield();
  EXPECT_EQ(server.queries("long.test"), 1);
  EXPECT_EQ(brief.count(), 1);
}

TEST(Resolver, AMissingNameIsAnErrorAndIsTriedAgain) {
  NameServer server;
  auto resolver = std::move(*make_resolver(quick(server)));
  Told told;
  resolver->watch("late.test", told.callback());
  ASSERT_TRUE(told.wait([](const Resolution& r) {
    return r.error && r.error->code == Code::unresolved && r.addresses.empty();
  }));
  server.set("late.test", {{"10.0.0.9"}, 1, false});
  EXPECT_TRUE(told.wait_for({"10.0.0.9:0"}));
}

TEST(Resolver, ASilentServerLeavesTheLastGoodAnswer) {
  NameServer server;
  server.set("a.test", {{"10.0.0.1"}, 0, false});
  auto resolver = std::move(*make_resolver(quick(server)));
  Told told;
  resolver->watch("a.test", told.callback());
  ASSERT_TRUE(told.wait_for({"10.0.0.1:0"}));
  server.set("a.test", {{"10.0.0.1"}, 0, true});
  EXPECT_TRUE(told.wait([](const Resolution& r) {
    return r.error && r.error->code == Code::timed_out &&
           texts(r) == std::vector<std::string>{"10.0.0.1:0"};
  }));
  server.set("a.test", {{"10.0.0.1"}, 0, false});
  EXPECT_TRUE(told.wait_for({"10.0.0.1:0"}));
}

TEST(Resolver, ALaterWatcherGetsWhatIsKnownAndUnwatchEndsIt) {
  NameServer server;
  server.set("a.test", {{"10.0.0.1"}, 3600, false});
  ResolverOptions options = quick(server);
  options.ttl_max = Millis(300'000);
  auto resolver = std::move(*make_resolver(options));
  Told first, second;
  const Resolver::WatchId watch = resolver->watch("a.test", first.callback());
  ASSERT_TRUE(first.wait_for({"10.0.0.1:0"}));
  resolver->watch("a.test", second.callback());
  EXPECT_TRUE(second.wait_for({"10.0.0.1:0"}));
  EXPECT_EQ(server.queries("a.test"), 1);
  resolver->unwatch(watch);
  EXPECT_EQ(first.count(), 1);
}

TEST(Resolver, UnwatchingWhileAQueryIsUnderWayIsSafe) {
  NameServer server;
  server.set("a.test", {{"10.0.0.1"}, 0, true});
  auto resolver = std::move(*make_resolver(quick(server)));
  Told told;
  const Resolver::WatchId watch = resolver->watch("a.test", told.callback());
  while (server.queries("a.test") == 0) std::this_thread::yield();
  resolver->unwatch(watch);
  const int count = told.count();
  server.set("b.test", {{"10.0.0.2"}, 0, false});
  Told other;
  resolver->watch("b.test", other.callback());
  EXPECT_TRUE(other.wait_for({"10.0.0.2:0"}));
  EXPECT_EQ(told.count(), count);
}

TEST(Resolver, LocalhostAndLiteralsNeedNoServer) {
  NameServer server;
  auto resolver = std::move(*make_resolver(quick(server)));
  Told local, literal;
  resolver->watch("localhost", local.callback());
  resolver->watch("2001:db8::1", literal.callback());
  EXPECT_TRUE(literal.wait_for({"[2001:db8::1]:0"}));
  EXPECT_TRUE(local.wait([](const Resolution& r) {
    const std::vector<std::string> all = texts(r);
    return std::ranges::find(all, "127.0.0.1:0") != all.end();
  }));
  EXPECT_EQ(server.queries("localhost"), 0);
}

}  // namespace
}  // namespace weir::io
