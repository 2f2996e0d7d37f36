// SPDX-License-Identifier: Apache-2.0
#include "tls/client_hello.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/limits.h"
#include "tls/client_hello_for_test.h"

namespace weir::tls {
namespace {

using namespace std::literals;

/// "name [protocol,protocol]", a cause or "more"; " +n" for n bytes behind it. `sizes`: of the
/// pieces in which the bytes arrive.
std::string outcome(std::string_view bytes, const std::vector<std::size_t>& sizes) {
  std::size_t have = 0;
  for (const std::size_t size : sizes) {
    have += size;
    // With exactly their size on the heap, so that a read beyond them is seen by sanitizers.
    const std::unique_ptr<char[]> exact(new char[have]);
    bytes.copy(exact.get(), have);
    ClientHello hello;
    const auto result = parse_client_hello({exact.get(), have}, hello);
    if (!result) return std::string(describe(result.error().cause).name);
    if (*result == 0) continue;
    std::string text = hello.name + " [";
    for (std::size_t at = 0; at < hello.protocols.size();) {
      const auto length = static_cast<std::uint8_t>(hello.protocols[at]);
      text += (at == 0 ? "" : ",") + hello.protocols.substr(at + 1, length);
      at += 1 + length;
    }
    text += ']';
    const std::size_t rest = bytes.size() - *result;
    return text + (rest == 0 ? "" : " +" + std::to_string(rest));
  }
  return "more";
}

/// The same however the bytes are cut; long ones are cut at 300 places.
std::string outcome(std::string_view bytes) {
  const std::string whole = outcome(bytes, {bytes.size()});
  if (bytes.size() < 4096) {
    EXPECT_EQ(outcome(bytes, std::vector<std::size_t>(bytes.size(), 1)), whole) << "byte by byte";
  }
  const std::size_t stride = bytes.size() / 300 + 1;
  for (std::size_t cut = 1; cut < bytes.size(); cut += stride) {
    EXPECT_EQ(outcome(bytes, {cut, bytes.size() - cut}), whole) << "cut at " << cut;
  }
  return whole;
}

// --- a ClientHello from its parts ----------------------------------------------------------------

std::string number(std::size_t size, std::size_t value) {
  std::string bytes;
  while (size-- > 0) bytes += static_cast<char>(value >> (8 * size));
  return bytes;
}
std::string vector(std::size_t size, std::string_view content) {
  return number(size, content.size()) + std::string(content);
}
std::string extension(std::size_t type, std::string_view data) {
  return number(2, type) + vector(2, data);
}
std::string sni(std::string_view name) { return extension(0, vector(2, "\0"s + vector(2, name))); }
std::string alpn(std::initializer_list<std::string_view> protocols) {
  std::string list;
  for (const std::string_view protocol : protocols) list += vector(1, protocol);
  return extension(16, vector(2, list));
}
const std::string kBegin = "\x03\x03" + std::string(32, 'r');
const std::string kUsual = kBegin + vector(1, "") + vector(2, "\x13\x01") + vector(1, "\0"s);

std::string message(std::string_view body) { return "\x01" + vector(3, body); }
std::string record(std::string_view fragment) { return "\x16\x03\x01" + vector(2, fragment); }
std::string hello(std::string_view extensions) {
  return record(message(kUsual + vector(2, extensions)));
}
/// The same message in records of so many bytes.
std::string in_records(std::string_view message, std::size_t size) {
  std::string bytes;
  for (; !message.empty(); message.remove_prefix(std::min(size, message.size()))) {
    bytes += record(message.substr(0, size));
  }
  return bytes;
}

constexpr std::string_view kNone = "client_hello_missing";

TEST(ClientHello, OfClientsOfOthers) {
  EXPECT_EQ(outcome(bytes_of(kHelloOpenssl13)), "a.example [h2,http/1.1]");
  EXPECT_EQ(outcome(bytes_of(kHelloOpenssl12)), "a.example []");
  EXPECT_EQ(outcome(bytes_of(kHelloUnnamed)), " []");
  EXPECT_EQ(outcome(bytes_of(kHelloCurl) + "early"), "b.example [h2,http/1.1] +5");
  EXPECT_EQ(outcome(bytes_of(kHelloChromium)), "c.example [h2,http/1.1]");
}

TEST(ClientHello, InManyRecords) {
  for (const std::string_view hex : {kHelloOpenssl13, kHelloChromium}) {
    const std::string bytes = bytes_of(hex);
    const std::string whole = outcome(bytes);
    const std::string_view all = std::string_view(bytes).substr(5);
    for (const std::size_t size : {1, 2, 3, 4, 5, 40, 300}) {
      EXPECT_EQ(outcome(in_records(all, size)), whole) << size;
    }
  }
}

TEST(ClientHello, NameAndProtocols) {
  EXPECT_EQ(outcome(hello(sni("A.Example"))), "a.example []");
  EXPECT_EQ(outcome(hello(alpn({"h2"}) + sni("x"))), "x [h2]");
  EXPECT_EQ(outcome(hello("")), " []");
  EXPECT_EQ(outcome(record(message(kUsual))), " []");
  EXPECT_EQ(outcome(hello(extension(0x0a0a, "") + extension(0xfefe, "abc") + sni("x"))), "x []");
  EXPECT_EQ(outcome(hello(sni(std::string(255, 'n')))), std::string(255, 'n') + " []");
  // A kind of name that does not exist yet, with a name of its own.
  EXPECT_EQ(
      outcome(hello(extension(0, vector(2, "\x07" + vector(2, "y") + "\0"s + vector(2, "x"))))),
      "x []");
}

TEST(ClientHello, WaitsForItsEnd) {
  EXPECT_EQ(outcome(""), "more");
  const std::string whole = hello(sni("x"));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    EXPECT_EQ(outcome(whole.substr(0, size)), "more") << size;
  }
}

TEST(ClientHello, IsNotAnotherProtocol) {
  for (const std::string_view bytes :
       {"GET / HTTP/1.1\r\n"sv, "\0\0\0\x08\x04\xd2\x16\x2f"sv, "SSH-2.0-x\r\n"sv, "\x80\x2e\x01"sv,
        "\x15\x03\x01\0\x02\x01\0"sv, "\x17\x03\x03\0\x01x"sv, "\x16\x02\0\0\x05"sv,
        "\x16\x03\x01\0\0"sv, "\x16\x03\x01\x40\x01"sv, "\x16\x03\x01\0\x04\x02\0\0\0"sv}) {
    EXPECT_EQ(outcome(bytes), kNone) << bytes;
  }
}

TEST(ClientHello, RefusesLengthsThatDoNotFit) {
  const std::string good = message(kUsual + vector(2, sni("x")));
  EXPECT_EQ(outcome(record(good + "y")), kNone);
  EXPECT_EQ(outcome(record(good) + record("")), "x [] +5");
  EXPECT_EQ(outcome(record(good.substr(0, 20)) + record("")), kNone);
  EXPECT_EQ(outcome(record(good.substr(0, 20)) + "\x15\x03\x01\0\x02\x02\x28"s), kNone);
  const std::string bodies[] = {
      kBegin,
      kBegin + vector(1, std::string(33, 's')) + vector(2, "\x13\x01") + vector(1, "\0"s),
      kBegin + vector(1, "") + vector(2, "") + vector(1, "\0"s),
      kBegin + vector(1, "") + vector(2, "\x13\x01\x13") + vector(1, "\0"s),
      kBegin + vector(1, "") + vector(2, "\x13\x01") + vector(1, ""),
      kUsual + "\0"s,
      kUsual + vector(2, sni("x")) + "y",
      kUsual + number(2, 5) + "abcd",
      kUsual + vector(2, sni("x") + "\0"s),
      kUsual + vector(2, sni("x") + number(2, 99) + number(2, 1)),
  };
  for (const std::string& body : bodies) EXPECT_EQ(outcome(record(message(body))), kNone) << body;
}

TEST(ClientHello, RefusesNamesWithTwoReadings) {
  const std::string one = "\0"s + vector(2, "x");
  const std::string extensions[] = {
      sni("x") + sni("x"),
      extension(0, vector(2, one + one)),
      extension(0, ""),
      extension(0, vector(2, "")),
      extension(0, vector(2, one) + "y"),
      extension(0, number(2, 9) + one),
      extension(0, vector(2, "\0"s)),
      extension(0, vector(2, "\0"s + number(2, 2) + "x")),
      sni(""),
      sni("a\0b"s),
      sni("a b"),
      sni("a\xff"),
      sni(std::string(256, 'n')),
  };
  for (const std::string& each : extensions) EXPECT_EQ(outcome(hello(each)), kNone) << each;
}

TEST(ClientHello, RefusesProtocolsThatAreNone) {
  const std::string extensions[] = {
      alpn({"h2"}) + alpn({"h2"}),
      alpn({}),
      alpn({""}),
      alpn({"h2", ""}),
      extension(16, ""),
      extension(16, vector(2, "\x03h2")),
      extension(16, vector(2, vector(1, "h2")) + "x"),
  };
  for (const std::string& each : extensions) EXPECT_EQ(outcome(hello(each)), kNone) << each;
}

TEST(ClientHello, IsBounded) {
  const auto padded = [](std::size_t size) {
    return message(kUsual + vector(2, sni("x") + extension(21, std::string(size, '\0'))));
  };
  const std::size_t fixed = padded(0).size() + 5;
  EXPECT_EQ(outcome(record(padded(kClientHelloMax - fixed))), "x []");
  EXPECT_EQ(outcome(record(padded(kClientHelloMax - fixed + 1))), kNone);
  // The heads of records count as well, and behind it may come whatever there is.
  const std::string many = in_records(padded(kClientHelloMax - fixed - 5), 16'000);
  EXPECT_EQ(outcome(many + std::string(50'000, 'x')), "x [] +50000");
  EXPECT_EQ(outcome(in_records(padded(kClientHelloMax - fixed - 4), 16'000)), kNone);
  EXPECT_EQ(outcome(in_records(padded(9000), 1)), kNone);
  // A length that is too large is not waited for.
  EXPECT_EQ(outcome("\x16\x03\x01\x40\x00\x01\xff\xff\xff"s), kNone);
}

TEST(ClientHello, OffersWholeProtocols) {
  ClientHello hello;
  hello.protocols = "\x02h2\x08http/1.1";
  EXPECT_TRUE(hello.offers("h2"));
  EXPECT_TRUE(hello.offers("http/1.1"));
  EXPECT_FALSE(hello.offers("http/1"));
  EXPECT_FALSE(hello.offers("2"));
  EXPECT_FALSE(hello.offers(""));
  EXPECT_FALSE(ClientHello().offers(""));
}

}  // namespace
}  // namespace weir::tls
