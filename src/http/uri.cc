// SPDX-License-Identifier: Apache-2.0
#include "http/uri.h"

#include <cstring>

#include "base/bytes.h"
#include "http/chars.h"

namespace weir::http {
namespace {

bool is_escape(std::string_view s, std::size_t at) {
  return s[at] == '%' && at + 2 < s.size() && hex_value(s[at + 1]) >= 0 &&
         hex_value(s[at + 2]) >= 0;
}

char escaped_byte(std::string_view s, std::size_t at) {
  return static_cast<char>(hex_value(s[at + 1]) * 16 + hex_value(s[at + 2]));
}

bool is_ipv4(std::string_view s) {
  int parts = 0;
  for (;;) {
    const std::size_t dot = s.find('.');
    const std::string_view part = s.substr(0, dot);
    const std::optional<std::uint64_t> value = parse_u64(part);
    if (part.size() > 3 || !value || *value > 255) return false;
    if (part.size() > 1 && part.front() == '0') return false;
    ++parts;
    if (dot == std::string_view::npos) return parts == 4;
    s.remove_prefix(dot + 1);
  }
}

enum class Ipv4Tail : std::uint8_t { allowed, refused };

/// Counts the 16-bit groups of one side of "::"; -1 when malformed.
int ipv6_groups(std::string_view s, Ipv4Tail tail) {
  if (s.empty()) return 0;
  int groups = 0;
  for (;;) {
    const std::size_t colon = s.find(':');
    const std::string_view group = s.substr(0, colon);
    const bool last = colon == std::string_view::npos;
    if (last && tail == Ipv4Tail::allowed && is_ipv4(group)) return groups + 2;
    if (group.empty() || group.size() > 4) return -1;
    for (const char c : group) {
      if (hex_value(c) < 0) return -1;
    }
    ++groups;
    if (last) return groups;
    s.remove_prefix(colon + 1);
  }
}

bool is_ipv6(std::string_view s) {
  const std::size_t gap = s.find("::");
  if (gap == std::string_view::npos) return ipv6_groups(s, Ipv4Tail::allowed) == 8;
  const int before = ipv6_groups(s.substr(0, gap), Ipv4Tail::refused);
  const int after = ipv6_groups(s.substr(gap + 2), Ipv4Tail::allowed);
  return before >= 0 && after >= 0 && before + after <= 7;
}

bool is_registered_name(std::string_view s) {
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (is(s[i], kHostByte)) continue;
    if (!is_escape(s, i)) return false;
    i += 2;
  }
  return !s.empty();
}

void append_unescaped(std::string_view path, std::string& out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (!is_escape(path, i)) {
      out.push_back(path[i]);
      continue;
    }
    const char byte = escaped_byte(path, i);
    if (is(byte, kUnreserved)) {
      out.push_back(byte);
    } else {
      out.push_back('%');
      out.push_back(kHex[static_cast<std::size_t>(hex_value(path[i + 1]))]);
      out.push_back(kHex[static_cast<std::size_t>(hex_value(path[i + 2]))]);
    }
    i += 2;
  }
}

/// RFC 3986 section 5.2.4, in place: the result is never longer than what was read.
void remove_dot_segments(std::string& path) {
  std::size_t size = 0;  // of the result so far: whole segments, each with its leading '/'
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t slash = path.find('/', at + 1);
    const std::size_t end = slash == std::string::npos ? path.size() : slash;
    const std::string_view segment = std::string_view(path).substr(at + 1, end - at - 1);
    const bool up = segment == "..";
    if (up) {
      while (size > 0 && path[--size] != '/') {
      }
    }
    if (up || segment == ".") {
      if (end == path.size()) path[size++] = '/';
    } else {
      std::memmove(path.data() + size, path.data() + at, end - at);
      size += end - at;
    }
    at = end;
  }
  path.resize(size);
}

char decoded(std::string_view s, std::size_t& at) {
  char byte = s[at] == '+' ? ' ' : s[at];
  if (is_escape(s, at)) {
    byte = escaped_byte(s, at);
    at += 2;
  }
  ++at;
  return byte;
}

bool decodes_to(std::string_view encoded, std::string_view plain) {
  std::size_t at = 0;
  for (const char c : plain) {
    if (at >= encoded.size() || decoded(encoded, at) != c) return false;
  }
  return at == encoded.size();
}

}  // namespace

std::optional<HostPort> split_host_port(std::string_view authority) {
  HostPort parts;
  std::size_t host_size = 0;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    if (!is_ipv6(authority.substr(1, close - 1))) return std::nullopt;
    host_size = close + 1;
  } else {
    host_size = authority.find(':');
    if (host_size == std::string_view::npos) host_size = authority.size();
    if (!is_registered_name(authority.substr(0, host_size))) return std::nullopt;
  }
  parts.host = authority.substr(0, host_size);
  authority.remove_prefix(host_size);
  if (authority.empty()) return parts;
  if (authority.front() != ':') return std::nullopt;
  const std::string_view port = authority.substr(1);
  if (port.empty()) return parts;  // RFC 3986 section 3.2.3: port = *DIGIT
  const std::optional<std::uint64_t> number = parse_u64(port);
  if (port.size() > 5 || !number || *number > 65535) return std::nullopt;
  parts.port = static_cast<std::uint16_t>(*number);
  return parts;
}

std::string_view normalize_path(std::string_view path, std::string& out) {
  if (!path.starts_with('/')) return path;
  const bool escapes = path.find('%') != std::string_view::npos;
  if (!escapes && path.find("/.") == std::string_view::npos) return path;
  out.clear();
  append_unescaped(path, out);
  remove_dot_segments(out);
  return out == path ? path : std::string_view(out);
}

std::optional<std::string_view> query_value(std::string_view query, std::string_view name,
                                            std::string& out) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    const std::size_t equals = pair.find('=');
    if (pair.empty() || !decodes_to(pair.substr(0, equals), name)) continue;
    if (equals == std::string_view::npos) return std::string_view{};
    const std::string_view value = pair.substr(equals + 1);
    if (value.find_first_of("%+") == std::string_view::npos) return value;
    out.clear();
    for (std::size_t at = 0; at < value.size();) out.push_back(decoded(value, at));
    return std::string_view(out);
  }
  return std::nullopt;
}

}  // namespace weir::http
