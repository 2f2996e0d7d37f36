// SPDX-License-Identifier: Apache-2.0
#include "http/head.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::http {
namespace {

TEST(FieldIdOf, ComparesWithoutCase) {
  EXPECT_EQ(field_id("content-length"), FieldId::content_length);
  EXPECT_EQ(field_id("Content-Length"), FieldId::content_length);
  EXPECT_EQ(field_id("CONTENT-LENGTH"), FieldId::content_length);
  EXPECT_EQ(field_id("Proxy-Authorization"), FieldId::proxy_authorization);
  EXPECT_EQ(field_id("TE"), FieldId::te);
  EXPECT_EQ(field_id("x-request-id"), FieldId::x_request_id);
  for (const std::string_view other :
       {"", "t", "tf", "content_length", "content-lengtg", "content-length ", "xontent-length",
        "a-very-long-name-of-a-field-that-nobody-knows", "\xe3ontent-length", "content\rlength"}) {
    EXPECT_EQ(field_id(other), FieldId::other) << other;
  }
}

TEST(FieldIdOf, EveryByteCounts) {
  for (const std::string_view known : {"te",
                                       "via",
                                       "date",
                                       "host",
                                       "cookie",
                                       "expect",
                                       "server",
                                       "referer",
                                       "trailer",
                                       "upgrade",
                                       "location",
                                       "forwarded",
                                       "connection",
                                       "keep-alive",
                                       "user-agent",
                                       "content-type",
                                       "x-request-id",
                                       "authorization",
                                       "content-length",
                                       "http2-settings",
                                       "accept-encoding",
                                       "x-forwarded-for",
                                       "proxy-connection",
                                       "x-forwarded-host",
                                       "transfer-encoding",
                                       "x-forwarded-proto",
                                       "proxy-authenticate",
                                       "proxy-authorization"}) {
    const FieldId id = field_id(known);
    EXPECT_NE(id, FieldId::other) << known;
    for (std::size_t at = 0; at < known.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string name(known);
        name[at] = static_cast<char>(name[at] ^ (1 << bit));
        const bool same = bit == 5 && known[at] >= 'a';  // the other case of a letter
        EXPECT_EQ(field_id(name) == id, same) << name;
      }
    }
  }
}

TEST(FieldList, GrowsBeyondItsInlinePlaces) {
  FieldList fields;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < 3 * FieldList::kInline; ++i) names.push_back("n" + std::to_string(i));
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      fields.push_back({names[i], "v", FieldId::other});
      ASSERT_EQ(fields.size(), i + 1);
      ASSERT_EQ(fields.all().front().name, "n0");
      ASSERT_EQ(fields.all().back().name, names[i]);
    }
    EXPECT_TRUE(fields.has(FieldId::other));
    EXPECT_FALSE(fields.has(FieldId::host));
    fields.clear();
    EXPECT_FALSE(fields.has(FieldId::other));
    EXPECT_EQ(fields.size(), 0u);
    EXPECT_EQ(fields.begin(), fields.end());
  }
}

TEST(Methods, AreKnownByExactName) {
  for (const auto& [name, method] :
       std::initializer_list<std::pair<std::string_view, Method>>{{"GET", Method::get},
                                                                  {"HEAD", Method::head},
                                                                  {"POST", Method::post},
                                                                  {"PUT", Method::put},
                                                                  {"DELETE", Method::del},
                                                                  {"CONNECT", Method::connect},
                                                                  {"OPTIONS", Method::options},
                                                                  {"TRACE", Method::trace},
                                                                  {"PATCH", Method::patch},
                                                                  {"get", Method::other},
                                                                  {"GETS", Method::other},
                                                                  {"", Method::other}}) {
    EXPECT_EQ(method_from_name(name), method) << name;
  }
  EXPECT_TRUE(idempotent(Method::put));
  EXPECT_FALSE(idempotent(Method::post));
  EXPECT_FALSE(idempotent(Method::other));
}

TEST(HopByHop, NeverForwards) {
  EXPECT_TRUE(hop_by_hop(FieldId::connection));
  EXPECT_TRUE(hop_by_hop(FieldId::http2_settings));
  EXPECT_FALSE(hop_by_hop(FieldId::host));
  EXPECT_FALSE(hop_by_hop(FieldId::other));
}

TEST(ReasonPhrase, IsTheRegistered) {
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(511), "Network Authentication Required");
  EXPECT_EQ(reason_phrase(100), "Continue");
  for (const int unknown : {-1, 0, 99, 299, 599, 600, 1000}) {
    EXPECT_EQ(reason_phrase(unknown), "Unknown") << unknown;
  }
}

TEST(Doubles, DifferInBytesThatNamesOfVariablesCannotHold) {
  EXPECT_TRUE(same_variable("X-Forwarded-For", "x_forwarded.for"));
  EXPECT_TRUE(same_variable("a", "A"));
  EXPECT_FALSE(same_variable("X-Forwarded-For", "XForwardedFor"));
  EXPECT_FALSE(same_variable("X-A", "X-B"));
  EXPECT_FALSE(same_variable("X-A", "XXA"));
  EXPECT_EQ(double_of("Content_Length"), FieldId::content_length);
  EXPECT_EQ(double_of("x.forwarded.for"), FieldId::x_forwarded_for);
  EXPECT_EQ(double_of("X_Own"), FieldId::other);
  EXPECT_EQ(double_of("X-Forwarded-Fort"), FieldId::other);
  EXPECT_EQ(double_of("_"), FieldId::other);
  EXPECT_EQ(double_of(std::string(1000, '_')), FieldId::other);
}

}  // namespace
}  // namespace weir::http
