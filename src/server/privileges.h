// SPDX-License-Identifier: Apache-2.0
//
// What root prepares for the user that Weir becomes: ports are bound, files are open and owned.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace weir::server {

/// Becomes `user_name` and `group_name` (either may be empty: nothing changes there; the user's own
/// group by default), after giving `files` to them. An error is a sentence for the operator.
std::optional<std::string> drop_privileges(const std::string& user_name,
                                           const std::string& group_name,
                                           const std::vector<std::string>& files);

/// The soft limit of descriptors becomes the hard one.
void raise_descriptor_limit();

}  // namespace weir::server
