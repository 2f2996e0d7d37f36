// SPDX-License-Identifier: Apache-2.0
//
// [[listen]] and [upstream.NAME].
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "config/address.h"
#include "config/pattern.h"
#include "config/read.h"
#include "config/read_value.h"

namespace weir::config {

void read_listen_address(Report& report, const Node& node, const Setting& setting,
                         ListenDraft& into) {
  if (node.is(Node::Kind::integer)) {
    return report.error(node.place, "\"address\" must be a string, not a number",
                        fmt::format("write \":{}\"", node.integer));
  }
  if (!expect(report, node, Node::Kind::string, setting)) return;
  auto address = parse_address(node.text);
  if (!address) return report.error(node.place, std::move(address.error()));
  into.address = *std::move(address);
  into.address_node = &node;
}

void read_listen_tcp(Report& report, const Node& node, const Setting& setting, ListenDraft& into) {
  into.tcp_node = &node;
  if (node.is(Node::Kind::string)) {
    return report.error(node.place, "\"tcp\" must be a table, not a string",
                        fmt::format("write tcp = {{ upstream = \"{}\" }}", node.text));
  }
  if (expect(report, node, Node::Kind::table, setting)) {
    read_section(report, node, Section::tcp, &into);
  }
}

void read_tcp_upstream(Report& report, const Node& node, const Setting& setting,
                       ListenDraft& into) {
  read_value(report, node, setting, into.tcp_upstream);
  into.upstream_node = &node;
}

void read_listen_proxy_protocol(Report& report, const Node& node, const Setting& setting,
                                ListenDraft& into) {
  into.proxy_protocol_node = &node;
  for (const Node* item : read_texts(report, node, setting)) {
    if (item->text == "unix") {
      into.proxy_protocol.unix_sockets = true;
    } else if (auto network = parse_network(item->text); network) {
      into.proxy_protocol.networks.push_back(*network);
    } else {
      report.error(item->place, std::move(network.error()));
    }
  }
}

void read_listen_passthrough(Report& report, const Node& node, const Setting& setting,
                             ListenDraft& into) {
  if (!node.is(Node::Kind::array)) {
    return report.error(
        node.place,
        fmt::format("\"{}\" must be a list of tables, not {}", setting.name, kind_name(node.kind)),
        "write [{ sni = \"example.com\", upstream = \"name\" }]");
  }
  for (const Node& item : node.items) {
    if (!item.is(Node::Kind::table)) {
      report.error(item.place,
                   fmt::format("an entry of \"{}\" must be a table, not {}", setting.name,
                               kind_name(item.kind)),
                   "write { sni = \"example.com\", upstream = \"name\" }");
      continue;
    }
    PassthroughDraft& entry = into.passthrough_drafts.emplace_back();
    entry.node = &item;
    read_section(report, item, Section::passthrough, &entry);
    const bool conditions = item.find("sni") != nullptr || item.find("alpn") != nullptr;
    if (conditions) continue;
    report.error(item.place, "an entry of passthrough needs `sni` or `alpn`",
                 "what matches none goes to the listener's tcp = { upstream = … }");
  }
}

void read_passthrough_sni(Report& report, const Node& node, const Setting& setting,
                          PassthroughDraft& into) {
  for (const Node* item : read_texts(report, node, setting)) {
    auto name = parse_host(item->text);
    if (!name) {
      report.error(item->place, std::move(name.error()));
    } else if (name->empty() || name->find_first_of(":[") != std::string::npos) {
      report.error(item->place,
                   fmt::format("\"{}\" is not a name that a client can want", item->text),
                   "write \"example.com\" or \"*.example.com\"; without sni every name matches");
    } else {
      into.names.push_back(*std::move(name));
    }
  }
}

void read_passthrough_alpn(Report& report, const Node& node, const Setting& setting,
                           PassthroughDraft& into) {
  for (const Node* item : read_texts(report, node, setting)) {
    if (item->text.empty() || item->text.size() > 255) {
      report.error(item->place, "the name of a protocol has from 1 to 255 bytes");
    } else {
      into.protocols.push_back(item->text);
    }
  }
}

void read_passthrough_upstream(Report& report, const Node& node, const Setting& setting,
                               PassthroughDraft& into) {
  read_value(report, node, setting, into.upstream);
  into.upstream_node = &node;
}

void read_listen_unix_mode(Report& report, const Node& node, const Setting& setting,
                           ListenDraft& into) {
  if (!expect(report, node, Node::Kind::string, setting)) return;
  unsigned mode = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, error] = std::from_chars(node.text.data(), end, mode, 8);
  if (error != std::errc{} || stop != end || mode > 0777) {
    return report.error(node.place, fmt::format("\"{}\" is not a file mode", node.text),
                        "write it in octal, as in \"0660\"");
  }
  into.unix_mode = mode;
}

void read_server_address(Report& report, const Node& node, const Setting& setting, Server& into) {
  if (!expect(report, node, Node::Kind::string, setting)) return;
  auto address = parse_address(node.text, AddressUse::server);
  if (!address) return report.error(node.place, std::move(address.error()));
  into.address = *std::move(address);
}

void read_upstream_servers(Report& report, const Node& node, const Setting& setting,
                           UpstreamDraft& into) {
  if (!expect(report, node, Node::Kind::array, setting)) return;
  for (const Node& item : node.items) {
    Server server;
    if (item.is(Node::Kind::string)) {
      read_server_address(report, item, *find_setting(Section::server, "address"), server);
    } else if (item.is(Node::Kind::table)) {
      read_section(report, item, Section::server, &server);
    } else {
      report.error(item.place, fmt::format("a server must be a string or a table, not {}",
                                           kind_name(item.kind)));
      continue;
    }
    const bool known = std::ranges::any_of(
        into.servers, [&](const Server& other) { return other.address == server.address; });
    if (known && !report.failed()) {
      report.warning(item.place, fmt::format("server {} is listed twice", server.address.text()),
                     "use weight for a larger share");
    }
    into.servers.push_back(std::move(server));
  }
  if (node.items.empty()) report.error(node.place, "an upstream needs at least one server");
}

}  // namespace weir::config
