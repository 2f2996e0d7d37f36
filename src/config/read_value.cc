// SPDX-License-Identifier: Apache-2.0
#include "config/read_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/assert.h"
#include "base/bytes.h"
#include "config/nearest.h"
#include "config/units.h"

namespace weir::config {
namespace {

/// "low..high" taken apart; a missing end is the empty text.
std::pair<std::string_view, std::string_view> ends(std::string_view bounds) {
  const std::size_t dots = bounds.find("..");
  if (dots == std::string_view::npos) return {};
  return {bounds.substr(0, dots), bounds.substr(dots + 2)};
}

template <class T, class Parse>
bool within(Report& report, const Node& node, const Setting& setting, T value, Parse parse) {
  const auto [low, high] = ends(setting.bounds);
  if ((low.empty() || value >= parse(low)) && (high.empty() || value <= parse(high))) return true;
  std::string range = fmt::format("from {} to {}", low, high);
  if (high.empty()) range = fmt::format("at least {}", low);
  report.error(node.place, fmt::format("\"{}\" is out of bounds", setting.name),
               fmt::format("it may be {}", range));
  return false;
}

std::uint64_t number_bound(std::string_view text) {
  const auto value = parse_u64(text);
  WEIR_ASSERT(value.has_value());
  return *value;
}

std::uint64_t size_bound(std::string_view text) {
  const auto value = parse_size(text);
  WEIR_ASSERT(value.has_value());
  return *value;
}

Millis duration_bound(std::string_view text) {
  const auto value = parse_duration(text);
  WEIR_ASSERT(value.has_value());
  return *value;
}

std::string_view wanted(Kind kind) {
  switch (kind) {
    case Kind::flag: return "true or false";
    case Kind::number: return "a whole number";
    case Kind::number_or_auto: return "a whole number or \"auto\"";
    case Kind::size: return "a size like \"32KiB\"";
    case Kind::duration: return "a duration like \"10s\"";
    case Kind::text:
    case Kind::path: return "a string";
    case Kind::choice: return "a string";
    case Kind::texts: return "a list of strings";
    case Kind::text_or_texts: return "a string or a list of strings";
    case Kind::values: return "a table of names and strings";
    case Kind::conditions: return "a table of names and strings, true or false";
    case Kind::servers: return "a list of addresses";
    case Kind::section: return "a table";
    case Kind::sections: return "a section with two brackets";
    case Kind::named_sections: return "a section with a name";
    case Kind::text_or_section: return "a string or a table";
    case Kind::number_or_section: return "a number or a table";
  }
  return "";
}

std::string kind_hint(const Node& node, const Setting& setting) {
  const bool one_number = node.is(Node::Kind::integer);
  if (setting.kind == Kind::duration && one_number) {
    return fmt::format("write \"{}s\" for seconds or \"{}ms\" for milliseconds", node.integer,
                       node.integer);
  }
  if (setting.kind == Kind::texts || setting.kind == Kind::servers) {
    if (node.is(Node::Kind::string)) return fmt::format("write [\"{}\"]", node.text);
  }
  if (setting.kind == Kind::number && node.is(Node::Kind::string) && parse_u64(node.text)) {
    return fmt::format("write {} without quotes", node.text);
  }
  if (setting.kind == Kind::flag && node.is(Node::Kind::string)) return "write it without quotes";
  if (setting.kind == Kind::text && one_number) return "put it in quotes";
  return "";
}

}  // namespace

void wrong_kind(Report& report, const Node& node, const Setting& setting, std::string_view want) {
  report.error(node.place,
               fmt::format("\"{}\" must be {}, not {}", setting.name, want, kind_name(node.kind)),
               kind_hint(node, setting));
}

bool expect(Report& report, const Node& node, Node::Kind kind, const Setting& setting) {
  if (node.is(kind)) return true;
  wrong_kind(report, node, setting, wanted(setting.kind));
  return false;
}

std::vector<const Node*> read_texts(Report& report, const Node& node, const Setting& setting) {
  std::vector<const Node*> out;
  if (setting.kind == Kind::text_or_texts && node.is(Node::Kind::string)) return {&node};
  if (!expect(report, node, Node::Kind::array, setting)) return {};
  for (const Node& item : node.items) {
    if (item.is(Node::Kind::string)) {
      out.push_back(&item);
    } else {
      report.error(item.place, fmt::format("\"{}\" must be a list of strings, and this is {}",
                                           setting.name, kind_name(item.kind)));
    }
  }
  return out;
}

void read_value(Report& report, const Node& node, const Setting& setting, bool& into) {
  if (node.expanded && (node.text == "true" || node.text == "false")) {
    into = node.text == "true";
    return;
  }
  if (expect(report, node, Node::Kind::boolean, setting)) into = node.boolean;
}

void read_value(Report& report, const Node& node, const Setting& setting, int& into) {
  auto value = static_cast<std::uint64_t>(into);
  read_value(report, node, setting, value);
  if (value <= static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
    into = static_cast<int>(value);
  }
}

void read_value(Report& report, const Node& node, const Setting& setting, std::uint64_t& into) {
  const bool is_size = setting.kind == Kind::size;
  std::uint64_t value = 0;
  if (is_size && node.is(Node::Kind::string)) {
    auto parsed = parse_size(node.text);
    if (!parsed) return report.error(node.place, std::move(parsed.error()));
    value = *parsed;
  } else if (const auto number = parse_u64(node.text); node.expanded && number) {
    value = *number;
  } else {
    if (!expect(report, node, Node::Kind::integer, setting)) return;
    if (node.integer < 0) {
      return report.error(node.place, fmt::format("\"{}\" cannot be negative", setting.name));
    }
    value = static_cast<std::uint64_t>(node.integer);
  }
  if (within(report, node, setting, value, is_size ? size_bound : number_bound)) into = value;
}

void read_value(Report& report, const Node& node, const Setting& setting, Millis& into) {
  if (node.is(Node::Kind::integer) && node.integer == 0) {
    if (within(report, node, setting, Millis{0}, duration_bound)) into = Millis{0};
    return;
  }
  if (!expect(report, node, Node::Kind::string, setting)) return;
  auto value = parse_duration(node.text);
  if (!value) return report.error(node.place, std::move(value.error()));
  if (within(report, node, setting, *value, duration_bound)) into = *value;
}

void read_value(Report& report, const Node& node, const Setting& setting,
                std::optional<Millis>& into) {
  Millis value{};
  read_value(report, node, setting, value);
  into = value;
}

void read_value(Report& report, const Node& node, const Setting& setting, std::string& into) {
  if (!expect(report, node, Node::Kind::string, setting)) return;
  // No text in Config can be made to cut a path short or to forge a line of a log.
  const bool control = setting.name != "body" && std::ranges::any_of(node.text, [](char c) {
                         const auto byte = static_cast<unsigned char>(c);
                         return byte < 0x20 || byte == 0x7F;
                       });
  if (control) {
    return report.error(node.place, fmt::format("\"{}\" holds a control character", setting.name));
  }
  into = node.text;
  if (setting.kind != Kind::path || into.empty() || into.starts_with('/')) return;
  const std::string& file = report.file_at(node.place);
  if (const std::size_t slash = file.rfind('/'); slash != std::string::npos) {
    into.insert(0, file, 0, slash + 1);
  }
}

std::optional<int> read_choice(Report& report, const Node& node, const Setting& setting) {
  if (!expect(report, node, Node::Kind::string, setting)) return std::nullopt;
  const auto words = choices(setting.bounds);
  const auto found = std::ranges::find(words, node.text);
  if (found != words.end()) return static_cast<int>(found - words.begin());
  std::string all;
  for (const std::string_view word : words) {
    all += fmt::format("{}\"{}\"", all.empty() ? "it is one of " : ", ", word);
  }
  report.error(node.place, fmt::format("\"{}\" cannot be \"{}\"", setting.name, node.text),
               did_you_mean(node.text, words, all));
  return std::nullopt;
}

std::string show_value(const Setting&, bool value) { return value ? "true" : "false"; }
std::string show_value(const Setting&, int value) { return std::to_string(value); }
std::string show_value(const Setting& setting, std::uint64_t value) {
  return setting.kind == Kind::size ? show_size(value) : std::to_string(value);
}
std::string show_value(const Setting&, Millis value) { return show_duration(value); }
std::string show_value(const Setting&, const std::optional<Millis>& value) {
  return value ? show_duration(*value) : "";
}
std::string show_value(const Setting&, const std::string& value) { return value; }

}  // namespace weir::config
