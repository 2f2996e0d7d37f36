// SPDX-License-Identifier: Apache-2.0
//
// What the fields of an HTTP/1 head say about its connection: the body's length, whether the
// connection is kept, upgrades. Shared by requests and responses; both treat errors in their own
// way.
#pragma once

#include "base/error.h"
#include "http/h1_lines.h"
#include "http/head.h"

namespace weir::http {

/// The body's length as the fields alone give it. RFC 9112 section 6.3.
struct FieldLength {
  enum class Kind : std::uint8_t { absent, known, chunked };
  Kind kind = Kind::absent;
  std::uint64_t bytes = 0;  ///< for `known`
};

/// Errors: Cause::bad_content_length, bad_transfer_encoding, unsupported_coding.
Result<FieldLength> field_length(const FieldList& fields, Version version);

/// Options of all Connection fields that matter here. RFC 9110 section 7.6.1.
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;

  /// RFC 9112 section 9.3.
  [[nodiscard]] bool persistent(Version version) const {
    return !close && (version != Version::http10 || keep_alive);
  }
};
ConnectionOptions connection_options(const FieldList& fields);

/// The value of the one Upgrade field, if it can be honoured: not h2c and others in which HTTP goes
/// on, which are simply not offered (RFC 9110 section 7.8 lets a server ignore them). Otherwise
/// empty.
std::string_view upgrade_offered(const FieldList& fields, const ConnectionOptions& options,
                                 Version version);

}  // namespace weir::http
