// SPDX-License-Identifier: Apache-2.0
//
// The settings reference and the JSON schema, from the table.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "config/order.h"
#include "config/settings.h"

namespace weir::config {
namespace {

using Json = nlohmann::ordered_json;

std::string_view type_text(Kind kind) {
  switch (kind) {
    case Kind::flag: return "true or false";
    case Kind::number: return "number";
    case Kind::number_or_auto: return "number or \"auto\"";
    case Kind::size: return "size";
    case Kind::duration: return "duration";
    case Kind::text: return "string";
    case Kind::path: return "path";
    case Kind::choice: return "word";
    case Kind::texts: return "list of strings";
    case Kind::text_or_texts: return "string or list";
    case Kind::values: return "table of strings";
    case Kind::conditions: return "table of strings, true, false";
    case Kind::servers: return "list of strings and tables";
    case Kind::section: return "table";
    case Kind::sections: return "tables";
    case Kind::named_sections: return "tables by name";
    case Kind::text_or_section: return "string or table";
    case Kind::number_or_section: return "number or table";
  }
  return "";
}

std::string code(std::string_view text) {
  return text.empty() ? std::string() : fmt::format("`{}`", text);
}

std::string capital(std::string_view text) {
  std::string out(text);
  if (out.front() >= 'a' && out.front() <= 'z') out.front() = static_cast<char>(out.front() - 32);
  return out;
}

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string bounds_text(const Setting& setting) {
  if (setting.bounds.find('|') == std::string_view::npos) return code(setting.bounds);
  std::string out;
  for (const std::string_view word : choices(setting.bounds)) {
    out += fmt::format("{}`{}`", out.empty() ? "" : ", ", word);
  }
  return out;
}

constexpr std::string_view kIntroduction =
    "# Settings\n"
    "\n"
    "Generated from `src/config/settings.def`; a test compares them. The file is\n"
    "[TOML](https://toml.io). `weir check FILE` names all mistakes at once, with their places, "
    "and\n"
    "`weir check --print FILE` shows what Weir understood.\n"
    "\n"
    "* A duration is a string like `\"500ms\"`, `\"10s\"`, `\"2m\"`, `\"1h30m\"` or `\"1d\"`.\n"
    "* A size is a number of bytes or a string like `\"32KiB\"`, `\"1MiB\"` (powers of 1024) or\n"
    "  `\"10MB\"` (powers of 1000).\n"
    "* Every string may hold environment variables: `${NAME}` must be set, `${NAME:-default}` "
    "need\n"
    "  not be, and `$$` is one dollar. A number, true or false may come from a variable as well, "
    "in\n"
    "  quotes: `workers = \"${WORKERS:-2}\"`.\n"
    "* Effect *reload*: a reload is enough. *restart*: changes when Weir is started again.\n";

std::string json_name(Section section) {
  for (const SectionText& text : all_sections()) {
    if (text.section != section) continue;
    std::string name;
    for (const Setting& setting : all_settings()) {
      if (setting.inner == section) name = setting.name;
    }
    // request_headers and response_headers share one, servers are lists of one, and listeners and
    // upstreams each have their own tls.
    if (section == Section::headers) return "headers";
    if (section == Section::server_tls) return "server_tls";
    return section == Section::server ? "server" : name;
  }
  return "";
}

Json reference(Section section) { return {{"$ref", "#/definitions/" + json_name(section)}}; }

Json variable() { return {{"type", "string"}, {"pattern", "\\$\\{"}}; }
Json any_of(Json a, Json b) { return {{"anyOf", Json::array({std::move(a), std::move(b)})}}; }
Json text() { return {{"type", "string"}}; }
Json list_of(Json item) { return {{"type", "array"}, {"items", std::move(item)}}; }
Json map_of(Json value) { return {{"type", "object"}, {"additionalProperties", std::move(value)}}; }

Json number(const Setting& setting) {
  Json out = {{"type", "integer"}};
  if (setting.bounds.find('|') != std::string_view::npos) {
    out = Json{{"enum", Json::array()}};
    for (const std::string_view word : choices(setting.bounds)) {
      out["enum"].push_back(parse_u64(word).value_or(0));
    }
    return out;
  }
  const std::size_t dots = setting.bounds.find("..");
  const std::string_view low = setting.bounds.substr(0, dots);
  out["minimum"] = parse_u64(low).value_or(0);
  if (dots == std::string_view::npos) return out;
  if (const auto high = parse_u64(setting.bounds.substr(dots + 2))) out["maximum"] = *high;
  return out;
}

Json choice(const Setting& setting) {
  Json out = {{"enum", Json::array()}};
  for (const std::string_view word : choices(setting.bounds)) out["enum"].push_back(word);
  return any_of(std::move(out), variable());
}

Json type_schema(const Setting& setting) {
  switch (setting.kind) {
    case Kind::flag: return any_of({{"type", "boolean"}}, variable());
    case Kind::number: return any_of(number(setting), variable());
    case Kind::number_or_auto:
      return any_of(number(setting), {{"type", "string"}, {"pattern", "^auto$|\\$\\{"}});
    case Kind::size:
      return any_of({{"type", "integer"}, {"minimum", 0}},
                    {{"type", "string"}, {"pattern", "^[0-9]+ *([KMGT]i?B|kB|B)?$|\\$\\{"}});
    case Kind::duration:
      return {{"type", "string"}, {"pattern", "^([0-9]+(ms|s|m|h|d))+$|^0$|\\$\\{"}};
    case Kind::text:
    case Kind::path: return text();
    case Kind::choice: return choice(setting);
    case Kind::texts: return list_of(text());
    case Kind::text_or_texts: return any_of(text(), list_of(text()));
    case Kind::values: return map_of(text());
    case Kind::conditions: return map_of({{"type", Json::array({"string", "boolean"})}});
    case Kind::servers: return list_of(any_of(text(), reference(setting.inner)));
    case Kind::section: return reference(setting.inner);
    case Kind::sections: return list_of(reference(setting.inner));
    case Kind::named_sections: return map_of(reference(setting.inner));
    case Kind::text_or_section: return any_of(text(), reference(setting.inner));
    case Kind::number_or_section: return any_of(number(setting), reference(setting.inner));
  }
  return {};
}

Json section_schema(const SectionText& section) {
  Json out = {{"type", "object"}, {"additionalProperties", false}};
  if (!section.help.empty()) out["description"] = section.help;
  Json required = Json::array();
  for (const Setting& setting : all_settings()) {
    if (setting.section != section.section) continue;
    Json schema = {{"description", setting.help}};
    if (!setting.required() && !setting.fallback.empty()) {
      schema["description"] = fmt::format("{} Default: {}", setting.help, setting.fallback);
    }
    // Beside a $ref, draft 7 ignores everything else.
    Json type = type_schema(setting);
    if (type.contains("$ref")) type = Json{{"allOf", Json::array({std::move(type)})}};
    schema.update(type);
    out["properties"][std::string(setting.name)] = std::move(schema);
    const bool may_be_included = section.section == Section::top;
    if (setting.required() && !may_be_included) required.push_back(setting.name);
  }
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

}  // namespace

std::string settings_markdown() {
  std::string out(kIntroduction);
  for (const SectionText& section : all_sections()) {
    out += fmt::format("\n## {}\n\n", section.title.starts_with('[') ? code(section.title)
                                                                     : capital(section.title));
    if (!section.help.empty()) out += fmt::format("{}\n\n", section.help);
    if (section.section == Section::route) out += fmt::format("{}\n", order_text());
    out +=
        "| Setting | Type | Default | Bounds | Effect | What it does |\n"
        "|---|---|---|---|---|---|\n";
    for (const Setting& setting : all_settings()) {
      if (setting.section != section.section) continue;
      out += fmt::format(
          "| `{}` | {} | {} | {} | {} | {} |\n", setting.name, type_text(setting.kind),
          setting.required() ? "required" : code(setting.fallback), bounds_text(setting),
          setting.effect == Effect::reload ? "reload" : "restart", cell(setting.help));
    }
  }
  return out;
}

std::string settings_json_schema() {
  Json out = {{"$schema", "http://json-schema.org/draft-07/schema#"},
              {"title", "Weir configuration"}};
  for (const SectionText& section : all_sections()) {
    if (section.section == Section::top) {
      out.update(section_schema(section));
    } else {
      out["definitions"][json_name(section.section)] = section_schema(section);
    }
  }
  return out.dump(2) + "\n";
}

}  // namespace weir::config
