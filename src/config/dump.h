// SPDX-License-Identifier: Apache-2.0
//
// A Config as text, for `weir check --print` and for tests.
#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"

namespace weir::config {

enum class Show : std::uint8_t {
  changed,  ///< only what differs from the defaults
  all,      ///< every setting
};

/// The configuration as one TOML document, includes and variables resolved, followed by comments
/// that list the routes in the order in which they are tried. Reading it gives the same Config (but
/// for `files`).
std::string dump(const Config& config, Show show = Show::changed);

}  // namespace weir::config
