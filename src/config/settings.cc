// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include <array>

#include "base/assert.h"
#include "config/read.h"
#include "config/read_value.h"

namespace weir::config {
namespace {

template <class Member>
struct OwnerOf;
template <class Owner, class T>
struct OwnerOf<T Owner::*> {
  using type = Owner;
};

template <class Object, auto Member>
void read_field(Report& report, const Node& node, const Setting& setting, void* object) {
  read_value(report, node, setting, static_cast<Object*>(object)->*Member);
}

/// `object` points to the struct of config.h that owns the field, not to its draft.
template <auto Member>
std::string show_field(const Setting& setting, const void* object) {
  using Owner = typename OwnerOf<decltype(Member)>::type;
  return show_value(setting, static_cast<const Owner*>(object)->*Member);
}

template <class Object, auto Read>
void read_custom(Report& report, const Node& node, const Setting& setting, void* object) {
  Read(report, node, setting, *static_cast<Object*>(object));
}

#define WEIR_SECTION(id, Type, title, help) using id##_type = Type;
#define WEIR_FIELD(section, name, kind, fallback, bounds, effect, help)
#define WEIR_CUSTOM(section, name, kind, inner, fallback, bounds, effect, help)
#include "config/settings.def"
#undef WEIR_SECTION
#undef WEIR_FIELD
#undef WEIR_CUSTOM

constexpr auto kSettings = std::to_array<Setting>({
#define WEIR_SECTION(id, Type, title, help)
#define WEIR_FIELD(section, name, kind, fallback, bounds, effect, help) \
  {Section::section,                                                    \
   #name,                                                               \
   Kind::kind,                                                          \
   Section::none,                                                       \
   fallback,                                                            \
   bounds,                                                              \
   Effect::effect,                                                      \
   help,                                                                \
   &read_field<section##_type, &section##_type::name>,                  \
   &show_field<&section##_type::name>},
#define WEIR_CUSTOM(section, name, kind, inner, fallback, bounds, effect, help)        \
  {Section::section, #name,    Kind::kind,                                             \
   Section::inner,   fallback, bounds,                                                 \
   Effect::effect,   help,     &read_custom<section##_type, &read_##section##_##name>, \
   nullptr},
#include "config/settings.def"
#undef WEIR_SECTION
#undef WEIR_FIELD
#undef WEIR_CUSTOM
});

constexpr auto kSections = std::to_array<SectionText>({
#define WEIR_SECTION(id, Type, title, help) {Section::id, title, help},
#define WEIR_FIELD(section, name, kind, fallback, bounds, effect, help)
#define WEIR_CUSTOM(section, name, kind, inner, fallback, bounds, effect, help)
#include "config/settings.def"
#undef WEIR_SECTION
#undef WEIR_FIELD
#undef WEIR_CUSTOM
});

}  // namespace

std::span<const Setting> all_settings() { return kSettings; }
std::span<const SectionText> all_sections() { return kSections; }

std::string_view title(Section section) {
  for (const SectionText& text : kSections) {
    if (text.section == section) return text.title;
  }
  WEIR_UNREACHABLE("section");
}

std::vector<std::string_view> names_of(Section section) {
  std::vector<std::string_view> names;
  for (const Setting& setting : kSettings) {
    if (setting.section == section) names.push_back(setting.name);
  }
  return names;
}

const Setting* find_setting(Section section, std::string_view name) {
  for (const Setting& setting : kSettings) {
    if (setting.section == section && setting.name == name) return &setting;
  }
  return nullptr;
}

std::vector<std::string_view> choices(std::string_view bounds) {
  std::vector<std::string_view> words;
  while (!bounds.empty()) {
    const std::size_t bar = bounds.find('|');
    words.push_back(bounds.substr(0, bar));
    bounds.remove_prefix(bar == std::string_view::npos ? bounds.size() : bar + 1);
  }
  return words;
}

}  // namespace weir::config
