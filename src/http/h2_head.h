// SPDX-License-Identifier: Apache-2.0
//
// Heads of HTTP/2 messages (RFC 9113 section 8) as the values that all versions share, and back.
// Sans-I/O: a codec (HPACK and frames) gives names and values one by one and has checked what
// concerns HTTP/2 alone: names in lower case, the order and number of pseudo-header fields, bytes
// that no name or value can hold, fields of one connection.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/encode.h"
#include "http/head.h"

namespace weir::http {

/// The client's first bytes on a connection. RFC 9113 section 3.4.
inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Gathers the fields of one request head. Views that are added must live as long as `head`.
class H2RequestBuilder {
 public:
  explicit H2RequestBuilder(RequestHead& head) : head_(head) {}

  /// A pseudo-header field (":method") or a field.
  void add(std::string_view name, std::string_view value);
  /// Another field in several lines, of which there may be one in HTTP/1: RFC 9113 section 8.2.3.
  [[nodiscard]] std::size_t cookies() const { return cookies_.size(); }

  /// The head is complete. `joined`: room that lives as long as the head, for the one Cookie that
  /// several become. Errors: bad_host, bad_target, bad_content_length, expectation_failed,
  /// target_too_long, unsupported_method.
  enum class End : std::uint8_t { head, body_follows };
  Result<void> finish(End end, const HeadLimits& limits, std::string& joined);

  /// RFC 8441: the protocol of an extended CONNECT; empty otherwise. The head then says what an
  /// HTTP/1 client would have asked: GET with Upgrade.
  [[nodiscard]] std::string_view protocol() const { return protocol_; }

 private:
  Result<void> set_authority();
  Result<void> set_path(const HeadLimits& limits);
  Result<void> set_body(End end);
  Result<void> set_rest();

  RequestHead& head_;
  std::string_view authority_;
  std::string_view path_;
  std::string_view protocol_;
  std::vector<std::string_view> cookies_;
};

/// One field of a head that is about to be encoded.
struct NameValue {
  std::string_view name;  ///< in lower case
  std::string_view value;
};

/// The fields of a head for HTTP/2, in order. Names that had to be changed, numbers, and values
/// that had to be cleaned stand in the text.
class H2Fields {
 public:
  /// ":status" and the fields that encode_response would pass on, with Content-Length where the
  /// body's length is known.
  void response(const ResponseHead& head, std::span<const HeadEdit> edits, const Framing& framing);
  struct Server {
    std::string_view scheme;     ///< of the connection to it
    std::string_view authority;  ///< of a request that does not say for whom it is (HTTP/1.0)
  };
  /// Pseudo-header fields and the fields that encode_request would pass on. RFC 9113 section 8.3.1.
  void request(const RequestHead& head, const Server& server, std::string_view target,
               std::span<const HeadEdit> edits, const Framing& framing);
  /// The trailer fields that encode_trailers would pass on.
  void trailers(const FieldList& trailers, const TrailerRules& rules);

  [[nodiscard]] const std::vector<NameValue>& all() const { return fields_; }

 private:
  void clear();
  void reserve(const FieldList& fields, std::span<const HeadEdit> edits, std::size_t more);
  void add(std::string_view name, std::string_view value);
  void add_edits(std::span<const HeadEdit> edits);
  void add_length(const FieldList& fields, const Framing& framing);
  std::string_view lower(std::string_view name);
  std::string_view clean(std::string_view value);
  std::string_view number(std::uint64_t value);

  std::vector<NameValue> fields_;
  std::string text_;  // never grows while fields look into it
};

}  // namespace weir::http
