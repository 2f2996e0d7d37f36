// SPDX-License-Identifier: Apache-2.0
//
// `weir status`: the JSON status as tables for a terminal.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace weir::cli {

/// Text of the JSON that server/status_json.h makes, of this or a near version: members that are
/// missing are shown as "-" or left out. A sentence when it is no JSON object.
std::expected<std::string, std::string> status_text(std::string_view json);

}  // namespace weir::cli
