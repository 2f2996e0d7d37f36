// SPDX-License-Identifier: Apache-2.0
//
// Heads as one line of text, to compare with; and the incremental parsers as feeds. For tests only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_parse.h"

namespace weir::http {

/// Bytes with exactly their size on the heap, so that a read beyond them is seen by sanitizers.
struct ExactBytes {
  explicit ExactBytes(std::string_view bytes)
      : storage(new char[bytes.size()]), view(storage.get(), bytes.size()) {
    bytes.copy(storage.get(), bytes.size());
  }
  std::unique_ptr<char[]> storage;
  std::string_view view;
};

inline std::string text_of(const BodyLength& body) {
  switch (body.kind) {
    case BodyLength::Kind::none: return "none";
    case BodyLength::Kind::known: return std::to_string(body.bytes);
    case BodyLength::Kind::chunked: return "chunked";
    case BodyLength::Kind::until_close: return "until_close";
  }
  return "?";
}

inline std::string text_of(const FieldList& fields) {
  std::string text;
  for (const Field& field : fields) {
    text += '[';
    text += field.name;
    text += '=';
    text += field.value;
    text += ']';
  }
  return text;
}

/// Without the fields: "GET /a?b @host 1.1 body=none", then what differs from the usual.
inline std::string text_of(const RequestHead& head) {
  std::string text(head.method_name);
  text += ' ';
  text += head.path;
  if (head.has_query) text += '?';
  text += head.query;
  text += " @";
  text += head.authority;
  text += head.version == Version::http10 ? " 1.0" : " 1.1";
  text += " body=" + text_of(head.body);
  if (!head.keep_alive) text += " close";
  if (head.expect_continue) text += " expect";
  if (head.te_trailers) text += " trailers";
  if (!head.upgrade.empty()) text += " upgrade=" + std::string(head.upgrade);
  if (!head.scheme.empty()) text += " scheme=" + std::string(head.scheme);
  return text;
}

inline std::string text_of(const ResponseHead& head) {
  std::string text = std::to_string(head.status) + ' ' + std::string(head.reason);
  text += head.version == Version::http10 ? " 1.0" : " 1.1";
  text += " body=" + text_of(head.body);
  if (!head.keep_alive) text += " close";
  if (!head.upgrade.empty()) text += " upgrade=" + std::string(head.upgrade);
  return text;
}

/// Feeds a head parser with growing prefixes. `parse(bytes, scanned)` returns its result,
/// `describe()` the head it filled. The text ends with " +n" when n bytes behind the head were not
/// consumed.
template <class Parse, class Describe>
std::string feed_head(std::string_view bytes, const std::vector<std::size_t>& sizes, Parse&& parse,
                      Describe&& describe) {
  std::size_t scanned = 0;
  std::size_t have = 0;
  for (const std::size_t size : sizes) {
    have += size;
    const ExactBytes buffer(bytes.substr(0, have));
    const Result<std::size_t> result = parse(buffer.view, scanned);
    if (!result) return std::string(weir::describe(result.error().cause).name);
    if (*result == 0) continue;
    const std::size_t rest = bytes.size() - *result;
    return describe() + (rest == 0 ? "" : " +" + std::to_string(rest));
  }
  return "more";
}

}  // namespace weir::http
