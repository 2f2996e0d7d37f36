// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1 message heads from bytes, strict by RFC 9110 and RFC 9112: what is ambiguous is refused,
// what is merely unusual is normalised. Sans-I/O: bytes in, values out.
#pragma once

#include "base/error.h"
#include "http/head.h"

namespace weir::http {

/// Empty lines skipped before a request line. RFC 9112 section 2.2.
inline constexpr std::size_t kLeadingLinesMax = 4;
inline constexpr std::size_t kMethodSizeMax = 32;

/// Parses a request head at the start of `bytes`. Returns its size in bytes, up to and with the
/// empty line; 0 when more bytes are needed. Leading empty lines (at most kLeadingLinesMax) are
/// skipped and counted in the size. On success `head` is filled and its views point into `bytes`.
/// Errors carry the cause (bad_request_line, bad_header, bad_host, bad_content_length,
/// bad_transfer_encoding, unsupported_coding, unsupported_version, unsupported_method,
/// target_too_long, head_too_large, bad_target, expectation_failed). `scanned` is where an earlier
/// call with fewer bytes stopped looking for the end; start with 0 and pass it again, so that a
/// head that trickles in byte by byte costs linear time; what `head` holds when more bytes are
/// needed, or after an error, may then look into the bytes of an earlier call. Errors in the first
/// line are reported as soon as they can be seen, not only at the end of the head; errors of a
/// field line when that line is complete; those of several fields together (Host, Content-Length,
/// their number …) at the end of the head. The outcome does not depend on how the bytes were cut.
///
/// Targets: visible ASCII without '#'. Escapes are not checked, since browsers send a lone '%',
/// except that "%00" in a path is refused: it ends the name early for servers that decode to C
/// strings. HTTP/1.2 and above are 1.1 (RFC 9110 section 2.5). An absolute-form target without a
/// path has the path "/", in static storage.
Result<std::size_t> parse_request_head(Bytes bytes, const HeadLimits& limits, std::size_t& scanned,
                                       RequestHead& head);

/// Parses a response head likewise. `request_method` decides the body's length (HEAD, CONNECT). Any
/// violation is Cause::upstream_bad_response, or upstream_head_too_large. 1xx heads are returned
/// like any other, with BodyLength none; 101 too.
Result<std::size_t> parse_response_head(Bytes bytes, const HeadLimits& limits,
                                        Method request_method, std::size_t& scanned,
                                        ResponseHead& head);

/// A server has chosen among the protocols that were offered. RFC 9110 section 7.8. Both are values
/// of Upgrade; false when nothing was chosen.
bool upgrade_agreed(std::string_view offered, std::string_view chosen);

/// The value of Connection lists `name`. RFC 9110 section 7.6.1. Field `name` without case.
bool connection_lists(const FieldList& fields, std::string_view name);

}  // namespace weir::http
