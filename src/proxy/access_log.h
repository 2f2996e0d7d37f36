// SPDX-License-Identifier: Apache-2.0
//
// One exchange as one line of the access log. Every byte that a peer chose is escaped, so a line is
// always one line and JSON is always valid JSON. Nothing is allocated but in `out`, and time is
// formatted without the C library, whose time zone lock all threads would share.
#pragma once

#include <string>

#include "proxy/record.h"

namespace weir::proxy {

/// Appends the record as a JSON object and a newline. `first_byte_ms` and `connect_ms` are absent
/// when there was no such moment. Bytes that are not UTF-8 become U+FFFD.
void append_json(std::string& out, const Record& record);

/// Appends the record in the combined format of nginx and Apache, and a newline. Empty values are
/// "-"; quotes, backslashes, control bytes and bytes above 0x7e are \xXX as nginx writes them;
/// without a response the status is 000.
void append_combined(std::string& out, const Record& record);

/// Appends "2026-01-02T03:04:05.678Z". RFC 3339, UTC.
void append_rfc3339(std::string& out, WallTime time);

/// Appends `text` between quotes as a JSON string.
void append_json_string(std::string& out, std::string_view text);

}  // namespace weir::proxy
