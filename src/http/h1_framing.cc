// SPDX-License-Identifier: Apache-2.0
#include "http/h1_framing.h"

#include <algorithm>

#include "http/chars.h"
#include "http/h1_parse.h"

namespace weir::http {
namespace {

/// RFC 9112 section 6.3 item 5: repeated values are one value only when all are the same.
std::optional<std::uint64_t> content_length(const FieldList& fields, const Field& first) {
  const auto also = [&](const Field& field) {
    return field.id == FieldId::content_length && &field != &first;
  };
  const bool repeated = std::ranges::any_of(fields, also);
  if (!repeated && all_of_class(first.value, kDigit)) return parse_u64(first.value);
  const std::string_view digits = first.value.substr(0, first.value.find_first_of(", \t"));
  if (!all_of_class(digits, kDigit)) return std::nullopt;
  const std::optional<std::uint64_t> bytes = parse_u64(digits);
  if (!bytes) return std::nullopt;
  bool same = true;
  for (const Field& field : fields) {
    if (field.id != FieldId::content_length) continue;
    for_each_element(field.value, [&](std::string_view each) { same = same && each == digits; });
  }
  return same ? bytes : std::nullopt;
}

/// RFC 9112 sections 6.1 and 7: chunked, once and alone, is what Weir passes on.
Result<FieldLength> transfer_encoding(const FieldList& fields, const Field& first,
                                      Version version) {
  // RFC 9112 section 6.1: in HTTP/1.0 the framing is faulty.
  if (version == Version::http10) return fail(Cause::bad_transfer_encoding, "TE in HTTP/1.0");
  bool chunked_before = false;
  bool others = false;
  bool well_formed = true;
  for_each_element(first.value, [&](std::string_view coding) {
    const bool chunked = iequals(coding, "chunked");
    // Nothing may follow chunked: neither another coding nor itself.
    if (chunked_before || coding.empty()) well_formed = false;
    chunked_before = chunked_before || chunked;
    others = others || !chunked;
  });
  for (const Field& field : fields) {
    if (field.id == FieldId::transfer_encoding && &field != &first) well_formed = false;
  }
  if (!well_formed || !chunked_before) {
    return fail(Cause::bad_transfer_encoding, "chunked is not the last coding");
  }
  if (others) return fail(Cause::unsupported_coding, "transfer coding");
  return FieldLength{FieldLength::Kind::chunked, 0};
}

/// Protocols in which HTTP goes on: their requests would pass by routes and rules unseen.
bool carries_http(std::string_view protocols) {
  bool found = false;
  for_each_element(protocols, [&](std::string_view each) {
    const std::string_view name = trim_ows(each.substr(0, each.find('/')));
    for (const std::string_view http : {"h2c", "h2", "http", "tls"}) {
      found = found || iequals(name, http);
    }
  });
  return found;
}

}  // namespace

Result<FieldLength> field_length(const FieldList& fields, Version version) {
  if (!fields.has(FieldId::content_length) && !fields.has(FieldId::transfer_encoding)) {
    return FieldLength{};
  }
  const Field* length = fields.find(FieldId::content_length);
  const Field* coding = fields.find(FieldId::transfer_encoding);
  // RFC 9112 section 6.3 item 3 lets a proxy choose; both at once is how requests are smuggled.
  if (length != nullptr && coding != nullptr) {
    return fail(Cause::bad_content_length, "Content-Length beside Transfer-Encoding");
  }
  if (coding != nullptr) return transfer_encoding(fields, *coding, version);
  const std::optional<std::uint64_t> bytes = content_length(fields, *length);
  if (!bytes) return fail(Cause::bad_content_length, "Content-Length");
  return FieldLength{FieldLength::Kind::known, *bytes};
}

ConnectionOptions connection_options(const FieldList& fields) {
  ConnectionOptions options;
  if (!fields.has(FieldId::connection)) return options;
  for (const Field& field : fields) {
    if (field.id != FieldId::connection) continue;
    for_each_element(field.value, [&](std::string_view option) {
      if (iequals(option, "close")) options.close = true;
      if (iequals(option, "keep-alive")) options.keep_alive = true;
      if (iequals(option, "upgrade")) options.upgrade = true;
    });
  }
  return options;
}

std::string_view upgrade_offered(const FieldList& fields, const ConnectionOptions& options,
                                 Version version) {
  // RFC 9110 section 7.8: ignored in HTTP/1.0 and when Connection does not name it.
  if (!options.upgrade || version == Version::http10) return {};
  const Field* only = nullptr;
  for (const Field& field : fields) {
    if (field.id != FieldId::upgrade) continue;
    if (only != nullptr) return {};
    only = &field;
  }
  return only == nullptr || carries_http(only->value) ? std::string_view{} : only->value;
}

bool upgrade_agreed(std::string_view offered, std::string_view chosen) {
  bool agreed = !chosen.empty();
  for_each_element(chosen, [&](std::string_view protocol) {
    bool found = false;
    for_each_element(offered,
                     [&](std::string_view each) { found = found || iequals(each, protocol); });
    agreed = agreed && found;
  });
  return agreed;
}

bool connection_lists(const FieldList& fields, std::string_view name) {
  bool listed = false;
  if (!fields.has(FieldId::connection)) return false;
  for (const Field& field : fields) {
    if (field.id != FieldId::connection) continue;
    for_each_element(field.value,
                     [&](std::string_view option) { listed = listed || iequals(option, name); });
  }
  return listed;
}

}  // namespace weir::http
