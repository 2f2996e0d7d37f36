// SPDX-License-Identifier: Apache-2.0
#include "config/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "config/nearest.h"
#include "config/pattern.h"
#include "config/settings.h"

namespace weir::config {
namespace {

class Checks {
 public:
  Checks(Report& report, Draft& draft, const Node& document)
      : report_(report), draft_(draft), document_(document) {
    for (const UpstreamDraft& upstream : draft.upstream_drafts) names_.push_back(upstream.name);
  }

  void run() {
    check_listens();
    for (const ListenDraft& listen : draft_.listen_drafts) check_listen(listen);
    check_https_only();
    check_route_names();
    for (const RouteDraft& route : draft_.route_drafts) check_actions(route);
    for (UpstreamDraft& upstream : draft_.upstream_drafts) check_upstream(upstream);
    check_presence();
  }

 private:
  void use_upstream(const std::string& name, const Place& place) {
    used_.insert(name);
    if (std::ranges::find(names_, name) != names_.end()) return;
    report_.error(place, fmt::format("unknown upstream \"{}\"", name),
                  did_you_mean(name, names_, fmt::format("define it with [upstream.{}]", name)));
  }

  /// Two sockets cannot be bound to one port of one address, and ":80" is all addresses.
  static bool collide(const Address& a, const Address& b) {
    if (a.kind == Address::Kind::unix_path || b.kind == Address::Kind::unix_path) return a == b;
    if (a.port != b.port || a.port == 0) return false;
    return a.host == b.host || a.host.empty() || b.host.empty();
  }

  void check_listens() {
    const auto& listens = draft_.listen_drafts;
    for (std::size_t i = 0; i < listens.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (listens[i].address_node == nullptr || listens[j].address_node == nullptr) continue;
        if (!collide(listens[i].address, listens[j].address)) continue;
        report_.error(listens[i].address_node->place,
                      fmt::format("the address {} is already taken by another [[listen]]",
                                  listens[i].address.text()),
                      fmt::format("{} is given at {}", listens[j].address.text(),
                                  report_.where(listens[j].address_node->place)));
        break;
      }
    }
  }

  void check_listen(const ListenDraft& listen) {
    if (listen.upstream_node != nullptr) {
      use_upstream(listen.tcp_upstream, listen.upstream_node->place);
    }
    check_proxy_protocol(listen);
    for (const PassthroughDraft& entry : listen.passthrough_drafts) {
      if (entry.upstream_node == nullptr) continue;
      use_upstream(entry.upstream, entry.upstream_node->place);
    }
    check_passthrough_twice(listen);
  }

  /// A list that can never mean anybody.
  void check_proxy_protocol(const ListenDraft& listen) {
    if (listen.proxy_protocol_node == nullptr || listen.address_node == nullptr) return;
    const bool local = listen.address.kind == Address::Kind::unix_path;
    const Place& place = listen.proxy_protocol_node->place;
    if (local && !listen.proxy_protocol.networks.empty()) {
      report_.error(place, "the peers of a unix socket have no address",
                    "write proxy_protocol = \"unix\"");
    } else if (!local && listen.proxy_protocol.unix_sockets) {
      report_.error(place, fmt::format("{} is not a unix socket", listen.address.text()),
                    "write the networks of the proxies, as in [\"10.0.0.0/8\"]");
    }
  }

  /// Of two entries for one name and one protocol only the first is ever used.
  void check_passthrough_twice(const ListenDraft& listen) {
    std::map<std::pair<std::string, std::string>, Place> seen;
    const std::vector<std::string> any = {""};
    for (const PassthroughDraft& entry : listen.passthrough_drafts) {
      if (entry.names.empty() && entry.protocols.empty()) continue;  // a mistake of its own
      for (const std::string& name : entry.names.empty() ? any : entry.names) {
        for (const std::string& protocol : entry.protocols.empty() ? any : entry.protocols) {
          const auto [first, fresh] = seen.emplace(std::pair(name, protocol), entry.node->place);
          if (fresh) continue;
          report_.error(entry.node->place,
                        fmt::format("\"{}\" is passed through by two entries",
                                    name.empty() ? protocol : name),
                        fmt::format("the first is at {}", report_.where(first->second)));
        }
      }
    }
  }

  // What it redirects to has to be there.
  void check_https_only() {
    const auto& listens = draft_.listen_drafts;
    const bool tls = std::ranges::any_of(listens, [](const ListenDraft& listen) {
      return listen.node->find("tls") != nullptr && listen.tcp_node == nullptr;
    });
    for (const ListenDraft& listen : listens) {
      const Member* given = listen.node->find("https_only");
      if (!listen.https_only || given == nullptr) continue;
      if (listen.tls || listen.tcp_node != nullptr) {
        report_.error(given->place, "https_only is of a listener for plain HTTP",
                      "give it to the [[listen]] without tls, as in address = \":80\"");
      } else if (!tls) {
        report_.error(given->place,
                      "https_only redirects to a listener with tls, and there is none",
                      "add [[listen]] with address = \":443\" and tls");
      }
    }
  }

  void check_route_names() {
    std::map<std::string, Place> seen;
    for (RouteDraft& route : draft_.route_drafts) {
      const Member* given = route.node->find("name");
      if (given == nullptr) continue;
      const auto [first, fresh] = seen.emplace(route.name, given->value.place);
      if (given->value.is(Node::Kind::string) && given->value.text.empty()) {
        report_.error(given->value.place, "a route's name cannot be empty");
      } else if (!fresh) {
        report_.error(given->value.place, fmt::format("two routes are named \"{}\"", route.name),
                      fmt::format("the first is at {}", report_.where(first->second)));
      }
    }
    for (RouteDraft& route : draft_.route_drafts) {
      if (route.node->find("name") != nullptr) continue;
      const std::string base = default_route_name(route.match);
      route.name = base;
      for (int n = 2; !seen.emplace(route.name, route.node->place).second; ++n) {
        route.name = fmt::format("{} #{}", base, n);
      }
    }
  }

  void check_actions(const RouteDraft& route) {
    const Member* first = nullptr;
    for (const Member& member : route.node->members) {
      const bool action =
          member.key == "upstream" || member.key == "respond" || member.key == "redirect";
      if (!action) continue;
      if (first != nullptr) {
        report_.error(
            member.place,
            fmt::format("route \"{}\" has both {} and {}", route.name, first->key, member.key),
            "exactly one of upstream, respond and redirect");
      }
      if (first == nullptr) first = &member;
    }
    // A mistyped name is most likely the missing one, and is reported already.
    const bool mistyped = std::ranges::any_of(route.node->members, [](const Member& member) {
      return find_setting(Section::route, member.key) == nullptr;
    });
    if (first == nullptr && !mistyped) {
      report_.error(route.node->place, fmt::format("route \"{}\" does nothing", route.name),
                    "give it upstream = \"name\", respond = 404 or redirect = \"https://…\"");
    }
    if (const Member* upstream = route.node->find("upstream");
        upstream != nullptr && upstream->value.is(Node::Kind::string)) {
      use_upstream(route.upstream, upstream->value.place);
    }
  }

  void check_upstream_tls(UpstreamDraft& upstream) {
    using Scheme = Address::Scheme;
    const auto of = [&](Scheme scheme) {
      return std::ranges::find(upstream.servers, scheme,
                               [](const Server& server) { return server.address.scheme; });
    };
    const auto none = upstream.servers.end();
    const bool https = of(Scheme::https) != none;
    const bool plain =
        of(Scheme::http) != none || (upstream.tls_node == nullptr && of(Scheme::none) != none);
    const Place& place = upstream.member->place;
    if (plain && (https || upstream.tls_node != nullptr)) {
      return report_.error(
          place,
          fmt::format("upstream \"{}\" has servers with TLS and servers without", upstream.name),
          "give all of them https://, or make two upstreams");
    }
    if (https && !upstream.tls) upstream.tls.emplace();
    if (!upstream.tls) return;
    for (const ListenDraft& listen : draft_.listen_drafts) {
      for (const PassthroughDraft& entry : listen.passthrough_drafts) {
        if (entry.upstream != upstream.name) continue;
        report_.error(entry.node->place,
                      fmt::format("TLS is passed on as it is, and upstream \"{}\" would wrap it in "
                                  "TLS once more",
                                  upstream.name),
                      "name an upstream without https:// and without tls");
      }
    }
    if (upstream.tls->insecure && upstream.tls->pins.empty()) {
      report_.warning(upstream.tls_node->place,
                      fmt::format("insecure = true: the servers of upstream \"{}\" are not "
                                  "verified, and whoever is between can read and change "
                                  "everything",
                                  upstream.name),
                      "name the certificate's authority with ca, or its key with pins");
    }
    const bool nameless = std::ranges::any_of(upstream.servers, [](const Server& server) {
      return server.address.kind == Address::Kind::unix_path;
    });
    if (nameless && upstream.tls->name.empty()) {
      report_.error(place,
                    fmt::format("upstream \"{}\" speaks TLS over a unix socket, which has no name "
                                "to verify",
                                upstream.name),
                    "add tls = { name = \"app.example\" }");
    }
  }

  void check_upstream(UpstreamDraft& upstream) {
    check_upstream_tls(upstream);
    const Place& place = upstream.member->place;
    if (!used_.contains(upstream.name) && !report_.failed()) {
      report_.warning(place, fmt::format("upstream \"{}\" is not used", upstream.name));
    }
    const bool only_backups =
        !upstream.servers.empty() &&
        std::ranges::all_of(upstream.servers, [](const Server& s) { return s.backup; });
    if (only_backups) {
      report_.warning(place, fmt::format("upstream \"{}\" has only backup servers", upstream.name),
                      "they are used as if they were not backups");
    }
    if (upstream.retry_after > upstream.retry_after_max) {
      report_.error(place, fmt::format("retry_after of upstream \"{}\" is longer than "
                                       "retry_after_max",
                                       upstream.name));
    }
  }

  void check_presence() {
    const Place whole{.file = document_.place.file};
    if (document_.find("listen") == nullptr) {
      return report_.error(whole, "there is no [[listen]]",
                           "add [[listen]] with address = \":8080\"");
    }
    const bool http = std::ranges::any_of(draft_.listen_drafts, [](const ListenDraft& listen) {
      const bool passed = listen.node->find("passthrough") != nullptr;
      return listen.tcp_node == nullptr && (!passed || listen.tls.has_value());
    });
    if (http && document_.find("route") == nullptr) {
      report_.error(whole, "there is no [[route]], so every request would be answered with 404",
                    "add [[route]] with upstream = \"name\"");
    }
    if (!http && !draft_.route_drafts.empty()) {
      report_.warning(draft_.route_drafts.front().node->place,
                      "routes are not used, for every listener is plain TCP");
    }
  }

  Report& report_;
  Draft& draft_;
  const Node& document_;
  std::vector<std::string_view> names_;
  std::set<std::string> used_;
};

}  // namespace

void check_draft(Report& report, Draft& draft, const Node& document) {
  Checks(report, draft, document).run();
}

std::string default_route_name(const Match& match) {
  std::string name = match.hosts.empty() ? "" : match.hosts.front();
  if (!match.paths.empty()) name += show_path(match.paths.front());
  return name.empty() ? "*" : name;
}

}  // namespace weir::config
