// SPDX-License-Identifier: Apache-2.0
#include "proxy/grpc.h"

#include <gtest/gtest.h>

namespace weir::proxy {
namespace {

bool is_call(http::Version version, http::Method method, std::string_view type) {
  http::RequestHead head;
  head.version = version;
  head.method = method;
  if (!type.empty()) head.fields.push_back({"content-type", type, http::FieldId::content_type});
  return is_grpc(head);
}

TEST(Grpc, WhatIsACall) {
  using http::Method;
  using http::Version;
  EXPECT_TRUE(is_call(Version::http2, Method::post, "application/grpc"));
  EXPECT_TRUE(is_call(Version::http2, Method::post, "application/grpc+proto"));
  EXPECT_TRUE(is_call(Version::http2, Method::post, "application/grpc; charset=utf-8"));
  EXPECT_FALSE(is_call(Version::http2, Method::post, "application/grpc-web"));
  EXPECT_FALSE(is_call(Version::http2, Method::post, "application/json"));
  EXPECT_FALSE(is_call(Version::http2, Method::post, ""));
  EXPECT_FALSE(is_call(Version::http2, Method::get, "application/grpc"));
  EXPECT_FALSE(is_call(Version::http11, Method::post, "application/grpc"));
}

TEST(Grpc, StatusOfCauses) {
  EXPECT_EQ(grpc_status(Cause::no_route), "12");
  EXPECT_EQ(grpc_status(Cause::upstream_refused), "14");
  EXPECT_EQ(grpc_status(Cause::upstream_head_timeout), "14");
  EXPECT_EQ(grpc_status(Cause::overload_memory), "14");
  EXPECT_EQ(grpc_status(Cause::body_too_large), "8");
  EXPECT_EQ(grpc_status(Cause::bad_header), "13");
  EXPECT_EQ(grpc_status(Cause::internal), "2");
}

TEST(Grpc, MessagesArePrintable) {
  EXPECT_EQ(grpc_message("refused: 100%"), "refused: 100%25");
  EXPECT_EQ(grpc_message("a\nb\xC3\xA9"), "a%0Ab%C3%A9");
}

}  // namespace
}  // namespace weir::proxy
