// SPDX-License-Identifier: Apache-2.0
//
// What must hold of every fuzzed run, whatever clients and the server have sent. That the server
// gets nothing but well-formed requests is judged where they arrive (FuzzWorld::proceed).
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "fuzz_world.h"
#include "http/h2_head.h"
#include "left_over.h"

namespace weir::sim {
namespace {

constexpr std::size_t kFrameHeader = 9;  // of HTTP/2
constexpr std::uint32_t kFrameMax = 16'384;
constexpr std::uint32_t kResetFrame = 3;
constexpr std::uint32_t kSettingsFrame = 4;
constexpr std::uint32_t kTypeMax = 9;

using http::Strict;

constexpr Millis kNoticed{500};  // the proxy has seen what was sent so long ago

struct Line {
  int status = 0;
  std::string cause;
  std::uint64_t bytes_sent = 0;
};

/// A request as a client's own bytes have it.
struct Asked {
  Strict::Kind answer = Strict::Kind::response;
  bool http10 = false;
  bool whole = false;
  bool claimed = false;  // by an arrival
  std::string method;
  std::string payload;
  std::size_t end = 0;  // in the client's bytes
};

/// What follows the requests that the strict reader finds.
enum class Rest : std::uint8_t { nothing, cut_head, unclear };

struct AllAsked {
  std::vector<Asked> requests;
  Rest rest = Rest::nothing;
};

AllAsked read_requests(std::string_view bytes) {
  AllAsked all;
  const std::size_t size = bytes.size();
  while (!bytes.empty()) {
    if (bytes.starts_with("\r\n")) {  // RFC 9112 section 2.2
      bytes.remove_prefix(2);
      if (bytes.empty()) all.rest = Rest::cut_head;
      continue;
    }
    const Strict request = http::read_strict(bytes, Strict::Kind::request);
    if (request.bad()) all.rest = Rest::unclear;
    if (request.head == Strict::State::more) all.rest = Rest::cut_head;
    if (all.rest != Rest::nothing) break;
    Asked& asked = all.requests.emplace_back();
    asked.method = request.method();
    if (asked.method == "HEAD") asked.answer = Strict::Kind::response_to_head;
    asked.http10 = request.http10();
    asked.whole = request.whole();
    asked.payload = request.payload;
    if (!asked.whole) break;
    bytes.remove_prefix(request.size);
    asked.end = size - bytes.size();
  }
  return all;
}

/// RFC 9110 section 7.6.1: what belongs to one connection is not passed on.
std::string_view hop_by_hop(const Strict& message) {
  for (const char* name : {"keep-alive", "proxy-connection", "proxy-authenticate",
                           "proxy-authorization", "http2-settings"}) {
    if (!message.all(name).empty()) return name;
  }
  return {};
}

bool connection_has(const Strict& message, std::string_view option) {
  for (std::string_view list : message.all("connection")) {
    while (!list.empty()) {
      const std::size_t comma = std::min(list.find(','), list.size());
      if (iequals(trim_ows(list.substr(0, comma)), option)) return true;
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  return false;
}

}  // namespace

FuzzResponse read_response(std::string_view bytes, Strict::Kind kind) {
  FuzzResponse response;
  for (;;) {
    response.message = http::read_strict(bytes.substr(response.at), kind);
    const Strict& message = response.message;
    const auto tags = message.all("x-arrival");
    if (tags.size() == 1) response.tag = tags[0];
    const bool interim =
        !message.bad() && message.whole() && message.status() < 200 && message.status() != 101;
    if (!interim) return response;
    response.at += message.size;
  }
}

void FuzzWorld::judge_reuse(const FuzzServed& served) {
  if (served.arrivals.empty()) return;
  const FuzzArrival& last = *served.arrivals.back();
  const auto kind =
      last.request.method() == "HEAD" ? Strict::Kind::response_to_head : Strict::Kind::response;
  const FuzzResponse response = read_response(last.sent, kind);
  if (response.message.bad()) return;  // to a strict reader, that is
  if (!response.message.whole()) {
    violate("a request behind the answer {}, which is not whole", last.number);
  } else if (connection_has(response.message, "close") || last.ended) {
    violate("a request behind the answer {}, which ends the connection", last.number);
  } else if (response.at + response.message.size < last.sent.size() &&
             network_.now() - last.sent_at > kNoticed) {
    violate("a request behind the answer {}, which has surplus bytes", last.number);
  }
}

class FuzzJudge {
 public:
  explicit FuzzJudge(FuzzWorld& world) : world_(world) {}

  void run() {
    read_log();
    for (const FuzzArrival& arrival : world_.arrivals_) judge_arrival(arrival);
    for (const FuzzClient& client : world_.client_list_) {
      if (client.index == FuzzScript::kTcpClient) {
        judge_session(client);
      } else if (client.index == 0 && world_.script_.http2_client) {
        judge_frames(client.got);
      } else {
        judge_client(client);
      }
    }
    for (const FuzzServed& served : world_.served_) {
      if (served.http2) judge_http2_served(served);
    }
    if (!world_.script_.http2_client) judge_smuggling();
    judge_nothing_left();
  }

 private:
  void read_log() {
    std::string_view rest = world_.lasting_.log_text;
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
      if (line.value("protocol", "") != "TCP") ++seen_[{read.status, read.cause}];
      const std::string id = line.value("request_id", "");
      if (!id.empty() && !lines_.emplace(id, read).second) {
        world_.violate("request {} is logged twice", id);
      }
    }
  }

  const Line* line_of(const FuzzArrival& arrival) const {
    const auto ids = arrival.request.all("x-request-id");
    if (ids.size() != 1) return nullptr;
    const auto found = lines_.find(std::string(ids[0]));
    return found == lines_.end() ? nullptr : &found->second;
  }

  void judge_arrival(const FuzzArrival& arrival) {
    if (arrival.request.first.empty()) return;  // a session
    const auto ids = arrival.request.all("x-request-id");
    if (ids.size() != 1) return world_.violate("arrival {} has no one id", arrival.number);
    if (const std::string_view name = hop_by_hop(arrival.request); !name.empty()) {
      world_.violate("arrival {} has the field {}", arrival.number, name);
    }
    const Line* line = line_of(arrival);
    if (line == nullptr) return world_.violate("arrival {} is not logged", arrival.number);
    // RFC 9110 section 9.2.2: what has a body or is not idempotent arrives once.
    int& count = times_[std::string(ids[0])];
    const std::string_view method = arrival.request.method();
    const bool once = arrival.request.framing == Strict::Framing::chunked ||
                      arrival.request.length > 0 || method == "POST" || method == "PATCH";
    if (++count > 1 && once) world_.violate("{} arrived {} times", method, count);
  }

  // Everything that a client gets is a sequence of well-formed responses, of which the last may be
  // cut, visibly; no more than it asked for.
  void judge_client(const FuzzClient& client) {
    const auto [asked, behind] = read_requests(client.sent);
    std::string_view rest = client.got;
    for (std::size_t i = 0; !rest.empty(); ++i) {
      const bool known = i < asked.size();
      // The head that is cut may be wrong already.
      if (!known && (behind == Rest::nothing || (behind == Rest::cut_head && i > asked.size()))) {
        return world_.violate("client {} got more than it asked for: {}", client.index,
                              rest.substr(0, 200));
      }
      FuzzResponse response = read_response(rest, known ? asked[i].answer : Strict::Kind::response);
      // To the strict reader, that is; then only the server knows what is answered.
      const FuzzArrival* arrival = known ? nullptr : arrival_of(response.tag);
      if (arrival != nullptr && arrival->request.method() == "HEAD") {
        response = read_response(rest, Strict::Kind::response_to_head);
      }
      const Strict& message = response.message;
      if (message.bad()) {
        return world_.violate("client {} got what is no response ({}): {}", client.index,
                              message.why, rest.substr(response.at, 300));
      }
      if (message.head != Strict::State::whole) return;
      judge_response(client, response, known ? &asked[i] : nullptr);
      if (message.status() == 101) {
        arrival = arrival_of(response.tag);
        if (arrival == nullptr || !known) return;
        return judge_tunnel(client, std::string_view(client.sent).substr(asked[i].end),
                            rest.substr(response.at + message.size), *arrival);
      }
      if (!message.whole() || (!known && arrival == nullptr)) return;
      rest.remove_prefix(response.at + message.size);
      if (connection_has(message, "close") && !rest.empty()) {
        world_.violate("client {} got bytes behind the last response", client.index);
      }
    }
  }

  // RFC 9113 section 4.1: what is sent are frames that the other end must take, the last one
  // perhaps cut; SETTINGS first.
  void judge_frames(std::string_view bytes) {
    const auto number = [&](std::size_t at, std::size_t count) {
      std::uint32_t value = 0;
      for (std::size_t i = 0; i < count; ++i) {
        value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
      }
      return value;
    };
    for (std::size_t frames = 0; bytes.size() >= kFrameHeader; ++frames) {
      const std::uint32_t size = number(0, 3);
      const std::uint32_t type = number(3, 1);
      const std::uint32_t stream = number(5, 4);
      const bool settings = type == kSettingsFrame && stream == 0;
      // What a server promises before it knows that nobody wants it is reset.
      const bool own = stream == 0 || stream % 2 == 1 || type == kResetFrame;
      if (size > kFrameMax || type > kTypeMax || !own || (frames == 0 && !settings)) {
        return world_.violate("a frame of type {}, {} bytes on stream {}", type, size, stream);
      }
      bytes.remove_prefix(std::min<std::size_t>(bytes.size(), kFrameHeader + size));
    }
  }

  void judge_http2_served(const FuzzServed& served) {
    std::string_view got = served.got;
    const std::string_view preface = http::kH2Preface;
    if (!got.starts_with(preface.substr(0, got.size()))) {
      return world_.violate("a server got something else than a preface");
    }
    got.remove_prefix(std::min(got.size(), preface.size()));
    judge_frames(got);
  }

  void judge_session(const FuzzClient& client) {
    const auto session = std::ranges::find_if(
        world_.arrivals_, [](const FuzzArrival& arrival) { return arrival.request.first.empty(); });
    if (session != world_.arrivals_.end()) judge_tunnel(client, client.sent, client.got, *session);
  }

  // Raw bytes both ways: what arrives is the beginning of what was sent, and all of it where it
  // ends properly.
  void judge_tunnel(const FuzzClient& client, std::string_view up, std::string_view down_got,
                    const FuzzArrival& arrival) {
    const FuzzServed& served = *arrival.served;
    const std::size_t begin = served.at + arrival.request.size;
    const std::string_view up_got = std::string_view(served.got).substr(begin);
    const FuzzResponse answer = read_response(arrival.sent, Strict::Kind::response);
    const bool upgraded = !arrival.request.first.empty();
    if (upgraded && answer.message.bad()) return;  // to a strict reader, that is
    const std::size_t head = upgraded ? answer.at + answer.message.size : 0;
    const std::string_view down = std::string_view(arrival.sent).substr(head);
    if (!up.starts_with(up_got) || !down.starts_with(down_got)) {
      return world_.violate("arrival {}: other bytes in the tunnel", arrival.number);
    }
    const bool down_ended = arrival.done && !served.reset && !arrival.failed;
    if (client.end == Got::end && (!down_ended || down_got != down)) {
      world_.violate("arrival {}: {} of {} bytes of the tunnel look whole to the client",
                     arrival.number, down_got.size(), down.size());
    }
    const bool up_ended = client.ended || client.end == Got::end;
    if (served.end == Got::end && (!up_ended || up_got != up)) {
      world_.violate("arrival {}: {} of {} bytes of the tunnel look whole to the server",
                     arrival.number, up_got.size(), up.size());
    }
  }

  void judge_response(const FuzzClient& client, const FuzzResponse& response, const Asked* asked) {
    const Strict& message = response.message;
    const bool until_close = message.framing == Strict::Framing::until_close;
    if (until_close && asked != nullptr && !asked->http10) {
      world_.violate("client {} cannot tell where the response ends", client.index);
    }
    if (const std::string_view name = hop_by_hop(message); !name.empty()) {
      world_.violate("client {} got the field {}", client.index, name);
    }
    const auto causes = message.all("weir-cause");
    const std::string cause(causes.empty() ? "" : causes[0]);
    if (!cause.empty() && --seen_[{message.status(), cause}] < 0) {
      world_.violate("client {} was told {} {}, which is not logged", client.index,
                     message.status(), cause);
    }
    if (!response.tag.empty()) judge_origin(client, response);
  }

  const FuzzArrival* arrival_of(std::string_view tag) const {
    const auto number = sim::number(tag.substr(0, tag.find('-')));
    if (!number || *number >= world_.arrivals_.size() || world_.tag(*number) != tag) return nullptr;
    return &world_.arrivals_[*number];
  }

  // The response came from the server: it is the answer to a request of this client, with these
  // bytes, and looks whole only when it was.
  void judge_origin(const FuzzClient& client, const FuzzResponse& got) {
    const FuzzArrival* arrival = arrival_of(got.tag);
    if (arrival == nullptr) return;
    const auto names = arrival->request.all("x-client");
    if (names.size() == 1 && names[0].ends_with(world_.tag(0).substr(1)) &&
        names[0] != world_.tag(client.index)) {
      world_.violate("client {} got the response of {}", client.index, names[0]);
    }
    const auto kind = arrival->request.method() == "HEAD" ? Strict::Kind::response_to_head
                                                          : Strict::Kind::response;
    const FuzzResponse answer = read_response(arrival->sent, kind);
    const Strict& sent = answer.message;
    const Strict& seen = got.message;
    if (sent.bad() || sent.head != Strict::State::whole || !seen.all("weir-cause").empty()) return;
    if (seen.status() != sent.status()) {
      world_.violate("answer {}: status {} became {}", arrival->number, sent.status(),
                     seen.status());
    }
    if (sent.status() == 101) return;
    if (!sent.payload.starts_with(seen.payload)) {
      world_.violate("answer {}: the client got other bytes", arrival->number);
    }
    const bool until_close = sent.framing == Strict::Framing::until_close;
    const bool sent_whole = until_close ? arrival->ended : sent.whole();
    const bool seen_whole = seen.whole();  // not of what ends with the connection
    if (seen_whole && (!sent_whole || seen.payload != sent.payload)) {
      world_.violate("answer {}: {} of {} bytes look whole", arrival->number, seen.payload.size(),
                     sent.payload.size());
    }
    judge_line(*arrival, seen, seen_whole);
  }

  void judge_line(const FuzzArrival& arrival, const Strict& seen, bool whole) {
    const Line* line = line_of(arrival);
    if (line == nullptr) return;
    if (line->status != seen.status()) {
      world_.violate("answer {}: the client saw {}, logged is {}", arrival.number, seen.status(),
                     line->status);
    }
    if (whole && line->cause.empty() && line->bytes_sent != seen.payload.size()) {
      world_.violate("answer {}: the client got {} bytes, logged are {}", arrival.number,
                     seen.payload.size(), line->bytes_sent);
    }
  }

  // When all that the clients have sent is clear to the strict reader, each arrival is one of these
  // requests, and none arrives twice.
  void judge_smuggling() {
    std::vector<Asked> all;
    for (const FuzzClient& client : world_.client_list_) {
      if (client.index == FuzzScript::kTcpClient) continue;
      AllAsked asked = read_requests(client.sent);
      if (asked.rest == Rest::unclear) return;
      std::ranges::move(asked.requests, std::back_inserter(all));
    }
    std::map<std::string, int> known;
    for (const FuzzArrival& arrival : world_.arrivals_) {
      const Strict& request = arrival.request;
      if (request.first.empty() || ++known[std::string(request.all("x-request-id")[0])] > 1)
        continue;
      const auto found = std::ranges::find_if(all, [&](const Asked& asked) {
        return !asked.claimed && asked.method == request.method() &&
               (request.whole() ? asked.whole && asked.payload == request.payload
                                : asked.payload.starts_with(request.payload));
      });
      if (found == all.end()) {
        world_.violate("arrival {} is no request of a client", arrival.number);
      } else {
        found->claimed = true;
      }
    }
  }

  void judge_nothing_left() {
    if (const std::size_t used = world_.worker_->loop().chunks.used(); used != 0) {
      world_.violate("{} bytes of buffers are still in use", used);
    }
    if (const std::size_t sockets = world_.network_.sockets(); sockets != 0) {
      world_.violate("{} sockets are left", sockets);
    }
    for (const std::string& text : left_over(world_.lasting_.metrics.worker(0))) {
      world_.violate("{}", text);
    }
  }

  FuzzWorld& world_;
  std::map<std::string, Line> lines_;                // by request id
  std::map<std::pair<int, std::string>, int> seen_;  // of status and cause
  std::map<std::string, int> times_;                 // by request id
};

void judge(FuzzWorld& world) { FuzzJudge(world).run(); }

}  // namespace weir::sim
