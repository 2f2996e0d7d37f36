// SPDX-License-Identifier: Apache-2.0
//
// Classes of bytes for the parsers of this folder: one table of 256 bit sets, built at compile
// time.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace weir::http {

enum CharClass : std::uint8_t {
  kToken = 1,        ///< tchar, RFC 9110 section 5.6.2
  kFieldByte = 2,    ///< HTAB, SP, VCHAR, obs-text: RFC 9110 section 5.5
  kTargetByte = 4,   ///< bytes accepted in a request target, see h1_parse.h
  kHostByte = 8,     ///< reg-name without ',' and '%': RFC 3986 section 3.2.2
  kUnreserved = 16,  ///< RFC 3986 section 2.3
  kDigit = 32,
  kPlainName = 64,  ///< letters, digits and '-': what names of standard fields are made of
};

consteval std::array<std::uint8_t, 256> make_char_classes() {
  std::array<std::uint8_t, 256> table{};
  const auto mark = [&](std::string_view bytes, std::uint8_t classes) {
    for (const char c : bytes) table[static_cast<unsigned char>(c)] |= classes;
  };
  mark("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
       kToken | kHostByte | kUnreserved | kPlainName);
  mark("-", kPlainName);
  mark("0123456789", kDigit);
  mark("!#$%&'*+-.^_`|~", kToken);
  mark("-._~", kHostByte | kUnreserved);
  mark("!$&'()*+;=", kHostByte);
  for (int c = 0x20; c < 0x100; ++c) {
    if (c == 0x7f) continue;
    table[c] |= kFieldByte;
    // Wider than RFC 3986: browsers send |"{}^[]` and backslash as they are. Not '#', which would
    // be a fragment, and not bytes beyond ASCII.
    if (c > 0x20 && c < 0x7f && c != '#') table[c] |= kTargetByte;
  }
  table['\t'] |= kFieldByte;
  return table;
}

inline constexpr std::array<std::uint8_t, 256> kCharClasses = make_char_classes();

constexpr bool is(char c, std::uint8_t classes) {
  return (kCharClasses[static_cast<unsigned char>(c)] & classes) != 0;
}

constexpr bool all_of_class(std::string_view s, std::uint8_t classes) {
  for (const char c : s) {
    if (!is(c, classes)) return false;
  }
  return true;
}

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The first byte of [p, end) that a field value cannot hold (a control byte other than HTAB, or
/// DEL); `end` if there is none. Field values are most of a head, hence 16 bytes at a time.
inline const char* find_field_stop(const char* p, const char* end) {
#if defined(__SSE2__)
  const __m128i control_max = _mm_set1_epi8(0x1f);
  const __m128i del = _mm_set1_epi8(0x7f);
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, control_max), bytes);
    const int stops = _mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(bytes, del)));
    if (stops == 0) {
      p += 16;
      continue;
    }
    p += __builtin_ctz(static_cast<unsigned>(stops));
    if (*p != '\t') return p;
    ++p;
  }
#endif
  while (p != end && is(*p, kFieldByte)) ++p;
  return p;
}

/// Whether the bytes of a word are neither control bytes (HTAB is one here) nor DEL.
constexpr bool no_controls(std::uint64_t bytes) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  constexpr std::uint64_t kHigh = 0x80 * kEach;
  const std::uint64_t del = bytes ^ (0x7f * kEach);
  return (((bytes - 0x20 * kEach) & ~bytes) & kHigh) == 0 && (((del - kEach) & ~del) & kHigh) == 0;
}

/// Whether all bytes can stand in a field value; false as well for some that have an HTAB.
inline bool all_field_bytes(std::string_view s) {
  const char* p = s.data();
  std::uint64_t word = 0;
  if (s.size() < sizeof word) return all_of_class(s, kFieldByte);
  for (; s.size() - static_cast<std::size_t>(p - s.data()) > sizeof word; p += sizeof word) {
    std::memcpy(&word, p, sizeof word);
    if (!no_controls(word)) return false;
  }
  std::memcpy(&word, s.data() + s.size() - sizeof word, sizeof word);  // may overlap the one before
  return no_controls(word);
}

/// The first byte of [p, end) that is not of kToken; `end` if there is none. Names are mostly
/// letters and '-', which are looked at 16 at a time.
inline const char* find_name_end(const char* p, const char* end) {
#if defined(__SSE2__)
  while (end - p >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    // The letters, in either case, moved to the least 26 of the signed bytes.
    const __m128i letters = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)),
                                         _mm_set1_epi8(static_cast<char>('a' + 128)));
    const __m128i usual = _mm_or_si128(_mm_cmplt_epi8(letters, _mm_set1_epi8(-128 + 26)),
                                       _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
    const unsigned others = ~static_cast<unsigned>(_mm_movemask_epi8(usual)) & 0xffff;
    if (others == 0) {
      p += 16;
      continue;
    }
    p += __builtin_ctz(others);
    if (!is(*p, kToken)) return p;
    ++p;
  }
#endif
  while (p != end && is(*p, kToken)) ++p;
  return p;
}

/// Calls visit(element) for each element of a comma-separated list, trimmed; elements may be empty.
template <class Visit>
constexpr void for_each_element(std::string_view list, Visit&& visit) {
  for (;;) {
    const std::size_t comma = list.find(',');
    visit(trim_ows(list.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace weir::http
