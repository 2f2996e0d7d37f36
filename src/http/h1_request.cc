// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "http/chars.h"
#include "http/h1_framing.h"
#include "http/h1_lines.h"
#include "http/h1_parse.h"
#include "http/uri.h"

namespace weir::http {
namespace {

constexpr std::size_t kIncomplete = static_cast<std::size_t>(-1);

/// Where the request line begins, or kIncomplete.
Result<std::size_t> skip_empty_lines(Bytes bytes) {
  std::size_t at = 0;
  for (std::size_t lines = 0; at < bytes.size() && bytes[at] == '\r'; ++lines) {
    if (lines == kLeadingLinesMax) return fail(Cause::bad_request_line, "leading empty lines");
    if (at + 1 == bytes.size()) return kIncomplete;
    if (bytes[at + 1] != '\n') return fail(Cause::bad_request_line, "bare CR");
    at += 2;
  }
  return at;
}

/// "HTTP/" DIGIT "." DIGIT CRLF at `at`. Returns the offset behind it, or kIncomplete.
Result<std::size_t> read_version(Bytes bytes, std::size_t at, Version& version) {
  constexpr std::string_view kName = "HTTP/";
  const std::string_view text = bytes.substr(at);
  if (!kName.starts_with(text.substr(0, kName.size()))) {
    return fail(Cause::bad_request_line, "protocol name");
  }
  if (text.size() > 5 && !is(text[5], kDigit)) return fail(Cause::bad_request_line, "version");
  if (text.size() > 6 && text[6] != '.') return fail(Cause::bad_request_line, "version");
  if (text.size() > 7 && !is(text[7], kDigit)) return fail(Cause::bad_request_line, "version");
  if (text.size() > 7 && text[5] != '1') return fail(Cause::unsupported_version, "version");
  if (text.size() > 8 && text[8] != '\r') return fail(Cause::bad_request_line, "line end");
  if (text.size() > 9 && text[9] != '\n') return fail(Cause::bad_request_line, "bare CR");
  if (text.size() < 10) return kIncomplete;
  // RFC 9110 section 2.5: a higher minor version is treated as the highest that we know.
  version = text[7] == '0' ? Version::http10 : Version::http11;
  return at + 10;
}

/// RFC 9112 section 3. `checked` bytes were looked at before without an error.
Result<std::size_t> read_request_line(Bytes bytes, std::size_t begin, std::size_t checked,
                                      const HeadLimits& limits, RequestHead& head) {
  std::size_t at = begin;
  while (at < bytes.size() && is(bytes[at], kToken)) ++at;
  // RFC 9112 section 3: longer than any that is known.
  if (at - begin > kMethodSizeMax) return fail(Cause::unsupported_method, "method");
  if (at == bytes.size()) return kIncomplete;
  if (at == begin || bytes[at] != ' ') return fail(Cause::bad_request_line, "method");
  head.method_name = bytes.substr(begin, at - begin);

  const std::size_t target = ++at;
  // What stands behind the target is never longer than 10 bytes in a line that was not refused, so
  // an earlier look at `checked` bytes found no end of the target before this.
  constexpr std::size_t kTail = 12;
  if (checked > target + kTail) at = checked - kTail;
  while (at < bytes.size() && is(bytes[at], kTargetByte)) ++at;
  if (at - target > limits.target_size) return fail(Cause::target_too_long, "target");
  if (at == bytes.size()) return kIncomplete;
  if (bytes[at] != ' ') {
    const bool text = is(bytes[at], kFieldByte) && bytes[at] != '\t';
    return fail(text ? Cause::bad_target : Cause::bad_request_line, "target");
  }
  if (at == target) return fail(Cause::bad_request_line, "empty target");
  head.target = bytes.substr(target, at - target);
  return read_version(bytes, at + 1, head.version);
}

/// RFC 9112 section 3.2.2.
Result<void> split_absolute(RequestHead& head) {
  const std::size_t colon = head.target.find("://");
  head.scheme = head.target.substr(0, colon);
  if (colon == std::string_view::npos ||
      (!iequals(head.scheme, "http") && !iequals(head.scheme, "https"))) {
    return fail(Cause::bad_target, "target form");
  }
  const std::string_view rest = head.target.substr(colon + 3);
  const std::size_t size = std::min(rest.find_first_of("/?"), rest.size());
  head.authority = rest.substr(0, size);
  if (!split_host_port(head.authority)) return fail(Cause::bad_target, "authority");
  split_path(head, rest.substr(size));
  if (head.path.empty()) {
    // RFC 9112 section 3.2.4: OPTIONS of a URI without path and query is about the server.
    head.path = head.method == Method::options && !head.has_query ? "*" : "/";
  }
  return {};
}

/// RFC 9112 section 3.2: which form the target has depends on the method.
Result<void> read_target(RequestHead& head) {
  head.scheme = {};
  head.authority = {};
  head.has_query = false;
  head.query = {};
  head.method = method_from_name(head.method_name);
  if (head.method == Method::connect) return fail(Cause::unsupported_method, "CONNECT");
  if (head.target.front() == '/') {
    split_path(head, head.target);
  } else if (head.target == "*") {
    if (head.method != Method::options) return fail(Cause::bad_target, "target form");
    head.path = head.target;
  } else {
    if (const auto done = split_absolute(head); !done) return fail(done.error());
  }
  if (head.path.find("%00") != std::string_view::npos) return fail(Cause::bad_target, "%00");
  return {};
}

/// RFC 9112 section 3.2: exactly one Host in HTTP/1.1, at most one in 1.0.
Result<void> read_host(RequestHead& head) {
  const Field* host = nullptr;
  for (const Field& field : head.fields) {
    if (field.id != FieldId::host) continue;
    if (host != nullptr) return fail(Cause::bad_host, "repeated Host");
    host = &field;
  }
  if (host == nullptr) {
    if (head.version == Version::http10) return {};
    return fail(Cause::bad_host, "no Host");
  }
  if (!split_host_port(host->value)) return fail(Cause::bad_host, "Host");
  // RFC 9112 section 3.2.2: the target's authority wins.
  if (head.scheme.empty()) head.authority = host->value;
  return {};
}

/// RFC 9110 section 10.1.1.
Result<void> read_expect(RequestHead& head) {
  if (head.version == Version::http10) return {};
  for (const Field& field : head.fields) {
    if (field.id != FieldId::expect) continue;
    if (!iequals(field.value, "100-continue")) return fail(Cause::expectation_failed, "Expect");
    // Without a body there is nothing to wait for.
    head.expect_continue = !head.body.empty();
  }
  return {};
}

/// RFC 9110 section 10.1.4.
bool takes_trailers(const FieldList& fields) {
  bool found = false;
  for (const Field& field : fields) {
    if (field.id != FieldId::te) continue;
    for_each_element(field.value,
                     [&](std::string_view each) { found = found || iequals(each, "trailers"); });
  }
  return found;
}

BodyLength request_body(const FieldLength& length) {
  switch (length.kind) {
    case FieldLength::Kind::absent: return BodyLength::none();
    case FieldLength::Kind::known: return BodyLength::known(length.bytes);
    case FieldLength::Kind::chunked: return BodyLength::chunked();
  }
  WEIR_UNREACHABLE("field length");
}

Result<void> derive(RequestHead& head) {
  if (const auto host = read_host(head); !host) return fail(host.error());
  WEIR_TRY(length, field_length(head.fields, head.version));
  head.body = request_body(length);
  head.expect_continue = false;
  if (head.fields.has(FieldId::expect)) {
    if (const auto expect = read_expect(head); !expect) return fail(expect.error());
  }
  const ConnectionOptions options = connection_options(head.fields);
  head.keep_alive = options.persistent(head.version);
  // A request whose content is doubtful ends its connection to the server, and nothing else.
  const bool doubtful = !head.body.empty() && content_is_unusual(head.method);
  head.upgrade =
      doubtful ? std::string_view{} : upgrade_offered(head.fields, options, head.version);
  head.te_trailers = head.fields.has(FieldId::te) && takes_trailers(head.fields);
  return {};
}

Result<std::size_t> need_more(Bytes bytes, const HeadLimits& limits, std::size_t& scanned) {
  if (bytes.size() >= limits.head_size) return fail(Cause::head_too_large, "head size");
  scanned = bytes.size();
  return std::size_t{0};
}

}  // namespace

Result<std::size_t> parse_request_head(Bytes all, const HeadLimits& limits, std::size_t& scanned,
                                       RequestHead& head) {
  WEIR_ASSERT(scanned <= all.size());
  const Bytes bytes = all.substr(0, limits.head_size);
  WEIR_TRY(begin, skip_empty_lines(bytes));
  if (begin == kIncomplete) return need_more(bytes, limits, scanned);

  if (scanned > begin) {
    const auto* lf =
        static_cast<const char*>(std::memchr(bytes.data() + begin, '\n', scanned - begin));
    if (lf != nullptr) {
      const auto fields_begin = static_cast<std::size_t>(lf + 1 - bytes.data());
      if (still_incomplete(bytes, fields_begin, scanned)) return need_more(bytes, limits, scanned);
      scanned = 0;  // an outcome: read all of it, from the start
    }
  }
  WEIR_TRY(line_end, read_request_line(bytes, begin, scanned, limits, head));
  if (line_end == kIncomplete) return need_more(bytes, limits, scanned);
  if (const auto target = read_target(head); !target) return fail(target.error());

  const FieldLines lines = read_field_lines(bytes, line_end, limits.head_fields, head.fields);
  switch (lines.outcome) {
    case FieldLines::Outcome::incomplete: return need_more(bytes, limits, scanned);
    case FieldLines::Outcome::malformed: return fail(Cause::bad_header, "field line");
    case FieldLines::Outcome::complete: break;
  }
  if (lines.count > limits.head_fields) return fail(Cause::head_too_large, "fields");
  if (const auto derived = derive(head); !derived) return fail(derived.error());
  scanned = lines.end;
  return lines.end;
}

}  // namespace weir::http
