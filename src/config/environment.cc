// SPDX-License-Identifier: Apache-2.0
#include "config/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace weir::config {
namespace {

bool is_name(std::string_view name) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// `inside` is what stands between the braces.
std::expected<std::string, ExpansionFailure> variable(std::string_view inside) {
  const std::string fragment = fmt::format("${{{}}}", inside);
  const std::size_t mark = inside.find(":-");
  const std::string name(inside.substr(0, mark));
  if (!is_name(name)) {
    return std::unexpected(
        ExpansionFailure{{fmt::format("\"{}\" is not the name of an environment variable", name),
                          "write $${ for a dollar and a brace"},
                         fragment});
  }
  const char* value = std::getenv(name.c_str());
  if (mark != std::string_view::npos) {
    const bool missing = value == nullptr || *value == '\0';
    return missing ? std::string(inside.substr(mark + 2)) : std::string(value);
  }
  if (value == nullptr) {
    return std::unexpected(
        ExpansionFailure{{fmt::format("the environment variable {} is not set", name),
                          fmt::format("set it, or give a default: ${{{}:-value}}", name)},
                         fragment});
  }
  return std::string(value);
}

}  // namespace

std::expected<std::string, ExpansionFailure> expand(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t dollar = text.find('$');
    out += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar);
    if (text.starts_with("$$")) {
      out += '$';
      text.remove_prefix(2);
    } else if (text.starts_with("${")) {
      const std::size_t end = text.find('}');
      if (end == std::string_view::npos) {
        return std::unexpected(ExpansionFailure{
            {"\"${\" without a closing brace", "write $${ for a dollar and a brace"},
            std::string(text)});
      }
      auto value = variable(text.substr(2, end - 2));
      if (!value) return std::unexpected(std::move(value.error()));
      out += *value;
      text.remove_prefix(end + 1);
    } else {
      out += '$';
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string escape_dollars(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    const bool ambiguous =
        text[i] == '$' && i + 1 < text.size() && (text[i + 1] == '$' || text[i + 1] == '{');
    if (ambiguous) out += '$';
  }
  return out;
}

}  // namespace weir::config
