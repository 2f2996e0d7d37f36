// SPDX-License-Identifier: Apache-2.0
//
// What no single setting can know: names that must exist, things that exclude each other.
#pragma once

#include "config/drafts.h"

namespace weir::config {

/// Reports; gives every route its name.
void check_draft(Report& report, Draft& draft, const Node& document);

/// A name for a route that has none: "example.com/api/**", or "*".
std::string default_route_name(const Match& match);

}  // namespace weir::config
