// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with a configuration, for a person: where, what, and what to do. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir::config {

enum class Severity : std::uint8_t { error, warning };

/// One finding. A file as a whole (cannot be read, has no [[listen]]) has line 0 and no excerpt.
struct Diagnostic {
  Severity severity = Severity::error;
  std::string file;
  int line = 0;    ///< from 1; 0: the whole file
  int column = 0;  ///< from 1, in code points
  int length = 0;  ///< of the text at fault, in code points; at least 1 when line is set
  std::string message;
  std::string hint;     ///< what to do; may be empty
  std::string excerpt;  ///< the line as it stands in the file
};

enum class Color : std::uint8_t { no, yes };

/// All of them as a compiler prints them: `file:line:column: error: message`, the line with a caret
/// under the text at fault, and the hint. Bytes that a terminal would obey are shown as '?'.
std::string render(const std::vector<Diagnostic>& diagnostics, Color color);

}  // namespace weir::config
