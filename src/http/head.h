// SPDX-License-Identifier: Apache-2.0
//
// The head of an HTTP message as values: what HTTP/1, 2 and 3 have in common. All strings are views
// into one contiguous buffer that the message's owner keeps until the exchange has ended; nothing
// here owns bytes. Heads are filled by a parser and read-only afterwards: changes are HeadEdits,
// applied when the head is encoded (encode.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace weir::http {

enum class Version : std::uint8_t { http10, http11, http2, http3 };

enum class Method : std::uint8_t {
  get,
  head,
  post,
  put,
  del,
  connect,
  options,
  trace,
  patch,
  other
};

/// Fields that Weir itself looks at; every other one is `other`. Assigned once, by the parser.
enum class FieldId : std::uint8_t {
  other,
  accept_encoding,
  authorization,
  connection,
  content_length,
  content_type,
  cookie,
  date,
  expect,
  forwarded,
  host,
  http2_settings,
  keep_alive,
  location,
  proxy_authenticate,
  proxy_authorization,
  proxy_connection,
  referer,
  server,
  te,
  trailer,
  transfer_encoding,
  upgrade,
  user_agent,
  via,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_proto,
  x_request_id,
};

/// The id of a field name, compared without case.
FieldId field_id(std::string_view name);

/// Would a server that makes variables of fields take one for the other? CGI (RFC 3875 section
/// 4.1.18) and its heirs turn '-' into '_', some of them every byte but letters and digits.
bool same_variable(std::string_view a, std::string_view b);
/// The known field of which `name`, itself not known, is such a double; `other` if there is none.
FieldId double_of(std::string_view name);

struct Field {
  std::string_view name;   ///< as it came, case kept
  std::string_view value;  ///< without surrounding white space
  FieldId id = FieldId::other;
  /// Both are views of one line "name: value" CRLF, which may be copied as it is.
  bool whole_line = false;
};

/// A set of ids: most heads have few of the known fields, and need no search for the rest.
class FieldIds {
 public:
  void add(FieldId id) { bits_ |= std::uint64_t{1} << static_cast<unsigned>(id); }
  [[nodiscard]] bool has(FieldId id) const { return (bits_ >> static_cast<unsigned>(id) & 1) != 0; }

 private:
  std::uint64_t bits_ = 0;
};

/// Fields in order of arrival. Inline for the usual count, on the heap beyond.
class FieldList {
 public:
  static constexpr std::size_t kInline = 24;

  // Not initialised: most heads use a few of the places, and touching all of them costs a kilobyte
  // of cache for each head.
  FieldList() {}

  void clear() {
    size_ = 0;
    ids_ = {};
    heap_.clear();
  }
  void push_back(const Field& field) {
    ids_.add(field.id);
    if (size_ >= kInline) return push_back_on_heap(field);
    std::construct_at(inline_fields() + size_++, field);
  }
  [[nodiscard]] std::span<const Field> all() const {
    return {size_ <= kInline ? inline_fields() : heap_.data(), size_};
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  auto begin() const { return all().begin(); }
  auto end() const { return all().end(); }
  /// Whether there is a field of that id.
  [[nodiscard]] bool has(FieldId id) const { return ids_.has(id); }
  /// The first field of that id; nullptr if there is none.
  [[nodiscard]] const Field* find(FieldId id) const { return has(id) ? search(id) : nullptr; }
  [[nodiscard]] const Field* find(std::string_view name) const;

 private:
  void push_back_on_heap(const Field& field);
  [[nodiscard]] const Field* search(FieldId id) const;
  Field* inline_fields() { return std::launder(reinterpret_cast<Field*>(inline_.data())); }
  [[nodiscard]] const Field* inline_fields() const {
    return std::launder(reinterpret_cast<const Field*>(inline_.data()));
  }

  std::size_t size_ = 0;
  FieldIds ids_;
  std::vector<Field> heap_;  // holds all of them once there are more than kInline
  alignas(Field) std::array<std::byte, kInline * sizeof(Field)> inline_;
};

/// How the end of a message body is known. RFC 9112 section 6.3.
struct BodyLength {
  enum class Kind : std::uint8_t {
    none,         ///< there is no body (and no way to send one)
    known,        ///< exactly `bytes` bytes; may be 0
    chunked,      ///< ends with the last chunk; in HTTP/2 and 3: ends with END_STREAM
    until_close,  ///< responses only: ends when the connection is closed
  };
  Kind kind = Kind::none;
  std::uint64_t bytes = 0;  ///< for `known`

  [[nodiscard]] bool empty() const {
    return kind == Kind::none || (kind == Kind::known && bytes == 0);
  }
  static constexpr BodyLength none() { return {}; }
  static constexpr BodyLength known(std::uint64_t n) { return {Kind::known, n}; }
  static constexpr BodyLength chunked() { return {Kind::chunked, 0}; }
  static constexpr BodyLength until_close() { return {Kind::until_close, 0}; }
};

struct RequestHead {
  Method method = Method::other;
  Version version = Version::http11;
  std::string_view method_name;
  std::string_view target;     ///< as it came
  std::string_view scheme;     ///< only of an absolute-form target; otherwise empty
  std::string_view authority;  ///< host[:port] of the absolute-form target, else of Host; may be
                               ///< empty in HTTP/1.0. RFC 9112 section 3.2.2: the target wins
  std::string_view path;       ///< with a leading '/', or "*" for OPTIONS *
  std::string_view query;      ///< without '?'; `has_query` tells "/a?" from "/a"
  bool has_query = false;
  FieldList fields;

  // Derived from the fields in the same pass.
  BodyLength body;
  bool keep_alive = true;  ///< the client wants to use the connection again
  bool expect_continue = false;
  std::string_view upgrade;  ///< the Upgrade value, when Connection names it; otherwise empty
  bool te_trailers = false;  ///< TE: trailers
};

struct ResponseHead {
  int status = 0;
  Version version = Version::http11;
  std::string_view reason;
  FieldList fields;

  BodyLength body;  ///< depends on the request's method as well
  bool keep_alive = true;
  std::string_view upgrade;
};

/// Bounds on what is parsed. See base/limits.h for the arithmetic.
struct HeadLimits {
  std::size_t head_size = 32_KiB;  ///< bytes of the whole head, first line included
  std::size_t head_fields = 100;
  std::size_t target_size = 16_KiB;  ///< bytes of the request target
};

/// "HTTP/1.1", for logs.
[[nodiscard]] std::string_view version_name(Version version);
/// Fills path, query and has_query of `head`.
void split_path(RequestHead& head, std::string_view path_and_query);
[[nodiscard]] Method method_from_name(std::string_view name);
/// RFC 9110 section 9.2.2: may be sent again without asking.
[[nodiscard]] bool idempotent(Method method);
/// RFC 9110 sections 9.3.1, 9.3.2, 9.3.5, 9.3.7 and 9.3.8: content in such a request has no defined
/// meaning, and there are servers that do not read it and take it for the next request.
[[nodiscard]] bool content_is_unusual(Method method);
/// Fields that belong to one connection and are never forwarded. RFC 9110 section 7.6.1.
[[nodiscard]] bool hop_by_hop(FieldId id);
/// The standard reason phrase; "Unknown" for a status without one.
[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace weir::http
