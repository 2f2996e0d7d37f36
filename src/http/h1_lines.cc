// SPDX-License-Identifier: Apache-2.0
#include "http/h1_lines.h"

#include <cstring>

#include "base/assert.h"
#include "http/chars.h"

namespace weir::http {
namespace {

bool is_ows(char c) { return c == ' ' || c == '\t'; }

enum class Line : std::uint8_t { field, empty, bad, incomplete };

/// Reads the line at `p` and moves `p` behind it when it is a field or empty.
inline Line read_line(const char*& p, const char* end, Field& field) {
  const char* const colon = find_name_end(p, end);
  if (colon == end) return Line::incomplete;
  if (colon == p) {
    if (*p != '\r') return Line::bad;  // a fold, an empty name, or a bare LF
    if (p + 1 == end) return Line::incomplete;
    if (p[1] != '\n') return Line::bad;
    p += 2;
    return Line::empty;
  }
  // RFC 9112 section 5.1: no white space between the name and the colon.
  if (*colon != ':') return Line::bad;
  const char* value = colon + 1;
  const char* stop = find_field_stop(value, end);
  if (stop == end) return Line::incomplete;
  if (*stop != '\r') return Line::bad;
  if (stop + 1 == end) return Line::incomplete;
  if (stop[1] != '\n') return Line::bad;  // RFC 9112 section 2.2: a bare CR
  field.name = {p, static_cast<std::size_t>(colon - p)};
  const char* first = value;
  const char* last = stop;
  while (first != last && is_ows(*first)) ++first;
  while (first != last && is_ows(last[-1])) --last;
  field.value = {first, static_cast<std::size_t>(last - first)};
  field.whole_line = first == value + 1 && *value == ' ' && last == stop;
  p = stop + 2;
  return Line::field;
}

bool line_ends(const char* p, const char* end) {
  return std::memchr(p, '\n', static_cast<std::size_t>(end - p)) != nullptr;
}

}  // namespace

FieldLines read_field_lines(Bytes bytes, std::size_t begin, std::size_t fields_max,
                            FieldList& fields) {
  WEIR_ASSERT(begin <= bytes.size());
  using Outcome = FieldLines::Outcome;
  const char* p = bytes.data() + begin;
  const char* const end = bytes.data() + bytes.size();
  std::size_t count = 0;
  fields.clear();
  for (;;) {
    Field field;
    switch (read_line(p, end, field)) {
      case Line::field:
        if (++count > fields_max) break;
        field.id = field_id(field.name);
        fields.push_back(field);
        break;
      case Line::empty:
        return {Outcome::complete, static_cast<std::size_t>(p - bytes.data()), count};
      case Line::bad:
        return {line_ends(p, end) ? Outcome::malformed : Outcome::incomplete, 0, count};
      case Line::incomplete: return {Outcome::incomplete, 0, count};
    }
  }
}

bool still_incomplete(Bytes bytes, std::size_t begin, std::size_t scanned) {
  const char* const first = bytes.data() + begin;
  const char* const end = bytes.data() + bytes.size();
  const char* from = bytes.data() + (scanned > begin ? scanned : begin);
  while (from < end) {
    const auto* lf =
        static_cast<const char*>(std::memchr(from, '\n', static_cast<std::size_t>(end - from)));
    if (lf == nullptr) return true;
    const auto* before =
        static_cast<const char*>(memrchr(first, '\n', static_cast<std::size_t>(lf - first)));
    const char* line = before == nullptr ? first : before + 1;
    Field field;
    if (read_line(line, lf + 1, field) != Line::field) return false;
    from = lf + 1;
  }
  return true;
}

}  // namespace weir::http
