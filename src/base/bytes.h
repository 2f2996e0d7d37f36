// SPDX-License-Identifier: Apache-2.0
//
// Views of bytes and the few text operations that protocol code needs. Bytes from the wire are
// std::string_view throughout: a view is valid until the buffer under it is consumed or read into.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

using Bytes = std::string_view;

constexpr std::size_t operator""_KiB(unsigned long long n) { return n * 1024; }
constexpr std::size_t operator""_MiB(unsigned long long n) { return n * 1024 * 1024; }

constexpr char ascii_lower(char c) {
  return (c >= 'A' && c <= 'Z') ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// ASCII case-insensitive equality, as for field names and schemes.
constexpr bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  }
  return true;
}

/// Removes optional white space (SP, HTAB) at both ends. RFC 9110 section 5.6.3.
constexpr std::string_view trim_ows(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

/// The whole of `s` as a decimal number without sign or white space; nothing on overflow.
inline std::optional<std::uint64_t> parse_u64(std::string_view s) {
  std::uint64_t value = 0;
  const char* end = s.data() + s.size();
  const auto [stop, error] = std::from_chars(s.data(), end, value);
  if (s.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

}  // namespace weir
