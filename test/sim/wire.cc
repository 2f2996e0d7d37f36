// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#include <algorithm>
#include <charconv>

#include "io/sim_socket.h"

namespace weir::sim {
namespace {

constexpr Millis kPatience{200'000};
constexpr Millis kRealPatience{20'000};

bool is_simulated(io::Loop& loop) { return loop.io().name() == "sim"; }

io::SimNetwork& network_of(io::TcpStream& stream) {
  return static_cast<io::SimSocket&>(*stream.plain_socket()).io->network();
}

/// A turn of the loop.
struct NextTurn {
  io::Loop& loop;
  Resume resume;
  explicit NextTurn(io::Loop& l) : loop(l) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    resume.handle = handle;
    loop.post([this] { loop.queue.push(resume); });
  }
  void await_resume() {}
};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return result;
}

Body cut_or_stuck(Got got) { return got == Got::stuck ? Body::stuck : Body::cut; }

}  // namespace

std::string_view name(Got got) {
  switch (got) {
    case Got::bytes: return "bytes";
    case Got::end: return "end";
    case Got::broken: return "broken";
    case Got::stuck: return "stuck";
  }
  return "?";
}

std::string_view name(Body body) {
  switch (body) {
    case Body::whole: return "whole";
    case Body::cut: return "cut";
    case Body::left: return "left";
    case Body::malformed: return "malformed";
    case Body::foreign: return "foreign";
    case Body::stuck: return "stuck";
  }
  return "?";
}

std::string_view Head::get(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return {};
}

std::size_t Head::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(fields, [&](const auto& field) { return field.first == name; }));
}

Wire::Wire(io::Loop& loop, io::Socket* socket, Millis reads_every)
    : stream(loop, socket),
      patience(is_simulated(loop) ? kPatience : kRealPatience),
      reads_every_(reads_every) {}

Task<Got> Wire::more() {
  if (reads_every_.count() > 0) co_await pass(stream.loop(), reads_every_);
  // The socket may be gone when its receive has ended.
  const io::SimNetwork* network = simulated() != nullptr ? &network_of(stream) : nullptr;
  const auto lived = [&] { return network != nullptr ? network->lived() : stream.loop().now(); };
  const Instant due = lived() + patience;
  for (;;) {
    const Millis rest = std::chrono::ceil<Millis>(due - lived());
    Result<io::Chunk> chunk = co_await stream.recv(reads_every_.count() > 0 ? 4_KiB : 64_KiB, rest);
    // What the clock has jumped does not count.
    const bool late = !chunk && chunk.error().code == Code::timed_out;
    if (late && lived() < due) continue;
    if (!chunk) co_return late ? Got::stuck : Got::broken;
    if (chunk->empty()) co_return Got::end;
    in += chunk->bytes();
    received += chunk->size();
    co_return Got::bytes;
  }
}

Task<bool> Wire::send(std::string bytes) {
  if (bytes.empty()) co_return true;
  handed += bytes.size();
  const std::array<Bytes, 4> pieces = {bytes};
  const Result<void> sent = co_await stream.send(pieces, Millis(0));
  co_return sent.has_value();
}

Task<bool> Wire::put(std::string bytes, Last) {
  const bool sent = co_await send(std::move(bytes));
  co_return sent;
}

Task<Got> Wire::read_head(Head& head) {
  head = {};
  std::size_t end = 0;
  while ((end = in.find("\r\n\r\n")) == std::string::npos) {
    const Got got = co_await more();
    if (got != Got::bytes) co_return got;
  }
  head_text = in.substr(0, end + 4);
  std::string_view rest = std::string_view(in).substr(0, end + 2);
  for (bool first = true; !rest.empty(); first = false) {
    const std::size_t line_end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, line_end);
    rest.remove_prefix(line_end + 2);
    if (first) {
      head.first = line;
      continue;
    }
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) {
      head.fields.emplace_back(lower(line.substr(0, line.find(':'))), "");
    } else {
      head.fields.emplace_back(lower(line.substr(0, colon)), line.substr(colon + 2));
    }
  }
  in.erase(0, end + 4);
  co_return Got::bytes;
}

Task<Got> Wire::read_line(std::string& line) {
  std::size_t end = 0;
  while ((end = in.find("\r\n")) == std::string::npos) {
    const Got got = co_await more();
    if (got != Got::bytes) co_return got;
  }
  line = in.substr(0, end);
  in.erase(0, end + 2);
  co_return Got::bytes;
}

Task<Body> Wire::read_run(std::uint64_t size, Check& check, std::uint64_t stop_at) {
  while (size > 0) {
    if (in.empty()) {
      const Got got = co_await more();
      if (got != Got::bytes) co_return cut_or_stuck(got);
    }
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(size, in.size()));
    if (!check.take(std::string_view(in).substr(0, count))) co_return Body::foreign;
    in.erase(0, count);
    size -= count;
    if (check.at >= stop_at) co_return Body::left;
  }
  co_return Body::whole;
}

Task<Body> Wire::read_chunks(Check& check, std::uint64_t stop_at) {
  for (std::string line;;) {
    Got got = co_await read_line(line);
    if (got != Got::bytes) co_return cut_or_stuck(got);
    const std::optional<std::uint64_t> size = number(line, 16);
    if (!size) co_return Body::malformed;
    if (*size > 0) {
      const Body run = co_await read_run(*size, check, stop_at);
      if (run != Body::whole) co_return run;
    }
    if (*size > 0) {
      got = co_await read_line(line);
      if (got != Got::bytes) co_return cut_or_stuck(got);
      if (!line.empty()) co_return Body::malformed;
      continue;
    }
    do {
      got = co_await read_line(line);
      if (got != Got::bytes) co_return cut_or_stuck(got);
      trailers_ += line.empty() ? "" : line + "\r\n";
    } while (!line.empty());
    co_return Body::whole;
  }
}

Task<Body> Wire::read_body(Framing framing, std::size_t size, Check& check, std::uint64_t stop_at,
                           Seen* seen) {
  trailers_.clear();
  const Body body = co_await read_any(framing, size, check, stop_at);
  if (seen != nullptr) {
    seen->size = check.at;
    seen->text = check.text;
    seen->trailers = trailers_;
    seen->end = name(body);
  }
  co_return body;
}

Task<Body> Wire::read_any(Framing framing, std::size_t size, Check& check, std::uint64_t stop_at) {
  if (stop_at == 0) co_return Body::left;
  if (framing == Framing::none) co_return Body::whole;
  if (framing == Framing::known) {
    const Body body = co_await read_run(size, check, stop_at);
    co_return body;
  }
  if (framing == Framing::chunked) {
    const Body body = co_await read_chunks(check, stop_at);
    co_return body;
  }
  for (;;) {
    if (!check.take(in)) co_return Body::foreign;
    in.clear();
    if (check.at >= stop_at) co_return Body::left;
    const Got got = co_await more();
    if (got == Got::end) co_return Body::whole;
    if (got != Got::bytes) co_return cut_or_stuck(got);
  }
}

Task<> Wire::settle() {
  constexpr int kTurns = 5'000;  // what is broken has an amount for ever
  io::Loop& loop = stream.loop();
  for (int i = 0; i < kTurns && loop.io().unacknowledged(*stream.plain_socket()) > 0; ++i) {
    co_await pass(loop, Millis(1));
  }
}

const io::SimEnd* Wire::simulated() {
  if (!is_simulated(stream.loop())) return nullptr;
  auto& sim = static_cast<io::SimSocket&>(*stream.plain_socket());
  return &sim.connection->ends[static_cast<std::size_t>(sim.side)];
}

std::shared_ptr<io::SimConnection> Wire::connection() {
  return simulated() != nullptr ? io::connection_of(*stream.plain_socket()) : nullptr;
}

std::string Wire::own_ip() {
  if (simulated() != nullptr) return connection()->ends[1].peer.text();
  const std::string text = io::SocketAddress::of_socket(stream.plain_socket()->fd).text();
  return text.substr(0, text.rfind(':'));
}

bool Wire::quiet() {
  const io::SimEnd* end = simulated();
  return in.empty() && (end == nullptr || (end->inbox.empty() && end->in_flight == 0));
}

bool Wire::broken() {
  const io::SimEnd* end = simulated();
  return end != nullptr && end->broken;
}

Task<> pass(io::Loop& loop, Millis time) {
  if (!is_simulated(loop)) {
    co_await NextTurn(loop);
    co_return;
  }
  // tidy: allow sleep because it is the virtual clock that passes
  co_await io::sleep_until(loop, loop.now() + time);
}

std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> id_of(std::string_view target) {
  if (!target.starts_with("/x/")) return std::nullopt;
  return number(target.substr(3));
}

std::optional<std::pair<Framing, std::size_t>> framing_of(const Head& head, Framing otherwise) {
  const std::size_t lengths = head.count("content-length");
  const std::size_t codings = head.count("transfer-encoding");
  if (lengths + codings > 1) return std::nullopt;
  if (codings == 1) {
    if (head.get("transfer-encoding") != "chunked") return std::nullopt;
    return std::pair(Framing::chunked, std::size_t{0});
  }
  if (lengths == 1) {
    const std::optional<std::uint64_t> length = number(head.get("content-length"));
    if (!length) return std::nullopt;
    return std::pair(Framing::known, static_cast<std::size_t>(*length));
  }
  return std::pair(otherwise, std::size_t{0});
}

}  // namespace weir::sim
