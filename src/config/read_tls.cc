// SPDX-License-Identifier: Apache-2.0
//
// tls of [[listen]] and of [upstream.NAME].
#include <fmt/format.h>

#include <algorithm>

#include "config/nearest.h"
#include "config/read.h"
#include "config/read_value.h"

namespace weir::config {
namespace {

// A mistyped name is most likely the missing one, and is reported already; as is what is wrong in
// a list.
bool mistyped(const Node& node) {
  const Member* list = node.find("certificates");
  const bool listed = list != nullptr && !list->value.items.empty();
  return listed || std::ranges::any_of(node.members, [](const Member& member) {
           return find_setting(Section::tls, member.key) == nullptr;
         });
}

void check_tls(Report& report, const Node& node, const Tls& tls) {
  const Member* key = node.find("key");
  if (key != nullptr && node.find("cert") == nullptr) {
    report.error(key->place, "there is a key, and no cert that it belongs to");
  } else if (tls.certificates.empty() && !mistyped(node)) {
    report.error(node.place, "tls has no certificate",
                 "write tls = { cert = \"cert.pem\", key = \"key.pem\" }, or for development "
                 "tls = \"self-signed\"");
  }
  const Member* auth = node.find("client_auth");
  const Member* authority = node.find("client_ca");
  if (tls.client_auth != ClientAuth::off && authority == nullptr) {
    report.error(auth->place, "client_auth needs client_ca, the authorities to verify against");
  }
  if (tls.client_auth == ClientAuth::off && authority != nullptr) {
    report.warning(authority->place, "client_ca is not used without client_auth",
                   "write client_auth = \"required\" or \"optional\"");
  }
}

}  // namespace

void read_listen_tls(Report& report, const Node& node, const Setting& setting, ListenDraft& into) {
  Tls& tls = into.tls.emplace();
  if (node.is(Node::Kind::string)) {
    if (node.text != "self-signed") {
      return report.error(node.place, fmt::format("\"tls\" cannot be \"{}\"", node.text),
                          "write \"self-signed\", or tls = { cert = \"cert.pem\", key = "
                          "\"key.pem\" }");
    }
    tls.self_signed = true;
    return;
  }
  if (!node.is(Node::Kind::table)) {
    return wrong_kind(report, node, setting, "\"self-signed\" or a table");
  }
  TlsDraft draft;
  read_section(report, node, Section::tls, &draft);
  if (!draft.own.cert.empty()) draft.certificates.insert(draft.certificates.begin(), draft.own);
  tls = draft;
  check_tls(report, node, tls);
}

void read_tls_cert(Report& report, const Node& node, const Setting& setting, TlsDraft& into) {
  read_value(report, node, setting, into.own.cert);
}

void read_tls_key(Report& report, const Node& node, const Setting& setting, TlsDraft& into) {
  read_value(report, node, setting, into.own.key);
}

void read_tls_certificates(Report& report, const Node& node, const Setting& setting,
                           TlsDraft& into) {
  if (!expect(report, node, Node::Kind::array, setting)) return;
  for (const Node& item : node.items) {
    if (!item.is(Node::Kind::table)) {
      report.error(item.place,
                   fmt::format("a certificate must be a table, not {}", kind_name(item.kind)),
                   "write { cert = \"cert.pem\", key = \"key.pem\" }");
      continue;
    }
    TlsCertificate certificate;
    read_section(report, item, Section::certificate, &certificate);
    into.certificates.push_back(std::move(certificate));
  }
}

void read_tls_alpn(Report& report, const Node& node, const Setting& setting, TlsDraft& into) {
  const auto words = choices(setting.bounds);
  std::vector<std::string> protocols;
  for (const Node* item : read_texts(report, node, setting)) {
    if (std::ranges::find(words, item->text) == words.end()) {
      report.error(item->place,
                   fmt::format("\"{}\" is not a protocol that Weir speaks", item->text),
                   did_you_mean(item->text, words, "it is one of \"h2\", \"http/1.1\""));
    } else if (std::ranges::find(protocols, item->text) == protocols.end()) {
      protocols.push_back(item->text);
    }
  }
  if (node.is(Node::Kind::array) && node.items.empty()) {
    report.error(node.place, "alpn offers no protocol");
  }
  into.alpn = std::move(protocols);
}

void read_certificate_cert(Report& report, const Node& node, const Setting& setting,
                           TlsCertificate& into) {
  read_value(report, node, setting, into.cert);
}

void read_certificate_key(Report& report, const Node& node, const Setting& setting,
                          TlsCertificate& into) {
  read_value(report, node, setting, into.key);
}

void read_upstream_tls(Report& report, const Node& node, const Setting& setting,
                       UpstreamDraft& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  into.tls_node = &node;
  UpstreamTls& tls = into.tls.emplace();
  read_section(report, node, Section::server_tls, &tls);
  const Member* key = node.find("key");
  if (key != nullptr && tls.cert.empty()) {
    report.error(key->place, "there is a key, and no cert that it belongs to");
  }
  const Member* authority = node.find("ca");
  if (tls.insecure && authority != nullptr) {
    report.error(authority->place, "ca is not used with insecure = true", "remove one of them");
  }
}

void read_server_tls_pins(Report& report, const Node& node, const Setting& setting,
                          UpstreamTls& into) {
  constexpr std::string_view kPrefix = "sha256//";
  constexpr std::size_t kDigestText = 44;  // 32 bytes in base64
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (const Node* item : read_texts(report, node, setting)) {
    const std::string_view text = item->text;
    const bool good =
        text.starts_with(kPrefix) && text.size() == kPrefix.size() + kDigestText &&
        text.ends_with('=') &&
        text.substr(0, text.size() - 1).find_first_not_of(kAlphabet, kPrefix.size()) ==
            std::string_view::npos;
    if (good) {
      into.pins.emplace_back(text);
    } else {
      report.error(item->place, fmt::format("\"{}\" is not the hash of a public key", text),
                   "it is \"sha256//\" and 44 characters, which this prints: openssl x509 -in "
                   "cert.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst "
                   "-sha256 -binary | base64");
    }
  }
}

}  // namespace weir::config
