// SPDX-License-Identifier: Apache-2.0
#include "proxy/https_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/preamble.h"
#include "tls/certificate.h"
#include "tls/stream.h"

namespace weir::proxy {
namespace {

constexpr std::string_view kHstsName = "Strict-Transport-Security";
constexpr std::string_view kHstsValue = "max-age=31536000";
constexpr std::uint16_t kHttpsPort = 443;

/// The host of an authority: without its port, and an IPv6 address without its brackets.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    return end == std::string_view::npos ? authority : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.rfind(':'));
}

}  // namespace

bool misdirected(const http::RequestHead& head, const ClientFacts& client) {
  if (client.tls == nullptr || head.authority.empty()) return false;
  std::string_view asked = client.tls->facts().server_name;
  std::string_view host = host_of(head.authority);
  if (host.ends_with('.')) host.remove_suffix(1);
  if (asked.ends_with('.')) asked.remove_suffix(1);
  if (iequals(host, asked)) return false;
  const bool passed =
      client.rules != nullptr && client.rules->passthrough.names(tls::canonical_name(host));
  return passed || (!asked.empty() && !client.tls->covers(host));
}

std::string_view https_target(const http::RequestHead& head, std::uint16_t port, Arena& arena) {
  if (head.authority.empty()) return {};
  std::string_view host = head.authority;
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  host = host.substr(0, colon);
  const std::string_view to =
      port == kHttpsPort ? std::string_view{} : arena.join({":", fmt::format_int(port).c_str()});
  const std::string_view path = head.path.starts_with('/') ? head.path : std::string_view("/");
  return arena.join({"https://", host, to, path, head.has_query ? "?" : "", head.query});
}

bool stays_plain(const http::RequestHead& head) {
  return head.path.starts_with("/.well-known/acme-challenge/");
}

std::span<const http::HeadEdit> with_hsts(std::span<const http::HeadEdit> edits,
                                          const http::ResponseHead& head, Arena& arena) {
  const bool ruled = std::ranges::any_of(
      edits, [](const http::HeadEdit& edit) { return iequals(edit.name, kHstsName); });
  if (ruled || head.fields.find(kHstsName) != nullptr) return edits;
  const std::size_t count = edits.size() + 1;
  char* raw = arena.allocate(count * sizeof(http::HeadEdit) + alignof(http::HeadEdit));
  raw += alignof(http::HeadEdit) - reinterpret_cast<std::uintptr_t>(raw) % alignof(http::HeadEdit);
  auto* all = reinterpret_cast<http::HeadEdit*>(raw);
  std::uninitialized_copy(edits.begin(), edits.end(), all);
  new (all + edits.size())
      http::HeadEdit{http::HeadEdit::Kind::add, kHstsName, kHstsValue, http::FieldId::other};
  return {all, count};
}

}  // namespace weir::proxy
