// SPDX-License-Identifier: Apache-2.0
#include "http/h2_head.h"

#include <gtest/gtest.h>

#include "http/h1_parse.h"
#include "http/head_for_test.h"

namespace weir::http {
namespace {

using Kind = HeadEdit::Kind;
using End = H2RequestBuilder::End;
using Fields = std::vector<NameValue>;

HeadEdit edit(Kind kind, std::string_view name, std::string_view value = {}) {
  return {kind, name, value, field_id(name)};
}

std::string text_of(const H2Fields& fields) {
  std::string text;
  for (const NameValue& field : fields.all()) {
    text.append("[").append(field.name).append("=").append(field.value).append("]");
  }
  return text;
}

/// The head that these fields make, or the cause why they make none.
std::string built(const Fields& fields, End end = End::head, const HeadLimits& limits = {}) {
  RequestHead head;
  H2RequestBuilder builder(head);
  for (const NameValue& field : fields) builder.add(field.name, field.value);
  std::string joined;
  const Result<void> made = builder.finish(end, limits, joined);
  if (!made) return std::string(describe(made.error().cause).name);
  EXPECT_EQ(head.version, Version::http2);
  return text_of(head) + text_of(head.fields);
}

Fields get(std::string_view path, const Fields& more = {}) {
  Fields all = {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", path}};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Fields asking(std::string_view method, const Fields& more = {}) {
  Fields all = get("/", more);
  all.front().value = method;
  return all;
}

TEST(H2RequestBuilder, AHead) {
  EXPECT_EQ(built(get("/a/b?c=d", {{"x", "1"}})), "GET /a/b?c=d @a 1.1 body=none[x=1]");
  EXPECT_EQ(built(get("/a?")), "GET /a? @a 1.1 body=none");
  EXPECT_EQ(built(asking("BREW")), "BREW / @a 1.1 body=none");
  EXPECT_EQ(built({{":method", "OPTIONS"}, {":authority", "a"}, {":path", "*"}}),
            "OPTIONS * @a 1.1 body=none");
}

// RFC 9113 section 8.3.1.
TEST(H2RequestBuilder, AuthorityAndHost) {
  const auto with_host = [](const Fields& hosts) {
    Fields all = {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}};
    all.insert(all.end(), hosts.begin(), hosts.end());
    return built(all);
  };
  EXPECT_EQ(with_host({{"host", "b:81"}}), "GET / @b:81 1.1 body=none[host=b:81]");
  EXPECT_EQ(with_host({{"host", "b"}, {"host", "b"}}), "bad_host");
  EXPECT_EQ(with_host({}), "bad_host");
  EXPECT_EQ(built(get("/", {{"host", "A"}})), "GET / @a 1.1 body=none[host=A]");
  EXPECT_EQ(built(get("/", {{"host", "b"}})), "bad_host");
  for (const char* authority : {"u@a", "a/b", "a b", "[::1", "a:b"}) {
    EXPECT_EQ(built({{":method", "GET"}, {":authority", authority}, {":path", "/"}}), "bad_host")
        << authority;
  }
}

TEST(H2RequestBuilder, Paths) {
  for (const char* path : {"", "a", "*", "http://a/", "/a b", "/a\x01", "/%00"}) {
    EXPECT_EQ(built(get(path)), "bad_target") << path;
  }
  EXPECT_EQ(built(get("/long"), End::head, {.target_size = 4}), "target_too_long");
}

TEST(H2RequestBuilder, CookiesAreJoined) {
  EXPECT_EQ(built(get("/", {{"cookie", "a=1"}, {"x", "1"}, {"cookie", "b=2"}, {"cookie", ""}})),
            "GET / @a 1.1 body=none[x=1][cookie=a=1; b=2; ]");
}

TEST(H2RequestBuilder, Bodies) {
  using F = Fields;
  EXPECT_EQ(built(asking("POST"), End::body_follows), "POST / @a 1.1 body=chunked");
  EXPECT_EQ(built(asking("POST")), "POST / @a 1.1 body=0");
  EXPECT_EQ(built(asking("DELETE")), "DELETE / @a 1.1 body=none");
  EXPECT_EQ(built(asking("DELETE", F{{"content-length", "0"}})),
            "DELETE / @a 1.1 body=0[content-length=0]");
  EXPECT_EQ(built(asking("PUT", F{{"content-length", "5"}}), End::body_follows),
            "PUT / @a 1.1 body=5[content-length=5]");
  EXPECT_EQ(built(asking("PUT", F{{"content-length", "5"}})), "bad_content_length");
  for (const char* length : {"x", "-1", "5, 6", "99999999999999999999"}) {
    EXPECT_EQ(built(asking("PUT", F{{"content-length", length}}), End::body_follows),
              "bad_content_length")
        << length;
  }
}

TEST(H2RequestBuilder, ExpectAndTe) {
  EXPECT_EQ(built(asking("PUT", {{"expect", "100-Continue"}}), End::body_follows),
            "PUT / @a 1.1 body=chunked expect[expect=100-Continue]");
  EXPECT_EQ(built(asking("PUT", {{"expect", "100-continue"}})),
            "PUT / @a 1.1 body=0[expect=100-continue]");
  EXPECT_EQ(built(get("/", {{"expect", "more"}})), "expectation_failed");
  EXPECT_EQ(built(get("/", {{"te", "trailers"}})), "GET / @a 1.1 body=none trailers[te=trailers]");
}

// RFC 8441.
TEST(H2RequestBuilder, ExtendedConnect) {
  const auto connect = [](const Fields& more) { return built(asking("CONNECT", more)); };
  EXPECT_EQ(connect({{":protocol", "websocket"}}), "GET / @a 1.1 body=none upgrade=websocket");
  EXPECT_EQ(connect({{":protocol", "other"}}), "unsupported_method");
  EXPECT_EQ(connect({}), "unsupported_method");
  EXPECT_EQ(built({{":method", "CONNECT"}, {":authority", "a:443"}}), "unsupported_method");
  EXPECT_EQ(built(asking(std::string(33, 'M'))), "unsupported_method");
}

RequestHead head_of(std::string_view bytes) {
  RequestHead head;
  std::size_t scanned = 0;
  EXPECT_EQ(parse_request_head(bytes, {}, scanned, head).value_or(0), bytes.size()) << bytes;
  return head;
}

std::string asked(std::string_view bytes, const std::vector<HeadEdit>& edits = {}) {
  const RequestHead head = head_of(bytes);
  Framing framing;
  framing.body = head.body;
  H2Fields fields;
  fields.request(head, {"http", "server"}, head.target, edits, framing);
  return text_of(fields);
}

std::string start(std::string_view method, std::string_view authority = "a") {
  return "[:method=" + std::string(method) +
         "][:scheme=http][:authority=" + std::string(authority) + "][:path=/]";
}

// RFC 9113 section 8.3.1: of HTTP/1.0, which need not say for whom it is.
TEST(H2Fields, WithoutAHostTheServerIsAsked) {
  EXPECT_EQ(asked("GET / HTTP/1.0\r\n\r\n"), start("GET", "server"));
}

// RFC 9113 section 8.2.2.
TEST(H2Fields, WhatBelongsToAConnectionOfHttp1IsLeftOut) {
  EXPECT_EQ(asked("GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\nConnection: x-named, keep-alive\r\n"
                  "X-Named: 2\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nUpgrade: h2c\r\n"
                  "TE: deflate\r\n\r\n"),
            start("GET") + "[x-kept=1]");
  EXPECT_EQ(asked("GET / HTTP/1.1\r\nHost: a\r\nConnection: te\r\nTE: trailers\r\n\r\n"),
            start("GET") + "[te=trailers]");
}

TEST(H2Fields, LengthsOfRequests) {
  EXPECT_EQ(asked("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            start("POST"));
  EXPECT_EQ(asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 07\r\n\r\n"),
            start("POST") + "[content-length=7]");
  EXPECT_EQ(asked("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n"),
            start("PUT") + "[expect=100-continue][content-length=7]");
}

TEST(H2Fields, EditsOfRequests) {
  const std::vector<HeadEdit> edits = {
      edit(Kind::remove, "X-Gone"),           edit(Kind::set, "X-Set", " \tnew\r\nline "),
      edit(Kind::add, "X-Added", "1"),        edit(Kind::set, "Host", "other:81"),
      edit(Kind::set, "Connection", "close"), edit(Kind::set, "Content-Length", "9"),
      edit(Kind::set, "bad name", "x")};
  EXPECT_EQ(asked("GET / HTTP/1.1\r\nHost: a\r\nx-gone: 1\r\nX-SET: 2\r\nX_Set: 3\r\nX-Added: 0"
                  "\r\n\r\n",
                  edits),
            start("GET", "other:81") + "[x-added=0][x-set=new  line][x-added=1]");
}

std::string answered(int status, const std::vector<Field>& given, const Framing& framing,
                     const std::vector<HeadEdit>& edits = {}) {
  ResponseHead head;
  head.status = status;
  for (const Field& field : given) {
    head.fields.push_back({field.name, field.value, field_id(field.name)});
  }
  H2Fields fields;
  fields.response(head, edits, framing);
  return text_of(fields);
}

TEST(H2Fields, Responses) {
  Framing framing;
  framing.date = "today";
  framing.body = BodyLength::known(5);
  EXPECT_EQ(answered(200, {{"Content-Type", "x", {}}, {"Connection", "close", {}}}, framing),
            "[:status=200][content-type=x][date=today][content-length=5]");
  EXPECT_EQ(answered(200, {{"Date", "then", {}}}, framing),
            "[:status=200][date=then][content-length=5]");
  EXPECT_EQ(answered(200, {}, framing, {edit(Kind::remove, "Date")}),
            "[:status=200][content-length=5]");
  EXPECT_EQ(answered(103, {{"Link", "<a>", {}}}, {}), "[:status=103][link=<a>]");
  EXPECT_EQ(answered(204, {{"Content-Length", "5", {}}}, framing), "[:status=204][date=today]");
  framing.body = BodyLength::chunked();
  EXPECT_EQ(answered(200, {{"Transfer-Encoding", "chunked", {}}}, framing),
            "[:status=200][date=today]");
}

TEST(H2Fields, TheLengthOfABodyThatIsNotSent) {
  Framing framing;
  framing.keep_content_length = true;
  EXPECT_EQ(answered(304, {{"Content-Length", "5, 5", {}}}, framing),
            "[:status=304][content-length=5]");
  EXPECT_EQ(answered(200, {}, framing), "[:status=200]");
}

TEST(H2Fields, Trailers) {
  FieldList list;
  for (const Field& field : std::initializer_list<Field>{{"X-Sum", "1", {}},
                                                         {"Content-Length", "5", {}},
                                                         {"Set-Cookie", "a", {}},
                                                         {"X-Named", "2", {}},
                                                         {"grpc-status", "0", {}}}) {
    list.push_back({field.name, field.value, field_id(field.name)});
  }
  H2Fields fields;
  fields.trailers(list, {.connection = "x-named"});
  EXPECT_EQ(text_of(fields), "[x-sum=1][grpc-status=0]");
}

}  // namespace
}  // namespace weir::http
