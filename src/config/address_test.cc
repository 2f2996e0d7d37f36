// SPDX-License-Identifier: Apache-2.0
#include "config/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>

namespace weir::config {
namespace {

using Kind = Address::Kind;

TEST(ParseAddress, OfAListener) {
  const struct {
    std::string_view text;
    Kind kind;
    std::string_view canonical;
  } cases[] = {
      {"8080", Kind::ip, ":8080"},
      {":8080", Kind::ip, ":8080"},
      {"*:8080", Kind::ip, ":8080"},
      {"0.0.0.0:80", Kind::ip, "0.0.0.0:80"},
      {"[::]:80", Kind::ip, "[::]:80"},
      {"[0:0::1]:80", Kind::ip, "[::1]:80"},
      {"localhost:80", Kind::ip, "127.0.0.1:80"},
      {"127.0.0.1:0", Kind::ip, "127.0.0.1:0"},
      {"unix:/run/x.sock", Kind::unix_path, "unix:/run/x.sock"},
  };
  for (const auto& c : cases) {
    const auto address = parse_address(c.text);
    ASSERT_TRUE(address) << c.text << ": " << address.error().message;
    EXPECT_EQ(address->kind, c.kind) << c.text;
    EXPECT_EQ(address->text(), c.canonical) << c.text;
    EXPECT_EQ(*parse_address(address->text()), *address) << c.text;
  }
}

TEST(ParseAddress, OfAServer) {
  const struct {
    std::string_view text;
    Kind kind;
    std::string_view canonical;
  } cases[] = {
      {"localhost:3000", Kind::name, "localhost:3000"},
      {"3000", Kind::name, "localhost:3000"},
      {":3000", Kind::name, "localhost:3000"},
      {"10.0.0.1:80", Kind::ip, "10.0.0.1:80"},
      {"[::1]:80", Kind::ip, "[::1]:80"},
      {"http://app", Kind::name, "app:80"},
      {"http://app:81/", Kind::name, "app:81"},
      {"HTTP://[::1]", Kind::ip, "[::1]:80"},
      {"http://8080", Kind::name, ""},
      {"unix:/run/app.sock", Kind::unix_path, "unix:/run/app.sock"},
  };
  for (const auto& c : cases) {
    const auto address = parse_address(c.text, AddressUse::server);
    if (c.canonical.empty()) {
      EXPECT_FALSE(address) << c.text;
      continue;
    }
    ASSERT_TRUE(address) << c.text << ": " << address.error().message;
    EXPECT_EQ(address->kind, c.kind) << c.text;
    EXPECT_EQ(address->text(), c.canonical) << c.text;
  }
}

TEST(ParseAddress, KnowsTheSchemeOfAServer) {
  using Scheme = Address::Scheme;
  EXPECT_EQ(parse_address("https://example.com:8443", AddressUse::server)->scheme, Scheme::https);
  EXPECT_EQ(parse_address("HTTPS://example.com", AddressUse::server)->port, 443);
  EXPECT_EQ(parse_address("http://example.com", AddressUse::server)->scheme, Scheme::http);
  EXPECT_EQ(parse_address("example.com:443", AddressUse::server)->scheme, Scheme::none);
  EXPECT_FALSE(parse_address("https://example.com", AddressUse::listen));
}

TEST(ParseAddress, RefusesWhatIsNoAddress) {
  for (const std::string_view text :
       {"", "example.com:80", ":", ":65536", ":-1", "[::1]", "[]:80", "a:b:c", "unix:", "unix:x",
        "1.2.3.4.5:80", "a b:80", "http://:80", "-x:80", ":80x"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
  EXPECT_FALSE(parse_address("x:0", AddressUse::server));
}

void parse_bytes(const char* text, std::uint8_t (&out)[16]) {
  if (inet_pton(AF_INET6, text, out) == 1) return;
  std::memset(out, 0, 10);
  out[10] = out[11] = 0xFF;
  ASSERT_EQ(inet_pton(AF_INET, text, out + 12), 1) << text;
}

TEST(Network, ContainsItsAddressesOnly) {
  const struct {
    std::string_view network;
    const char* address;
    bool inside;
  } cases[] = {
      {"10.0.0.0/8", "10.255.0.1", true},
      {"10.0.0.0/8", "11.0.0.1", false},
      {"10.0.0.0/8", "::1", false},
      {"192.168.4.0/22", "192.168.7.255", true},
      {"192.168.4.0/22", "192.168.8.0", false},
      {"127.0.0.1", "127.0.0.1", true},
      {"127.0.0.1", "127.0.0.2", false},
      {"::1", "::1", true},
      {"fd00::/8", "fdff::1", true},
      {"fd00::/8", "fe00::1", false},
      {"0.0.0.0/0", "8.8.8.8", true},
      {"0.0.0.0/0", "2001::1", false},
      {"::/0", "8.8.8.8", true},
  };
  for (const auto& c : cases) {
    const auto network = parse_network(c.network);
    ASSERT_TRUE(network) << c.network;
    std::uint8_t bytes[16];
    parse_bytes(c.address, bytes);
    EXPECT_EQ(network->contains(bytes), c.inside) << c.network << " " << c.address;
  }
}

TEST(Network, IsShownAsItIsRead) {
  EXPECT_EQ(show_network(*parse_network("10.1.2.3/8")), "10.0.0.0/8");
  EXPECT_EQ(show_network(*parse_network("::1")), "::1/128");
  for (const std::string_view text : {"", "10.0.0.0/33", "10.0.0/8", "::/129", "1.2.3.4/", "x/8"}) {
    EXPECT_FALSE(parse_network(text)) << text;
  }
}

}  // namespace
}  // namespace weir::config
