// SPDX-License-Identifier: Apache-2.0
//
// Authorities, paths and queries against a second, slower reading of RFC 3986. The first byte says
// what the rest is: 'a' an authority, 'q' a query ("name" LF "a=1&b=2"), anything else a path.
// tidy: allow sans-io because the C library is the second opinion on IPv6 addresses
#include <arpa/inet.h>

#include <string>
#include <vector>

#include "base/assert.h"
#include "http/head_for_test.h"
#include "http/uri.h"

using namespace weir::http;

namespace {

constexpr std::string_view kUnreserved =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
constexpr std::string_view kSubDelims = "!$&'()*+;=";  // but for the comma: see split_host_port

int digit(char c) {
  const std::size_t at = std::string_view("0123456789abcdef").find(static_cast<char>(c | 0x20));
  if (at == std::string_view::npos || (at < 10 && c != "0123456789"[at])) return -1;
  return static_cast<int>(at);
}

/// The byte that the escape at `at` stands for, or -1.
int escape(std::string_view s, std::size_t at) {
  if (s[at] != '%' || s.size() - at < 3 || digit(s[at + 1]) < 0 || digit(s[at + 2]) < 0) return -1;
  return digit(s[at + 1]) * 16 + digit(s[at + 2]);
}

void check_host(std::string_view host) {
  if (host.front() == '[') {
    WEIR_ASSERT(host.back() == ']');
    const std::string inner(host.substr(1, host.size() - 2));
    in6_addr address;
    WEIR_ASSERT(inet_pton(AF_INET6, inner.c_str(), &address) == 1);
    return;
  }
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (escape(host, i) >= 0) {
      i += 2;
    } else {
      WEIR_ASSERT(
          (kUnreserved.find(host[i]) != host.npos || kSubDelims.find(host[i]) != host.npos));
    }
  }
}

void check_authority(std::string_view authority) {
  const auto parts = split_host_port(authority);
  if (!parts) {
    // What an IPv6 address is, the C library knows.
    in6_addr address;
    const bool brackets = authority.size() > 2 && authority[0] == '[' && authority.back() == ']';
    if (brackets && authority.find('\0') == authority.npos) {
      const std::string inner(authority.substr(1, authority.size() - 2));
      WEIR_ASSERT(inet_pton(AF_INET6, inner.c_str(), &address) != 1);
    }
    return;
  }
  WEIR_ASSERT(!parts->host.empty() && parts->host.data() == authority.data());
  check_host(parts->host);
  const std::string_view rest = authority.substr(parts->host.size());
  if (!parts->port) {
    WEIR_ASSERT(rest.empty() || rest == ":");
    return;
  }
  WEIR_ASSERT(rest.size() >= 2 && rest.size() <= 6 && rest[0] == ':');
  WEIR_ASSERT(rest.find_first_not_of("0123456789", 1) == rest.npos);
  unsigned port = 0;
  for (const char c : rest.substr(1)) port = port * 10 + static_cast<unsigned>(c - '0');
  WEIR_ASSERT(port == *parts->port);
}

/// RFC 3986 sections 6.2.2 and 5.2.4, segment by segment.
std::string normal_form(std::string_view path) {
  std::string text;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const int byte = escape(path, i);
    if (byte < 0) {
      text += path[i];
      continue;
    }
    if (byte != 0 && kUnreserved.find(static_cast<char>(byte)) != kUnreserved.npos) {
      text += static_cast<char>(byte);
    } else {
      text += '%';
      text += "0123456789ABCDEF"[byte >> 4];
      text += "0123456789ABCDEF"[byte & 15];
    }
    i += 2;
  }
  std::vector<std::string> segments;
  bool folder = false;  // ends with a slash that a dot segment leaves
  for (std::size_t at = 1; at <= text.size();) {
    const std::size_t slash = std::min(text.find('/', at), text.size());
    const std::string segment = text.substr(at, slash - at);
    folder = segment == "." || segment == "..";
    if (segment == ".." && !segments.empty()) segments.pop_back();
    if (!folder) segments.push_back(segment);
    at = slash + 1;
  }
  std::string normal;
  for (const std::string& segment : segments) normal += "/" + segment;
  return folder ? normal + "/" : normal;
}

void check_path(std::string_view path) {
  std::string space = "untouched";
  const std::string normal(normalize_path(path, space));
  if (!path.starts_with('/')) {
    WEIR_ASSERT(normal == path);
    return;
  }
  WEIR_ASSERT(normal == normal_form(path));
  std::string again;
  WEIR_ASSERT(normalize_path(normal, again).data() == normal.data() ||
              normal_form(normal) != normal);
}

std::string decode(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int byte = escape(text, i);
    plain += byte >= 0 ? static_cast<char>(byte) : text[i] == '+' ? ' ' : text[i];
    if (byte >= 0) i += 2;
  }
  return plain;
}

void check_query(std::string_view query, std::string_view name) {
  std::string space;
  const auto found = query_value(query, name, space);
  for (std::size_t at = 0; at < query.size();) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string_view pair = query.substr(at, end - at);
    at = end + 1;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (pair.empty() || decode(pair.substr(0, equals)) != name) continue;
    const std::string value = equals < pair.size() ? decode(pair.substr(equals + 1)) : "";
    WEIR_ASSERT(found && *found == value);
    return;
  }
  WEIR_ASSERT(!found);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ExactBytes bytes({reinterpret_cast<const char*>(data) + 1, size - 1});
  if (data[0] == 'a') {
    check_authority(bytes.view);
  } else if (data[0] == 'q') {
    const std::size_t lf = std::min(bytes.view.find('\n'), bytes.view.size());
    check_query(bytes.view.substr(std::min(lf + 1, bytes.view.size())), bytes.view.substr(0, lf));
  } else {
    check_path(bytes.view);
  }
  return 0;
}
