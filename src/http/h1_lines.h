// SPDX-License-Identifier: Apache-2.0
//
// Field lines of HTTP/1 heads and trailers, RFC 9112 section 5. A line is judged only once its LF
// has arrived, so that the outcome does not depend on how the bytes were cut on their way.
#pragma once

#include "base/bytes.h"
#include "http/head.h"

namespace weir::http {

struct FieldLines {
  enum class Outcome : std::uint8_t {
    complete,    ///< the empty line was read; `end` is behind it
    incomplete,  ///< all complete lines are well-formed, the empty line did not arrive
    malformed,   ///< a complete line is not a field line
  };
  Outcome outcome = Outcome::incomplete;
  std::size_t end = 0;
  std::size_t count = 0;  ///< fields read; those beyond `fields_max` are not in the list
};

/// Reads field lines of `bytes` from `begin` (the start of a line) up to the empty line. Fills
/// `fields` with views of `bytes`. No Code or Cause here: the caller knows whose message it is.
FieldLines read_field_lines(Bytes bytes, std::size_t begin, std::size_t fields_max,
                            FieldList& fields);

/// After an `incomplete` outcome for the first `scanned` bytes: would read_field_lines still say
/// incomplete? Looks only at lines that were completed since.
bool still_incomplete(Bytes bytes, std::size_t begin, std::size_t scanned);

}  // namespace weir::http
