// SPDX-License-Identifier: Apache-2.0
//
// Environment variables in string values: ${NAME}, ${NAME:-default}, and $$ for one dollar.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "config/report.h"

namespace weir::config {

struct ExpansionFailure {
  Complaint complaint;
  std::string fragment;  ///< the part of the text at fault, as written
};

/// `text` with variables replaced. A dollar before anything but '{' and '$' stands for itself. An
/// empty variable counts as set for ${NAME} and as unset for ${NAME:-default}, as in a shell.
std::expected<std::string, ExpansionFailure> expand(std::string_view text);

/// The inverse for a text without variables: expand(escape(s)) == s.
std::string escape_dollars(std::string_view text);

}  // namespace weir::config
