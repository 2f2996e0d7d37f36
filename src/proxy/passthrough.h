// SPDX-License-Identifier: Apache-2.0
//
// Which TLS connections of a listener are passed on as they are, and to which upstream. Made when a
// configuration is applied, on the worker whose upstreams it names; immutable.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "tls/client_hello.h"

namespace weir::proxy {

class Upstream;

class Passthrough {
 public:
  /// `upstreams`: of this worker, by name; those of the entries are there.
  Passthrough(const std::vector<config::Passthrough>& entries,
              const std::map<std::string, std::shared_ptr<Upstream>>& upstreams);

  /// Whether an entry is for this name, whatever the protocol.
  [[nodiscard]] bool names(std::string_view host) const;
  [[nodiscard]] bool empty() const { return by_name_.empty(); }
  /// The upstream of the most specific entry that matches: an exact name before a wildcard, which
  /// stands for one label, a wildcard before none, a protocol before none; nullptr if none does.
  [[nodiscard]] const std::shared_ptr<Upstream>& match(const tls::ClientHello& hello) const;

 private:
  struct Target {
    std::string protocol;  // "": any
    std::shared_ptr<Upstream> upstream;
  };
  using Targets = std::vector<Target>;
  [[nodiscard]] const Target* find(std::string_view name, const tls::ClientHello& hello) const;

  std::map<std::string, Targets, std::less<>> by_name_;  // "a.example", ".example" of *.example, ""
  std::shared_ptr<Upstream> none_;
};

}  // namespace weir::proxy
