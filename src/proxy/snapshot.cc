// SPDX-License-Identifier: Apache-2.0
#include "proxy/snapshot.h"

namespace weir::proxy {

std::vector<http::HeadEdit> edits_of(const std::vector<config::HeaderRule>& rules) {
  std::vector<http::HeadEdit> edits;
  for (const config::HeaderRule& rule : rules) {
    http::HeadEdit edit;
    switch (rule.action) {
      case config::HeaderAction::set: edit.kind = http::HeadEdit::Kind::set; break;
      case config::HeaderAction::add: edit.kind = http::HeadEdit::Kind::add; break;
      case config::HeaderAction::remove: edit.kind = http::HeadEdit::Kind::remove; break;
    }
    edit.name = rule.name;
    edit.value = rule.value;
    edit.id = http::field_id(rule.name);
    edits.push_back(edit);
  }
  return edits;
}

}  // namespace weir::proxy
