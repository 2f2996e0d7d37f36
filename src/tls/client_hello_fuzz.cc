// SPDX-License-Identifier: Apache-2.0
//
// ClientHellos: the same outcome however the bytes are cut, and in however many records the message
// is; never a name that does not stand in the bytes.
#include <algorithm>
#include <memory>
#include <vector>

#include "base/assert.h"
#include "base/limits.h"
#include "tls/client_hello.h"

using namespace weir;
using namespace weir::tls;

namespace {

constexpr std::size_t kRecordHead = 5;

std::string outcome(std::string_view bytes, const std::vector<std::size_t>& sizes) {
  std::size_t have = 0;
  for (const std::size_t size : sizes) {
    have += size;
    const std::unique_ptr<char[]> exact(new char[have]);
    bytes.copy(exact.get(), have);
    ClientHello hello;
    const auto result = parse_client_hello({exact.get(), have}, hello);
    if (!result) return "none";
    WEIR_ASSERT(*result <= have);
    if (*result > 0) return hello.name + '|' + hello.protocols + '|' + std::to_string(*result);
  }
  return "more";
}

std::size_t record_size(std::string_view bytes) {
  return static_cast<std::size_t>(static_cast<std::uint8_t>(bytes[3])) << 8 |
         static_cast<std::uint8_t>(bytes[4]);
}

/// The bytes of the handshake message without the heads of its records.
std::string message_of(std::string_view records) {
  std::string message;
  while (!records.empty()) {
    const std::size_t size = record_size(records);
    message += records.substr(kRecordHead, size);
    records.remove_prefix(kRecordHead + size);
  }
  return message;
}

std::string in_records(std::string_view message, std::size_t size) {
  std::string bytes;
  for (; !message.empty(); message.remove_prefix(std::min(size, message.size()))) {
    const std::string_view fragment = message.substr(0, size);
    bytes += "\x16\x03\x01";
    bytes += static_cast<char>(fragment.size() >> 8);
    bytes += static_cast<char>(fragment.size());
    bytes += fragment;
  }
  return bytes;
}

void check_meaning(std::string_view bytes, std::size_t fragment) {
  ClientHello hello;
  const std::size_t size = parse_client_hello(bytes, hello).value_or(0);
  if (size == 0) return;
  WEIR_ASSERT(size <= kClientHelloMax);
  const std::string message = message_of(bytes.substr(0, size));
  std::string lower = message;
  std::ranges::transform(lower, lower.begin(), ascii_lower);
  WEIR_ASSERT(lower.find(hello.name) != std::string::npos);
  WEIR_ASSERT(message.find(hello.protocols) != std::string::npos);
  const std::string again = in_records(message, fragment);
  if (again.size() > kClientHelloMax) return;
  ClientHello other;
  WEIR_ASSERT(parse_client_hello(again, other).value_or(0) == again.size());
  WEIR_ASSERT(other.name == hello.name && other.protocols == hello.protocols);
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
  check_meaning(bytes, 1u + data[0] * 4u);
  return 0;
}
