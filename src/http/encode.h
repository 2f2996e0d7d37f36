// SPDX-License-Identifier: Apache-2.0
//
// Heads to bytes for HTTP/1. The fields of a received head are passed on in order, without those
// that belong to one connection, changed by a short list of edits.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "http/head.h"

namespace weir::http {

/// One change of a head. Views are kept by whoever built the edit until the head was encoded.
struct HeadEdit {
  enum class Kind : std::uint8_t {
    set,     ///< drop every field of that name, then add this one
    add,     ///< add beside what is there
    remove,  ///< drop every field of that name
  };
  Kind kind = Kind::set;
  std::string_view name;
  std::string_view value;
  FieldId id = FieldId::other;  ///< field_id(name)
};

/// What a head says of its message's trailers, kept until they come.
struct TrailerRules {
  std::span<const HeadEdit> edits = {};  ///< names that are set or removed: not by a trailer either
  std::string connection = {};           ///< what Connection names. RFC 9110 section 7.6.1
};
TrailerRules trailer_rules(const FieldList& fields, std::span<const HeadEdit> edits);

/// How the message will be framed on this connection, as decided by the connection that sends it.
struct Framing {
  Version version = Version::http11;  ///< http10 or http11
  BodyLength body = {};               ///< known → Content-Length, chunked → Transfer-Encoding; none
                                      ///< and until_close write neither
  bool keep_alive = true;             ///< false writes "Connection: close"; true on HTTP/1.0 writes
                                      ///< "Connection: keep-alive"
  std::string_view upgrade = {};      ///< not empty: writes "Connection: Upgrade" and this Upgrade
  bool keep_content_length = false;   ///< responses to HEAD and 304: pass the field on as it came
  std::string_view date = {};         ///< responses: the Date of a message that came without one
};

/// Appends a request head with `target` and the fields of `head` after `edits` to `out`.
/// Hop-by-hop fields and every field that Connection names are left out (but never Host or
/// Content-Length: naming those does not hide them), as are Content-Length, Transfer-Encoding,
/// Trailer (kept when the body is chunked), TE (passed on as "TE: trailers" with "Connection: TE"
/// when head.te_trailers), Upgrade and Expect (kept when head.expect_continue). Left out as well:
/// doubles (same_variable) of fields that Weir knows or that an edit sets or removes.
///
/// Host carries head.authority, which an absolute-form target may have given; it is written first
/// when no field and no edit has it. Edits of hop-by-hop fields, Content-Length and Expect are
/// ignored (the framing owns them), as is the removal of Host, and adding a Host replaces it.
/// Control bytes in an edit's value become spaces; bytes in `target` that no target can hold are
/// escaped. Asserts: no chunked body on HTTP/1.0, no until_close in a request or beside keep_alive.
void encode_request(std::string& out, const RequestHead& head, std::string_view target,
                    std::span<const HeadEdit> edits, const Framing& framing);

/// Appends a status line and fields likewise. An empty reason becomes the standard one; 1xx and 204
/// carry neither Content-Length nor Transfer-Encoding.
void encode_response(std::string& out, const ResponseHead& head, std::span<const HeadEdit> edits,
                     const Framing& framing);

/// Appends trailer fields (those allowed in trailers, RFC 9110 section 6.5.1, and by `rules`) and
/// the empty line.
void encode_trailers(std::string& out, const FieldList& trailers, const TrailerRules& rules = {});

}  // namespace weir::http
