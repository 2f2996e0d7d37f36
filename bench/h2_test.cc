// SPDX-License-Identifier: Apache-2.0
#include "h2.h"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

std::string text_of(std::string head) {
  std::vector<nghttp2_nv> fields;
  h2_append_fields(head, fields);
  std::string text;
  for (const nghttp2_nv& field : fields) {
    text.append(reinterpret_cast<const char*>(field.name), field.namelen).append("=");
    text.append(reinterpret_cast<const char*>(field.value), field.valuelen).append(";");
  }
  return text;
}

TEST(H2Fields, NamesAreSmallAndValuesStay) {
  EXPECT_EQ("server=Origin 1;x-a=;content-length=5;",
            text_of("HTTP/1.1 200 OK\r\nServer: Origin 1\r\nX-A:\r\nContent-Length:5\r\n\r\n"));
}

TEST(H2Fields, WhatHttp2HasNotIsLeftOut) {
  EXPECT_EQ("accept=*/*;",
            text_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: */*\r\n"
                    "Transfer-Encoding: chunked\r\nUpgrade: x\r\n\r\n"));
}

TEST(H2Fields, NoFieldsAtAll) { EXPECT_EQ("", text_of("GET / HTTP/1.1\r\n\r\nbody: x")); }

}  // namespace
}  // namespace weir::bench
