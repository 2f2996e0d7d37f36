// SPDX-License-Identifier: Apache-2.0
//
// From the tree to the draft, driven by the table of settings. Every function reports what is wrong
// and goes on, so that one run names all mistakes; what it leaves in the object after an error is
// valid but meaningless.
#pragma once

#include "config/drafts.h"
#include "config/settings.h"

namespace weir::config {

/// Reads every member of a table by the rows of `section` into `object`, which must be of the
/// section's type. Unknown and missing settings are reported.
void read_section(Report& report, const Node& node, Section section, void* object);

/// The whole document.
Draft read_document(Report& report, const Node& document);

#define WEIR_SECTION(id, Type, title, help) using read_##id##_type = Type;
#define WEIR_FIELD(section, name, kind, fallback, bounds, effect, help)
#define WEIR_CUSTOM(section, name, kind, inner, fallback, bounds, effect, help)          \
  void read_##section##_##name(Report& report, const Node& node, const Setting& setting, \
                               read_##section##_type& into);
#include "config/settings.def"
#undef WEIR_SECTION
#undef WEIR_FIELD
#undef WEIR_CUSTOM

}  // namespace weir::config
