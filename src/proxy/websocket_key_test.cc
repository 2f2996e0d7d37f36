// SPDX-License-Identifier: Apache-2.0
#include "proxy/websocket_key.h"

#include <gtest/gtest.h>

namespace weir::proxy {
namespace {

TEST(WebSocketKey, AcceptIsTheOneOfTheRfc) {
  // RFC 6455 section 1.3.
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketKey, KeysAreSixteenBytesAndNotTheSame) {
  Random random(1);
  const std::string first = websocket_key(random);
  EXPECT_EQ(first.size(), 24u);
  EXPECT_TRUE(first.ends_with("=="));
  EXPECT_NE(first, websocket_key(random));
}

}  // namespace
}  // namespace weir::proxy
