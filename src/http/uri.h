// SPDX-License-Identifier: Apache-2.0
//
// The parts of URIs that routing looks at. RFC 3986. Pure functions over views.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::http {

/// host[:port], taken apart. Views of the authority.
struct HostPort {
  std::string_view host;              ///< as written; an IPv6 literal keeps its brackets
  std::optional<std::uint16_t> port;  ///< nothing when absent or empty ("host:")
};

/// Takes `authority` apart and checks it: a registered name or IPv4 (RFC 3986 section 3.2.2), or an
/// IPv6 address in brackets, and a port of digits up to 65535. Refused, beyond the grammar: an
/// empty host, ',' (two hosts in one line), user information and IPvFuture.
std::optional<HostPort> split_host_port(std::string_view authority);

/// The path in the form in which routes are matched: escapes of unreserved characters decoded,
/// other escapes in upper case (RFC 3986 section 6.2.2), dot segments removed without climbing
/// above the root (section 5.2.4). Repeated slashes and malformed escapes are kept. Returns `path`
/// itself when nothing had to change, and then touches nothing; otherwise a view of `out`.
std::string_view normalize_path(std::string_view path, std::string& out);

/// The value of the first parameter `name` in a query like "a=1&b=x+y", with escapes and '+'
/// decoded. A view of `query` where nothing had to be decoded, otherwise of `out`; empty for "name"
/// without
/// '='; nothing when there is no such parameter.
std::optional<std::string_view> query_value(std::string_view query, std::string_view name,
                                            std::string& out);

}  // namespace weir::http
