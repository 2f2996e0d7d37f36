// SPDX-License-Identifier: Apache-2.0
//
// HTTP dates, RFC 9110 section 5.6.7. No locale, no time zone files, no locks: a worker formats the
// Date field whenever its clock passes a second.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weir::http {

inline constexpr std::size_t kDateSize = 29;

/// "Sun, 06 Nov 1994 08:49:37 GMT" for seconds since 1970-01-01 00:00 UTC. Returns a view of
/// `space`. Years from 0 to 9999; seconds outside them give the nearest date inside.
std::string_view format_date(std::int64_t unix_seconds, std::array<char, kDateSize>& space);

}  // namespace weir::http
