// SPDX-License-Identifier: Apache-2.0
//
// The only file that knows the TOML library; compiled into this file because the library's shared
// form throws exceptions.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "config/environment.h"
#include "config/tree.h"

namespace weir::config {
namespace {

int code_points(std::string_view text) {
  return static_cast<int>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

class Conversion {
 public:
  Conversion(int file, Report& report) : file_(file), report_(report) {}

  Node convert(const toml::node& from) {
    Node node;
    node.place = place(from.source());
    switch (from.type()) {
      case toml::node_type::table:
        node.kind = Node::Kind::table;
        convert_members(*from.as_table(), node);
        break;
      case toml::node_type::array:
        node.kind = Node::Kind::array;
        for (const toml::node& item : *from.as_array()) node.items.push_back(convert(item));
        break;
      case toml::node_type::string:
        node.kind = Node::Kind::string;
        node.text = expanded(from.as_string()->get(), node.place);
        node.expanded = node.text != from.as_string()->get();
        break;
      case toml::node_type::integer:
        node.kind = Node::Kind::integer;
        node.integer = from.as_integer()->get();
        break;
      case toml::node_type::floating_point: node.kind = Node::Kind::real; break;
      case toml::node_type::boolean:
        node.kind = Node::Kind::boolean;
        node.boolean = from.as_boolean()->get();
        break;
      case toml::node_type::none:
      case toml::node_type::date:
      case toml::node_type::time:
      case toml::node_type::date_time: node.kind = Node::Kind::date; break;
    }
    return node;
  }

  Place place(const toml::source_region& region) const {
    Place p;
    p.file = file_;
    p.line = static_cast<int>(region.begin.line);
    p.column = static_cast<int>(region.begin.column);
    const bool one_line = region.end.line == region.begin.line;
    const int end =
        one_line ? static_cast<int>(region.end.column) : code_points(report_.line_at(p)) + 1;
    p.length = std::max(1, end - p.column);
    return p;
  }

 private:
  void convert_members(const toml::table& from, Node& node) {
    for (const auto& [key, value] : from) {
      node.members.push_back({std::string(key.str()), place(key.source()), convert(value)});
    }
    // The library sorts by name; messages and upstreams should come in the order of the file.
    std::ranges::sort(node.members, {},
                      [](const Member& m) { return std::pair(m.place.line, m.place.column); });
  }

  std::string expanded(const std::string& text, const Place& at) {
    auto result = expand(text);
    if (result) return *std::move(result);
    ExpansionFailure& failure = result.error();
    report_.error(fragment_place(failure.fragment, at), std::move(failure.complaint));
    report_.mute(at);
    return text;
  }

  /// The fragment inside of the string at `at`, when it stands there literally.
  Place fragment_place(const std::string& fragment, const Place& at) const {
    const std::string_view line = report_.line_at(at);
    std::size_t start = 0;
    for (int column = 1; start < line.size(); ++start) {
      if ((static_cast<unsigned char>(line[start]) & 0xC0) == 0x80) continue;
      if (column++ == at.column) break;
    }
    const std::size_t found = line.find(fragment, start);
    if (found == std::string_view::npos) return at;
    Place p = at;
    p.column = code_points(line.substr(0, found)) + 1;
    p.length = code_points(fragment);
    return p;
  }

  int file_;
  Report& report_;
};

/// What people mean who write YAML or nginx's language in a TOML file.
std::string syntax_hint(std::string_view description, std::string_view line) {
  const auto says = [&](std::string_view part) {
    return description.find(part) != std::string_view::npos;
  };
  if (says("could not determine value type") || says("integer: expected digit") ||
      says("boolean")) {
    return "a text, a duration and a size stand in quotes: name = \"10s\"";
  }
  if (says("expected '='")) {
    if (line.ends_with('{') || line.ends_with(';')) {
      return "this is TOML: sections are [name], settings are name = value";
    }
    return "a setting is written name = value";
  }
  if (says("inline table")) return "a table in braces must be on one line; use [section] otherwise";
  if (says("string: unescaped control")) return "the closing quote is missing";
  if (says("escape sequence")) return "write \\\\ for a backslash, or use 'single quotes'";
  if (says("redefine existing table")) return "write [[name]] for the second of several";
  if (says("redefine")) return "a setting can be given once";
  return "";
}

}  // namespace

std::optional<Node> parse_toml(std::string_view text, int file, Report& report) {
  const toml::parse_result result = toml::parse(text, std::string_view("configuration"));
  Conversion conversion(file, report);
  if (result) return conversion.convert(result.table());
  const Place place = conversion.place(result.error().source());
  std::string_view what = result.error().description();
  std::string message = "not valid TOML: ";
  constexpr std::string_view kPrefix = "Error while parsing ";
  if (what.starts_with(kPrefix)) what.remove_prefix(kPrefix.size());
  message += what;
  report.error(place, std::move(message), syntax_hint(what, report.line_at(place)));
  return std::nullopt;
}

}  // namespace weir::config
