// SPDX-License-Identifier: Apache-2.0
//
// Request heads: the outcome must not depend on the cut; the length of what was accepted must be
// what a plain look at its lines says; and the encoder must make of it a head that is accepted with
// the same meaning.
#include <algorithm>

#include "base/assert.h"
#include "http/encode.h"
#include "http/h1_parse.h"
#include "http/head_for_test.h"
#include "http/strict_for_test.h"

using namespace weir;
using namespace weir::http;

namespace {

constexpr HeadLimits kLimits{.head_size = 512, .head_fields = 30, .target_size = 128};

std::string outcome(std::string_view bytes, const std::vector<std::size_t>& sizes) {
  RequestHead head;
  return feed_head(
      bytes, sizes,
      [&](Bytes some, std::size_t& scanned) {
        return parse_request_head(some, kLimits, scanned, head);
      },
      [&] { return text_of(head) + text_of(head.fields); });
}

void check_round_trip(std::string_view bytes) {
  RequestHead head;
  std::size_t scanned = 0;
  if (parse_request_head(bytes, kLimits, scanned, head).value_or(0) == 0) return;
  WEIR_ASSERT(naive_length(bytes.substr(0, scanned)) == text_of(head.body));
  if (head.authority.empty()) return;  // HTTP/1.0 without Host: the proxy gives it one
  const std::string_view target = head.scheme.empty() ? head.target : head.path;
  std::string out;
  encode_request(out, head, target, {},
                 {.body = head.body, .keep_alive = head.keep_alive, .upgrade = head.upgrade});
  RequestHead again;
  scanned = 0;
  const auto size = parse_request_head(out, HeadLimits{}, scanned, again);
  WEIR_ASSERT(size.value_or(0) == out.size());
  WEIR_ASSERT(again.method_name == head.method_name);
  WEIR_ASSERT(again.path == head.path);
  WEIR_ASSERT(again.authority == head.authority);
  WEIR_ASSERT(text_of(again.body) == text_of(head.body));
  WEIR_ASSERT(again.expect_continue == head.expect_continue);
  WEIR_ASSERT(again.te_trailers == head.te_trailers);
  WEIR_ASSERT(again.upgrade == head.upgrade);
  WEIR_ASSERT(again.keep_alive == head.keep_alive || !head.upgrade.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = outcome(bytes, {bytes.size()});
  const std::size_t stride = bytes.size() / 16 + 1;  // and where they begin, the first byte says
  for (std::size_t cut = data[0] % stride; cut <= bytes.size(); cut += stride) {
    WEIR_ASSERT(outcome(bytes, {cut, bytes.size() - cut}) == whole);
  }
  WEIR_ASSERT(outcome(bytes, std::vector<std::size_t>(bytes.size(), 1)) == whole);
  check_round_trip(bytes);
  return 0;
}
