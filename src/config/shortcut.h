// SPDX-License-Identifier: Apache-2.0
//
// A Config without a file, for `weir proxy :8080 localhost:3000`.
#pragma once

#include <expected>
#include <memory>
#include <string_view>
#include <vector>

#include "config/address.h"
#include "config/config.h"

namespace weir::config {

/// One HTTP listener, one upstream "app" with the servers, one route for every request. The rest is
/// as by default. The Complaint is ready to be shown.
std::expected<std::shared_ptr<const Config>, Complaint> proxy_config(
    std::string_view listen, const std::vector<std::string_view>& servers);

}  // namespace weir::config
