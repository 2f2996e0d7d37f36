// SPDX-License-Identifier: Apache-2.0
//
// Heads with edits through the encoder. The first byte's bits say how it is to be framed (kResponse
// …); then come edits, one per line ("=Name: value" sets, "+Name: value" adds, "-Name" removes; \n
// and \r in a value are the control bytes), then the head. What comes out must be what a plain list
// of fields would be after the same edits, and the strict reader must find it well formed.
#include <algorithm>

#include "base/assert.h"
#include "http/encode.h"
#include "http/h1_parse.h"
#include "http/head_for_test.h"
#include "http/strict_for_test.h"

using namespace weir;
using namespace weir::http;

namespace {

enum Flags : unsigned { kResponse = 1, kToHead = 2, kClose = 4, kHttp10 = 8, kChunked = 16 };

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Edits {
  std::vector<std::pair<std::string, std::string>> texts;
  std::vector<HeadEdit> list;
};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = ascii_lower(c);
  return result;
}

std::string unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : 0;
    if (next == 'r' || next == 'n') ++i;
    result += next == 'r' ? '\r' : next == 'n' ? '\n' : text[i];
  }
  return result;
}

/// Takes the lines of edits off `rest`.
Edits read_edits(std::string_view& rest) {
  Edits edits;
  std::vector<HeadEdit::Kind> kinds;
  while (!rest.empty() && (rest[0] == '=' || rest[0] == '+' || rest[0] == '-')) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(1, end == rest.npos ? end : end - 1);
    kinds.push_back(rest[0] == '='   ? HeadEdit::Kind::set
                    : rest[0] == '+' ? HeadEdit::Kind::add
                                     : HeadEdit::Kind::remove);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string_view value = line.substr(std::min(colon + 1, line.size()));
    edits.texts.emplace_back(line.substr(0, colon), unescaped(trim_ows(value)));
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto& [name, value] = edits.texts[i];
    edits.list.push_back({kinds[i], name, value, field_id(name)});
  }
  return edits;
}

/// The framing writes these itself.
bool is_framing(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "connection", "content-length",     "expect",           "http2-settings",
      "keep-alive", "proxy-authenticate", "proxy-connection", "proxy-authorization",
      "te",         "transfer-encoding",  "trailer",          "upgrade"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

bool connection_names(const FieldList& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (lower(field.name) != "connection") continue;
    const std::string list = lower(field.value) + ",";
    for (std::size_t at = 0; at < list.size();) {
      const std::size_t end = list.find(',', at);
      if (trim_ows(std::string_view(list).substr(at, end - at)) == name) return true;
      at = end + 1;
    }
  }
  return false;
}

/// What CGI makes of a name, but for the "HTTP" in front. RFC 3875 section 4.1.18.
std::string variable(std::string_view name) {
  std::string result = lower(name);
  for (char& c : result) {
    if ((c < 'a' || c > 'z') && (c < '0' || c > '9')) c = '-';
  }
  return result;
}

/// Would a server take it for a field that Weir reads, or that an edit speaks about?
bool is_double(const std::string& name, const Edits& edits) {
  const std::string same = variable(name);
  if (same == name) return false;
  if (field_id(same) != FieldId::other) return true;
  return std::ranges::any_of(edits.list, [&](const HeadEdit& edit) {
    return edit.kind != HeadEdit::Kind::add && lower(edit.name) != name &&
           variable(edit.name) == same;
  });
}

enum class Doubles : std::uint8_t { dropped, passed };

/// What is to be sent besides the framing's own fields: the received ones, then the edits in turn.
Fields expected(const FieldList& received, const Edits& edits, std::string_view authority,
                Doubles doubles) {
  Fields fields;
  for (const Field& field : received) {
    const std::string name = lower(field.name);
    if (is_framing(name)) continue;
    if (doubles == Doubles::dropped && is_double(name, edits)) continue;
    if (name != "host" && connection_names(received, name)) continue;
    fields.emplace_back(name, name == "host" && !authority.empty() ? authority : field.value);
  }
  for (const HeadEdit& edit : edits.list) {
    const std::string name = lower(edit.name);
    const bool host = name == "host";
    const bool named = strict::token(edit.name);
    if (is_framing(name) || (host && edit.kind == HeadEdit::Kind::remove)) continue;
    if (edit.kind != HeadEdit::Kind::add || host) {
      std::erase_if(fields, [&](const auto& field) { return field.first == name; });
    }
    if (edit.kind == HeadEdit::Kind::remove || !named) continue;
    std::string value(edit.value);
    for (char& c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte < 0x20 && c != '\t') || byte == 0x7f) c = ' ';
    }
    fields.emplace_back(name, trim_ows(value));
  }
  return fields;
}

void check_fields(const Strict& sent, Fields expect, bool request) {
  Fields got;
  for (const auto& field : sent.fields) {
    if (!is_framing(field.first)) got.push_back(field);
  }
  if (request && std::ranges::find(expect, "host", &Fields::value_type::first) == expect.end()) {
    WEIR_ASSERT(!got.empty() && got.front().first == "host");
    got.erase(got.begin());
  }
  WEIR_ASSERT(got == expect);
  for (const char* gone : {"keep-alive", "proxy-connection", "proxy-authenticate",
                           "proxy-authorization", "http2-settings"}) {
    WEIR_ASSERT(sent.all(gone).empty());
  }
  for (const std::string_view option : sent.all("connection")) {
    WEIR_ASSERT(option == "close" || option == "keep-alive" || option == "Upgrade" ||
                option == "TE");
  }
  WEIR_ASSERT(sent.all("trailer").empty() || sent.framing == Strict::Framing::chunked);
  if (!sent.all("te").empty()) WEIR_ASSERT(sent.all("te")[0] == "trailers");
}

void check_request(std::string_view bytes, unsigned flags, const Edits& edits) {
  RequestHead head;
  std::size_t scanned = 0;
  if (parse_request_head(bytes, HeadLimits{}, scanned, head).value_or(0) == 0) return;
  Framing framing;
  framing.body = (flags & kChunked) != 0 ? BodyLength::chunked() : head.body;
  framing.keep_alive = (flags & kClose) == 0;
  if (head.body.empty()) framing.upgrade = head.upgrade;
  std::string out;
  encode_request(out, head, head.path, edits.list, framing);
  const Strict sent = read_strict(out, Strict::Kind::request);
  if (sent.head == Strict::State::bad) __builtin_printf("%s in:\n%s", sent.why, out.c_str());
  WEIR_ASSERT(sent.head == Strict::State::whole && sent.head_size == out.size());
  WEIR_ASSERT(sent.method() == head.method_name);
  WEIR_ASSERT(sent.target() == head.path);
  WEIR_ASSERT(sent.framing == Strict::Framing::none || !framing.body.empty() ||
              (sent.framing == Strict::Framing::known && sent.length == 0));
  WEIR_ASSERT(sent.framing == Strict::Framing::chunked ==
              (framing.body.kind == BodyLength::Kind::chunked));
  check_fields(sent, expected(head.fields, edits, head.authority, Doubles::dropped), true);
}

void check_response(std::string_view bytes, unsigned flags, const Edits& edits) {
  ResponseHead head;
  std::size_t scanned = 0;
  const bool to_head = (flags & kToHead) != 0;
  const Method method = to_head ? Method::head : Method::get;
  if (parse_response_head(bytes, HeadLimits{}, method, scanned, head).value_or(0) == 0) return;
  Framing framing;
  framing.version = (flags & kHttp10) != 0 ? Version::http10 : Version::http11;
  framing.body = head.body;
  using Kind = BodyLength::Kind;
  if (head.body.kind == Kind::chunked || head.body.kind == Kind::until_close) {
    const bool old = framing.version == Version::http10;
    framing.body = old ? BodyLength::until_close() : BodyLength::chunked();
  }
  framing.keep_alive = (flags & kClose) == 0 && framing.body.kind != Kind::until_close;
  framing.keep_content_length = head.body.kind == Kind::none;
  if (head.status == 101) framing.upgrade = head.upgrade;
  std::string out;
  encode_response(out, head, edits.list, framing);
  const Strict sent =
      read_strict(out, to_head ? Strict::Kind::response_to_head : Strict::Kind::response);
  if (sent.head == Strict::State::bad) __builtin_printf("%s in:\n%s", sent.why, out.c_str());
  WEIR_ASSERT(sent.head == Strict::State::whole && sent.head_size == out.size());
  WEIR_ASSERT(sent.status() == head.status);
  check_fields(sent, expected(head.fields, edits, {}, Doubles::passed), false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Edits edits = read_edits(rest);
  const ExactBytes head(rest);
  if ((data[0] & kResponse) != 0) {
    check_response(head.view, data[0], edits);
  } else {
    check_request(head.view, data[0], edits);
  }
  return 0;
}
