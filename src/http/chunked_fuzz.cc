// SPDX-License-Identifier: Apache-2.0
//
// Chunked bodies: whether a body ends, what it holds and where, must not depend on the cut, and
// must be what the strict reader finds where it finds a body.
#include <algorithm>

#include "base/assert.h"
#include "http/chunked.h"
#include "http/head_for_test.h"
#include "http/strict_for_test.h"

using namespace weir;
using namespace weir::http;

namespace {

constexpr HeadLimits kLimits{.head_size = 128, .head_fields = 4};

std::string outcome(std::string_view bytes, const std::vector<std::size_t>& sizes) {
  ChunkedDecoder decoder(kLimits);
  std::string payload;
  std::size_t at = 0;
  for (const std::size_t size : sizes) {
    const ExactBytes piece(bytes.substr(at, size));
    const auto step = decoder.decode({piece.storage.get(), size});
    if (!step) return "malformed";
    WEIR_ASSERT(step->consumed <= size);
    payload += piece.view.substr(0, step->payload);
    at += step->consumed;
    if (step->done) return payload + '|' + text_of(decoder.trailers()) + std::to_string(at);
    WEIR_ASSERT(step->consumed == size);
  }
  return payload + " more";
}

void check_meaning(std::string_view bytes, const std::string& whole) {
  Strict body;
  strict::chunks(bytes, body);
  if (body.body == Strict::State::bad) {
    WEIR_ASSERT(whole == "malformed" || body.why == strict::kExtension);
    return;
  }
  const std::string end = std::to_string(body.size);
  const bool refused = whole == "malformed";  // a limit on sizes or trailers
  if (body.whole()) {
    WEIR_ASSERT(refused || (whole.starts_with(body.payload + '|') && whole.ends_with(end)));
  } else {
    WEIR_ASSERT(refused || whole == body.payload + " more");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = outcome(bytes, {bytes.size()});
  const std::size_t cut = std::min<std::size_t>(data[0] * 2u, bytes.size());
  WEIR_ASSERT(outcome(bytes, {cut, bytes.size() - cut}) == whole);
  check_meaning(bytes, whole);
  WEIR_ASSERT(outcome(bytes, std::vector<std::size_t>(bytes.size(), 1)) == whole);
  return 0;
}
