// SPDX-License-Identifier: Apache-2.0
//
// The properties, after a seed has ended: what clients and servers saw, and what was logged, agree;
// and nothing is left.
#include <map>
#include <nlohmann/json.hpp>

#include "world.h"

namespace weir::sim {
namespace {

struct Line {
  int status = 0;
  std::string cause;
  std::uint64_t bytes_sent = 0;
};

}  // namespace

class Judge {
 public:
  explicit Judge(World& world) : world_(world) {}

  void run() {
    read_log();
    for (const Exchange& x : world_.exchanges_) {
      if (x.way != Way::tcp) {
        judge_logged_once(x);
        judge_log_agrees(x);
      }
      judge_exact(x);
      if (world_.weather_ == Weather::calm) judge_calm(x);
    }
    judge_sessions();
    judge_nothing_left();
  }

 private:
  void read_log() {
    std::string text;
    world_.log_->swap(text);
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const auto line = nlohmann::json::parse(rest.substr(0, end), nullptr, false);
      rest.remove_prefix(end + 1);
      if (line.is_discarded()) {
        world_.violate("a log line is no JSON");
        continue;
      }
      const Line read{line.value("status", 0), line.value("cause", ""),
                      line.value("bytes_sent", std::uint64_t{0})};
      if (line.value("protocol", "") == "TCP") {
        ++sessions_logged_;
        continue;
      }
      const std::string path = line.value("path", "");
      const auto id = id_of(path);
      if (id && world_.find(*id) != nullptr) {
        logged_[*id].push_back(read);
      } else if (!path.empty() || read.cause.empty()) {
        world_.violate("logged, but nobody sent it: {}", path);
      }
    }
  }

  // One outcome each, logged once.
  void judge_logged_once(const Exchange& x) {
    const std::size_t count = logged_[x.id].size();
    if (count > 1) world_.violate("exchange {}: logged {} times", x.id, count);
    const bool must = x.arrivals > 0 || x.seen_status > 0;
    if (must && count == 0) world_.violate("exchange {}: not logged", x.id);
    if (!x.sent && count > 0) world_.violate("exchange {}: logged, but never sent", x.id);
  }

  void judge_log_agrees(const Exchange& x) {
    if (logged_[x.id].size() != 1) return;
    const Line& line = logged_[x.id].front();
    if (x.seen_status > 0 && line.status != x.seen_status) {
      world_.violate("exchange {}: the client saw status {}, logged is {}", x.id, x.seen_status,
                     line.status);
    }
    // Of a send that failed the part that went is not counted.
    if (x.response_bytes > line.bytes_sent && line.cause.empty()) {
      world_.violate("exchange {}: the client got {} bytes, logged are {}", x.id, x.response_bytes,
                     line.bytes_sent);
    }
    if (!x.seen_cause.empty() && line.cause != x.seen_cause) {
      world_.violate("exchange {}: the client was told {}, logged is {}", x.id, x.seen_cause,
                     line.cause);
    }
    const bool whole = x.response_complete && x.seen_cause.empty() && x.way == Way::http;
    if (whole && !line.cause.empty()) {
      world_.violate("exchange {}: the client has all of it, logged is {}", x.id, line.cause);
    }
    // One behind it that breaks resets the connection, and what was not read yet is lost.
    const bool lost = x.left || x.abandoned || x.followed;
    const bool broken = x.sent && !x.response_complete && !lost;
    if (broken && line.cause.empty() && !world_.resets_) {
      world_.violate("exchange {}: it broke, and logged is no cause", x.id);
    }
  }

  // Complete for the client exactly when the server ended it.
  void judge_exact(const Exchange& x) {
    if (!x.response_complete || !x.seen_cause.empty()) return;
    const std::uint64_t total = x.way == Way::http && x.bodiless() ? 0 : x.response_total;
    if (!x.response_finished || x.response_bytes != total) {
      world_.violate("exchange {}: looks complete with {} of {} bytes, {}", x.id, x.response_bytes,
                     total, x.response_finished ? "ended" : "not ended");
    }
    if (x.seen_status != x.status && x.way == Way::http) {
      world_.violate("exchange {}: status {} became {}", x.id, x.status, x.seen_status);
    }
  }

  void judge_calm(const Exchange& x) {
    if (x.abandoned) return;
    if (!x.response_complete || !x.seen_cause.empty()) {
      world_.violate("exchange {}: failed though nothing was wrong: status {} {}", x.id,
                     x.seen_status, x.seen_cause);
    }
    const bool tunnel = x.way != Way::http && x.agrees;
    if ((tunnel || !x.early) && !x.request_complete) {
      world_.violate("exchange {}: the request did not arrive whole", x.id);
    }
    if (x.way != Way::tcp && (logged_[x.id].size() != 1 || !logged_[x.id][0].cause.empty())) {
      world_.violate("exchange {}: nothing was wrong, but the log does not say so", x.id);
    }
  }

  // A session has no name in the log: only their number can be compared.
  void judge_sessions() {
    std::size_t arrived = 0;
    std::size_t sent = 0;
    for (const Exchange& x : world_.exchanges_) {
      if (x.way != Way::tcp) continue;
      arrived += x.arrivals > 0 ? 1 : 0;
      sent += x.sent ? 1 : 0;
    }
    const bool right =
        world_.weather_ == Weather::calm ? sessions_logged_ == sent : sessions_logged_ >= arrived;
    if (!right) {
      world_.violate("{} tcp sessions were begun, {} reached a server, {} are logged", sent,
                     arrived, sessions_logged_);
    }
  }

  void judge_nothing_left() {
    if (const std::size_t used = world_.worker_->loop().chunks.used(); used != 0) {
      world_.violate("{} bytes of buffers are still in use", used);
    }
    if (const std::size_t sockets = world_.network.sockets(); sockets != 0) {
      world_.violate("{} sockets are left", sockets);
    }
    const proxy::WorkerMetrics& counts = world_.metrics_.worker(0);
    judge_zero("connections_active", counts.connections_active);
    judge_zero("requests_active", counts.requests_active);
    judge_zero("tunnels_active", counts.tunnels_active);
    judge_zero("log_lines_dropped", counts.log_lines_dropped);
    for (const auto& slot : counts.upstreams) {
      const proxy::UpstreamCounts* upstream = slot.load();
      if (upstream == nullptr) continue;
      judge_zero("upstream active", upstream->active);
      judge_zero("upstream idle", upstream->idle);
    }
  }

  void judge_zero(std::string_view what, const proxy::Count& count) {
    if (count.get() != 0) {
      world_.violate("{} is {} at the end", what, static_cast<std::int64_t>(count.get()));
    }
  }

  World& world_;
  std::map<std::uint64_t, std::vector<Line>> logged_;
  std::size_t sessions_logged_ = 0;
};

void judge(World& world) { Judge(world).run(); }

}  // namespace weir::sim
