// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy_protocol.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/limits.h"
#include "http/head_for_test.h"
#include "http/pieces_for_test.h"

namespace weir::proxy {
namespace {

using namespace std::literals;

struct Case {
  std::string_view bytes;
  std::string_view outcome;  // "source port > destination port", "own", a cause or "more"
};

std::string text_of(const ProxyHeader& header) {
  if (header.tells == ProxyHeader::Tells::own) return "own";
  const auto text = [](const io::Peer& peer) {
    return peer.text() + ' ' + std::to_string(peer.port);
  };
  return text(header.ends.source) + " > " + text(header.ends.destination);
}

std::string outcome(std::string_view bytes) {
  return http::outcome_of_all_cuts(bytes, [](std::string_view all, const auto& sizes) {
    ProxyHeader header;
    return http::feed_head(
        all, sizes, [&](Bytes some, std::size_t&) { return parse_proxy_header(some, header); },
        [&] { return text_of(header); });
  });
}

void check(std::span<const Case> cases) {
  for (const Case& each : cases) EXPECT_EQ(outcome(each.bytes), each.outcome) << each.bytes;
}

constexpr std::string_view kMissing = "proxy_header_missing";
constexpr std::string_view kBad = "proxy_header_malformed";

TEST(ProxyHeaderV1, IsALineOfSixWords) {
  check(std::to_array<Case>({
      {"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7 56324 > 198.51.100.1 443"},
      {"PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\nGET /", "192.0.2.7 0 > 198.51.100.1 65535 +5"},
      {"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7 1 > ::1 2"},
      {"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7 1 > ::1 2"},
      {"PROXY UNKNOWN\r\n", "own"},
      {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\nx", "own +1"},
      {"PROXY UNKNOWN \t\0\xff\r\n"sv, "own"},
      {"", "more"},
      {"P", "more"},
      {"PROXY", "more"},
      {"PROXY ", "more"},
      {"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443", "more"},
      {"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r", "more"},
  }));
}

TEST(ProxyHeaderV1, IsRefusedWhenAWordIsWrong) {
  check(std::to_array<Case>({
      {"PROXY \r\n", kBad},
      {"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", kBad},
      {"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", kBad},
      {"PROXY TCP4\t1.2.3.4 5.6.7.8 1 2\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 +2\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 00\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 18446744073709551617\r\n", kBad},
      {"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.256 1 2\r\n", kBad},
      {"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", kBad},
      {"PROXY TCP4 1.2.3.4\0x 5.6.7.8 1 2\r\n"sv, kBad},
      {"PROXY TCP4 ::1 ::2 1 2\r\n", kBad},
      {"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", kBad},
      {"PROXY TCP6 ::1%lo ::2 1 2\r\n", kBad},
      {"PROXY TCP6 2001:db8::1::2 ::2 1 2\r\n", kBad},
      {"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", kBad},
      {"PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", kBad},
      {"PROXY UNKNOWNS\r\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", kBad},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rGET / HTTP/1.1\r\n", kBad},
      {"PROXY UNKNOWN\n", kBad},
      {"PROXY UNKNOWN a\rb\r\n", kBad},
  }));
}

TEST(ProxyHeaderV1, HasAtMost107Bytes) {
  const std::string line = "PROXY UNKNOWN " + std::string(91, 'x');
  EXPECT_EQ(outcome(line + "\r\n"), "own");
  EXPECT_EQ(outcome(line + "x\r\n"), kBad);
  EXPECT_EQ(outcome(line + "\r"), "more");
  EXPECT_EQ(outcome(line + "xx"), kBad);
}

TEST(ProxyHeader, IsMissingAtTheFirstByteThatFitsNeitherVersion) {
  check(std::to_array<Case>({
      {"GET / HTTP/1.1\r\n", kMissing},
      {"PROXX", kMissing},
      {"PROXY\tTCP4", kMissing},
      {"proxy ", kMissing},
      {" PROXY ", kMissing},
      {"\r\n\r\nGET", kMissing},
      {"\r\n\r\n\0\r\nQUIT\r"sv, kMissing},
      {"\x16\x03\x01", kMissing},
      {"\0"sv, kMissing},
  }));
}

// --- version 2 -----------------------------------------------------------------------------------

constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;

std::string v2(std::string_view command_and_family, std::string_view rest) {
  std::string bytes = std::string(kSignature) + std::string(command_and_family);
  bytes += static_cast<char>(rest.size() >> 8);
  bytes += static_cast<char>(rest.size());
  return bytes + std::string(rest);
}

const std::string kFour = "\xc0\x00\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb"s;
constexpr std::string_view kFourText = "192.0.2.7 56324 > 198.51.100.1 443";

TEST(ProxyHeaderV2, TellsTheEndsOfStreams) {
  EXPECT_EQ(outcome(v2("\x21\x11", kFour)), kFourText);
  EXPECT_EQ(outcome(v2("\x21\x11", kFour) + "GET /"), std::string(kFourText) + " +5");
  const std::string source = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x07";
  const std::string six = source + std::string(15, '\0') + "\x01" + "\x00\x01\x00\x02"s;
  EXPECT_EQ(outcome(v2("\x21\x21", six)), "2001:db8::7 1 > ::1 2");
}

TEST(ProxyHeaderV2, LeavesEverythingElseWithItsOwnEnds) {
  EXPECT_EQ(outcome(v2("\x20\x00"sv, "")), "own");
  EXPECT_EQ(outcome(v2("\x20\x11", kFour) + "x"), "own +1");
  EXPECT_EQ(outcome(v2("\x21\x00"sv, "")), "own");
  EXPECT_EQ(outcome(v2("\x21\x12", kFour)), "own");
  EXPECT_EQ(outcome(v2("\x21\x10", kFour)), "own");
  EXPECT_EQ(outcome(v2("\x21\x31", std::string(216, '/'))), "own");
}

TEST(ProxyHeaderV2, IsRefusedWhenAByteIsWrong) {
  EXPECT_EQ(outcome(v2("\x11\x11", kFour)), kBad);
  EXPECT_EQ(outcome(v2("\x31\x11", kFour)), kBad);
  EXPECT_EQ(outcome(v2("\x22\x11", kFour)), kBad);
  EXPECT_EQ(outcome(v2("\x2f\x11", kFour)), kBad);
  EXPECT_EQ(outcome(v2("\x21\x13", kFour)), kBad);
  EXPECT_EQ(outcome(v2("\x21\x41", std::string(300, '\0'))), kBad);
  EXPECT_EQ(outcome(v2("\x20\x41", std::string(300, '\0'))), kBad);
  EXPECT_EQ(outcome(v2("\x21\x11", kFour.substr(1))), kBad);
  EXPECT_EQ(outcome(v2("\x21\x21", std::string(35, '\0'))), kBad);
  EXPECT_EQ(outcome(v2("\x21\x31", std::string(215, '\0'))), kBad);
}

TEST(ProxyHeaderV2, WaitsForItsEnd) {
  const std::string whole = v2("\x21\x11", kFour);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(outcome(whole.substr(0, size)), "more") << size;
  }
}

std::string tlv(char type, std::string_view value) {
  std::string bytes(1, type);
  bytes += static_cast<char>(value.size() >> 8);
  bytes += static_cast<char>(value.size());
  return bytes + std::string(value);
}

TEST(ProxyHeaderV2, PassesOverWholeAdditions) {
  const std::string more = tlv(1, "h2") + tlv(2, "a.example") + tlv(4, "") + tlv('\xe0', "own use");
  EXPECT_EQ(outcome(v2("\x21\x11", kFour + more) + "x"), std::string(kFourText) + " +1");
  EXPECT_EQ(outcome(v2("\x20\x00"sv, more)), "own");
  EXPECT_EQ(outcome(v2("\x21\x11", kFour + more + "\x01")), kBad);
  EXPECT_EQ(outcome(v2("\x21\x11", kFour + more + "\x01\x00"s)), kBad);
  EXPECT_EQ(outcome(v2("\x21\x11", kFour + "\x01\x00\x02x"s)), kBad);
}

TEST(ProxyHeaderV2, IsBounded) {
  const std::size_t room = kProxyHeaderMax - 16 - kFour.size() - 3;
  EXPECT_EQ(outcome(v2("\x21\x11", kFour + tlv(4, std::string(room, 'x')))), kFourText);
  EXPECT_EQ(outcome(v2("\x21\x11", kFour + tlv(4, std::string(room + 1, 'x')))), kBad);
  // Refused when the length is known, and not when so much has come.
  EXPECT_EQ(outcome(std::string(kSignature) + "\x21\x11\xff\xff"), kBad);
}

TEST(ProxyHeaderV2, ChecksAChecksum) {
  // Computed bit by bit by another program, which gives e3069283 for "123456789".
  const std::string right = v2("\x21\x11", kFour + tlv(3, "\x54\x8e\x28\xff"));
  EXPECT_EQ(outcome(right), kFourText);
  for (std::size_t i = 0; i < right.size(); ++i) {
    if (i == 28) continue;  // another type is no checksum
    std::string wrong = right;
    wrong[i] = static_cast<char>(wrong[i] ^ 1);
    EXPECT_NE(outcome(wrong), kFourText) << i;
  }
  EXPECT_EQ(outcome(v2("\x21\x11", kFour + tlv(3, "abc"))), kBad);
}

// --- making one ----------------------------------------------------------------------------------

io::Peer peer(std::string_view ip, std::uint16_t port) {
  const io::SocketAddress address = *io::SocketAddress::from_ip(ip, port);
  sockaddr_storage storage{};
  std::memcpy(&storage, address.get(), address.size());
  return io::Peer::from(storage);
}

TEST(MakeProxyHeader, SaysWhatTheSpecificationSays) {
  ProxyHeaderSpace space;
  const Ends four{peer("192.0.2.7", 56324), peer("198.51.100.1", 443)};
  EXPECT_EQ(make_proxy_header(config::ProxyProtocol::v1, four, space),
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n");
  EXPECT_EQ(make_proxy_header(config::ProxyProtocol::v2, four, space), v2("\x21\x11", kFour));
  const Ends six{peer("2001:db8::7", 1), peer("198.51.100.1", 2)};
  EXPECT_EQ(make_proxy_header(config::ProxyProtocol::v1, six, space),
            "PROXY TCP6 2001:db8::7 ::ffff:198.51.100.1 1 2\r\n");
  EXPECT_EQ(make_proxy_header(config::ProxyProtocol::v2, six, space).substr(12, 4),
            "\x21\x21\x00\x24"sv);
}

TEST(MakeProxyHeader, IsReadAgainAsItWas) {
  const std::string_view longest = "1111:2222:3333:4444:5555:6666:7777:8888";
  const Ends all[] = {{peer("192.0.2.7", 0), peer("198.51.100.1", 65535)},
                      {peer("::1", 80), peer("2001:db8::", 443)},
                      {peer(longest, 65535), peer(longest, 65535)},
                      {peer("192.0.2.7", 1), peer("::1", 2)}};
  for (const Ends& ends : all) {
    for (const auto version : {config::ProxyProtocol::v1, config::ProxyProtocol::v2}) {
      ProxyHeaderSpace space;
      ProxyHeader header;
      const std::string_view bytes = make_proxy_header(version, ends, space);
      EXPECT_EQ(parse_proxy_header(bytes, header).value_or(0), bytes.size());
      EXPECT_EQ(header.tells, ProxyHeader::Tells::ends);
      EXPECT_EQ(header.ends, ends);
    }
  }
}

TEST(MakeProxyHeader, OfAUnixSocketIsUnknown) {
  io::Peer local;
  local.unix_socket = true;
  for (const Ends& ends : {Ends{local, peer("::1", 1)}, Ends{peer("::1", 1), local}}) {
    ProxyHeaderSpace space;
    EXPECT_EQ(make_proxy_header(config::ProxyProtocol::v1, ends, space), "PROXY UNKNOWN\r\n");
    EXPECT_EQ(make_proxy_header(config::ProxyProtocol::v2, ends, space), v2("\x21\x00"sv, ""));
  }
}

}  // namespace
}  // namespace weir::proxy
