// SPDX-License-Identifier: Apache-2.0
//
// Which fields of a received head are passed on, whatever protocol the next message is written in:
// those of one connection stay behind, edits are applied, and what a server could take for a field
// of ours is left out. For encode.h and h2_head.h; see there for the rules.
#pragma once

#include "http/encode.h"

namespace weir::http {

/// The framing of a message writes these; an edit of one would contradict it.
[[nodiscard]] bool belongs_to_framing(FieldId id);
/// Does one of `edits` take away the received fields of this name?
[[nodiscard]] bool drops(std::span<const HeadEdit> edits, std::string_view name, FieldId id);
/// Whether `edits[index]` adds a field to the head.
[[nodiscard]] bool adds(std::span<const HeadEdit> edits, std::size_t index);
/// RFC 9110 section 6.5.1: may the field stand behind a message whose head set these rules?
[[nodiscard]] bool allowed_in_trailers(const Field& field, const TrailerRules& rules);

/// The fields of one head, and which of them are passed on.
class PassedFields {
 public:
  /// Do fields pass that look like another one to a server? Does Trailer?
  enum class Doubles : std::uint8_t { pass, drop };
  enum class Trailer : std::uint8_t { pass, drop };
  PassedFields(const FieldList& fields, std::span<const HeadEdit> edits, Doubles doubles,
               Trailer trailer);

  [[nodiscard]] bool passes(const Field& field) const;

  const FieldList& fields;
  const std::span<const HeadEdit> edits;

 private:
  Doubles doubles_;
  Trailer trailer_;
  bool named_;            // must fields be looked up in Connection?
  FieldIds dropped_ids_;  // most fields are none of them
};

}  // namespace weir::http
