// SPDX-License-Identifier: Apache-2.0
#include "proxy/passthrough.h"

namespace weir::proxy {

Passthrough::Passthrough(const std::vector<config::Passthrough>& entries,
                         const std::map<std::string, std::shared_ptr<Upstream>>& upstreams) {
  const std::vector<std::string> any = {""};
  for (const config::Passthrough& entry : entries) {
    for (std::string_view name : entry.names.empty() ? any : entry.names) {
      if (name.starts_with("*.")) name.remove_prefix(1);
      Targets& targets = by_name_[std::string(name)];
      for (const std::string& protocol : entry.protocols.empty() ? any : entry.protocols) {
        targets.push_back({protocol, upstreams.at(entry.upstream)});
      }
    }
  }
}

const Passthrough::Target* Passthrough::find(std::string_view name,
                                             const tls::ClientHello& hello) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return nullptr;
  const Target* any = nullptr;
  for (const Target& target : found->second) {
    if (target.protocol.empty()) {
      any = &target;
    } else if (hello.offers(target.protocol)) {
      return &target;
    }
  }
  return any;
}

bool Passthrough::names(std::string_view host) const {
  const std::size_t dot = host.find('.');
  if (host.empty() || dot == 0) return false;
  return by_name_.contains(host) ||
         (dot != std::string_view::npos && by_name_.contains(host.substr(dot)));
}

const std::shared_ptr<Upstream>& Passthrough::match(const tls::ClientHello& hello) const {
  const std::string_view name = hello.name;
  const std::size_t dot = name.find('.');
  const Target* target = nullptr;
  // A name that begins with a dot is no name, and must not be taken for a wildcard's key.
  if (dot != 0 && !name.empty()) target = find(name, hello);
  if (target == nullptr && dot != 0 && dot != std::string_view::npos) {
    target = find(name.substr(dot), hello);
  }
  if (target == nullptr) target = find("", hello);
  return target == nullptr ? none_ : target->upstream;
}

}  // namespace weir::proxy
