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
  Method method = Method::get;
};

std::string outcome(std::string_view bytes, Method method, const HeadLimits& limits = {}) {
  return outcome_of_all_cuts(bytes, [&](std::string_view all, const auto& sizes) {
    ResponseHead head;
    return feed_head(
        all, sizes,
        [&](Bytes some, std::size_t& scanned) {
          return parse_response_head(some, limits, method, scanned, head);
        },
        [&] { return text_of(head); });
  });
}

void check(std::span<const Case> cases) {
  for (const Case& each : cases) {
    EXPECT_EQ(outcome(each.bytes, each.method), each.outcome) << each.bytes;
  }
}

TEST(StatusLine, IsExactButForTheReason) {
  constexpr auto bad = "upstream_bad_response"sv;
  check(std::to_array<Case>({
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "200 OK 1.1 body=1 +1"},
      {"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n", "200  1.1 body=1"},
      {"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n", "200  1.1 body=1"},
      {"HTTP/1.1 200  two \xff\t\r\n\r\n", "200  two \xff\t 1.1 body=until_close close"},
      {"HTTP/1.7 200 OK\r\nContent-Length: 1\r\n\r\n", "200 OK 1.1 body=1"},
      {"HTTP/1.1 599 x\r\nContent-Length: 1\r\n\r\n", "599 x 1.1 body=1"},
      {"", "more"},
      {"HTTP/1.1 200", "more"},
      {"HTTP/1.1 200 OK\r\nA: b\r\n", "more"},
      {"HTTP/1.1 099 x\r\n", bad},
      {"HTTP/1.1 000 x\r\n", bad},
      {"HTTP/1.1 600 x\r\n", bad},
      {"HTTP/1.1 20 x\r\n", bad},
      {"HTTP/1.1 2000 x\r\n", bad},
      {"HTTP/1.1 2x0 x\r\n", bad},
      {"HTTP/1.1  200 OK\r\n", bad},
      {"HTTP/1.1\t200 OK\r\n", bad},
      {"HTTP/2.0 200 OK\r\n", bad},
      {"HTTP/0.9 200 OK\r\n", bad},
      {"HTTP/1 200 OK\r\n", bad},
      {"http/1.1 200 OK\r\n", bad},
      {"ICY 200 OK\r\n", bad},
      {"<html>", bad},
      {"\r\nHTTP/1.1 200 OK\r\n", bad},
      {"HTTP/1.1 200 OK\n\n", bad},
      {"HTTP/1.1 200 O\rK\r\n", bad},
      {"HTTP/1.1 200 \0\r\n"sv, bad},
      {"HTTP/1.1 200\tOK\r\n", bad},
      {"HTTP/1.1 200 \x1b[2J\r\n", bad},
  }));
}

TEST(ResponseFields, AreAsStrictAsInRequests) {
  for (const std::string_view line :
       {"A : b"sv, " A: b"sv, "A: b\r\n c"sv, ": b"sv, "A"sv, "A: b\nC: d"sv, "A: b\rC"sv,
        "A: \0"sv, "A: \x7f"sv, "A b: c"sv, "Content-Length: 1\r\nContent-Length: 2"sv,
        "Content-Length: x"sv, "Content-Length: 1\r\nTransfer-Encoding: chunked"sv,
        "Transfer-Encoding: gzip"sv, "Transfer-Encoding: gzip, chunked"sv,
        "Transfer-Encoding: chunked, chunked"sv, "Transfer-Encoding: identity"sv,
        "Transfer-Encoding: \x0b"
        "chunked"sv}) {
    const std::string bytes = "HTTP/1.1 200 OK\r\n" + std::string(line) + "\r\n\r\n";
    EXPECT_EQ(outcome(bytes, Method::get), "upstream_bad_response") << line;
  }
  EXPECT_EQ(outcome("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::get),
            "upstream_bad_response");
}

TEST(ResponseBody, DependsOnStatusAndMethod) {
  check(std::to_array<Case>({
      {"HTTP/1.1 200 OK\r\n\r\n", "200 OK 1.1 body=until_close close"},
      {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", "200 OK 1.1 body=until_close close"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK 1.1 body=chunked"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 body=0"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 7, 7\r\n\r\n", "200 OK 1.1 body=7"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "200 OK 1.1 body=none", Method::head},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK 1.1 body=none",
       Method::head},
      {"HTTP/1.1 200 OK\r\n\r\n", "200 OK 1.1 body=none", Method::head},
      {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "200 OK 1.1 body=none", Method::connect},
      {"HTTP/1.1 407 x\r\nContent-Length: 7\r\n\r\n", "407 x 1.1 body=7", Method::connect},
      {"HTTP/1.1 204 x\r\n\r\n", "204 x 1.1 body=none"},
      {"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", "204 x 1.1 body=none"},
      {"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", "204 x 1.1 body=none close"},
      {"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", "204 x 1.1 body=none close"},
      {"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", "304 x 1.1 body=none"},
      {"HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", "205 x 1.1 body=0"},
      {"HTTP/1.1 100 Continue\r\n\r\n", "100 Continue 1.1 body=none"},
      {"HTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP", "103 x 1.1 body=none +4"},
      {"HTTP/1.1 100 x\r\nContent-Length: 0\r\n\r\n", "100 x 1.1 body=none"},
      {"HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n", "upstream_bad_response"},
      {"HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n", "upstream_bad_response"},
      {"HTTP/1.1 101 x\r\nContent-Length: 5\r\n\r\n", "upstream_bad_response"},
  }));
}

TEST(ResponseConnection, PersistsByVersionAndField) {
  check(std::to_array<Case>({
      {"HTTP/1.1 200 x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
       "200 x 1.1 body=1 close"},
      {"HTTP/1.0 200 x\r\nContent-Length: 1\r\n\r\n", "200 x 1.0 body=1 close"},
      {"HTTP/1.0 200 x\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", "200 x 1.0 body=1"},
      {"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
       "101 x 1.1 body=none upgrade=websocket"},
      {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", "101 x 1.1 body=none"},
      {"HTTP/1.1 200 x\r\nContent-Length: 1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
       "200 x 1.1 body=1"},
      {"HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", "upstream_bad_response"},
  }));
}

TEST(ResponseLimits, AreExact) {
  const HeadLimits limits{.head_size = 40, .head_fields = 2};
  EXPECT_EQ(outcome("HTTP/1.1 204 x\r\nA: b\r\nC: d\r\n\r\n", Method::get, limits),
            "204 x 1.1 body=none");
  EXPECT_EQ(outcome("HTTP/1.1 204 x\r\nA: b\r\nC: d\r\nE:\r\n\r\n", Method::get, limits),
            "upstream_head_too_large");
  EXPECT_EQ(outcome("HTTP/1.1 204 x\r\nA: 0123456789abcdefg\r\n\r\n", Method::get, limits),
            "204 x 1.1 body=none");
  EXPECT_EQ(outcome("HTTP/1.1 204 x\r\nA: 0123456789abcdefgh\r\n\r\n", Method::get, limits),
            "upstream_head_too_large");
  EXPECT_EQ(outcome("HTTP/1.1 204 x\r\nA: 0123456789abcde"
                    "fgh",
                    Method::get, limits),
            "more");
  EXPECT_EQ(outcome("HTTP/1.1 204 " + std::string(40, 'x'), Method::get, limits),
            "upstream_head_too_large");
}

}  // namespace
}  // namespace weir::http
