// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

namespace weir::sim {
namespace {

constexpr std::size_t kLineMax = 600;  // of what is shown of it

std::string escaped(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    if (c >= ' ' && c <= '~') {
      text += c;
    } else {
      fmt::format_to(std::back_inserter(text), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (text.size() <= kLineMax) return text;
  return fmt::format("{}… {} bytes, hash {:x}", text.substr(0, kLineMax / 2), bytes.size(),
                     std::hash<std::string_view>()(bytes));
}

bool is_field(std::string_view line, std::string_view name) {
  const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
  return line.size() > name.size() && line[name.size()] == ':' &&
         std::ranges::equal(line.substr(0, name.size()), name, same);
}

std::string shown_line(std::string_view line, const Exchange& x) {
  for (const std::string_view made : {"Date", "X-Request-Id"}) {
    if (is_field(line, made)) return fmt::format("{}: *", line.substr(0, made.size()));
  }
  const std::size_t end = line.find(": ");
  if (is_field(line, "X-Forwarded-For") && line.substr(end + 2) == x.client_ip) {
    return fmt::format("{}: CLIENT", line.substr(0, end));
  }
  return escaped(line);
}

void show(std::string& out, std::string_view title, const Seen& seen, const Exchange& x) {
  out += fmt::format("  {}\n", title);
  // A reset takes along what was not sent yet, as far as to the head.
  const bool broken = seen.end == name(Body::cut) || seen.end == name(Got::broken);
  if (x.http2 && &seen == &x.response_seen && broken) {
    out += "    reset\n";
    return;
  }
  for (const std::string_view text :
       {std::string_view(seen.heads), std::string_view(seen.trailers)}) {
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find("\r\n"), rest.size());
      out += fmt::format("    | {}\n", shown_line(rest.substr(0, end), x));
      rest.remove_prefix(std::min(end + 2, rest.size()));
    }
  }
  if (!seen.text.empty()) out += fmt::format("    \"{}\"\n", escaped(seen.text));
  const bool whole = seen.end == name(Body::whole);
  if (whole) out += fmt::format("    {} bytes, ", seen.size);
  out += fmt::format("{}{}\n", whole ? "" : "    ", seen.end.empty() ? "nothing" : seen.end);
}

std::string plan(const Exchange& x) {
  constexpr std::array kWays = {"http", "upgrade", "tcp", "malformed"};
  std::string text = fmt::format("exchange {}: {}", x.id, kWays[static_cast<std::size_t>(x.way)]);
  if (x.way == Way::malformed) return text + fmt::format(" {}\n", x.malformed);
  text += fmt::format(" {}, {} bytes up, {} bytes down", x.method, x.request_size, x.response_size);
  for (const auto& [is, word] : {std::pair(x.http2, "HTTP/2"),
                                 {x.early, "early"},
                                 {x.expect, "expect"},
                                 {x.close, "close"},
                                 {x.half_close, "half-close"},
                                 {x.server_close, "server closes"},
                                 {x.listens, "listens"},
                                 {x.abandoned, "behind a connection's end"},
                                 {x.ask == Ask::bad_chunk, "a bad chunk"},
                                 {x.ask == Ask::leave_in_request, "leaves"}}) {
    if (is) text += fmt::format(", {}", word);
  }
  return text + fmt::format(", served {}\n", name(x.serve));
}

struct Shown {
  std::uint64_t id = kNobody;
  std::string text;
};

// Which exchange a line is about: a path names one, or else the client has no other one.
Shown shown_log_line(std::string_view text, const World& world) {
  auto line = nlohmann::ordered_json::parse(text, nullptr, false);
  if (line.is_discarded()) return {kNobody, std::string(text)};
  const std::string client = line.value("client", "");
  const auto id = id_of(line.value("path", ""));
  Shown shown;
  for (const Exchange& x : world.all()) {
    const bool only = x.way == Way::tcp || x.way == Way::malformed;
    if (x.client_ip == client && (only || id == x.id)) shown.id = x.id;
  }
  for (const char* varies : {"time", "duration_ms", "first_byte_ms", "connect_ms", "request_id",
                             "server", "client", "retries"}) {
    line.erase(varies);
  }
  // How much has moved before something broke is a matter of speed.
  if (line.value("cause", "") != "") {
    for (const char* moved : {"bytes_sent", "bytes_received"}) line.erase(moved);
  }
  shown.text = fmt::format("  log {}\n", escaped(line.dump()));
  return shown;
}

}  // namespace

Transcripts transcripts(const World& world) {
  Transcripts all;
  for (const Exchange& x : world.all()) {
    std::string& text = all[x.id];
    text = plan(x);
    // Of a request that its client broke off more or less gets through.
    if (x.ask == Ask::whole) show(text, "request at its server", x.request_seen, x);
    show(text, "response at its client", x.response_seen, x);
  }
  std::vector<std::string> nobodies;
  const std::string log = world.log();
  for (std::string_view rest = log; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    Shown line = shown_log_line(rest.substr(0, end), world);
    rest.remove_prefix(end + 1);
    if (line.id == kNobody) {
      nobodies.push_back(std::move(line.text));
    } else {
      all[line.id] += line.text;
    }
  }
  std::ranges::sort(nobodies);
  for (const std::string& line : nobodies) all[kNobody] += line;
  return all;
}

std::string first_difference(const Transcripts& one, std::string_view name_one,
                             const Transcripts& other, std::string_view name_other) {
  const auto get = [](const Transcripts& all, std::uint64_t id) {
    const auto found = all.find(id);
    return found == all.end() ? std::string() : found->second;
  };
  std::vector<std::uint64_t> ids;
  for (const auto& each : one) ids.push_back(each.first);
  for (const auto& each : other) ids.push_back(each.first);
  std::ranges::sort(ids);
  for (const std::uint64_t id : ids) {
    const std::string a = get(one, id);
    const std::string b = get(other, id);
    if (a == b) continue;
    const auto at = static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
    const auto line = [&](const std::string& text) {
      const std::size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
      return text.substr(begin, text.find('\n', begin) - begin);
    };
    return fmt::format("on {}:{}\non {}:{}\n\non {} {}on {} {}", name_one, line(a), name_other,
                       line(b), name_one, a, name_other, b);
  }
  return {};
}

}  // namespace weir::sim
