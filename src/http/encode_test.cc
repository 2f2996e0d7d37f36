// SPDX-License-Identifier: Apache-2.0
#include "http/encode.h"

#include <gtest/gtest.h>

#include "http/h1_parse.h"
#include "http/head_for_test.h"

namespace weir::http {
namespace {

using Kind = HeadEdit::Kind;

RequestHead request(std::string_view bytes) {
  RequestHead head;
  std::size_t scanned = 0;
  EXPECT_EQ(parse_request_head(bytes, {}, scanned, head).value_or(0), bytes.size()) << bytes;
  return head;
}

ResponseHead response(std::string_view bytes, Method method = Method::get) {
  ResponseHead head;
  std::size_t scanned = 0;
  EXPECT_EQ(parse_response_head(bytes, {}, method, scanned, head).value_or(0), bytes.size())
      << bytes;
  return head;
}

HeadEdit edit(Kind kind, std::string_view name, std::string_view value = {}) {
  return {kind, name, value, field_id(name)};
}

std::string passed_on(std::string_view bytes, const std::vector<HeadEdit>& edits = {}) {
  const RequestHead head = request(bytes);
  std::string out;
  encode_request(out, head, head.target, edits, {.body = head.body, .upgrade = head.upgrade});
  return out;
}

TEST(EncodeRequest, ParseEncodeParseIsTheSame) {
  for (const std::string_view bytes : {
           "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
           "POST /a?b HTTP/1.1\r\nHost: a\r\nCookie: c\r\nCookie: d\r\nContent-Length: 5\r\n\r\n",
           "POST /a?b HTTP/1.1\r\nHost: a\r\nX: \r\nTransfer-Encoding: chunked\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n",
           "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n",
       }) {
    EXPECT_EQ(passed_on(bytes), bytes);
  }
}

TEST(EncodeRequest, LinesThatPassStayAsTheyStoodWhateverIsBetweenThem) {
  const std::vector<HeadEdit> edits = {edit(Kind::remove, "drop"), edit(Kind::set, "set", "new"),
                                       edit(Kind::set, "odd", "\ta\x01\nb"),
                                       edit(Kind::set, "a-name-of-some-length", "01234567\x7f")};
  EXPECT_EQ(
      passed_on("GET / HTTP/1.1\r\na: 1\r\nB: 2\r\ndrop: x\r\nc:3\r\nd: \t4\r\ne: 5 \r\n"
                "f:\t6\r\ng: \r\nh:\r\nDrop: y\r\ni: 7\r\nHost: a\r\nset: old\r\nj: 8\r\n\r\n",
                edits),
      "GET / HTTP/1.1\r\na: 1\r\nB: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\nf: 6\r\ng: \r\nh: \r\ni: 7\r\n"
      "Host: a\r\nj: 8\r\nset: new\r\nodd: \ta  b\r\na-name-of-some-length: 01234567 \r\n\r\n");
  EXPECT_EQ(passed_on("GET http://target/ HTTP/1.1\r\na: 1\r\nHost: field\r\nb: 2\r\n\r\n"),
            "GET http://target/ HTTP/1.1\r\na: 1\r\nHost: target\r\nb: 2\r\n\r\n");
}

TEST(EncodeRequest, LeavesOutWhatBelongsToOneConnection) {
  EXPECT_EQ(passed_on("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop, host\r\nx-hop: 1\r\n"
                      "X-Hop2: 2\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\n"
                      "Trailer: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
                      "Proxy-Authorization: x\r\nLast: z\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: a\r\nX-Hop2: 2\r\nLast: z\r\n\r\n");
  EXPECT_EQ(passed_on("POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\n"
                      "Content-Length: 2, 2\r\n\r\n"),
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
}

TEST(EncodeRequest, HostIsTheTargetsAuthority) {
  const RequestHead absolute = request("GET http://b/x HTTP/1.1\r\nA: 1\r\nHost: a\r\n\r\n");
  std::string out;
  encode_request(out, absolute, absolute.path, {}, {});
  EXPECT_EQ(out, "GET /x HTTP/1.1\r\nA: 1\r\nHost: b\r\n\r\n");
  EXPECT_EQ(passed_on("GET / HTTP/1.0\r\nA: 1\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: \r\nA: 1\r\n\r\n");
  EXPECT_EQ(passed_on("GET / HTTP/1.0\r\n\r\n", {edit(Kind::set, "Host", "b")}),
            "GET / HTTP/1.1\r\nHost: b\r\n\r\n");
  EXPECT_EQ(passed_on("GET / HTTP/1.1\r\nHost: a\r\n\r\n", {edit(Kind::add, "host", "b")}),
            "GET / HTTP/1.1\r\nhost: b\r\n\r\n");
  EXPECT_EQ(passed_on("GET / HTTP/1.1\r\nHost: a\r\n\r\n", {edit(Kind::remove, "Host")}),
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

struct EditCase {
  std::vector<HeadEdit> edits;
  std::string_view fields;  // of the result, after Host
};

TEST(EncodeRequest, AppliesEditsInOrder) {
  const std::vector<EditCase> cases = {
      {{}, "A: 1\r\nB: 2\r\na: 3\r\nVia: x\r\n"},
      {{edit(Kind::set, "a", "9")}, "B: 2\r\nVia: x\r\na: 9\r\n"},
      {{edit(Kind::add, "a", "9")}, "A: 1\r\nB: 2\r\na: 3\r\nVia: x\r\na: 9\r\n"},
      {{edit(Kind::remove, "A")}, "B: 2\r\nVia: x\r\n"},
      {{edit(Kind::remove, "via")}, "A: 1\r\nB: 2\r\na: 3\r\n"},
      {{edit(Kind::remove, "none")}, "A: 1\r\nB: 2\r\na: 3\r\nVia: x\r\n"},
      {{edit(Kind::set, "B", "8"), edit(Kind::add, "B", "9")},
       "A: 1\r\na: 3\r\nVia: x\r\nB: 8\r\nB: 9\r\n"},
      {{edit(Kind::set, "B", "8"), edit(Kind::set, "B", "9")},
       "A: 1\r\na: 3\r\nVia: x\r\nB: 9\r\n"},
      {{edit(Kind::add, "B", "8"), edit(Kind::remove, "B")}, "A: 1\r\na: 3\r\nVia: x\r\n"},
      {{edit(Kind::set, "B", "x\r\nEvil: 1"), edit(Kind::remove, "A")},
       "Via: x\r\nB: x  Evil: 1\r\n"},
      {{edit(Kind::set, "B", std::string_view("a\0b\x7f", 4))},
       "A: 1\r\na: 3\r\nVia: x\r\nB: a b \r\n"},
      {{edit(Kind::add, "C: x\r\nD", "1"), edit(Kind::add, "", "2")},
       "A: 1\r\nB: 2\r\na: 3\r\nVia: x\r\n"},
      {{edit(Kind::set, "Content-Length", "7"), edit(Kind::set, "Connection", "x"),
        edit(Kind::add, "Transfer-Encoding", "x"), edit(Kind::add, "Expect", "x"),
        edit(Kind::set, "Upgrade", "x"), edit(Kind::set, "TE", "x")},
       "A: 1\r\nB: 2\r\na: 3\r\nVia: x\r\n"},
  };
  for (const EditCase& each : cases) {
    EXPECT_EQ(passed_on("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\na: 3\r\nVia: x\r\n\r\n",
                        each.edits),
              "GET / HTTP/1.1\r\nHost: h\r\n" + std::string(each.fields) + "\r\n");
  }
}

TEST(EncodeRequest, FramingDecidesLengthAndConnection) {
  const RequestHead head = request(
      "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nContent-Length: 9\r\n"
      "Expect: 100-continue\r\nConnection: keep-alive\r\n\r\n");
  const auto encoded = [&](const Framing& framing) {
    std::string out = "before ";
    encode_request(out, head, "/new", {}, framing);
    const std::size_t fields = out.find("\r\n") + 2;
    EXPECT_TRUE(out.starts_with("before POST /new HTTP/1."));
    return out.substr(fields);
  };
  const std::string te = "Connection: TE\r\nTE: trailers\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(encoded({.body = BodyLength::known(7)}), "Host: a\r\nContent-Length: 7\r\n" + te);
  EXPECT_EQ(encoded({.body = BodyLength::chunked()}),
            "Host: a\r\nTransfer-Encoding: chunked\r\n" + te);
  EXPECT_EQ(encoded({.keep_alive = false}), "Host: a\r\nConnection: close\r\n" + te);
  EXPECT_EQ(encoded({.version = Version::http10}), "Host: a\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(encoded({.version = Version::http10, .keep_alive = false}),
            "Host: a\r\nConnection: close\r\n\r\n");
}

TEST(EncodeRequest, EscapesWhatATargetCannotHold) {
  const RequestHead head = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  std::string out;
  encode_request(out, head, "/a b\r\n\xff#%2F", {}, {});
  EXPECT_EQ(out, "GET /a%20b%0D%0A%FF%23%2F HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(EncodeResponse, ParseEncodeParseIsTheSame) {
  for (const std::string_view bytes : {
           "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n",
           "HTTP/1.1 200 Very Well\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
           "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
           "HTTP/1.1 204 No Content\r\n\r\n",
           "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
       }) {
    const ResponseHead head = response(bytes);
    std::string out;
    encode_response(out, head, {}, {.body = head.body, .upgrade = head.upgrade});
    EXPECT_EQ(out, bytes);
  }
}

TEST(EncodeResponse, FramingDecides) {
  const auto encoded = [](std::string_view bytes, Method method, const Framing& framing) {
    std::string out;
    encode_response(out, response(bytes, method), {}, framing);
    return out;
  };
  EXPECT_EQ(encoded("HTTP/1.0 200\r\nContent-Length: 5, 5\r\n\r\n", Method::head,
                    {.keep_content_length = true}),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(
      encoded("HTTP/1.1 299\r\n\r\n", Method::get,
              {.version = Version::http10, .body = BodyLength::until_close(), .keep_alive = false}),
      "HTTP/1.0 299 Unknown\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(encoded("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", Method::get,
                    {.body = BodyLength::known(0), .keep_content_length = true}),
            "HTTP/1.1 204 x\r\n\r\n");
  EXPECT_EQ(encoded("HTTP/1.1 100 x\r\n\r\n", Method::get, {.body = BodyLength::chunked()}),
            "HTTP/1.1 100 x\r\n\r\n");
  EXPECT_EQ(encoded("HTTP/1.1 200 x\r\nConnection: A\r\nA: 1\r\nB: 2\r\n\r\n", Method::get,
                    {.body = BodyLength::chunked()}),
            "HTTP/1.1 200 x\r\nB: 2\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(EncodeRequest, LeavesOutDoublesOfFieldsThatAreOurs) {
  EXPECT_EQ(passed_on("GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\nx.FORWARDED-proto: 1\r\n"
                      "Content_Length: 5\r\nTransfer.Encoding: chunked\r\nX_User: 1\r\n"
                      "X_Team: 1\r\nX_Own: 1\r\nX_Ow: 2\r\n\r\n",
                      {edit(Kind::set, "X-User", "me"), edit(Kind::remove, "X-Team"),
                       edit(Kind::add, "X-Own", "2"), edit(Kind::set, "X_Ow", "3")}),
            "GET / HTTP/1.1\r\nHost: a\r\nX_Own: 1\r\nX-User: me\r\nX-Own: 2\r\nX_Ow: 3\r\n\r\n");
}

TEST(EncodeResponse, DateIsAddedWhereThereIsNone) {
  const auto encoded = [](std::string_view bytes, const std::vector<HeadEdit>& edits) {
    std::string out;
    encode_response(out, response(bytes), edits, {.date = "now"});
    return out;
  };
  EXPECT_EQ(encoded("HTTP/1.1 204 x\r\nA: 1\r\n\r\n", {}),
            "HTTP/1.1 204 x\r\nA: 1\r\nDate: now\r\n\r\n");
  EXPECT_EQ(encoded("HTTP/1.1 204 x\r\nDate: then\r\n\r\n", {}),
            "HTTP/1.1 204 x\r\nDate: then\r\n\r\n");
  EXPECT_EQ(encoded("HTTP/1.1 204 x\r\n\r\n", {edit(Kind::set, "date", "never")}),
            "HTTP/1.1 204 x\r\ndate: never\r\n\r\n");
  EXPECT_EQ(encoded("HTTP/1.1 204 x\r\n\r\n", {edit(Kind::remove, "Date")}),
            "HTTP/1.1 204 x\r\n\r\n");
}

TEST(EncodeTrailers, ObeyTheHead) {
  const RequestHead head = request(
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, TE\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  const std::vector<HeadEdit> edits = {edit(Kind::set, "X-User", "me"),
                                       edit(Kind::remove, "X-Team"), edit(Kind::add, "X-Own", "1")};
  FieldList fields;
  for (const std::string_view name :
       {"x-hop", "X-User", "x_user", "X-TEAM", "X-Own", "X-Request-Id", "Cache_Control", "Sum"}) {
    fields.push_back({name, "v", field_id(name)});
  }
  std::string out;
  encode_trailers(out, fields, trailer_rules(head.fields, edits));
  EXPECT_EQ(out, "X-Own: v\r\nSum: v\r\n\r\n");
}

TEST(EncodeTrailers, PassesOnlyWhatTrailersMayHold) {
  FieldList fields;
  for (const std::string_view name :
       {"Grpc-Status", "Content-Length", "Transfer-Encoding", "Host", "Authorization", "Set-Cookie",
        "Connection", "Trailer", "Content-Type", "Checksum"}) {
    fields.push_back({name, "v", field_id(name)});
  }
  std::string out = "0\r\n";
  encode_trailers(out, fields);
  EXPECT_EQ(out, "0\r\nGrpc-Status: v\r\nChecksum: v\r\n\r\n");
}

}  // namespace
}  // namespace weir::http
