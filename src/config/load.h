// SPDX-License-Identifier: Apache-2.0
//
// From files to a Config, with everything that is wrong with them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/diagnostic.h"

namespace weir::config {

struct Loaded {
  std::shared_ptr<const Config> config;  ///< null if there is any error
  std::vector<Diagnostic> diagnostics;   ///< by file and line; warnings as well
};

/// Reads the file and those it includes. Nothing else is touched: no name is resolved, no address
/// is bound. After a syntax error only that one is reported.
Loaded load_file(const std::string& path);

/// The same for a text. `filename` is for messages, and its folder is where includes are looked
/// for.
Loaded load_text(std::string_view text, const std::string& filename);

/// Where the admin socket is when the configuration does not say: /run/weir/admin.sock for root,
/// else in $XDG_RUNTIME_DIR/weir, else in /tmp/weir-UID.
Address default_admin_address();

}  // namespace weir::config
