// SPDX-License-Identifier: Apache-2.0
#include "http/head.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "http/chars.h"

namespace weir::http {
namespace {

struct KnownName {
  std::string_view name;
  FieldId id;
};

constexpr auto kKnownNames = std::to_array<KnownName>({
    {"", FieldId::other},
    {"accept-encoding", FieldId::accept_encoding},
    {"authorization", FieldId::authorization},
    {"connection", FieldId::connection},
    {"content-length", FieldId::content_length},
    {"content-type", FieldId::content_type},
    {"cookie", FieldId::cookie},
    {"date", FieldId::date},
    {"expect", FieldId::expect},
    {"forwarded", FieldId::forwarded},
    {"host", FieldId::host},
    {"http2-settings", FieldId::http2_settings},
    {"keep-alive", FieldId::keep_alive},
    {"location", FieldId::location},
    {"proxy-authenticate", FieldId::proxy_authenticate},
    {"proxy-authorization", FieldId::proxy_authorization},
    {"proxy-connection", FieldId::proxy_connection},
    {"referer", FieldId::referer},
    {"server", FieldId::server},
    {"te", FieldId::te},
    {"trailer", FieldId::trailer},
    {"transfer-encoding", FieldId::transfer_encoding},
    {"upgrade", FieldId::upgrade},
    {"user-agent", FieldId::user_agent},
    {"via", FieldId::via},
    {"x-forwarded-for", FieldId::x_forwarded_for},
    {"x-forwarded-host", FieldId::x_forwarded_host},
    {"x-forwarded-proto", FieldId::x_forwarded_proto},
    {"x-request-id", FieldId::x_request_id},
});

constexpr std::size_t kNameSizes = 20;  // sizes of known names are below this
constexpr std::size_t kLetters = 32;    // low five bits of the first letter

// Length and first letter name at most one known field; index into kKnownNames, 0 if none.
using Candidates = std::array<std::uint8_t, kNameSizes * kLetters>;

consteval Candidates make_candidates() {
  Candidates table{};
  for (std::size_t i = 1; i < kKnownNames.size(); ++i) {
    const std::string_view name = kKnownNames[i].name;
    std::uint8_t& slot = table[name.size() * kLetters + (name[0] & 31)];
    if (slot != 0) throw "two known names share length and first letter";
    slot = static_cast<std::uint8_t>(i);
  }
  return table;
}
constexpr Candidates kCandidates = make_candidates();

/// Where the words differ, but for the case of letters. Letters are those bytes of `known` (in
/// lower case, otherwise digits and '-') that have the bit 0x40.
template <class Word>
Word difference(const char* name, const char* known) {
  Word a;
  Word b;
  std::memcpy(&a, name, sizeof a);
  std::memcpy(&b, known, sizeof b);
  constexpr auto kLetterBits = static_cast<Word>(0x4040404040404040);
  return (a ^ b) & ~((b & kLetterBits) >> 1);
}

/// Of equal size. By words that may overlap, since this runs for most fields.
bool is_known(std::string_view name, std::string_view known) {
  const std::size_t size = known.size();
  const char* a = name.data();
  const char* b = known.data();
  if (size >= 8) {
    std::uint64_t differs = difference<std::uint64_t>(a, b);
    if (size > 16) differs |= difference<std::uint64_t>(a + 8, b + 8);
    return (differs | difference<std::uint64_t>(a + size - 8, b + size - 8)) == 0;
  }
  if (size >= 4) {
    return (difference<std::uint32_t>(a, b) |
            difference<std::uint32_t>(a + size - 4, b + size - 4)) == 0;
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (ascii_lower(a[i]) != b[i]) return false;
  }
  return true;
}

}  // namespace

FieldId field_id(std::string_view name) {
  if (name.empty() || name.size() >= kNameSizes) return FieldId::other;
  const KnownName& known =
      kKnownNames[kCandidates[name.size() * kLetters + (static_cast<unsigned char>(name[0]) & 31)]];
  if (known.name.size() != name.size()) return FieldId::other;  // no candidate
  return is_known(name, known.name) ? known.id : FieldId::other;
}

bool same_variable(std::string_view a, std::string_view b) {
  const auto letter = [](char c) { return c != '-' && is(c, kPlainName) ? ascii_lower(c) : '-'; };
  return std::ranges::equal(a, b, {}, letter, letter);
}

FieldId double_of(std::string_view name) {
  if (name.size() >= kNameSizes || all_of_class(name, kPlainName)) return FieldId::other;
  std::array<char, kNameSizes> plain;
  for (std::size_t i = 0; i < name.size(); ++i) {
    plain[i] = is(name[i], kPlainName) ? name[i] : '-';
  }
  return field_id({plain.data(), name.size()});
}

void FieldList::push_back_on_heap(const Field& field) {
  if (size_ == kInline) heap_.assign(inline_fields(), inline_fields() + kInline);
  heap_.push_back(field);
  ++size_;
  WEIR_ASSERT(heap_.size() == size_);
}

const Field* FieldList::search(FieldId id) const {
  for (const Field& field : all()) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

const Field* FieldList::find(std::string_view name) const {
  const FieldId id = field_id(name);
  if (id != FieldId::other) return find(id);
  for (const Field& field : all()) {
    if (field.id == FieldId::other && iequals(field.name, name)) return &field;
  }
  return nullptr;
}

// Method names have upper and lower case kept apart. RFC 9110 section 9.1.
Method method_from_name(std::string_view name) {
  switch (name.size()) {
    case 3: return name == "GET" ? Method::get : name == "PUT" ? Method::put : Method::other;
    case 4: return name == "POST" ? Method::post : name == "HEAD" ? Method::head : Method::other;
    case 5:
      return name == "PATCH" ? Method::patch : name == "TRACE" ? Method::trace : Method::other;
    case 6: return name == "DELETE" ? Method::del : Method::other;
    case 7:
      return name == "OPTIONS"   ? Method::options
             : name == "CONNECT" ? Method::connect
                                 : Method::other;
    default: return Method::other;
  }
}

bool idempotent(Method method) {
  switch (method) {
    case Method::get:
    case Method::head:
    case Method::put:
    case Method::del:
    case Method::options:
    case Method::trace: return true;
    case Method::post:
    case Method::connect:
    case Method::patch:
    case Method::other: return false;
  }
  WEIR_UNREACHABLE("method");
}

bool content_is_unusual(Method method) {
  switch (method) {
    case Method::get:
    case Method::head:
    case Method::del:
    case Method::options:
    case Method::trace: return true;
    case Method::post:
    case Method::put:
    case Method::patch:
    case Method::connect:
    case Method::other: return false;
  }
  WEIR_UNREACHABLE("method");
}

bool hop_by_hop(FieldId id) {
  constexpr auto set = [] {
    std::uint64_t bits = 0;
    for (const FieldId each :
         {FieldId::connection, FieldId::http2_settings, FieldId::keep_alive,
          FieldId::proxy_authenticate, FieldId::proxy_authorization, FieldId::proxy_connection,
          FieldId::te, FieldId::trailer, FieldId::transfer_encoding, FieldId::upgrade}) {
      bits |= std::uint64_t{1} << static_cast<unsigned>(each);
    }
    return bits;
  }();
  return (set >> static_cast<unsigned>(id) & 1) != 0;
}

void split_path(RequestHead& head, std::string_view path_and_query) {
  const auto* mark =
      static_cast<const char*>(std::memchr(path_and_query.data(), '?', path_and_query.size()));
  head.has_query = mark != nullptr;
  const auto size = mark == nullptr ? path_and_query.size()
                                    : static_cast<std::size_t>(mark - path_and_query.data());
  head.path = path_and_query.substr(0, size);
  head.query = mark == nullptr ? std::string_view{} : path_and_query.substr(size + 1);
}

std::string_view version_name(Version version) {
  switch (version) {
    case Version::http10: return "HTTP/1.0";
    case Version::http11: return "HTTP/1.1";
    case Version::http2: return "HTTP/2";
    case Version::http3: return "HTTP/3";
  }
  WEIR_UNREACHABLE("version");
}

}  // namespace weir::http
