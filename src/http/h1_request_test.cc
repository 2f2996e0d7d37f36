// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "http/h1_parse.h"
#include "http/head_for_test.h"
#include "http/pieces_for_test.h"

namespace weir::http {
namespace {

using namespace std::literals;

struct Case {
  std::string_view bytes;
  std::string_view outcome;  // text_of(head), a cause, or "more"
};

std::string outcome(std::string_view bytes, const HeadLimits& limits = {}) {
  return outcome_of_all_cuts(bytes, [&](std::string_view all, const auto& sizes) {
    RequestHead head;
    return feed_head(
        all, sizes,
        [&](Bytes some, std::size_t& scanned) {
          return parse_request_head(some, limits, scanned, head);
        },
        [&] { return text_of(head); });
  });
}

void check(std::span<const Case> cases) {
  for (const Case& each : cases) EXPECT_EQ(outcome(each.bytes), each.outcome) << each.bytes;
}

/// Cases of field lines in an otherwise good HTTP/1.1 request.
void check_fields(std::span<const Case> cases) {
  for (const Case& each : cases) {
    const std::string bytes =
        "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(each.bytes) + "\r\n\r\n";
    std::string expected(each.outcome);
    if (expected.starts_with("body=")) expected = "POST / @a 1.1 " + expected;
    EXPECT_EQ(outcome(bytes), expected) << each.bytes;
  }
}

TEST(RequestLine, IsExact) {
  check(std::to_array<Case>({
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a 1.1 body=none"},
      {"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET", "GET / @a 1.1 body=none +3"},
      {"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"", "more"},
      {"\r", "more"},
      {"G", "more"},
      {"GET / HTTP/1.1\r\n", "more"},
      {"GET / HTTP/1.1\r\nHost: a\r\n", "more"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\r", "more"},
      {" GET / HTTP/1.1\r\n", "bad_request_line"},
      {"GET  / HTTP/1.1\r\n", "bad_request_line"},
      {"GET /  HTTP/1.1\r\n", "bad_request_line"},
      {"GET\t/ HTTP/1.1\r\n", "bad_request_line"},
      {"GET /\tHTTP/1.1\r\n", "bad_request_line"},
      {"GET / HTTP/1.1 \r\n", "bad_request_line"},
      {"GET / HTTP/1.1\n", "bad_request_line"},
      {"GET / HTTP/1.1\r\r\n", "bad_request_line"},
      {"GET /\r\n", "bad_request_line"},
      {"GET\r\n", "bad_request_line"},
      {"GET / \r\n", "bad_request_line"},
      {"GET / HTTP/1.1\0\r\n"sv, "bad_request_line"},
      {"GET /\0 HTTP/1.1\r\n"sv, "bad_request_line"},
      {"GET /\x7f HTTP/1.1\r\n", "bad_request_line"},
      {"GE(T / HTTP/1.1\r\n", "bad_request_line"},
      {"G\xc3\x89T / HTTP/1.1\r\n", "bad_request_line"},
      {"\x16\x03\x01\x02\x00\x01"sv, "bad_request_line"},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZ-34567", "more"},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZ-345678", "unsupported_method"},
      {"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "M-SEARCH / @a 1.1 body=none"},
      {"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / @a 1.1 body=none"},
  }));
}

TEST(RequestLine, Versions) {
  check(std::to_array<Case>({
      {"GET / HTTP/1.0\r\n\r\n", "GET / @ 1.0 body=none close"},
      {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", "GET / @a 1.0 body=none"},
      {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET / @ 1.0 body=none close"},
      {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET / @a 1.1 body=none"},
      {"GET / HTTP/1.9\r\n\r\n", "bad_host"},
      {"GET / HTTP/0.9\r\n", "unsupported_version"},
      {"GET / HTTP/2.0\r\n", "unsupported_version"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "unsupported_version"},
      {"GET / HTTP/2\r\n", "bad_request_line"},
      {"GET / HTTP/1\r\n", "bad_request_line"},
      {"GET / HTTP/1.\r\n", "bad_request_line"},
      {"GET / HTTP/1.10\r\n", "bad_request_line"},
      {"GET / HTTP/11.1\r\n", "bad_request_line"},
      {"GET / http/1.1\r\n", "bad_request_line"},
      {"GET / HTTP1.1\r\n", "bad_request_line"},
      {"GET / HTTP /1.1\r\n", "bad_request_line"},
      {"GET / HTTPS/1.1\r\n", "bad_request_line"},
      {"GET / HTTP/1,1\r\n", "bad_request_line"},
      {"GET / HTTP/-1.1\r\n", "bad_request_line"},
      {"GET /a b HTTP/1.1\r\n", "bad_request_line"},
  }));
}

TEST(RequestTarget, Forms) {
  check(std::to_array<Case>({
      {"GET /a?b=c&d HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a?b=c&d @h 1.1 body=none"},
      {"GET /a? HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a? @h 1.1 body=none"},
      {"GET /a?b?c HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a?b?c @h 1.1 body=none"},
      {"GET //a/../b HTTP/1.1\r\nHost: h\r\n\r\n", "GET //a/../b @h 1.1 body=none"},
      {"GET /|\"{}^[]`\\<> HTTP/1.1\r\nHost: h\r\n\r\n", "GET /|\"{}^[]`\\<> @h 1.1 body=none"},
      {"GET /100%/%zz HTTP/1.1\r\nHost: h\r\n\r\n", "GET /100%/%zz @h 1.1 body=none"},
      {"GET /a?x=%00 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a?x=%00 @h 1.1 body=none"},
      {"GET /a%00.php HTTP/1.1\r\nHost: h\r\n\r\n", "bad_target"},
      {"GET /a#b HTTP/1.1\r\n", "bad_target"},
      {"GET /\xc3\xa9 HTTP/1.1\r\n", "bad_target"},
      {"GET a HTTP/1.1\r\n", "bad_target"},
      {"GET ?a HTTP/1.1\r\n", "bad_target"},
      {"GET * HTTP/1.1\r\n", "bad_target"},
      {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * @h 1.1 body=none"},
      {"OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * @h 1.1 body=none scheme=http"},
      {"GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET /x?y @b:81 1.1 body=none scheme=http"},
      {"GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @b 1.1 body=none scheme=HTTPS"},
      {"GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q @b 1.1 body=none scheme=http"},
      {"GET http://[::1]:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET / @[::1]:80 1.1 body=none scheme=http"},
      {"GET http://b/ HTTP/1.1\r\n\r\n", "bad_host"},
      {"GET http://b/ HTTP/1.0\r\n\r\n", "GET / @b 1.0 body=none close scheme=http"},
      {"GET http://u@b/ HTTP/1.1\r\n", "bad_target"},
      {"GET http://u:p@b/ HTTP/1.1\r\n", "bad_target"},
      {"GET http:/// HTTP/1.1\r\n", "bad_target"},
      {"GET http:///x HTTP/1.1\r\n", "bad_target"},
      {"GET http:/x HTTP/1.1\r\n", "bad_target"},
      {"GET ftp://b/ HTTP/1.1\r\n", "bad_target"},
      {"GET javascript:x HTTP/1.1\r\n", "bad_target"},
      {"GET a:443 HTTP/1.1\r\n", "bad_target"},
      {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "unsupported_method"},
      {"CONNECT / HTTP/1.1\r\n", "unsupported_method"},
  }));
}

TEST(RequestHost, IsOneAndValid) {
  const auto request = [](std::string_view fields) {
    return outcome("GET / HTTP/1.1\r\n" + std::string(fields) + "\r\n\r\n");
  };
  for (const std::string_view good :
       {"a", "a.example", "A.example:80", "a_b", "1.2.3.4", "1.2.3.4:65535", "[::1]", "[::1]:8080",
        "[2001:db8::1]", "[1:2:3:4:5:6:7:8]", "[::ffff:1.2.3.4]", "xn--bcher-kva", "a:", "a%20b",
        "a."}) {
    EXPECT_EQ(request("Host: " + std::string(good)),
              "GET / @" + std::string(good) + " 1.1 body=none");
  }
  for (const std::string_view bad : {"",          "a,b",           "a b",
                                     "a, a",      "u@a",           "a:b",
                                     "a:80:80",   "a:65536",       "a:080000",
                                     "a:-1",      "a/b",           "a?",
                                     "a#",        "[::1",          "::1",
                                     "[1:2]",     "[:::]",         "[::1]a",
                                     "[1::2::3]", "[g::]",         "[fe80::1%25eth0]",
                                     "[v1.x]",    "[::1.2.3.256]", "[12345::]",
                                     ":80",       "a\\b",          "a\"b",
                                     "<a>",       "a%2",           "a%zz",
                                     "\xc3\xa9",  "http://a",      "a\tb",
                                     "[]"}) {
    EXPECT_EQ(request("Host: " + std::string(bad)), "bad_host") << bad;
  }
  EXPECT_EQ(request("Host: a\r\nHost: a"), "bad_host");
  EXPECT_EQ(request("Host: a\r\nhost: b"), "bad_host");
  EXPECT_EQ(request("X: y"), "bad_host");
  EXPECT_EQ(request("Host : a"), "bad_header");
  EXPECT_EQ(outcome("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), "bad_host");
  EXPECT_EQ(outcome("GET / HTTP/1.0\r\nHost:\r\n\r\n"), "bad_host");
}

TEST(RequestFields, LinesAreStrict) {
  check_fields(std::to_array<Case>({
      {"A: b", "body=none"},
      {"A:b", "body=none"},
      {"A: \t b \t", "body=none"},
      {"A:", "body=none"},
      {"A: \x80\xff", "body=none"},
      {"A_b.c: d", "body=none"},
      {"!#$%&'*+-.^_`|~9: d", "body=none"},
      {"A : b", "bad_header"},
      {"A\t: b", "bad_header"},
      {" A: b", "bad_header"},
      {"\tA: b", "bad_header"},
      {": b", "bad_header"},
      {"A", "bad_header"},
      {"A b: c", "bad_header"},
      {"A: b\r\n c", "bad_header"},
      {"A: b\r\n\tc: d", "bad_header"},
      {"A: b\r\n :", "bad_header"},
      {"A: b\nC: d", "bad_header"},
      {"A: b\rC: d", "bad_header"},
      {"A: b\r\rC: d", "bad_header"},
      {"A: \0b"sv, "bad_header"},
      {"A\0: b"sv, "bad_header"},
      {"A: \x01", "bad_header"},
      {"A: \x0b", "bad_header"},
      {"A: \x7f", "bad_header"},
      {"A: \x1b[2J", "bad_header"},
      {"A(: b", "bad_header"},
      {"A/b: c", "bad_header"},
      {"A\"b\": c", "bad_header"},
      {"\xc3\xa9: c", "bad_header"},
      {"A: b\r\n\n", "bad_header"},
      {"A: 0123456789abcdef0123456789abcde\x01", "bad_header"},
      {"A: 0123456789abcdef\t0123456789abcdef\tx", "body=none"},
  }));
}

TEST(RequestFields, ContentLength) {
  check_fields(std::to_array<Case>({
      {"Content-Length: 0", "body=0"},
      {"content-length: 5", "body=5"},
      {"Content-Length: 18446744073709551615", "body=18446744073709551615"},
      {"Content-Length: 18446744073709551616", "bad_content_length"},
      {"Content-Length: 99999999999999999999999", "bad_content_length"},
      {"Content-Length: 5\r\nContent-Length: 5", "body=5"},
      {"Content-Length: 5, 5", "body=5"},
      {"Content-Length: 5,5\r\nContent-Length: 5", "body=5"},
      {"Content-Length: 5\r\nContent-Length: 6", "bad_content_length"},
      {"Content-Length: 5, 6", "bad_content_length"},
      {"Content-Length: 5, 05", "bad_content_length"},
      {"Content-Length: 5,", "bad_content_length"},
      {"Content-Length: ,5", "bad_content_length"},
      {"Content-Length: 5 5", "bad_content_length"},
      {"Content-Length:", "bad_content_length"},
      {"Content-Length: +5", "bad_content_length"},
      {"Content-Length: -5", "bad_content_length"},
      {"Content-Length: 0x5", "bad_content_length"},
      {"Content-Length: 5;", "bad_content_length"},
      {"Content-Length: 5.0", "bad_content_length"},
      {"Content-Length: 5e1", "bad_content_length"},
      {"Content-Length: abc", "bad_content_length"},
      {"Content-Length: \"5\"", "bad_content_length"},
      {"Content-Length: 5\r\nContent-Length:", "bad_content_length"},
      {"Content-Length : 5", "bad_header"},
      {"Content-Length\0: 5"sv, "bad_header"},
      {"Content-Length: 5\r\n 6", "bad_header"},
      {"Content_Length: 5", "body=none"},
  }));
}

// The published tricks of request smuggling: CL.TE, TE.CL and TE.TE with a disguised coding.
TEST(RequestFields, TransferEncoding) {
  check_fields(std::to_array<Case>({
      {"Transfer-Encoding: chunked", "body=chunked"},
      {"transfer-encoding: CHUNKED", "body=chunked"},
      {"Transfer-Encoding:\tchunked\t", "body=chunked"},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked", "bad_content_length"},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5", "bad_content_length"},
      {"Transfer-Encoding: chunked\r\nContent-Length: 0", "bad_content_length"},
      {"Transfer-Encoding: identity\r\nContent-Length: 5", "bad_content_length"},
      {"Transfer-Encoding: xchunked\r\nContent-Length: 5", "bad_content_length"},
      {"Transfer-Encoding: xchunked", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunkedx", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunk", "bad_transfer_encoding"},
      {"Transfer-Encoding: cow", "bad_transfer_encoding"},
      {"Transfer-Encoding: \"chunked\"", "bad_transfer_encoding"},
      {"Transfer-Encoding: 'chunked'", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunked;q=1", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunked chunked", "bad_transfer_encoding"},
      {"Transfer-Encoding: x chunked", "bad_transfer_encoding"},
      {"Transfer-Encoding: identity", "bad_transfer_encoding"},
      {"Transfer-Encoding: gzip", "bad_transfer_encoding"},
      {"Transfer-Encoding:", "bad_transfer_encoding"},
      {"Transfer-Encoding: ,", "bad_transfer_encoding"},
      {"Transfer-Encoding: ,chunked", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunked,", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunked, chunked", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunked, identity", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunked, gzip", "bad_transfer_encoding"},
      {"Transfer-Encoding: gzip, chunked", "unsupported_coding"},
      {"Transfer-encoding: identity, chunked", "unsupported_coding"},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "bad_transfer_encoding"},
      {"Transfer-Encoding: chunked\r\nTransfer-encoding: cow", "bad_transfer_encoding"},
      {"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "bad_transfer_encoding"},
      {"Transfer-Encoding:\r\nTransfer-Encoding: chunked", "bad_transfer_encoding"},
      {"Transfer-Encoding: chun\xc5\xbf"
       "ed",
       "bad_transfer_encoding"},
      {"Transfer-Encoding: chunked\x80", "bad_transfer_encoding"},
      {"Transfer-Encoding : chunked", "bad_header"},
      {"Transfer-Encoding\t: chunked", "bad_header"},
      {" Transfer-Encoding: chunked", "bad_header"},
      {"\tTransfer-Encoding: chunked", "bad_header"},
      {"Transfer-Encoding: chunked\x0b", "bad_header"},
      {"Transfer-Encoding: \x0b"
       "chunked",
       "bad_header"},
      {"Transfer-Encoding:\n chunked", "bad_header"},
      {"Transfer-Encoding\r\n : chunked", "bad_header"},
      {"Transfer-Encoding:\r\n chunked", "bad_header"},
      {"X: y\nTransfer-Encoding: chunked", "bad_header"},
      {"X: y\rTransfer-Encoding: chunked", "bad_header"},
      {"Transfer-Encoding: chunked\0"sv, "bad_header"},
      {"Transfer_Encoding: chunked", "body=none"},
  }));
  EXPECT_EQ(outcome("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "bad_transfer_encoding");
}

TEST(RequestFields, ExpectAndTe) {
  check_fields(std::to_array<Case>({
      {"Content-Length: 5\r\nExpect: 100-continue", "body=5 expect"},
      {"Content-Length: 5\r\nexpect: 100-Continue", "body=5 expect"},
      {"Content-Length: 0\r\nExpect: 100-continue", "body=0"},
      {"Expect: 100-continue", "body=none"},
      {"Expect: 200-ok", "expectation_failed"},
      {"Expect:", "expectation_failed"},
      {"Expect: 100-continue\r\nExpect: x", "expectation_failed"},
      {"TE: trailers", "body=none trailers"},
      {"TE: gzip;q=0.5, Trailers", "body=none trailers"},
      {"TE: gzip", "body=none"},
      {"TE: trailersx", "body=none"},
  }));
  EXPECT_EQ(outcome("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: x\r\n\r\n"),
            "POST / @ 1.0 body=1 close");
}

TEST(RequestFields, Connection) {
  check_fields(std::to_array<Case>({
      {"Connection: close", "body=none close"},
      {"Connection: Close", "body=none close"},
      {"Connection: keep-alive , close", "body=none close"},
      {"Connection: x\r\nConnection: close", "body=none close"},
      {"Connection: closed", "body=none"},
      {"Connection: keep-alive", "body=none"},
      {"Connection: Upgrade\r\nUpgrade: websocket", "body=none upgrade=websocket"},
      {"Connection: keep-alive, upgrade\r\nUpgrade: foo/2, bar", "body=none upgrade=foo/2, bar"},
      {"Upgrade: websocket", "body=none"},
      {"Connection: Upgrade", "body=none"},
      {"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x", "body=none"},
      {"Connection: Upgrade\r\nUpgrade: a, H2C", "body=none"},
      {"Connection: Upgrade\r\nUpgrade: h2c/1", "body=none"},
      {"Connection: Upgrade\r\nUpgrade: HTTP/2.0", "body=none"},
      {"Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1", "body=none"},
      {"Connection: Upgrade\r\nUpgrade: h2cx", "body=none upgrade=h2cx"},
      {"Connection: Upgrade\r\nUpgrade: a\r\nUpgrade: b", "body=none"},
  }));
  EXPECT_EQ(outcome("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
            "GET / @ 1.0 body=none close");
}

TEST(RequestLimits, AreExact) {
  const HeadLimits limits{.head_size = 64, .head_fields = 3, .target_size = 9};
  const std::string line = "GET /23456789 HTTP/1.1\r\n";
  EXPECT_EQ(outcome(line + "Host: a\r\n\r\n", limits), "GET /23456789 @a 1.1 body=none");
  EXPECT_EQ(outcome("GET /23456789a HTTP/1.1\r\n", limits), "target_too_long");
  EXPECT_EQ(outcome("GET /23456789a", limits), "target_too_long");
  EXPECT_EQ(outcome(line + "Host: a\r\nB:\r\nC:\r\n\r\n", limits),
            "GET /23456789 @a 1.1 body=none");
  EXPECT_EQ(outcome(line + "Host: a\r\nB:\r\nC:\r\nD:\r\n\r\n", limits), "head_too_large");
  const std::string fill(64 - line.size() - 16, 'x');
  EXPECT_EQ(outcome(line + "Host: a\r\nB: " + fill + "\r\n\r\n", limits),
            "GET /23456789 @a 1.1 body=none");
  EXPECT_EQ(outcome(line + "Host: a\r\nB: " + fill + "x\r\n\r\n", limits), "head_too_large");
  EXPECT_EQ(outcome(line + "Host: a\r\nB: " + fill + "xxxxxxxxx", limits), "head_too_large");
  EXPECT_EQ(outcome(line + "A : b\r\n", limits), "bad_header");
}

TEST(RequestLimits, DefaultsHoldForLongInput) {
  EXPECT_EQ(outcome("GET /" + std::string(17000, 'a') + " HTTP/1.1\r\n"), "target_too_long");
  EXPECT_EQ(outcome("GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(33000, 'a')),
            "head_too_large");
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 1; i < 100; ++i) many += "A: b\r\n";
  EXPECT_EQ(outcome(many + "\r\n"), "GET / @a 1.1 body=none");
  EXPECT_EQ(outcome(many + "A: b\r\n\r\n"), "head_too_large");
}

TEST(RequestHeadFields, AreViewsInOrderAndFoundById) {
  const std::string bytes =
      "GET / HTTP/1.1\r\nhOsT:  a \r\nX-One: 1\r\nCookie: c\r\nx-one: 2\r\n\r\n";
  RequestHead head;
  std::size_t scanned = 0;
  ASSERT_EQ(parse_request_head(bytes, {}, scanned, head).value_or(0), bytes.size());
  EXPECT_EQ(text_of(head.fields), "[hOsT=a][X-One=1][Cookie=c][x-one=2]");
  EXPECT_EQ(head.fields.find(FieldId::cookie)->value, "c");
  EXPECT_EQ(head.fields.find("X-ONE")->value, "1");
  EXPECT_EQ(head.fields.find("cookie")->value, "c");
  EXPECT_EQ(head.fields.find("none"), nullptr);
  EXPECT_EQ(head.fields.find(FieldId::via), nullptr);
}

TEST(UpgradeAgreed, WhenAllThatIsChosenWasOffered) {
  EXPECT_TRUE(upgrade_agreed("websocket", "WebSocket"));
  EXPECT_TRUE(upgrade_agreed("a/1, b", "b"));
  EXPECT_TRUE(upgrade_agreed("a/1, b", "b, A/1"));
  EXPECT_FALSE(upgrade_agreed("websocket", ""));
  EXPECT_FALSE(upgrade_agreed("", "websocket"));
  EXPECT_FALSE(upgrade_agreed("a/1", "a/2"));
  EXPECT_FALSE(upgrade_agreed("a", "a, b"));
}

TEST(ConnectionLists, ComparesWholeElementsWithoutCase) {
  FieldList fields;
  fields.push_back({"Connection", "a, X-Hop ,b", FieldId::connection});
  fields.push_back({"Connection", "c", FieldId::connection});
  fields.push_back({"Other", "d", FieldId::other});
  EXPECT_TRUE(connection_lists(fields, "x-hop"));
  EXPECT_TRUE(connection_lists(fields, "C"));
  EXPECT_FALSE(connection_lists(fields, "x"));
  EXPECT_FALSE(connection_lists(fields, "d"));
}

}  // namespace
}  // namespace weir::http
