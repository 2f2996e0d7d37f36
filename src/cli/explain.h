// SPDX-License-Identifier: Apache-2.0
//
// `weir explain [CAUSE]`: what a cause code of a log line, a metric or a weir-cause header means.
#pragma once

#include <string>
#include <string_view>

namespace weir::cli {

/// What a command prints and how it ends.
struct Answer {
  int exit_code = 0;
  std::string out;  ///< for stdout
  std::string err;  ///< for stderr
};

/// One cause, or all of them when `cause` is empty. An unknown one exits with 1 and names the
/// nearest.
Answer explain(std::string_view cause);

}  // namespace weir::cli
