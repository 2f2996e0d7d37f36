// SPDX-License-Identifier: Apache-2.0
//
// One fuzzed run: the real worker of the proxy on the simulated network, clients and a server that
// follow a FuzzScript, and everything that each of them sent and got.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "async/scope.h"
#include "fuzz_script.h"
#include "http/strict_for_test.h"
#include "io/loop.h"
#include "io/sim_network.h"
#include "proxy/log_sink.h"
#include "server/metrics_registry.h"
#include "server/worker.h"
#include "wire.h"

namespace weir::sim {

/// What costs too much to be made for each run. Counters go on from run to run.
struct FuzzLasting {
  FuzzLasting();
  FuzzLasting(const FuzzLasting&) = delete;
  FuzzLasting& operator=(const FuzzLasting&) = delete;

  server::MetricsRegistry metrics{1, WallTime{}};
  proxy::LogSignal signal;
  proxy::LogSink log{signal, metrics.worker(0).log_lines_dropped};
  std::string log_text;  ///< of the last run
  std::shared_ptr<const server::Plan> plan;
};

/// What one client did and saw.
struct FuzzClient {
  std::size_t index = 0;
  bool connected = false;
  std::string sent;
  std::string got;
  bool ended = false;  ///< its direction
  bool left = false;   ///< broke its connection
  Got end = Got::bytes;
};

struct FuzzServed;

/// A request that has reached the server, or a session.
struct FuzzArrival {
  std::size_t number = 0;
  http::Strict request;
  FuzzAnswer answer;
  std::string sent;     ///< of the answer
  Instant sent_at{};    ///< the last of it
  bool done = false;    ///< with all steps of the answer
  bool ended = false;   ///< the server has ended its direction behind the answer
  bool failed = false;  ///< the proxy did not take all of it
  const FuzzServed* served = nullptr;
};

/// A connection to the server.
struct FuzzServed {
  std::string got;
  std::size_t at = 0;                  ///< where the current request begins
  std::vector<FuzzArrival*> arrivals;  ///< the last one is the current request's
  bool current = false;                ///< the current request has arrived …
  bool pending = false;                ///< … and is not answered before its end
  bool tunnel = false;
  bool http2 = false;
  bool over = false;  ///< nothing more is answered
  bool reset = false;
  Got end = Got::bytes;
  Wire* wire = nullptr;
  Scope* answers = nullptr;
};

/// The first final response in `bytes`, which begins at `at`; interim ones before it are skipped.
struct FuzzResponse {
  http::Strict message;
  std::size_t at = 0;
  std::string tag;  ///< X-Arrival of any of them
};
FuzzResponse read_response(std::string_view bytes, http::Strict::Kind kind);

class FuzzWorld {
 public:
  FuzzWorld(FuzzLasting& lasting, FuzzScript script);
  FuzzWorld(const FuzzWorld&) = delete;
  FuzzWorld& operator=(const FuzzWorld&) = delete;
  ~FuzzWorld();

  /// Plays the script to its end, and judges it.
  void run();
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  /// Everything that was sent and got, for people.
  [[nodiscard]] std::string transcript() const;

 private:
  friend class FuzzJudge;

  template <class... Args>
  void violate(fmt::format_string<Args...> format, Args&&... args) {
    violations_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  void start_proxy();
  void start_server();
  void play();
  void stop();
  [[nodiscard]] std::string tag(std::size_t number) const;
  /// Looks at what has arrived on a connection to the server, and answers.
  void proceed(FuzzServed& served);
  void begin_answer(FuzzServed& served, http::Strict request);
  /// Was the connection fit for another request?
  void judge_reuse(const FuzzServed& served);

  static Task<> accept_loop(FuzzWorld* self, io::Socket* listener, std::uint16_t port);
  static Task<> serve(FuzzWorld* self, FuzzServed* served, int fd);
  static Task<> answer(FuzzWorld* self, FuzzServed* served, FuzzArrival* arrival);
  static Task<> speak_http2(FuzzWorld* self, FuzzServed* served);
  static Task<> run_client(FuzzWorld* self, FuzzClient* client);
  static Task<> read_client(FuzzWorld* self, Wire* wire, FuzzClient* client);
  static Task<> drain_later(FuzzWorld* self, Millis when);
  static Task<> reload_later(FuzzWorld* self, Millis when);

  FuzzLasting& lasting_;
  FuzzScript script_;
  io::SimNetwork network_;
  io::Loop client_loop_{64_MiB};
  io::Loop server_loop_{64_MiB};
  std::unique_ptr<server::Worker> worker_;
  Scope clients_{client_loop_.queue};
  Scope operators_{client_loop_.queue};
  Scope servers_{server_loop_.queue};
  std::vector<io::Socket*> listening_;
  std::deque<FuzzClient> client_list_;
  std::deque<FuzzServed> served_;
  std::deque<FuzzArrival> arrivals_;
  std::size_t next_answer_ = 0;
  bool draining_ = false;
  std::vector<std::string> violations_;
};

/// Compares what was sent, got and logged.
void judge(FuzzWorld& world);

}  // namespace weir::sim
