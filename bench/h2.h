// SPDX-License-Identifier: Apache-2.0
//
// What load and origin share of HTTP/2: sessions of nghttp2, and heads of HTTP/1.1 as its fields.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir::bench {

struct H2Free {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  void operator()(nghttp2_session_callbacks* callbacks) const {
    nghttp2_session_callbacks_del(callbacks);
  }
};
using H2Session = std::unique_ptr<nghttp2_session, H2Free>;
using H2Callbacks = std::unique_ptr<nghttp2_session_callbacks, H2Free>;

/// None that does anything; to be filled in.
H2Callbacks h2_callbacks();

/// Announces what each stream and the connection may have under way, and how many streams there may
/// be.
void h2_introduce(nghttp2_session* session, std::int32_t stream_window,
                  std::int32_t connection_window, std::uint32_t streams);

/// Appends some of what the session has to send to `out`; false when the session is broken.
bool h2_produce(nghttp2_session* session, std::string& out);

/// Points to both, which have to stay where they are until the frame has been sent.
nghttp2_nv h2_field(std::string_view name, std::string_view value);

/// Appends the fields of a head, as h2_field() does: writes the names in small letters into `head`,
/// whose first line and end it leaves out, and those fields that HTTP/2 has not (RFC 9113 section
/// 8.2.2) or has elsewhere (Host).
void h2_append_fields(std::string& head, std::vector<nghttp2_nv>& fields);

}  // namespace weir::bench
