// SPDX-License-Identifier: Apache-2.0
#include "malformed.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace weir::sim {
namespace {

using std::string_view_literals::operator""sv;

// "@" stands for the id. What smuggles is followed by a request that nobody sent: see kBehind.
constexpr std::array kTexts = {
    "GET /x/@ HTTP/1.1\nHost: sim.test\n\n"sv,
    "GET /x/@ HTTP/1.1\r\nHost : sim.test\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1\r\nHost: sim.test\r\nX-A: a\r\n b\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1\r\nX-A: a\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1\r\nHost: sim.test\r\nHost: sim.test\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1\r\nHost: a b\r\n\r\n"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 3a\r\n\r\nabc"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nContent-Length: +3\r\n\r\nabc"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nContent-Length: -3\r\n\r\nabc"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 3\r\n"
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"sv,
    "POST /x/@ HTTP/1.0\r\nHost: sim.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"sv,
    "GET /x/@ HTTP/2.0\r\nHost: sim.test\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1 \r\nHost: sim.test\r\n\r\n"sv,
    "GET /x/@\r\nHost: sim.test\r\n\r\n"sv,
    "CONNECT sim.test:80 HTTP/1.1\r\nHost: sim.test:80\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1\r\nHost: sim.test\r\nX-A: a\0b\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1\r\nHost: sim.test\r\nX-A: a\rb\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1\r\nHost: sim.test\r\n: a\r\n\r\n"sv,
    "GET /x/@ HTTP/1.1\r\nHost: sim.test\r\nX-A\r\n\r\n"sv,
    " GET /x/@ HTTP/1.1\r\nHost: sim.test\r\n\r\n"sv,
    "GE(T /x/@ HTTP/1.1\r\nHost: sim.test\r\n\r\n"sv,
    "GET  /x/@ HTTP/1.1\r\nHost: sim.test\r\n\r\n"sv,
    "GET /x/@ 2 HTTP/1.1\r\nHost: sim.test\r\n\r\n"sv,
    "GET x/@ HTTP/1.1\r\nHost: sim.test\r\n\r\n"sv,
    "GET /x/@%00 HTTP/1.1\r\nHost: sim.test\r\n\r\n"sv,
    "POST /x/@ HTTP/1.1\r\nHost: sim.test\r\nExpect: 200-ok\r\nContent-Length: 0\r\n\r\n"sv,
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 what TLS begins with \r\n\r\n"sv,
};

// And these are made.
enum Made : std::size_t {
  kLongTarget = kTexts.size(),
  kManyFields,
  kLargeHead,
  kEndlessHead,  // too large, and no end in sight
  kHalfHead,     // nothing comes any more
  kHalfOfLarge,
  kCount
};

constexpr std::string_view kBehind = "GET /x/0 HTTP/1.1\r\nHost: sim.test\r\nX-Id: 0\r\n\r\n";

}  // namespace

std::size_t malformed_count() { return kCount; }

bool malformed_is_half(std::size_t which) { return which == kHalfHead || which == kHalfOfLarge; }

std::string malformed_text(std::size_t which, std::uint64_t id, std::size_t head_size) {
  if (which < kTexts.size()) {
    std::string text;
    for (const char c : kTexts[which]) {
      if (c == '@') {
        text += std::to_string(id);
      } else {
        text += c;
      }
    }
    return text.append(kBehind);
  }
  const std::string begin = fmt::format("GET /x/{} HTTP/1.1\r\nHost: sim.test\r\n", id);
  std::string pad(head_size, 'p');
  switch (which) {
    case kLongTarget:
      return fmt::format("GET /x/{}?{} HTTP/1.1\r\nHost: sim.test\r\n\r\n", id, pad);
    case kManyFields: {
      std::string text = begin;
      for (int i = 0; i < 120; ++i) text += fmt::format("A: {}\r\n", i);
      return text + "\r\n";
    }
    case kLargeHead:
      // The smallest that is too large.
      pad.resize(head_size + 1 - begin.size() - std::string_view("X-Pad: \r\n\r\n").size());
      return fmt::format("{}X-Pad: {}\r\n\r\n", begin, pad);
    case kEndlessHead: return fmt::format("{}X-Pad: {}{}", begin, pad, pad);
    case kHalfOfLarge: return fmt::format("{}X-Pad: {}", begin, pad.substr(0, head_size * 3 / 4));
    default: return begin;
  }
}

}  // namespace weir::sim
