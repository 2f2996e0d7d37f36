// SPDX-License-Identifier: Apache-2.0
#include "config/read.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "config/address.h"
#include "config/nearest.h"
#include "config/read_value.h"

namespace weir::config {
namespace {

/// "in [[route]]", or at which level otherwise.
std::string in_section(Section section) {
  return section == Section::top ? "at the top level" : fmt::format("in {}", title(section));
}

std::string unknown_hint(Section section, std::string_view name) {
  if (section != Section::top && find_setting(Section::top, name) != nullptr) {
    const Kind kind = find_setting(Section::top, name)->kind;
    if (kind != Kind::sections && kind != Kind::named_sections) {
      return fmt::format("\"{}\" belongs at the top of the file, before the first [section]", name);
    }
  }
  const std::string_view here = nearest(name, names_of(section));
  if (!here.empty()) return fmt::format("did you mean \"{}\"?", here);
  for (const Setting& setting : all_settings()) {
    if (setting.name == name && setting.section != Section::top) {
      return fmt::format("\"{}\" belongs in {}", name, title(setting.section));
    }
  }
  std::string known;
  for (const std::string_view word : names_of(section)) {
    known += fmt::format("{}{}", known.empty() ? "known here: " : ", ", word);
  }
  return known;
}

void report_missing(Report& report, const Node& node, Section section) {
  for (const Setting& setting : all_settings()) {
    if (setting.section != section || !setting.required()) continue;
    if (section == Section::top || node.find(setting.name) != nullptr) continue;
    report.error(node.place,
                 fmt::format("\"{}\" is missing {}", setting.name, in_section(section)));
  }
}

/// The tables of [[name]].
std::vector<const Node*> tables_of(Report& report, const Node& node, const Setting& setting) {
  if (node.is(Node::Kind::table)) {
    report.error(node.place,
                 fmt::format("[{}] is one section, and there may be several", setting.name),
                 fmt::format("write [[{}]] with two brackets", setting.name));
    return {};
  }
  if (!expect(report, node, Node::Kind::array, setting)) return {};
  std::vector<const Node*> tables;
  for (const Node& item : node.items) {
    if (expect(report, item, Node::Kind::table, setting)) tables.push_back(&item);
  }
  return tables;
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

}  // namespace

void read_section(Report& report, const Node& node, Section section, void* object) {
  WEIR_ASSERT(node.is(Node::Kind::table));
  for (const Member& member : node.members) {
    const Setting* setting = find_setting(section, member.key);
    if (setting != nullptr) {
      setting->read(report, member.value, *setting, object);
      continue;
    }
    report.error(member.place,
                 fmt::format("unknown setting \"{}\" {}", member.key, in_section(section)),
                 unknown_hint(section, member.key));
  }
  report_missing(report, node, section);
}

Draft read_document(Report& report, const Node& document) {
  Draft draft;
  read_section(report, document, Section::top, &draft);
  return draft;
}

void read_top_workers(Report& report, const Node& node, const Setting& setting, Draft& into) {
  if (node.is(Node::Kind::string) && node.text == "auto") {
    into.workers = 0;
  } else {
    read_value(report, node, setting, into.workers);
  }
}

void read_top_include(Report& report, const Node& node, const Setting& setting, Draft&) {
  // The files themselves are read by load.cc, before this.
  read_texts(report, node, setting);
}

void read_top_trusted_proxies(Report& report, const Node& node, const Setting& setting,
                              Draft& into) {
  for (const Node* item : read_texts(report, node, setting)) {
    auto network = parse_network(item->text);
    if (network) {
      into.trusted_proxies.push_back(*network);
    } else {
      report.error(item->place, std::move(network.error()));
    }
  }
}

void read_top_access_log(Report& report, const Node& node, const Setting& setting, Draft& into) {
  const Node* to = &node;
  if (node.is(Node::Kind::string)) {
    read_value(report, node, *find_setting(Section::access_log, "to"), into.access_log.to);
  } else if (expect(report, node, Node::Kind::table, setting)) {
    read_section(report, node, Section::access_log, &into.access_log);
    const Member* member = node.find("to");
    to = member != nullptr ? &member->value : nullptr;
  }
  if (to == nullptr || !to->is(Node::Kind::string) || !to->text.empty()) return;
  report.error(to->place, "the access log has no place to go to",
               "write \"off\", \"stdout\", \"stderr\", \"syslog\" or a path");
}

void read_top_admin(Report& report, const Node& node, const Setting& setting, Draft& into) {
  if (!expect(report, node, Node::Kind::string, setting)) return;
  into.admin_given = true;
  if (node.text == "off") return;
  auto address = parse_address(node.text);
  if (!address) return report.error(node.place, std::move(address.error()));
  if (!is_local(*address)) {
    report.warning(node.place, "the admin address can be reached from other machines",
                   "whoever reaches it can stop Weir; use a unix socket or 127.0.0.1");
  }
  into.admin.address = *std::move(address);
}

void read_top_limits(Report& report, const Node& node, const Setting& setting, Draft& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  read_section(report, node, Section::limits, &into.limits);
}

void read_top_timeouts(Report& report, const Node& node, const Setting& setting, Draft& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  read_section(report, node, Section::timeouts, &into.timeouts);
}

void read_top_listen(Report& report, const Node& node, const Setting& setting, Draft& into) {
  for (const Node* table : tables_of(report, node, setting)) {
    ListenDraft& listen = into.listen_drafts.emplace_back();
    listen.node = table;
    read_section(report, *table, Section::listen, &listen);
  }
}

void read_top_route(Report& report, const Node& node, const Setting& setting, Draft& into) {
  for (const Node* table : tables_of(report, node, setting)) {
    RouteDraft& route = into.route_drafts.emplace_back();
    route.node = table;
    read_section(report, *table, Section::route, &route);
  }
}

void read_top_upstream(Report& report, const Node& node, const Setting& setting, Draft& into) {
  const bool unnamed = node.is(Node::Kind::array) || node.find("servers") != nullptr;
  if (unnamed) {
    return report.error(node.place, "an upstream needs a name", "write [upstream.app]");
  }
  if (!expect(report, node, Node::Kind::table, setting)) return;
  for (const Member& member : node.members) {
    UpstreamDraft& upstream = into.upstream_drafts.emplace_back();
    upstream.member = &member;
    upstream.name = member.key;
    if (!is_plain_name(member.key)) {
      report.error(member.place,
                   fmt::format("\"{}\" cannot be the name of an upstream", member.key),
                   "letters, digits, '_', '-' and '.' are allowed");
    }
    if (!expect(report, member.value, Node::Kind::table, setting)) continue;
    read_section(report, member.value, Section::upstream, &upstream);
  }
}

}  // namespace weir::config
