// SPDX-License-Identifier: Apache-2.0
#include "config/tree.h"

#include <fmt/format.h>

#include <utility>

namespace weir::config {
namespace {

/// Tables whose settings may come from several files.
bool mergeable(std::string_view key) {
  return key == "limits" || key == "timeouts" || key == "upstream" || key == "access_log";
}

bool appendable(const Node& node) {
  return node.is(Node::Kind::array) && !node.items.empty() &&
         node.items.front().is(Node::Kind::table);
}

void merge_table(Node& into, Node&& from, Report& report, std::string_view what) {
  for (Member& member : from.members) {
    Member* old = nullptr;
    for (Member& candidate : into.members) {
      if (candidate.key == member.key) old = &candidate;
    }
    if (old == nullptr) {
      into.members.push_back(std::move(member));
    } else {
      report.error(member.place, fmt::format("{} \"{}\" is given twice", what, member.key),
                   fmt::format("it is already given at {}", report.where(old->place)));
    }
  }
}

}  // namespace

const Member* Node::find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

std::string_view kind_name(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::table: return "a table";
    case Node::Kind::array: return "a list";
    case Node::Kind::string: return "a string";
    case Node::Kind::integer: return "a number";
    case Node::Kind::real: return "a fraction";
    case Node::Kind::boolean: return "true or false";
    case Node::Kind::date: return "a date";
  }
  return "";
}

void merge(Node& into, Node&& from, Report& report) {
  Node rest;
  for (Member& member : from.members) {
    Member* old = nullptr;
    for (Member& candidate : into.members) {
      if (candidate.key == member.key) old = &candidate;
    }
    if (old != nullptr && appendable(old->value) && appendable(member.value)) {
      for (Node& item : member.value.items) old->value.items.push_back(std::move(item));
    } else if (old != nullptr && mergeable(member.key) && old->value.is(Node::Kind::table) &&
               member.value.is(Node::Kind::table)) {
      const std::string_view what = member.key == "upstream" ? "upstream" : "setting";
      merge_table(old->value, std::move(member.value), report, what);
    } else {
      rest.members.push_back(std::move(member));
    }
  }
  merge_table(into, std::move(rest), report, "setting");
}

}  // namespace weir::config
