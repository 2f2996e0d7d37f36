// SPDX-License-Identifier: Apache-2.0
//
// [[route]]: the match, the actions and the changes on the way.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "base/bytes.h"
#include "config/nearest.h"
#include "config/pattern.h"
#include "config/read.h"
#include "config/read_value.h"

namespace weir::config {
namespace {

/// Reports, or gives the value.
template <class T>
std::optional<T> checked(Report& report, const Node& node, std::expected<T, Complaint> result) {
  if (result) return *std::move(result);
  report.error(node.place, std::move(result.error()));
  return std::nullopt;
}

void read_conditions(Report& report, const Node& node, const Setting& setting,
                     std::vector<ValueMatch>& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  for (const Member& member : node.members) {
    const Node& value = member.value;
    if (value.is(Node::Kind::boolean)) {
      const auto kind = value.boolean ? ValueMatch::Kind::present : ValueMatch::Kind::absent;
      into.push_back({member.key, kind, "", nullptr});
    } else if (value.is(Node::Kind::string)) {
      auto match = checked(report, value, parse_condition(member.key, value.text));
      if (match) into.push_back(*std::move(match));
    } else {
      wrong_kind(report, value, setting, "a table of strings, true and false");
    }
  }
}

/// Fields that say how this one message is framed, which is Weir's own business.
constexpr std::string_view kConnectionFields[] = {
    "connection", "content-length", "http2-settings", "keep-alive",        "proxy-connection",
    "te",         "trailer",        "upgrade",        "transfer-encoding",
};

bool belongs_to_connection(std::string_view name) {
  return std::ranges::any_of(kConnectionFields,
                             [&](std::string_view n) { return iequals(n, name); });
}

bool check_field_name(Report& report, const Place& place, std::string_view name) {
  if (!is_token(name)) {
    report.error(place, fmt::format("\"{}\" is not a header name", name));
    return false;
  }
  if (belongs_to_connection(name)) {
    report.error(place, fmt::format("the header {} cannot be changed", name),
                 "it belongs to the connection, and Weir sets it itself");
    return false;
  }
  return true;
}

void read_rules(Report& report, const Node& node, const Setting& setting, HeaderAction action,
                HeaderRules& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  for (const Member& member : node.members) {
    if (!check_field_name(report, member.place, member.key)) continue;
    const Node& value = member.value;
    if (!value.is(Node::Kind::string)) {
      wrong_kind(report, value, setting, "a table of names and strings");
    } else if (!is_field_value(value.text)) {
      report.error(value.place,
                   fmt::format("the value of {} holds a control character", member.key));
    } else {
      into.push_back({action, member.key, value.text});
    }
  }
}

enum class Message : std::uint8_t { request, response };

/// A request has exactly one Host (RFC 9112 section 3.2), a response none.
void check_host_rules(Report& report, const Node& rules, Message message) {
  const auto check = [&](const Place& place, std::string_view name) {
    if (!iequals(name, "host")) return;
    const bool request = message == Message::request;
    report.error(place,
                 request ? "Host can be set, but not added or removed" : "a response has no Host");
  };
  for (const Member& member : rules.members) {
    if (member.key == "set" && message == Message::request) continue;
    for (const Member& rule : member.value.members) check(rule.place, rule.key);
    for (const Node& item : member.value.items) check(item.place, item.text);
    check(member.value.place, member.value.text);
  }
}

}  // namespace

void read_route_match(Report& report, const Node& node, const Setting& setting, RouteDraft& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  read_section(report, node, Section::match, &into.match);
}

void read_match_host(Report& report, const Node& node, const Setting& setting, Match& into) {
  bool any = false;
  for (const Node* item : read_texts(report, node, setting)) {
    auto host = checked(report, *item, parse_host(item->text));
    if (!host) continue;
    any = any || host->empty();
    const bool known = std::ranges::find(into.hosts, *host) != into.hosts.end();
    if (!known) into.hosts.push_back(*std::move(host));
  }
  if (any) into.hosts.clear();
}

void read_match_path(Report& report, const Node& node, const Setting& setting, Match& into) {
  bool any = false;
  for (const Node* item : read_texts(report, node, setting)) {
    auto path = checked(report, *item, parse_path(item->text));
    if (!path) continue;
    any = any || path->kind == PathMatch::Kind::any;
    const bool known = std::ranges::any_of(into.paths, [&](const PathMatch& other) {
      return other.kind == path->kind && other.value == path->value;
    });
    if (!known) into.paths.push_back(*std::move(path));
  }
  if (any) into.paths.clear();
}

void read_match_method(Report& report, const Node& node, const Setting& setting, Match& into) {
  for (const Node* item : read_texts(report, node, setting)) {
    std::string method = item->text;
    std::ranges::transform(method, method.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    if (!is_token(method)) {
      report.error(item->place, fmt::format("\"{}\" is not a method", item->text));
    } else if (std::ranges::find(into.methods, method) == into.methods.end()) {
      into.methods.push_back(std::move(method));
    }
  }
}

void read_match_header(Report& report, const Node& node, const Setting& setting, Match& into) {
  read_conditions(report, node, setting, into.headers);
  for (const Member& member : node.members) {
    if (is_token(member.key)) continue;
    report.error(member.place, fmt::format("\"{}\" is not a header name", member.key));
  }
}

void read_match_query(Report& report, const Node& node, const Setting& setting, Match& into) {
  read_conditions(report, node, setting, into.queries);
}

void read_route_respond(Report& report, const Node& node, const Setting& setting,
                        RouteDraft& into) {
  into.respond.emplace();
  if (node.is(Node::Kind::integer)) {
    read_value(report, node, *find_setting(Section::respond, "status"), into.respond->status);
    return;
  }
  if (!expect(report, node, Node::Kind::table, setting)) return;
  read_section(report, node, Section::respond, &*into.respond);
  const int status = into.respond->status;
  if ((status == 204 || status == 304) && !into.respond->body.empty()) {
    report.error(node.place, fmt::format("a response with status {} has no body", status));
  }
}

void read_respond_content_type(Report& report, const Node& node, const Setting& setting,
                               FixedResponse& into) {
  read_value(report, node, setting, into.content_type);
}

void read_route_redirect(Report& report, const Node& node, const Setting& setting,
                         RouteDraft& into) {
  into.redirect.emplace();
  if (node.is(Node::Kind::string)) {
    read_redirect_to(report, node, *find_setting(Section::redirect, "to"), *into.redirect);
  } else if (expect(report, node, Node::Kind::table, setting)) {
    read_section(report, node, Section::redirect, &*into.redirect);
  }
}

void read_redirect_to(Report& report, const Node& node, const Setting& setting, Redirect& into) {
  if (!expect(report, node, Node::Kind::string, setting)) return;
  if (auto to = checked(report, node, parse_redirect(node.text))) into.to = *std::move(to);
}

void read_redirect_status(Report& report, const Node& node, const Setting& setting,
                          Redirect& into) {
  if (!expect(report, node, Node::Kind::integer, setting)) return;
  const std::string text = std::to_string(node.integer);
  const auto allowed = choices(setting.bounds);
  if (std::ranges::find(allowed, text) == allowed.end()) {
    return report.error(node.place, fmt::format("{} is not the status of a redirect", text),
                        "308 and 307 keep the method, 301, 302 and 303 do not");
  }
  into.status = static_cast<int>(node.integer);
}

void read_route_strip_prefix(Report& report, const Node& node, const Setting& setting,
                             RouteDraft& into) {
  if (!expect(report, node, Node::Kind::string, setting)) return;
  auto prefix = checked(report, node, parse_prefix(node.text));
  if (prefix) into.rewrite.strip_prefix = *std::move(prefix);
}

void read_route_add_prefix(Report& report, const Node& node, const Setting& setting,
                           RouteDraft& into) {
  if (!expect(report, node, Node::Kind::string, setting)) return;
  auto prefix = checked(report, node, parse_prefix(node.text));
  if (prefix) into.rewrite.add_prefix = *std::move(prefix);
}

void read_route_rewrite(Report& report, const Node& node, const Setting& setting,
                        RouteDraft& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  read_section(report, node, Section::rewrite, &into.rewrite);
  const Member* to = node.find("to");
  if (to == nullptr || into.rewrite.regex == nullptr) return;
  std::string error;
  if (!into.rewrite.regex->CheckRewriteString(into.rewrite.replacement, &error)) {
    report.error(to->value.place, fmt::format("bad replacement: {}", error));
  }
}

void read_rewrite_regex(Report& report, const Node& node, const Setting& setting,
                        PathRewrite& into) {
  if (!expect(report, node, Node::Kind::string, setting)) return;
  auto regex = checked(report, node, compile_regex(node.text, Anchored::no));
  if (!regex) return;
  into.regex_text = node.text;
  into.regex = *std::move(regex);
}

void read_rewrite_to(Report& report, const Node& node, const Setting& setting, PathRewrite& into) {
  read_value(report, node, setting, into.replacement);
}

void read_route_request_headers(Report& report, const Node& node, const Setting& setting,
                                RouteDraft& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  read_section(report, node, Section::headers, &into.request_headers);
  check_host_rules(report, node, Message::request);
}

void read_route_response_headers(Report& report, const Node& node, const Setting& setting,
                                 RouteDraft& into) {
  if (!expect(report, node, Node::Kind::table, setting)) return;
  read_section(report, node, Section::headers, &into.response_headers);
  check_host_rules(report, node, Message::response);
}

void read_headers_set(Report& report, const Node& node, const Setting& setting, HeaderRules& into) {
  read_rules(report, node, setting, HeaderAction::set, into);
}

void read_headers_add(Report& report, const Node& node, const Setting& setting, HeaderRules& into) {
  read_rules(report, node, setting, HeaderAction::add, into);
}

void read_headers_remove(Report& report, const Node& node, const Setting& setting,
                         HeaderRules& into) {
  for (const Node* item : read_texts(report, node, setting)) {
    if (!check_field_name(report, item->place, item->text)) continue;
    into.push_back({HeaderAction::remove, item->text, ""});
  }
}

}  // namespace weir::config
