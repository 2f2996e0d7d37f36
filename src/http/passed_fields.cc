// SPDX-License-Identifier: Apache-2.0
#include "http/passed_fields.h"

#include "http/chars.h"
#include "http/h1_parse.h"

namespace weir::http {
namespace {

bool same_name(const HeadEdit& edit, std::string_view name, FieldId id) {
  if (edit.id != id) return false;
  return id != FieldId::other || iequals(edit.name, name);
}

/// RFC 9112 section 3.2: there is one Host. Removing it is no edit, adding one replaces it.
bool drops(const HeadEdit& edit) {
  if (edit.id == FieldId::host) return edit.kind != HeadEdit::Kind::remove;
  return edit.kind != HeadEdit::Kind::add;
}

/// The ids of the fields that edits drop: most fields are none of them.
FieldIds dropped(std::span<const HeadEdit> edits) {
  FieldIds ids;
  for (const HeadEdit& edit : edits) {
    if (drops(edit)) ids.add(edit.id);
  }
  return ids;
}

/// RFC 3875 section 4.1.18: does a server take it for a field of ours?
bool is_double(const Field& field, std::span<const HeadEdit> edits) {
  if (field.id != FieldId::other || all_of_class(field.name, kPlainName)) return false;
  if (double_of(field.name) != FieldId::other) return true;
  for (const HeadEdit& edit : edits) {
    if (drops(edit) && edit.id == FieldId::other && !iequals(edit.name, field.name) &&
        same_variable(edit.name, field.name)) {
      return true;
    }
  }
  return false;
}

/// Does Connection name anything but its well-known options, which are dropped anyhow?
bool names_other_fields(const FieldList& fields) {
  if (!fields.has(FieldId::connection)) return false;
  bool found = false;
  for (const Field& field : fields) {
    if (field.id != FieldId::connection) continue;
    for_each_element(field.value, [&](std::string_view option) {
      found = found || !(iequals(option, "keep-alive") || iequals(option, "close") ||
                         iequals(option, "upgrade"));
    });
  }
  return found;
}

}  // namespace

bool belongs_to_framing(FieldId id) {
  return hop_by_hop(id) || id == FieldId::content_length || id == FieldId::expect;
}

bool drops(std::span<const HeadEdit> edits, std::string_view name, FieldId id) {
  for (const HeadEdit& edit : edits) {
    if (edit.id == id && drops(edit) && same_name(edit, name, id)) return true;
  }
  return false;
}

bool adds(std::span<const HeadEdit> edits, std::size_t index) {
  const HeadEdit& edit = edits[index];
  if (edit.kind == HeadEdit::Kind::remove || belongs_to_framing(edit.id)) return false;
  const bool known = edit.id != FieldId::other;
  if (!known && (edit.name.empty() || !all_of_class(edit.name, kToken))) return false;
  // A later edit may take this one back.
  return !drops(edits.subspan(index + 1), edit.name, edit.id);
}

PassedFields::PassedFields(const FieldList& of, std::span<const HeadEdit> by, Doubles doubles,
                           Trailer trailer)
    : fields(of),
      edits(by),
      doubles_(doubles),
      trailer_(trailer),
      named_(names_other_fields(of)),
      dropped_ids_(dropped(by)) {}

bool PassedFields::passes(const Field& field) const {
  if (field.id == FieldId::trailer) return trailer_ == Trailer::pass;
  if (hop_by_hop(field.id)) return false;
  if (field.id == FieldId::content_length || field.id == FieldId::expect) return false;
  if (dropped_ids_.has(field.id) && drops(edits, field.name, field.id)) return false;
  if (doubles_ == Doubles::drop && is_double(field, edits)) return false;
  // RFC 9110 section 7.6.1. Host is not for a client to hide.
  return !named_ || field.id == FieldId::host || !connection_lists(fields, field.name);
}

TrailerRules trailer_rules(const FieldList& fields, std::span<const HeadEdit> edits) {
  TrailerRules rules{.edits = edits};
  if (!names_other_fields(fields)) return rules;
  for (const Field& field : fields) {
    if (field.id == FieldId::connection) rules.connection.append(field.value).append(",");
  }
  return rules;
}

// RFC 9110 section 6.5.1: what frames, routes or authenticates a message, or says how its content
// is to be read, has no business behind it.
bool allowed_in_trailers(const Field& field, const TrailerRules& rules) {
  if (field.id != FieldId::other || is_double(field, rules.edits)) return false;
  for (const std::string_view name :
       {"set-cookie", "www-authenticate", "cache-control", "content-encoding", "content-range",
        "max-forwards", "pragma", "range", "if-match", "if-none-match", "if-modified-since",
        "if-unmodified-since", "if-range", "age", "expires", "retry-after", "vary", "warning"}) {
    if (same_variable(field.name, name)) return false;
  }
  if (drops(rules.edits, field.name, field.id)) return false;
  bool named = false;
  for_each_element(rules.connection,
                   [&](std::string_view each) { named = named || iequals(each, field.name); });
  return !named;
}

}  // namespace weir::http
