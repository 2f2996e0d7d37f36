// SPDX-License-Identifier: Apache-2.0
//
// Configurations from a few lines of TOML, and request heads from their text. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "config/load.h"
#include "http/h1_parse.h"

namespace weir::proxy {

/// `routes` behind a listener and an upstream "app"; a failure shows the diagnostics.
inline std::shared_ptr<const config::Config> config_of(const std::string& more) {
  const std::string text = "[[listen]]\naddress = \":8080\"\n" + more;
  const config::Loaded loaded = config::load_text(text, "test.toml");
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
    if (loaded.config == nullptr) ADD_FAILURE() << diagnostic.message;
  }
  return loaded.config;
}

/// A request head and the bytes that it looks into.
struct TestRequest {
  explicit TestRequest(std::string request) : text(std::move(request)) {
    std::size_t scanned = 0;
    const Result<std::size_t> size = http::parse_request_head(text, {}, scanned, head);
    EXPECT_TRUE(size.has_value() && *size > 0) << text;
  }
  /// "GET /path" or "GET /path HTTP/1.0", then header lines separated by "\n".
  static std::string lines(std::string_view first, std::string_view fields) {
    std::string text(first);
    if (first.find(" HTTP/") == std::string_view::npos) text += " HTTP/1.1";
    text += "\r\n";
    while (!fields.empty()) {
      const std::size_t end = fields.find('\n');
      text.append(fields.substr(0, end)).append("\r\n");
      fields.remove_prefix(end == std::string_view::npos ? fields.size() : end + 1);
    }
    return text + "\r\n";
  }
  std::string text;
  http::RequestHead head;
};

}  // namespace weir::proxy
