// SPDX-License-Identifier: Apache-2.0
//
// The order in which routes are tried.
#pragma once

#include <string_view>
#include <vector>

#include "config/drafts.h"

namespace weir::config {

/// The routes in the order in which they are tried: the most specific first. A route with several
/// hosts or paths becomes one entry for each combination, all with the same name and `declared`, so
/// that each has at most one host and at most one path. They are compared by
///   1. host: exact, then the longer wildcard, then any; with a port before without,
///   2. path: exact, then regular expression, then the longer prefix, then any,
///   3. the number of further conditions (method, each header, each query parameter), most first,
///   4. their order in the files.
/// Reports a warning for an entry that can never be reached, naming the route that covers it.
std::vector<Route> ordered_routes(Report& report, std::vector<RouteDraft> drafts);

/// The same in words, for the settings reference.
std::string_view order_text();

}  // namespace weir::config
