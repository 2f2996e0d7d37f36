// SPDX-License-Identifier: Apache-2.0
#include "proxy/request_steps.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cstring>

#include "http/h1_parse.h"
#include "http/uri.h"
#include "tls/stream.h"

namespace weir::proxy {
namespace {

using Kind = http::HeadEdit::Kind;

// Collects edits in arena memory; the number is known before.
class Edits {
 public:
  Edits(Arena& arena, std::size_t count_max)
      : items_(reinterpret_cast<http::HeadEdit*>(aligned(arena, count_max))), max_(count_max) {}

  void add(Kind kind, std::string_view name, std::string_view value, http::FieldId id) {
    WEIR_ASSERT(count_ < max_);
    new (items_ + count_++) http::HeadEdit{kind, name, value, id};
  }
  // A rule of the configuration replaces what Weir would set by itself.
  void overrule(const http::HeadEdit& rule) {
    const auto same = [&](const http::HeadEdit& edit) { return iequals(edit.name, rule.name); };
    if (rule.kind != Kind::add) {
      http::HeadEdit* end = std::remove_if(items_, items_ + own_, same);
      std::move(items_ + own_, items_ + count_, end);
      const auto removed = static_cast<std::size_t>(items_ + own_ - end);
      own_ -= removed;
      count_ -= removed;
    }
    add(rule.kind, rule.name, rule.value, rule.id);
  }
  void own_end() { own_ = count_; }
  [[nodiscard]] std::span<const http::HeadEdit> all() const { return {items_, count_}; }

 private:
  static char* aligned(Arena& arena, std::size_t count) {
    char* raw = arena.allocate(count * sizeof(http::HeadEdit) + alignof(http::HeadEdit));
    const auto address = reinterpret_cast<std::uintptr_t>(raw);
    return raw + (alignof(http::HeadEdit) - address % alignof(http::HeadEdit));
  }
  http::HeadEdit* items_;
  std::size_t max_;
  std::size_t count_ = 0;
  std::size_t own_ = 0;
};

bool trusted(const io::Peer& peer, const config::Config& config) {
  if (peer.unix_socket) return true;  // whoever may open the socket is one of us
  std::uint8_t address[16];
  std::memcpy(address, peer.ip.data(), sizeof address);
  return std::ranges::any_of(config.trusted_proxies,
                             [&](const config::Network& n) { return n.contains(address); });
}

bool trusted_text(std::string_view text, const config::Config& config) {
  const Result<io::SocketAddress> address = io::SocketAddress::from_ip(text, 0);
  if (!address) return false;
  sockaddr_storage storage{};
  std::memcpy(&storage, address->get(), address->size());
  return trusted(io::Peer::from(storage), config);
}

// The last address of the chain that is not one of our own proxies.
std::string_view client_of_chain(std::string_view chain, const config::Config& config) {
  std::string_view client;
  while (!chain.empty()) {
    const std::size_t comma = chain.rfind(',');
    const std::string_view last =
        trim_ows(comma == std::string_view::npos ? chain : chain.substr(comma + 1));
    chain = comma == std::string_view::npos ? std::string_view{} : chain.substr(0, comma);
    if (last.empty()) continue;
    client = last;
    if (!trusted_text(last, config)) break;
  }
  return client;
}

std::string_view make_request_id(Random& random, Arena& arena) {
  static constexpr char kHex[] = "0123456789abcdef";
  char* const text = arena.allocate(32);
  for (int half = 0; half < 2; ++half) {
    std::uint64_t value = random.next();
    for (int i = 0; i < 16; ++i, value >>= 4) text[half * 16 + i] = kHex[value & 15];
  }
  return {text, 32};
}

std::string_view joined_values(const http::FieldList& fields, http::FieldId id, Arena& arena) {
  std::string_view all;
  for (const http::Field& field : fields) {
    if (field.id != id || field.value.empty()) continue;
    all = all.empty() ? field.value : arena.join({all, ", ", field.value});
  }
  return all;
}

// There is such a field, and Connection does not take it away: then ours would be missing.
bool passes(const http::RequestHead& head, http::FieldId id) {
  const http::Field* field = head.fields.find(id);
  return field != nullptr && !http::connection_lists(head.fields, field->name);
}

void forwarded_edits(const http::RequestHead& head, const ClientFacts& client, bool trust,
                     Edits& edits, Arena& arena) {
  using Id = http::FieldId;
  const std::string_view chain =
      trust ? joined_values(head.fields, Id::x_forwarded_for, arena) : std::string_view{};
  if (!client.peer.unix_socket) {
    const std::string_view value =
        chain.empty() ? client.peer_text : arena.join({chain, ", ", client.peer_text});
    edits.add(Kind::set, "X-Forwarded-For", value, Id::x_forwarded_for);
  }
  const auto keep = [&](Id id) { return trust && passes(head, id); };
  if (!keep(Id::x_forwarded_proto)) {
    edits.add(Kind::set, "X-Forwarded-Proto", client.scheme, Id::x_forwarded_proto);
  }
  if (!keep(Id::x_forwarded_host)) {
    if (head.authority.empty()) {
      edits.add(Kind::remove, "X-Forwarded-Host", {}, Id::x_forwarded_host);
    } else {
      edits.add(Kind::set, "X-Forwarded-Host", head.authority, Id::x_forwarded_host);
    }
  }
  if (!trust && head.fields.find(Id::forwarded) != nullptr) {
    edits.add(Kind::remove, "Forwarded", {}, Id::forwarded);
  }
}

constexpr std::string_view kClientCert = "X-Client-Cert-";

// Who a client's certificate says that it is. What clients say of it themselves goes no further.
void client_certificate_edits(const http::RequestHead& head, const ClientFacts& client, bool trust,
                              Edits& edits, Arena& arena) {
  const tls::PeerCertificate* peer =
      client.tls == nullptr ? nullptr : client.tls->facts().peer.get();
  if (peer == nullptr) {
    if (trust) return;
    const auto told = [](const http::Field& field) {
      return field.name.size() > kClientCert.size() &&
             iequals(field.name.substr(0, kClientCert.size()), kClientCert);
    };
    if (std::ranges::none_of(head.fields, told)) return;
    for (const std::string_view each : {"Subject", "Issuer", "Serial", "Fingerprint"}) {
      edits.add(Kind::remove, arena.join({kClientCert, each}), {}, http::FieldId::other);
    }
    return;
  }
  const auto set = [&](std::string_view name, std::string_view value) {
    edits.add(Kind::set, name, value, http::FieldId::other);
  };
  set("X-Client-Cert-Subject", peer->subject);
  set("X-Client-Cert-Issuer", peer->issuer);
  set("X-Client-Cert-Serial", peer->serial);
  set("X-Client-Cert-Fingerprint", peer->fingerprint);
}

// RFC 9110 section 7.6.2: counted down, and at 0 the request goes no further. What is no number is
// passed on as it came.
bool count_forwards(const http::RequestHead& head, Edits& edits, Arena& arena) {
  if (head.method != http::Method::options && head.method != http::Method::trace) return false;
  const http::Field* field = head.fields.find("max-forwards");
  const auto left = field == nullptr ? std::nullopt : parse_u64(field->value);
  if (!left) return false;
  if (*left == 0) return true;
  const std::string_view less = arena.copy(fmt::format_int(*left - 1).c_str());
  edits.add(Kind::set, "Max-Forwards", less, http::FieldId::other);
  return false;
}

bool has_prefix(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

std::string_view rewritten_target(const http::RequestHead& head, const config::PathRewrite& rewrite,
                                  Arena& arena) {
  std::string_view path = head.path;
  if (!path.starts_with('/')) return path;  // OPTIONS *, also when it came in absolute-form
  // What is rewritten is the path that was matched, however the client spelt it.
  std::string space;
  const bool rewrites = !rewrite.strip_prefix.empty() || rewrite.regex != nullptr ||
                        !rewrite.add_prefix.empty();  // "/.." would lead out of it
  if (rewrites) path = http::normalize_path(path, space);
  if (!rewrite.strip_prefix.empty() && has_prefix(path, rewrite.strip_prefix)) {
    path.remove_prefix(rewrite.strip_prefix.size());
    if (path.empty()) path = "/";
  }
  if (rewrite.regex != nullptr) {
    std::string text(path);
    if (re2::RE2::Replace(&text, *rewrite.regex, rewrite.replacement)) path = arena.copy(text);
    if (!path.starts_with('/')) path = arena.join({"/", path});
  }
  const bool changed = path.data() != head.path.data() || path.size() != head.path.size();
  if (!changed && rewrite.add_prefix.empty() && head.scheme.empty()) return head.target;
  const std::string_view mark = head.has_query ? "?" : "";
  return arena.join({rewrite.add_prefix, path, mark, head.query});
}

// RFC 9110 section 7.6.3: the protocol in which the message came.
std::string_view via_of(http::Version version) {
  switch (version) {
    case http::Version::http10: return "1.0 weir";
    case http::Version::http11: return "1.1 weir";
    case http::Version::http2: return "2 weir";
    case http::Version::http3: return "3 weir";
  }
  WEIR_UNREACHABLE("version");
}

}  // namespace

void ClientFacts::see(const Wire& wire, const Arrival* arrival) {
  stream = &wire.stream();
  tls = wire.tls();
  if (tls != nullptr) scheme = "https";
  destination = told_of(arrival);
  if (arrival == nullptr) return;
  https_port = arrival->https_port;
  rules = arrival->rules.get();
}

RequestSteps run_request_steps(const http::RequestHead& head, const ClientFacts& client,
                               const RouteEntry& route, const config::Config& config,
                               Random& random, Arena& arena) {
  constexpr std::size_t kOwnEditsMax = 13;
  RequestSteps steps;
  Edits edits(arena, kOwnEditsMax + route.request_edits.size());
  const bool trust = trusted(client.peer, config);
  forwarded_edits(head, client, trust, edits, arena);
  client_certificate_edits(head, client, trust, edits, arena);

  steps.client = client.peer_text;
  if (trust) {
    const std::string_view chain =
        joined_values(head.fields, http::FieldId::x_forwarded_for, arena);
    if (const auto first = client_of_chain(chain, config); !first.empty()) steps.client = first;
  }
  const RequestId id = choose_request_id(head, client, config, random, arena);
  steps.request_id = id.text;
  if (id.made) edits.add(Kind::set, "X-Request-Id", id.text, http::FieldId::x_request_id);
  edits.add(Kind::add, "Via", via_of(head.version), http::FieldId::via);
  steps.final_recipient = count_forwards(head, edits, arena);
  edits.own_end();
  for (const http::HeadEdit& rule : route.request_edits) edits.overrule(rule);
  steps.edits = edits.all();
  if (route.settings != nullptr) {
    steps.target = rewritten_target(head, route.settings->rewrite, arena);
  }
  return steps;
}

RequestId choose_request_id(const http::RequestHead& head, const ClientFacts& client,
                            const config::Config& config, Random& random, Arena& arena) {
  const http::Field* given = head.fields.find(http::FieldId::x_request_id);
  if (given != nullptr && !given->value.empty() && trusted(client.peer, config) &&
      passes(head, http::FieldId::x_request_id)) {
    return {given->value, false};
  }
  return {make_request_id(random, arena), true};
}

std::string_view redirect_target(std::string_view to, const http::RequestHead& head,
                                 std::string_view scheme, Arena& arena) {
  const std::string_view rule = to;
  std::string text;
  while (!to.empty()) {
    const std::size_t open = to.find('{');
    text += to.substr(0, open);
    if (open == std::string_view::npos) break;
    to.remove_prefix(open);
    const std::size_t close = to.find('}');
    const std::string_view name = to.substr(1, close == std::string_view::npos ? 0 : close - 1);
    const std::string_view mark = head.has_query ? "?" : "";
    if (name == "scheme") {
      text += scheme;
    } else if (name == "host") {
      text += head.authority;
    } else if (name == "path") {
      text += head.path;
    } else if (name == "query") {
      text += head.query;
    } else if (name == "uri") {
      text.append(head.path).append(mark).append(head.query);
    } else {
      text += '{';
      to.remove_prefix(1);
      continue;
    }
    to.remove_prefix(close + 1);
  }
  // RFC 3986 section 4.2: two slashes begin the name of a host, which is not the client's to
  // choose; to browsers a backslash is a slash.
  while (!rule.starts_with("//") && (text.starts_with("//") || text.starts_with("/\\"))) {
    text.erase(1, 1);
  }
  return arena.copy(text);
}

}  // namespace weir::proxy
