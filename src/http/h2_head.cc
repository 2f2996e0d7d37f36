// SPDX-License-Identifier: Apache-2.0
#include "http/h2_head.h"

#include <array>
#include <charconv>

#include "base/assert.h"
#include "http/chars.h"
#include "http/h1_framing.h"
#include "http/h1_parse.h"
#include "http/passed_fields.h"
#include "http/uri.h"

namespace weir::http {
namespace {

// What a WebSocket client would have sent as Upgrade. RFC 8441 section 5.
constexpr std::string_view kWebSocket = "websocket";

/// RFC 9110 section 8.6: a request that means to carry content says when there is none.
bool expects_content(Method method) {
  return method == Method::post || method == Method::put || method == Method::patch;
}

}  // namespace

void H2RequestBuilder::add(std::string_view name, std::string_view value) {
  if (!name.starts_with(':')) {
    const FieldId id = field_id(name);
    // RFC 8441 section 5: what the key of an HTTP/1 upgrade proves is not asked here.
    if (!protocol_.empty() && name == "sec-websocket-key") return;
    if (id == FieldId::cookie) {
      cookies_.push_back(value);
    } else {
      head_.fields.push_back({name, value, id});
    }
  } else if (name == ":method") {
    head_.method_name = value;
  } else if (name == ":scheme") {
    head_.scheme = value;
  } else if (name == ":authority") {
    authority_ = value;
  } else if (name == ":path") {
    path_ = value;
  } else if (name == ":protocol") {
    protocol_ = value;
  }
}

// RFC 9113 section 8.3.1: a Host that says something else than :authority is malformed.
Result<void> H2RequestBuilder::set_authority() {
  const Field* host = nullptr;
  for (const Field& field : head_.fields) {
    if (field.id != FieldId::host) continue;
    if (host != nullptr) return fail(Cause::bad_host, "repeated host");
    host = &field;
  }
  if (host != nullptr && !authority_.empty() && !iequals(host->value, authority_)) {
    return fail(Cause::bad_host, "host and :authority");
  }
  head_.authority = authority_.empty() && host != nullptr ? host->value : authority_;
  if (!split_host_port(head_.authority)) return fail(Cause::bad_host, ":authority");
  return {};
}

Result<void> H2RequestBuilder::set_path(const HeadLimits& limits) {
  if (path_.size() > limits.target_size) return fail(Cause::target_too_long, ":path");
  if (path_.empty() || !all_of_class(path_, kTargetByte)) return fail(Cause::bad_target, ":path");
  head_.target = path_;
  if (path_ == "*" && head_.method == Method::options) {
    head_.path = path_;
    return {};
  }
  if (path_.front() != '/') return fail(Cause::bad_target, ":path");
  split_path(head_, path_);
  if (head_.path.find("%00") != std::string_view::npos) return fail(Cause::bad_target, "%00");
  return {};
}

Result<void> H2RequestBuilder::set_body(End end) {
  WEIR_TRY(length, field_length(head_.fields, Version::http11));
  const bool known = length.kind == FieldLength::Kind::known;
  if (end == End::body_follows) {
    head_.body = known ? BodyLength::known(length.bytes) : BodyLength::chunked();
  } else {
    // RFC 9113 section 8.1.1.
    if (known && length.bytes > 0) return fail(Cause::bad_content_length, "content-length");
    head_.body = known || expects_content(head_.method) ? BodyLength::known(0) : BodyLength::none();
  }
  return {};
}

// Expect (RFC 9110 section 10.1.1) and TE, of which only "trailers" may come (RFC 9113 section
// 8.2.2).
Result<void> H2RequestBuilder::set_rest() {
  for (const Field& field : head_.fields) {
    if (field.id == FieldId::te) head_.te_trailers = true;
    if (field.id != FieldId::expect) continue;
    if (!iequals(field.value, "100-continue")) return fail(Cause::expectation_failed, "expect");
    head_.expect_continue = !head_.body.empty();
  }
  return {};
}

Result<void> H2RequestBuilder::finish(End end, const HeadLimits& limits, std::string& joined) {
  head_.version = Version::http2;
  head_.method = method_from_name(head_.method_name);
  if (head_.method_name.size() > kMethodSizeMax) return fail(Cause::unsupported_method, "method");
  const bool connect = head_.method == Method::connect;
  if (connect && !iequals(protocol_, kWebSocket)) {
    return fail(Cause::unsupported_method, "CONNECT");
  }
  for (const std::string_view cookie : cookies_) {
    if (!joined.empty()) joined += "; ";
    joined += cookie;
  }
  if (!joined.empty()) head_.fields.push_back({"cookie", joined, FieldId::cookie});
  if (const auto done = set_authority(); !done) return done;
  if (const auto done = set_path(limits); !done) return done;
  head_.scheme = {};
  if (connect) {
    head_.method = Method::get;
    head_.method_name = "GET";
    head_.upgrade = kWebSocket;
    head_.body = BodyLength::none();
    return {};
  }
  if (const auto done = set_body(end); !done) return done;
  return set_rest();
}

void H2Fields::clear() {
  fields_.clear();
  text_.clear();
}

// The text must not move while fields look into it.
void H2Fields::reserve(const FieldList& fields, std::span<const HeadEdit> edits, std::size_t more) {
  std::size_t size = text_.size() + more;
  for (const Field& field : fields) size += field.name.size();
  for (const HeadEdit& edit : edits) size += edit.name.size() + edit.value.size();
  constexpr std::size_t kOurs = 8;  // pseudo-header fields, Date, lengths
  WEIR_ASSERT(fields_.empty());
  fields_.reserve(fields.size() + edits.size() + kOurs);
  text_.reserve(size);
}

void H2Fields::add(std::string_view name, std::string_view value) {
  fields_.push_back({lower(name), value});
}

// RFC 9113 section 8.2.1.
std::string_view H2Fields::lower(std::string_view name) {
  const std::size_t begin = text_.size();
  WEIR_ASSERT(begin + name.size() <= text_.capacity());
  text_.resize_and_overwrite(begin + name.size(), [&](char* data, std::size_t size) {
    for (std::size_t i = 0; i < name.size(); ++i) data[begin + i] = ascii_lower(name[i]);
    return size;
  });
  return std::string_view(text_).substr(begin);
}

// A value that did not come from a parser. RFC 9113 section 8.2.1: no CR, LF, NUL, and no white
// space at its ends.
std::string_view H2Fields::clean(std::string_view value) {
  value = trim_ows(value);
  if (all_of_class(value, kFieldByte)) return value;
  const std::size_t begin = text_.size();
  WEIR_ASSERT(begin + value.size() <= text_.capacity());
  for (const char c : value) text_.push_back(is(c, kFieldByte) ? c : ' ');
  return trim_ows(std::string_view(text_).substr(begin));
}

std::string_view H2Fields::number(std::uint64_t value) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  const std::size_t begin = text_.size();
  text_.append(digits.data(), end);
  return std::string_view(text_).substr(begin);
}

void H2Fields::add_edits(std::span<const HeadEdit> edits) {
  for (std::size_t i = 0; i < edits.size(); ++i) {
    // Of Host the authority is made.
    if (edits[i].id != FieldId::host && adds(edits, i)) {
      add(edits[i].name, clean(edits[i].value));
    }
  }
}

void H2Fields::add_length(const FieldList& fields, const Framing& framing) {
  if (framing.keep_content_length) {
    const Field* field = fields.find(FieldId::content_length);
    // Repeated equal values were accepted as one. RFC 9112 section 6.3 item 5.
    if (field != nullptr) {
      add("content-length", field->value.substr(0, field->value.find_first_of(", \t")));
    }
  } else if (framing.body.kind == BodyLength::Kind::known) {
    add("content-length", number(framing.body.bytes));
  }
}

void H2Fields::response(const ResponseHead& head, std::span<const HeadEdit> edits,
                        const Framing& framing) {
  clear();
  reserve(head.fields, edits, 64);
  fields_.push_back({":status", number(static_cast<std::uint64_t>(head.status))});
  const PassedFields passed(head.fields, edits, PassedFields::Doubles::pass,
                            PassedFields::Trailer::pass);
  for (const Field& field : head.fields) {
    if (passed.passes(field)) add(field.name, field.value);
  }
  add_edits(edits);
  const bool dated = head.fields.has(FieldId::date) || drops(edits, "date", FieldId::date);
  if (!framing.date.empty() && !dated) add("date", framing.date);
  if (head.status >= 200 && head.status != 204) add_length(head.fields, framing);
}

void H2Fields::request(const RequestHead& head, const Server& server, std::string_view target,
                       std::span<const HeadEdit> edits, const Framing& framing) {
  clear();
  reserve(head.fields, edits, 64);
  std::string_view authority = head.authority;
  for (const HeadEdit& edit : edits) {
    if (edit.id == FieldId::host && edit.kind != HeadEdit::Kind::remove) {
      authority = clean(edit.value);
    }
  }
  fields_.push_back({":method", head.method_name});
  fields_.push_back({":scheme", server.scheme});
  fields_.push_back({":authority", authority.empty() ? server.authority : authority});
  fields_.push_back({":path", target});
  const PassedFields passed(head.fields, edits, PassedFields::Doubles::drop,
                            PassedFields::Trailer::pass);
  for (const Field& field : head.fields) {
    if (field.id != FieldId::host && passed.passes(field)) add(field.name, field.value);
  }
  add_edits(edits);
  if (head.te_trailers) add("te", "trailers");
  if (head.expect_continue) add("expect", "100-continue");
  add_length(head.fields, framing);
}

void H2Fields::trailers(const FieldList& list, const TrailerRules& rules) {
  clear();
  reserve(list, {}, 0);
  for (const Field& field : list) {
    if (allowed_in_trailers(field, rules)) add(field.name, field.value);
  }
}

}  // namespace weir::http
