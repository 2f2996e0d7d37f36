// SPDX-License-Identifier: Apache-2.0
//
// A configuration while it is read: the values of config.h beside the nodes they came from, so that
// the checks of check.h can say where a mistake stands. The nodes outlive the draft.
#pragma once

#include <vector>

#include "config/config.h"
#include "config/tree.h"

namespace weir::config {

struct PassthroughDraft : Passthrough {
  const Node* node = nullptr;
  const Node* upstream_node = nullptr;
};

struct ListenDraft : Listen {
  const Node* node = nullptr;
  const Node* address_node = nullptr;   ///< null when it is missing or invalid
  const Node* upstream_node = nullptr;  ///< of tcp
  const Node* tcp_node = nullptr;
  const Node* proxy_protocol_node = nullptr;
  std::vector<PassthroughDraft> passthrough_drafts;
};

struct TlsDraft : Tls {
  TlsCertificate own;  ///< of `cert` and `key`, which stand in the table itself: the first
};

struct UpstreamDraft : Upstream {
  const Member* member = nullptr;
  const Node* tls_node = nullptr;
};

struct RouteDraft : Route {
  const Node* node = nullptr;
};

using HeaderRules = std::vector<HeaderRule>;

struct Draft : Config {
  std::vector<ListenDraft> listen_drafts;
  std::vector<UpstreamDraft> upstream_drafts;
  std::vector<RouteDraft> route_drafts;
  bool admin_given = false;
};

}  // namespace weir::config
