// SPDX-License-Identifier: Apache-2.0
//
// The properties, after a seed has ended: what clients and servers saw, and what was logged, agree;
// and nothing is left.
#include <map>
#include <nlohmann/json.hpp>

#include "io/sim_socket.h"
#include "left_over.h"
#include "malformed.h"
#include "world.h"

namespace weir::sim {
namespace {

struct Line {
  int status = 0;
  std::string client;
  std::string method;
  std::string host;
  std::string path;
  std::string cause;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
};

}  // namespace

class Judge {
 public:
  explicit Judge(World& world) : world_(world) {}

  void run() {
    for (const Exchange& x : world_.exchanges_) {
      if (x.sent) by_ip_[x.client_ip] = &x;
    }
    for (World::Proxy& proxy : world_.proxies_) read_log(proxy.lines);
    for (const Exchange& x : world_.exchanges_) {
      if (x.way == Way::tcp) {
        judge_session(x);
      } else if (x.way == Way::malformed) {
        judge_malformed(x);
        continue;
      } else {
        judge_logged_once(x);
        judge_log_agrees(x);
      }
      judge_exact(x);
      if (world_.weather() == Weather::calm) judge_calm(x);
    }
    if (sessions_unknown_ > world_.sessions_lost_) {
      world_.violate("{} tcp sessions are logged that nobody began", sessions_unknown_);
    }
    judge_nothing_left();
  }

 private:
  void read_log(std::string_view rest) {
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const auto line = nlohmann::json::parse(rest.substr(0, end), nullptr, false);
      rest.remove_prefix(end + 1);
      if (line.is_discarded()) {
        world_.violate("a log line is no JSON");
        continue;
      }
      Line read;
      read.status = line.value("status", 0);
      read.client = line.value("client", "");
      read.method = line.value("method", "");
      read.host = line.value("host", "");
      read.path = line.value("path", "");
      read.cause = line.value("cause", "");
      read.bytes_sent = line.value("bytes_sent", std::uint64_t{0});
      read.bytes_received = line.value("bytes_received", std::uint64_t{0});
      take_line(std::move(read), line.value("protocol", "") == "TCP");
    }
  }

  void take_line(Line line, bool session) {
    const auto known = by_ip_.find(line.client);
    const Exchange* client = known == by_ip_.end() ? nullptr : known->second;
    if (session) {
      if (client == nullptr || client->way != Way::tcp) {
        ++sessions_unknown_;
      } else {
        logged_[client->id].push_back(std::move(line));
      }
      return;
    }
    const auto id = id_of(line.path);
    const Exchange* named = id ? world_.find(*id) : nullptr;
    if (client != nullptr && client->way == Way::malformed) {
      logged_[client->id].push_back(std::move(line));
    } else if (named != nullptr && named->client_ip == line.client) {
      logged_[*id].push_back(std::move(line));
    } else if (line.path.empty() && !line.cause.empty() && client != nullptr) {
      nameless_[line.client].push_back(std::move(line));  // refused before there was a name
    } else if (line.method == "PRI" && !line.cause.empty() && client != nullptr && client->http2) {
      return;  // its preface was not read to its end
    } else {
      world_.violate("logged, but nobody sent it: {} by {}", line.path, line.client);
    }
  }

  // Refused with a cause, or ended; and logged once, with what was sent and nothing else.
  void judge_malformed(const Exchange& x) {
    const std::vector<Line>& lines = logged_[x.id];
    const bool calm = world_.weather() == Weather::calm;
    if (lines.size() > 1 || (lines.empty() && (x.seen_status > 0 || calm))) {
      world_.violate("exchange {}: malformed, and logged {} times", x.id, lines.size());
    }
    if (calm && (x.seen_status < 400 || !x.response_complete)) {
      world_.violate("exchange {}: malformed (kind {}), and not refused", x.id, x.malformed);
    }
    const std::string text = malformed_text(x.malformed, x.id, world_.swarm.head_size);
    for (const Line& line : lines) {
      if (line.cause.empty() || (x.seen_status > 0 && line.cause != x.seen_cause)) {
        world_.violate("exchange {}: malformed, answered {} and logged {}", x.id, x.seen_cause,
                       line.cause);
      }
      for (const std::string& part : {line.method, line.host, line.path}) {
        if (text.find(part) == std::string::npos) {
          world_.violate("exchange {}: malformed, and logged with {} that it did not send", x.id,
                         part);
        }
      }
    }
  }

  // A session is known by its client's address: one line each, with the bytes that it moved.
  void judge_session(const Exchange& x) {
    const std::vector<Line>& lines = logged_[x.id];
    const bool must = x.arrivals > 0 || (x.sent && world_.weather() == Weather::calm);
    if (lines.size() > 1 || (lines.empty() && must)) {
      world_.violate("exchange {}: a tcp session that is logged {} times", x.id, lines.size());
    }
    for (const Line& line : lines) {
      const bool whole = x.response_complete && x.request_complete;
      const std::uint64_t sent = x.request_size + std::to_string(x.id).size() + 1;
      if (line.cause.empty() && whole &&
          (line.bytes_sent != x.response_bytes || line.bytes_received != sent)) {
        world_.violate("exchange {}: {} and {} bytes, logged are {} and {}", x.id, sent,
                       x.response_bytes, line.bytes_received, line.bytes_sent);
      }
      if (x.response_bytes > line.bytes_sent && line.cause.empty()) {
        world_.violate("exchange {}: the client got {} bytes, logged are {}", x.id,
                       x.response_bytes, line.bytes_sent);
      }
      const bool broken = !x.response_complete && !x.left && !x.broken_by_network();
      if (broken && line.cause.empty()) {
        world_.violate("exchange {}: it broke, and logged is no cause", x.id);
      }
    }
  }

  // One outcome each, logged once.
  void judge_logged_once(const Exchange& x) {
    const std::size_t count = logged_[x.id].size();
    if (count > 1) world_.violate("exchange {}: logged {} times", x.id, count);
    bool must = x.arrivals > 0 || x.seen_status > 0;
    if (count == 0 && !x.seen_cause.empty()) {
      const std::vector<Line>& lines = nameless_[x.client_ip];
      must = lines.size() != 1 || lines.front().cause != x.seen_cause ||
             lines.front().status != x.seen_status;
    }
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
    const bool whole = x.response_complete && x.seen_cause.empty() && x.way == Way::http &&
                       x.ask != Ask::bad_chunk;
    // A length can be reached though the stream is not ended, for its connection broke: RFC 9113
    // section 8.1.1.
    const bool unended = world_.swarm.h2_servers && line.cause == "upstream_truncated" &&
                         x.response_framing == Framing::known;
    if (whole && !line.cause.empty() && !unended) {
      world_.violate("exchange {}: the client has all of it, logged is {}", x.id, line.cause);
    }
    const bool broken = x.sent && !x.response_complete && !x.left && !x.abandoned;
    if (broken && line.cause.empty() && !may_be_lost(x)) {
      world_.violate("exchange {}: it broke, and logged is no cause", x.id);
    }
  }

  // The network broke the connection of the client, or one behind it on that connection broke: then
  // what was not read yet is lost.
  bool may_be_lost(const Exchange& x) {
    if (x.broken_by_network()) return true;
    // Who sends on after an early response has some seconds to read it, and the clock jumps.
    // Of a connection of HTTP/2 what was handed to it goes with it.
    if (world_.swarm.faults.clock_jump > 0 && (x.request_size > 0 || x.http2)) return true;
    for (const Exchange* next = x.followed; next != nullptr; next = next->followed) {
      const std::vector<Line>& lines = logged_[next->id];
      if (lines.size() != 1 || !lines.front().cause.empty()) return true;
    }
    return false;
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

  void judge_nothing_left() {
    for (const World::Proxy& proxy : world_.proxies_) {
      if (const std::size_t used = proxy.worker->loop().chunks.used(); used != 0) {
        world_.violate("{} bytes of buffers are still in use", used);
      }
    }
    if (const std::size_t sockets = world_.network.sockets(); sockets != 0) {
      world_.violate("{} sockets are left", sockets);
    }
    if (world_.descriptors.used != 0) {
      world_.violate("{} descriptors are left", world_.descriptors.used);
    }
    for (std::size_t i = 0; i < world_.metrics_->workers(); ++i) {
      for (const std::string& text : left_over(world_.metrics_->worker(i))) {
        world_.violate("{}", text);
      }
    }
  }

  World& world_;
  std::map<std::uint64_t, std::vector<Line>> logged_;
  std::map<std::string, const Exchange*> by_ip_;
  std::map<std::string, std::vector<Line>> nameless_;  // by client
  std::size_t sessions_unknown_ = 0;
};

void judge(World& world) { Judge(world).run(); }

}  // namespace weir::sim
