// SPDX-License-Identifier: Apache-2.0
//
// Durations and sizes as people write them: "10s", "1h30m", "500ms"; "32KiB", "10MB", "4096".
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/report.h"

namespace weir::config {

/// Units ms, s, m, h, d; several may follow each other, largest first not required.
std::expected<Millis, Complaint> parse_duration(std::string_view text);
/// Units B, KiB, MiB, GiB, TiB (powers of 1024) and kB, KB, MB, GB, TB (powers of 1000); a number
/// without a unit is bytes.
std::expected<std::uint64_t, Complaint> parse_size(std::string_view text);

/// The shortest text that reads back to the same value: "1h30m", "32KiB".
std::string show_duration(Millis value);
std::string show_size(std::uint64_t bytes);

}  // namespace weir::config
