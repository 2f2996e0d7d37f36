// SPDX-License-Identifier: Apache-2.0
//
// The patterns of a match and the texts of a route, each from the string that a person wrote.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "config/config.h"
#include "config/report.h"

namespace weir::config {

enum class Anchored : std::uint8_t { no, yes };

/// An RE2 over bytes (Latin-1), so that a byte that is not UTF-8 matches '.' as well. With
/// Anchored::yes it finds nothing but the whole text, whichever RE2 function is called.
std::expected<std::shared_ptr<const re2::RE2>, Complaint> compile_regex(std::string_view text,
                                                                        Anchored anchored);

/// "example.com", "example.com:8080", "[::1]", "*.example.com" (never with a port); lower case. "*"
/// gives the empty text: any host.
std::expected<std::string, Complaint> parse_host(std::string_view text);
std::expected<PathMatch, Complaint> parse_path(std::string_view text);
/// "text" or "~regex".
std::expected<ValueMatch, Complaint> parse_condition(std::string_view name, std::string_view text);

/// What was written; the inverses of the above.
std::string show_path(const PathMatch& path);

/// A path for strip_prefix and add_prefix, without a slash at its end.
std::expected<std::string, Complaint> parse_prefix(std::string_view text);
/// Checks the placeholders of a redirect's target.
std::expected<std::string, Complaint> parse_redirect(std::string_view text);

/// RFC 9110 section 5.6.2.
bool is_token(std::string_view text);
/// No CR, LF, NUL or other control byte but HTAB. RFC 9110 section 5.5.
bool is_field_value(std::string_view text);

}  // namespace weir::config
