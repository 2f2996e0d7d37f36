// SPDX-License-Identifier: Apache-2.0
//
// Response heads: the outcome must not depend on the cut; the length of what was accepted must be
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
  const std::string naive = naive_length(bytes.substr(0, scanned));
  using Kind = BodyLength::Kind;
  const bool length = head.body.kind == Kind::chunked || head.body.kind == Kind::known;
  if (length) WEIR_ASSERT(naive == text_of(head.body));
  if (head.body.kind == Kind::until_close) WEIR_ASSERT(naive == "none");
  WEIR_ASSERT(naive != "?");
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
  const std::size_t stride = bytes.size() / 16 + 1;  // and where they begin, the first byte says
  for (std::size_t cut = data[0] % stride; cut <= bytes.size(); cut += stride) {
    WEIR_ASSERT(outcome(bytes, method, {cut, bytes.size() - cut}) == whole);
  }
  WEIR_ASSERT(outcome(bytes, method, std::vector<std::size_t>(bytes.size(), 1)) == whole);
  check_round_trip(bytes, method);
  return 0;
}
