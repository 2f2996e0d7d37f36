// SPDX-License-Identifier: Apache-2.0
//
// Response heads: the outcome must not depend on the cut, and what was accepted must come out of
// the encoder as a head that is accepted with the same meaning.
#include <algorithm>

#include "base/assert.h"
#include "http/encode.h"
#include "http/h1_parse.h"
#include "http/head_for_test.h"

using namespace weir;
using namespace weir::http;

namespace {

constexpr HeadLimits kLimits{.head_size = 512, .head_fields = 30};

std::string outcome(std::string_view bytes, Method method, const std::vector<std::size_t>& sizes) {
  ResponseHead head;
  return feed_head(
      bytes, sizes,
      [&](Bytes some, std::size_t& scanned) {
        return parse_response_head(some, kLimits, method, scanned, head);
      },
      [&] { return text_of(head) + text_of(head.fields); });
}

void check_round_trip(std::string_view bytes, Method method) {
  ResponseHead head;
  std::size_t scanned = 0;
  if (parse_response_head(bytes, kLimits, method, scanned, head).value_or(0) == 0) return;
  std::string out;
  encode_response(out, head, {},
                  {.body = head.body,
                   .keep_alive = head.keep_alive,
                   .upgrade = head.upgrade,
                   .keep_content_length = head.body.kind == BodyLength::Kind::none});
  ResponseHead again;
  scanned = 0;
  const auto size = parse_response_head(out, HeadLimits{}, method, scanned, again);
  WEIR_ASSERT(size.value_or(0) == out.size());
  WEIR_ASSERT(again.status == head.status);
  WEIR_ASSERT(text_of(again.body) == text_of(head.body));
  WEIR_ASSERT(again.upgrade == head.upgrade);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Method method = data[1] % 4 == 0 ? Method::head : Method::get;
  const std::string whole = outcome(bytes, method, {bytes.size()});
  const std::size_t cut = std::min<std::size_t>(data[0] * 2u, bytes.size());
  WEIR_ASSERT(outcome(bytes, method, {cut, bytes.size() - cut}) == whole);
  WEIR_ASSERT(outcome(bytes, method, std::vector<std::size_t>(bytes.size(), 1)) == whole);
  check_round_trip(bytes, method);
  return 0;
}
