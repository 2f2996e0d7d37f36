// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "base/assert.h"
#include "http/chars.h"
#include "http/h1_framing.h"
#include "http/h1_lines.h"
#include "http/h1_parse.h"

namespace weir::http {
namespace {

constexpr std::size_t kIncomplete = static_cast<std::size_t>(-1);

std::unexpected<Error> bad(const char* where) { return fail(Cause::upstream_bad_response, where); }

/// RFC 9112 section 4. Returns the offset of the first field line, or kIncomplete.
Result<std::size_t> read_status_line(Bytes bytes, ResponseHead& head) {
  // One byte class per place: d is a digit, everything else itself.
  constexpr std::string_view kForm = "HTTP/1.d ddd";
  const bool usual = bytes.starts_with("HTTP/1.1 ") && bytes.size() > kForm.size() &&
                     all_of_class(bytes.substr(9, 3), kDigit);
  for (std::size_t i = 0; !usual && i < kForm.size(); ++i) {
    if (i == bytes.size()) return kIncomplete;
    const bool fits = kForm[i] == 'd' ? is(bytes[i], kDigit) : bytes[i] == kForm[i];
    if (!fits) return bad("status line");
  }
  head.version = bytes[7] == '0' ? Version::http10 : Version::http11;
  head.status = (bytes[9] - '0') * 100 + (bytes[10] - '0') * 10 + (bytes[11] - '0');
  if (head.status < 100 || head.status > 599) return bad("status");  // RFC 9110 section 15
  const char* const end = bytes.data() + bytes.size();
  const char* reason = bytes.data() + kForm.size();
  // The SP before an absent reason is often left out.
  if (reason != end && *reason != ' ' && *reason != '\r') return bad("status line");
  const char* stop = find_field_stop(reason, end);
  if (stop == end) return kIncomplete;
  if (*stop != '\r') return bad("status line");
  if (stop + 1 == end) return kIncomplete;
  if (stop[1] != '\n') return bad("bare CR");
  head.reason = {reason, static_cast<std::size_t>(stop - reason)};
  if (!head.reason.empty()) head.reason.remove_prefix(1);
  return static_cast<std::size_t>(stop + 2 - bytes.data());
}

/// RFC 9112 section 6.3.
BodyLength response_body(const ResponseHead& head, const FieldLength& length, Method method) {
  const int status = head.status;
  if (method == Method::head || status < 200 || status == 204 || status == 304) {
    return BodyLength::none();
  }
  if (method == Method::connect && status < 300) return BodyLength::none();
  switch (length.kind) {
    case FieldLength::Kind::absent: return BodyLength::until_close();
    case FieldLength::Kind::known: return BodyLength::known(length.bytes);
    case FieldLength::Kind::chunked: return BodyLength::chunked();
  }
  WEIR_UNREACHABLE("field length");
}

/// A server that announces a body where none can be may send it all the same, and its bytes would
/// be taken for the next response. RFC 9110 section 8.6, RFC 9112 section 6.1.
bool announces_impossible_body(const ResponseHead& head, const FieldLength& length) {
  if (head.status >= 200 && head.status != 204) return false;
  return length.kind == FieldLength::Kind::chunked || length.bytes > 0;
}

Result<void> derive(ResponseHead& head, Method method) {
  const Result<FieldLength> length = field_length(head.fields, head.version);
  if (!length) return bad(length.error().where);
  const bool interim = head.status < 200;
  if (interim && announces_impossible_body(head, *length)) {
    return bad("body of an interim response");
  }
  head.body = response_body(head, *length, method);
  const ConnectionOptions options = connection_options(head.fields);
  head.keep_alive = options.persistent(head.version) &&
                    head.body.kind != BodyLength::Kind::until_close &&
                    !announces_impossible_body(head, *length);
  head.upgrade = {};
  if (head.status == 101) {
    if (head.version == Version::http10) return bad("101 in HTTP/1.0");
    head.upgrade = upgrade_offered(head.fields, options, head.version);
  }
  return {};
}

Result<std::size_t> need_more(Bytes bytes, const HeadLimits& limits, std::size_t& scanned) {
  if (bytes.size() >= limits.head_size) return fail(Cause::upstream_head_too_large, "head size");
  scanned = bytes.size();
  return std::size_t{0};
}

}  // namespace

Result<std::size_t> parse_response_head(Bytes all, const HeadLimits& limits, Method request_method,
                                        std::size_t& scanned, ResponseHead& head) {
  WEIR_ASSERT(scanned <= all.size());
  const Bytes bytes = all.substr(0, limits.head_size);
  const auto* lf =
      static_cast<const char*>(scanned == 0 ? nullptr : std::memchr(bytes.data(), '\n', scanned));
  if (lf != nullptr) {
    const auto fields_begin = static_cast<std::size_t>(lf + 1 - bytes.data());
    if (still_incomplete(bytes, fields_begin, scanned)) return need_more(bytes, limits, scanned);
  }
  WEIR_TRY(line_end, read_status_line(bytes, head));
  if (line_end == kIncomplete) return need_more(bytes, limits, scanned);

  const FieldLines lines = read_field_lines(bytes, line_end, limits.head_fields, head.fields);
  switch (lines.outcome) {
    case FieldLines::Outcome::incomplete: return need_more(bytes, limits, scanned);
    case FieldLines::Outcome::malformed: return bad("field line");
    case FieldLines::Outcome::complete: break;
  }
  if (lines.count > limits.head_fields) return fail(Cause::upstream_head_too_large, "fields");
  if (const auto derived = derive(head, request_method); !derived) {
    return fail(derived.error());
  }
  scanned = lines.end;
  return lines.end;
}

}  // namespace weir::http
