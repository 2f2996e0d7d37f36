// SPDX-License-Identifier: Apache-2.0
#include "fuzz_frames.h"

#include <array>
#include <span>

#include "http/h2_head.h"

namespace weir::sim {
namespace {

constexpr std::size_t kFramesMax = 200;
constexpr std::uint8_t kTypes = 11;  // one that nobody knows among them
constexpr std::uint8_t kHeaders = 1;
constexpr std::uint8_t kSettings = 4;
constexpr std::uint8_t kKinds = 14;

using Field = std::pair<std::string_view, std::string_view>;

constexpr std::array<Field, 26> kRequest = {{{":method", "GET"},
                                             {":scheme", "http"},
                                             {":authority", "a.test"},
                                             {":path", "/"},
                                             {":method", "POST"},
                                             {":method", "HEAD"},
                                             {":method", "CONNECT"},
                                             {":path", "/fixed/x"},
                                             {":path", "/h2/x"},
                                             {":path", "/two/x"},
                                             {":path", "/api/x"},
                                             {":path", "*"},
                                             {":protocol", "websocket"},
                                             {"content-length", "3"},
                                             {"content-length", "0"},
                                             {"te", "trailers"},
                                             {"expect", "100-continue"},
                                             {"cookie", "a=1"},
                                             {"host", "a.test"},
                                             {"host", "b.test"},
                                             {"transfer-encoding", "chunked"},
                                             {"connection", "close"},
                                             {"content-type", "application/grpc"},
                                             {"Upper", "x"},
                                             {"x-a", "b\r\nx-b: c"},
                                             {"trailer", "x-a"}}};

constexpr std::array<Field, 14> kResponse = {{{":status", "200"},
                                              {":status", "100"},
                                              {":status", "103"},
                                              {":status", "204"},
                                              {":status", "304"},
                                              {":status", "101"},
                                              {":status", "2x0"},
                                              {"content-length", "3"},
                                              {"content-length", "0"},
                                              {"grpc-status", "0"},
                                              {"connection", "close"},
                                              {"Upper", "x"},
                                              {"x-a", "b"},
                                              {"transfer-encoding", "chunked"}}};

/// Takes bytes off an input that may end anywhere.
class Source {
 public:
  explicit Source(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::uint8_t byte() { return static_cast<std::uint8_t>(take(1)[0]); }
  std::string take(std::size_t count) {
    std::string bytes(rest_.substr(0, count));
    rest_.remove_prefix(bytes.size());
    bytes.resize(count);
    return bytes;
  }
  std::string_view all() { return std::exchange(rest_, {}); }

 private:
  std::string_view rest_;
};

// RFC 7541 section 6.2.2: a literal that is not indexed.
std::string literal(const Field& field) {
  std::string bytes(1, '\0');
  for (const std::string_view text : {field.first, field.second}) {
    bytes += static_cast<char>(text.size());
    bytes += text;
  }
  return bytes;
}

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  std::string_view payload) {
  std::string bytes;
  for (const int shift : {16, 8, 0}) bytes += static_cast<char>(payload.size() >> shift);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(stream >> shift);
  return bytes += payload;
}

// The first four fields of a request, the first one of a response, when the number says so.
std::string fields(Source& source, std::span<const Field> table) {
  std::string payload;
  const std::uint8_t count = source.byte();
  const std::size_t usual = table.size() == kRequest.size() ? 4 : 1;
  for (std::size_t i = 0; i < usual && count < 128; ++i) payload += literal(table[i]);
  for (int i = 0; i < count % 16 && !source.empty(); ++i) {
    const std::uint8_t which = source.byte();
    payload += which < 224 ? literal(table[which % table.size()]) : source.take(1);
  }
  return payload;
}

std::string next_frame(Source& source, std::uint8_t type, std::span<const Field> table) {
  const std::uint8_t flags = source.byte();
  const std::uint32_t stream = source.byte() % 16;
  if (type == kHeaders) return frame(type, flags, stream, fields(source, table));
  return frame(type, flags, stream, source.take(source.byte()));
}

std::vector<FuzzStep> built_steps(Source& source, std::span<const Field> table) {
  std::vector<FuzzStep> steps;
  for (std::size_t i = 0; i < kFramesMax && !source.empty(); ++i) {
    FuzzStep step;
    const std::uint8_t kind = source.byte() % kKinds;
    if (kind < kTypes) {
      step.bytes = next_frame(source, kind, table);
    } else if (kind == kTypes) {
      step.kind = FuzzStep::Kind::wait;
      step.time = Millis(source.byte() * 10);
    } else {
      step.kind = kind == kTypes + 1 ? FuzzStep::Kind::end : FuzzStep::Kind::reset;
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

FuzzStep sends(std::string bytes) {
  FuzzStep step;
  step.bytes = std::move(bytes);
  return step;
}

}  // namespace

FuzzScript make_frames_script(std::string_view bytes) {
  Source source(bytes);
  FuzzScript script;
  const std::uint8_t who = source.byte() % 4;
  script.seed = source.byte();
  const bool client = who < 2;
  std::vector<FuzzStep> steps;
  const std::string settings = frame(kSettings, 0, 0, {});
  steps.push_back(sends(client ? std::string(http::kH2Preface) + settings : settings));
  const std::span<const Field> table = client ? std::span<const Field>(kRequest) : kResponse;
  if (who % 2 == 1) {
    steps.push_back(sends(std::string(source.all())));
  } else {
    for (FuzzStep& step : built_steps(source, table)) steps.push_back(std::move(step));
  }
  if (client) {
    script.http2_client = true;
    script.clients[0] = std::move(steps);
  } else {
    script.http2_server = std::move(steps);
    for (std::size_t i : {0U, 1U}) {
      script.clients[i].push_back(
          sends("GET /h2/a HTTP/1.1\r\nHost: a.test\r\n\r\n"
                "POST /h2/b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc"));
    }
  }
  return script;
}

}  // namespace weir::sim
