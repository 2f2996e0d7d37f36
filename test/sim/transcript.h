// SPDX-License-Identifier: Apache-2.0
//
// What a world has shown of each exchange, as text: to be read, and to be compared with that of the
// same scripts on another backend. Times, ports, ids that are made, and which server it was are
// left out; everything else is there byte by byte.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "world.h"

namespace weir::sim {

/// By exchange; kNobody: what the log says of none.
using Transcripts = std::map<std::uint64_t, std::string>;
inline constexpr std::uint64_t kNobody = UINT64_MAX;

Transcripts transcripts(const World& world);

/// Where the two differ first, with all of that exchange; empty: they are the same.
std::string first_difference(const Transcripts& one, std::string_view name_one,
                             const Transcripts& other, std::string_view name_other);

}  // namespace weir::sim
