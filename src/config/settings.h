// SPDX-License-Identifier: Apache-2.0
//
// The table of settings (settings.def) as values, and what is generated from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/tree.h"

namespace weir::config {

enum class Section : std::uint8_t {
  none,
#define WEIR_SECTION(id, Type, title, help) id,
#define WEIR_FIELD(section, name, kind, fallback, bounds, effect, help)
#define WEIR_CUSTOM(section, name, kind, inner, fallback, bounds, effect, help)
#include "config/settings.def"
#undef WEIR_SECTION
#undef WEIR_FIELD
#undef WEIR_CUSTOM
};

/// What may be written as the value of a setting.
enum class Kind : std::uint8_t {
  flag,            ///< true or false
  number,          ///< a whole number
  number_or_auto,  ///< or "auto"
  size,            ///< "32KiB" or a number of bytes
  duration,        ///< "10s"
  text,
  path,            ///< of a file; a relative one is relative to the file that it is written in
  choice,          ///< one of the words in the bounds
  texts,           ///< a list of strings
  text_or_texts,   ///< a string or a list of strings
  values,          ///< a table of strings
  conditions,      ///< a table of strings, true and false
  servers,         ///< a list of strings and tables
  section,         ///< a table
  sections,        ///< [[name]], several tables
  named_sections,  ///< [name.X], a table for each X
  text_or_section,
  number_or_section,
};

enum class Effect : std::uint8_t { reload, restart };

/// One row. Views are of static storage.
struct Setting {
  Section section;
  std::string_view name;
  Kind kind;
  Section inner;              ///< the section of the table(s) in it; none: no table
  std::string_view fallback;  ///< the default, as it would be written
  std::string_view bounds;
  Effect effect;
  std::string_view help;
  /// Reads `node` into the object of the section's type.
  void (*read)(Report& report, const Node& node, const Setting& setting, void* object);
  /// The field as it would be written, without quotes; null for a setting without a plain field.
  std::string (*show)(const Setting& setting, const void* object);

  [[nodiscard]] bool required() const { return fallback == "required"; }
};

struct SectionText {
  Section section;
  std::string_view title;
  std::string_view help;
};

std::span<const Setting> all_settings();
std::span<const SectionText> all_sections();
std::string_view title(Section section);
std::vector<std::string_view> names_of(Section section);
const Setting* find_setting(Section section, std::string_view name);

/// The words of a choice: "a|b|c" taken apart.
std::vector<std::string_view> choices(std::string_view bounds);

/// docs/settings.md and docs/weir.schema.json, complete.
std::string settings_markdown();
std::string settings_json_schema();

}  // namespace weir::config
