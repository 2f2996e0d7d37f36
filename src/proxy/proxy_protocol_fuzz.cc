// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers: the same outcome however the bytes are cut; what is believed is written by the
// specification's own words, and what Weir makes of it is read as the same.
#include <algorithm>
#include <string>

#include "base/assert.h"
#include "base/limits.h"
#include "http/head_for_test.h"
#include "proxy/proxy_protocol.h"

using namespace weir;
using namespace weir::proxy;

namespace {

std::string outcome(std::string_view bytes, const std::vector<std::size_t>& sizes) {
  ProxyHeader header;
  return http::feed_head(
      bytes, sizes, [&](Bytes some, std::size_t&) { return parse_proxy_header(some, header); },
      [&] {
        if (header.tells == ProxyHeader::Tells::own) return std::string("own");
        return header.ends.source.text() + ' ' + std::to_string(header.ends.source.port) + ' ' +
               header.ends.destination.text() + ' ' + std::to_string(header.ends.destination.port);
      });
}

/// A line of version 1 that is believed is one that snprintf would have made, but for the spelling
/// of IPv6 addresses.
void check_line(std::string_view line, const ProxyHeader& header) {
  WEIR_ASSERT(line.size() <= 107 && line.ends_with("\r\n"));
  WEIR_ASSERT(std::ranges::count(line, '\r') == 1 && std::ranges::count(line, '\n') == 1);
  if (header.tells == ProxyHeader::Tells::own) return;
  WEIR_ASSERT(std::ranges::count(line, ' ') == 5);
  const std::string ports = ' ' + std::to_string(header.ends.source.port) + ' ' +
                            std::to_string(header.ends.destination.port) + "\r\n";
  WEIR_ASSERT(line.ends_with(ports));
  if (!line.starts_with("PROXY TCP4 ")) return;
  WEIR_ASSERT(line == "PROXY TCP4 " + header.ends.source.text() + ' ' +
                          header.ends.destination.text() + ports);
}

void check_binary(std::string_view bytes, const ProxyHeader& header) {
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); };
  WEIR_ASSERT(bytes.size() <= kProxyHeaderMax);
  WEIR_ASSERT(bytes.size() == 16u + (byte(14) << 8 | byte(15)));
  WEIR_ASSERT(byte(12) == 0x20 || byte(12) == 0x21);
  const bool told = byte(12) == 0x21 && (byte(13) == 0x11 || byte(13) == 0x21);
  WEIR_ASSERT(told == (header.tells == ProxyHeader::Tells::ends));
}

void check_meaning(std::string_view bytes) {
  ProxyHeader header;
  const Result<std::size_t> size = parse_proxy_header(bytes, header);
  if (size.value_or(0) == 0) return;
  const bool line = bytes.starts_with("PROXY ");
  (line ? check_line : check_binary)(bytes.substr(0, *size), header);
  if (header.tells == ProxyHeader::Tells::own) return;
  for (const auto version : {config::ProxyProtocol::v1, config::ProxyProtocol::v2}) {
    ProxyHeaderSpace space;
    ProxyHeader again;
    const std::string_view made = make_proxy_header(version, header.ends, space);
    WEIR_ASSERT(parse_proxy_header(made, again).value_or(0) == made.size());
    WEIR_ASSERT(again.tells == header.tells && again.ends == header.ends);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = outcome(bytes, {bytes.size()});
  const std::size_t cut = std::min<std::size_t>(data[0], bytes.size());
  WEIR_ASSERT(outcome(bytes, {cut, bytes.size() - cut}) == whole);
  WEIR_ASSERT(outcome(bytes, std::vector<std::size_t>(bytes.size(), 1)) == whole);
  check_meaning(bytes);
  return 0;
}
