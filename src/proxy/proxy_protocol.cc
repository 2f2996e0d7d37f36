// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy_protocol.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/limits.h"

namespace weir::proxy {
namespace {

using namespace std::literals;

constexpr std::string_view kLine = "PROXY ";  // section 2.1
constexpr std::string_view kSignature =
    "\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A"sv;  // 2.2
constexpr std::size_t kLineMax = 107;                      // with CR LF, section 2.1
constexpr std::size_t kFixedSize = 16;

// The byte behind the signature: version and command.
constexpr std::uint8_t kLocal = 0x20;
constexpr std::uint8_t kProxy = 0x21;

constexpr std::uint8_t kTlvChecksum = 0x03;
constexpr std::size_t kTlvHead = 3;

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::unexpected<Error> missing() { return fail(Cause::proxy_header_missing, "PROXY header"); }
std::unexpected<Error> malformed() { return fail(Cause::proxy_header_malformed, "PROXY header"); }

bool is_v4(const io::Peer& peer) {
  return std::equal(kMapped.begin(), kMapped.end(), peer.ip.begin());
}

std::uint8_t byte_at(Bytes bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }
std::uint16_t short_at(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

// --- version 1
// -----------------------------------------------------------------------------------

/// The next word of the line, which one space ends; the last one ends with the line.
std::string_view take_word(std::string_view& line) {
  const std::size_t space = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(std::min(space + 1, line.size()));
  return word;
}

bool read_ip(int family, std::string_view word, io::Peer& peer) {
  char text[INET6_ADDRSTRLEN] = "";
  if (word.size() >= sizeof text || word.find('\0') != std::string_view::npos) return false;
  std::copy(word.begin(), word.end(), text);
  std::uint8_t* to = peer.ip.data();
  if (family == AF_INET) to = std::copy(kMapped.begin(), kMapped.end(), to);
  return inet_pton(family, text, to) == 1;
}

/// "in the range 0 to 65535 … heading zeroes are not permitted".
bool read_port(std::string_view word, io::Peer& peer) {
  const std::optional<std::uint64_t> port = parse_u64(word);
  if (!port || *port > 65535 || (word.size() > 1 && word.front() == '0')) return false;
  peer.port = static_cast<std::uint16_t>(*port);
  return true;
}

bool read_line(std::string_view line, ProxyHeader& header) {
  const bool ends_in_space = line.ends_with(' ');
  const std::string_view protocol = take_word(line);
  // "the receiver must ignore anything presented before the CRLF is found".
  if (protocol == "UNKNOWN") return true;
  const int family = protocol == "TCP4" ? AF_INET : protocol == "TCP6" ? AF_INET6 : 0;
  if (family == 0 || ends_in_space) return false;
  Ends& ends = header.ends;
  const bool good = read_ip(family, take_word(line), ends.source) &&
                    read_ip(family, take_word(line), ends.destination) &&
                    read_port(take_word(line), ends.source) &&
                    read_port(take_word(line), ends.destination);
  if (!good || !line.empty()) return false;
  header.tells = ProxyHeader::Tells::ends;
  return true;
}

Result<std::size_t> parse_line(Bytes bytes, ProxyHeader& header) {
  const std::string_view window = bytes.substr(0, kLineMax);
  const std::size_t end = window.find_first_of("\r\n"sv);
  if (end == std::string_view::npos || end + 1 == window.size()) {
    const bool bare = end != std::string_view::npos && window[end] == '\n';
    if (bare || bytes.size() >= kLineMax) return malformed();
    return 0;
  }
  if (window.substr(end, 2) != "\r\n") return malformed();
  if (!read_line(window.substr(kLine.size(), end - kLine.size()), header)) return malformed();
  return end + 2;
}

// --- version 2
// -----------------------------------------------------------------------------------

consteval std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0u);
    table[i] = value;
  }
  return table;
}

/// CRC32c (RFC 9260 appendix A) of the header, with the four bytes at `hole` taken for zeros.
std::uint32_t checksum(Bytes header, std::size_t hole) {
  static constexpr std::array<std::uint32_t, 256> kTable = make_crc_table();
  std::uint32_t crc = ~0u;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const std::uint32_t byte = i - hole < 4 ? 0 : byte_at(header, i);
    crc = crc >> 8 ^ kTable[(crc ^ byte) & 0xff];
  }
  return ~crc;
}

/// The additions from `at` on: whole, and with a right checksum if there is one (section 2.2.3).
bool good_additions(Bytes header, std::size_t at) {
  while (at < header.size()) {
    if (header.size() - at < kTlvHead) return false;
    const std::size_t value = at + kTlvHead;
    const std::size_t size = short_at(header, at + 1);
    if (header.size() - value < size) return false;
    if (byte_at(header, at) == kTlvChecksum) {
      if (size != 4) return false;
      const std::uint32_t told =
          static_cast<std::uint32_t>(short_at(header, value)) << 16 | short_at(header, value + 2);
      if (told != checksum(header, value)) return false;
    }
    at = value + size;
  }
  return true;
}

/// The size of the addresses of a family, the high half of its byte. Other families, and protocols
/// in the low half that do not exist, "must be rejected as invalid by receivers".
std::optional<std::size_t> addresses_size(std::uint8_t family) {
  if ((family & 0xf) > 2) return std::nullopt;
  switch (family >> 4) {
    case 0: return 0;
    case 1: return 12;
    case 2: return 36;
    case 3: return 216;
  }
  return std::nullopt;
}

void read_addresses(Bytes addresses, std::size_t ip_size, Ends& ends) {
  const auto peer = [&](std::size_t index) {
    io::Peer peer;
    if (ip_size == 4) std::copy(kMapped.begin(), kMapped.end(), peer.ip.begin());
    std::memcpy(peer.ip.data() + peer.ip.size() - ip_size, addresses.data() + index * ip_size,
                ip_size);
    peer.port = short_at(addresses, 2 * ip_size + 2 * index);
    return peer;
  };
  ends = {peer(0), peer(1)};
}

Result<std::size_t> parse_binary(Bytes bytes, ProxyHeader& header) {
  // Each byte is judged as soon as it is there, so that nobody waits for the rest of nonsense.
  if (bytes.size() <= kSignature.size()) return 0;
  const std::uint8_t command = byte_at(bytes, kSignature.size());
  if (command != kLocal && command != kProxy) return malformed();
  if (bytes.size() < kFixedSize) return 0;
  const std::uint8_t family = byte_at(bytes, 13);
  const std::size_t size = kFixedSize + short_at(bytes, 14);
  const std::optional<std::size_t> addresses = addresses_size(family);
  if (size > kProxyHeaderMax) return malformed();
  if (!addresses || size < kFixedSize + *addresses) return malformed();
  if (bytes.size() < size) return 0;
  if (!good_additions(bytes.substr(0, size), kFixedSize + *addresses)) return malformed();
  // Of datagrams and unix sockets there is nothing that a connection's client could be called.
  const bool stream = (family & 0xf) == 1;
  const bool ip = family >> 4 == 1 || family >> 4 == 2;
  if (command == kProxy && stream && ip) {
    read_addresses(bytes.substr(kFixedSize, *addresses), family >> 4 == 1 ? 4 : 16, header.ends);
    header.tells = ProxyHeader::Tells::ends;
  }
  return size;
}

// --- making one
// ----------------------------------------------------------------------------------

std::string_view ip_text(const io::Peer& peer, bool as_v4, char* space) {
  const std::uint8_t* from = peer.ip.data() + (as_v4 ? kMapped.size() : 0);
  return inet_ntop(as_v4 ? AF_INET : AF_INET6, from, space, INET6_ADDRSTRLEN);
}

std::string_view make_line(const Ends& ends, bool as_v4, ProxyHeaderSpace& space) {
  char* at = space.data();
  char ip[INET6_ADDRSTRLEN];
  const auto put = [&](std::string_view text) { at = std::copy(text.begin(), text.end(), at); };
  put(as_v4 ? "PROXY TCP4" : "PROXY TCP6");
  for (const io::Peer* peer : {&ends.source, &ends.destination}) {
    *at++ = ' ';
    put(ip_text(*peer, as_v4, ip));
  }
  for (const io::Peer* peer : {&ends.source, &ends.destination}) {
    *at++ = ' ';
    at = std::to_chars(at, space.data() + space.size(), peer->port).ptr;
  }
  put("\r\n");
  return {space.data(), at};
}

std::string_view make_binary(const Ends& ends, bool ip, bool as_v4, ProxyHeaderSpace& space) {
  char* at = std::copy(kSignature.begin(), kSignature.end(), space.data());
  const std::size_t ip_size = as_v4 ? 4 : 16;
  const auto put = [&](unsigned value) { *at++ = static_cast<char>(value); };
  put(kProxy);
  put(!ip ? 0x00 : as_v4 ? 0x11 : 0x21);
  put(0);
  put(static_cast<unsigned>(ip ? 2 * ip_size + 4 : 0));
  if (!ip) return {space.data(), at};
  for (const io::Peer* peer : {&ends.source, &ends.destination}) {
    at = std::copy(peer->ip.end() - static_cast<std::ptrdiff_t>(ip_size), peer->ip.end(), at);
  }
  for (const io::Peer* peer : {&ends.source, &ends.destination}) {
    put(peer->port >> 8);
    put(peer->port & 0xff);
  }
  return {space.data(), at};
}

}  // namespace

Result<std::size_t> parse_proxy_header(Bytes bytes, ProxyHeader& header) {
  header = {};
  const auto begins = [&](std::string_view mark) {
    const std::size_t size = std::min(bytes.size(), mark.size());
    return bytes.substr(0, size) == mark.substr(0, size);
  };
  if (begins(kLine)) return bytes.size() < kLine.size() ? 0 : parse_line(bytes, header);
  if (begins(kSignature)) return parse_binary(bytes, header);
  return missing();
}

std::string_view make_proxy_header(config::ProxyProtocol version, const Ends& ends,
                                   ProxyHeaderSpace& space) {
  const bool ip = !ends.source.unix_socket && !ends.destination.unix_socket;
  const bool as_v4 = ip && is_v4(ends.source) && is_v4(ends.destination);
  switch (version) {
    case config::ProxyProtocol::off: return {};
    case config::ProxyProtocol::v1: return ip ? make_line(ends, as_v4, space) : "PROXY UNKNOWN\r\n";
    case config::ProxyProtocol::v2: return make_binary(ends, ip, as_v4, space);
  }
  WEIR_UNREACHABLE("version");
}

}  // namespace weir::proxy
