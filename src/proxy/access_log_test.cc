// SPDX-License-Identifier: Apache-2.0
#include "proxy/access_log.h"

#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>

namespace weir::proxy {
namespace {

Record example() {
  Record record;
  record.started = WallTime{1'767'323'045'678'912};
  record.protocol = "HTTP/1.1";
  record.client = "192.0.2.7";
  record.method = "GET";
  record.host = "example.com";
  record.target = "/a?b=c";
  record.user_agent = "curl/8.0";
  record.referer = "https://example.com/";
  record.request_id = "01J";
  record.route = "app";
  record.upstream = "app";
  record.server = "127.0.0.1:3000";
  record.status = 200;
  record.bytes_sent = 1234;
  record.bytes_received = 5;
  record.duration = Micros{12'345};
  record.connect = Micros{7};
  record.first_byte = Micros{1'000};
  return record;
}

std::string json_of(const Record& record) {
  std::string out;
  append_json(out, record);
  return out;
}

std::string combined_of(const Record& record) {
  std::string out;
  append_combined(out, record);
  return out;
}

TEST(AccessLogJson, HasEveryFieldInTheDocumentedOrder) {
  EXPECT_EQ(json_of(example()),
            R"({"time":"2026-01-02T03:04:05.678Z","client":"192.0.2.7","method":"GET",)"
            R"("host":"example.com","path":"/a?b=c","status":200,"bytes_sent":1234,)"
            R"("bytes_received":5,"duration_ms":12.345,"first_byte_ms":1.000,"connect_ms":0.007,)"
            R"("route":"app","upstream":"app","server":"127.0.0.1:3000","cause":"","retries":0,)"
            R"("request_id":"01J","protocol":"HTTP/1.1","user_agent":"curl/8.0",)"
            R"("referer":"https://example.com/"})"
            "\n");
}

TEST(AccessLogJson, MomentsThatDidNotHappenAreAbsentAndTheCauseIsItsWord) {
  Record record = example();
  record.connect = Micros{-1};
  record.first_byte = Micros{-1};
  record.status = 502;
  record.cause = Cause::upstream_refused;
  record.retries = 2;
  const auto json = nlohmann::json::parse(json_of(record));
  EXPECT_FALSE(json.contains("connect_ms"));
  EXPECT_FALSE(json.contains("first_byte_ms"));
  EXPECT_EQ(json["cause"], "upstream_refused");
  EXPECT_EQ(json["retries"], 2);
}

struct EscapeCase {
  std::string_view raw;
  std::string_view json;      // between the quotes
  std::string_view combined;  // between the quotes
};

TEST(AccessLog, HostileBytesAreEscaped) {
  using namespace std::literals;
  const EscapeCase cases[] = {
      {"plain ~", "plain ~", "plain ~"},
      {"a\"b\\c", R"(a\"b\\c)", R"(a\x22b\x5Cc)"},
      {"a\r\nb"sv, R"(a\u000d\u000ab)", R"(a\x0D\x0Ab)"},
      {"\0\x1b[31m\x7f"sv, R"(\u0000\u001b[31m\u007f)", R"(\x00\x1B[31m\x7F)"},
      {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
       R"(\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80)"},
      {"\xFF", "\xEF\xBF\xBD", R"(\xFF)"},
      {"\xC3", "\xEF\xBF\xBD", R"(\xC3)"},                                          // cut short
      {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD", R"(\xC0\xAF)"},                      // overlong
      {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", R"(\xED\xA0\x80)"},  // surrogate
      {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD",
       R"(\xF4\x90\x80\x80)"},  // above U+10FFFF
      {"\xE2\x82x", "\xEF\xBF\xBD\xEF\xBF\xBDx", R"(\xE2\x82x)"},
  };
  for (const auto& c : cases) {
    Record record = example();
    record.user_agent = c.raw;
    const std::string json = json_of(record);
    EXPECT_NE(json.find("\"user_agent\":\"" + std::string(c.json) + "\","), std::string::npos)
        << json;
    EXPECT_TRUE(nlohmann::json::accept(json)) << json;
    const std::string combined = combined_of(record);
    EXPECT_TRUE(combined.ends_with(" \"" + std::string(c.combined) + "\"\n")) << combined;
  }
}

TEST(AccessLog, EveryByteInEveryTextFieldKeepsTheLineOneValidLine) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  Record record = example();
  record.client = record.method = record.host = record.target = record.user_agent = all;
  record.referer = record.user = record.request_id = record.route = record.server = all;
  record.upstream = record.protocol = all;
  for (const std::string& line : {json_of(record), combined_of(record)}) {
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_EQ(line.find('\r'), std::string::npos);
  }
  EXPECT_TRUE(nlohmann::json::accept(json_of(record)));
}

TEST(AccessLogJson, EveryByteAtEveryPlaceOfALongText) {
  for (std::size_t size = 1; size <= 20; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 0x80; ++byte) {
        std::string text(size, byte % 2 == 0 ? '!' : '~');
        text[at] = static_cast<char>(byte);
        std::string line;
        append_json_string(line, text);
        ASSERT_EQ(nlohmann::json::parse(line).get<std::string>(), text) << line;
        const bool escaped = byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f;
        ASSERT_EQ(line.size() > size + 2, escaped) << line;
      }
    }
  }
}

TEST(AccessLogCombined, LooksAsEveryAnalyserExpects) {
  EXPECT_EQ(combined_of(example()),
            "192.0.2.7 - - [02/Jan/2026:03:04:05 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234 "
            "\"https://example.com/\" \"curl/8.0\"\n");
}

TEST(AccessLogCombined, WhatIsMissingIsADash) {
  Record record;
  record.protocol = "HTTP/1.1";
  record.client = "unix";
  EXPECT_EQ(combined_of(record), "unix - - [01/Jan/1970:00:00:00 +0000] \"-\" 000 0 \"-\" \"-\"\n");
}

TEST(AccessLogCombined, ASpaceCannotForgeAField) {
  Record record = example();
  record.client = "1.2.3.4 5";
  record.target = "/a b";
  const std::string line = combined_of(record);
  EXPECT_TRUE(line.starts_with("1.2.3.4\\x205 - - [")) << line;
  EXPECT_NE(line.find("\"GET /a\\x20b HTTP/1.1\""), std::string::npos) << line;
}

TEST(Rfc3339, AgreesWithTheCalendarOfTheCLibrary) {
  const std::int64_t seconds[] = {0,
                                  951'782'399,
                                  951'782'400,
                                  951'868'800,
                                  1'709'164'800,
                                  1'709'251'199,
                                  4'107'542'399,
                                  4'102'444'800,
                                  -1,
                                  -86'400,
                                  253'402'300'799};
  for (const std::int64_t second : seconds) {
    std::string mine;
    append_rfc3339(mine, WallTime{second * 1'000'000 + 7'000});
    const std::time_t time = second;
    std::tm parts{};
    gmtime_r(&time, &parts);
    char expected[64];
    std::strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.007Z", &parts);
    EXPECT_EQ(mine, expected);
  }
}

}  // namespace
}  // namespace weir::proxy
