// SPDX-License-Identifier: Apache-2.0
//
// `weir completion SHELL`: scripts that complete sub-commands, options, their values and causes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::cli {

/// The script for "bash", "zsh" or "fish"; nothing for another shell.
std::optional<std::string> completion_script(std::string_view shell);

}  // namespace weir::cli
