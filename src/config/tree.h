// SPDX-License-Identifier: Apache-2.0
//
// A TOML document as plain values with places. The rest of this folder knows this tree and not the
// TOML library. Environment variables in strings are already replaced.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/report.h"

namespace weir::config {

struct Member;

struct Node {
  enum class Kind : std::uint8_t { table, array, string, integer, real, boolean, date };
  Kind kind = Kind::table;
  Place place;
  std::string text;  ///< of a string
  std::int64_t integer = 0;
  bool boolean = false;
  bool expanded = false;        ///< the text came from an environment variable at least in part
  std::vector<Node> items;      ///< of an array
  std::vector<Member> members;  ///< of a table, in the order of the file

  [[nodiscard]] const Member* find(std::string_view key) const;
  [[nodiscard]] bool is(Kind k) const { return kind == k; }
};

struct Member {
  std::string key;
  Place place;  ///< of the key
  Node value;
};

/// "a string", "a table" …: for messages.
std::string_view kind_name(Node::Kind kind);

/// The document, or nothing after a syntax error (the only one that is reported). `file` is the
/// number that the report gave to the file.
std::optional<Node> parse_toml(std::string_view text, int file, Report& report);

/// Moves what an included file says into `into`. [[listen]] and [[route]] are added at the end,
/// sections are merged, and a setting that is given twice is an error that names both places.
void merge(Node& into, Node&& from, Report& report);

}  // namespace weir::config
