// SPDX-License-Identifier: Apache-2.0
//
// Plain values: from a node to a C++ type with the bounds of the setting's row, and back to text.
#pragma once

#include <optional>
#include <string>
#include <type_traits>

#include "base/time.h"
#include "config/settings.h"

namespace weir::config {

/// True if the node is of that kind; reports the mistake otherwise.
bool expect(Report& report, const Node& node, Node::Kind kind, const Setting& setting);
/// The same for a value that may be one of several; `wanted` says them all.
void wrong_kind(Report& report, const Node& node, const Setting& setting, std::string_view wanted);

/// The strings of a list, or of one string where the kind allows it.
std::vector<const Node*> read_texts(Report& report, const Node& node, const Setting& setting);

void read_value(Report& report, const Node& node, const Setting& setting, bool& into);
void read_value(Report& report, const Node& node, const Setting& setting, int& into);
void read_value(Report& report, const Node& node, const Setting& setting, std::uint64_t& into);
void read_value(Report& report, const Node& node, const Setting& setting, Millis& into);
void read_value(Report& report, const Node& node, const Setting& setting,
                std::optional<Millis>& into);
void read_value(Report& report, const Node& node, const Setting& setting, std::string& into);

/// The index of the word among the row's choices.
std::optional<int> read_choice(Report& report, const Node& node, const Setting& setting);

template <class T>
  requires std::is_enum_v<T>
void read_value(Report& report, const Node& node, const Setting& setting, T& into) {
  if (const auto index = read_choice(report, node, setting)) into = static_cast<T>(*index);
}

std::string show_value(const Setting& setting, bool value);
std::string show_value(const Setting& setting, int value);
std::string show_value(const Setting& setting, std::uint64_t value);
std::string show_value(const Setting& setting, Millis value);
std::string show_value(const Setting& setting, const std::optional<Millis>& value);
std::string show_value(const Setting& setting, const std::string& value);

template <class T>
  requires std::is_enum_v<T>
std::string show_value(const Setting& setting, T value) {
  return std::string(choices(setting.bounds)[static_cast<std::size_t>(value)]);
}

}  // namespace weir::config
