// SPDX-License-Identifier: Apache-2.0
#include "config/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "config/address.h"
#include "config/environment.h"
#include "config/load.h"
#include "config/pattern.h"
#include "config/settings.h"

namespace weir::config {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : escape_dollars(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string list(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

std::string literal(const Setting& setting, const std::string& value) {
  const bool bare =
      setting.kind == Kind::flag || setting.kind == Kind::number ||
      (setting.kind == Kind::size && value.find_first_not_of("0123456789") == std::string::npos);
  return bare ? value : quoted(value);
}

/// "name = value" for the plain settings of a section; `object` is the struct of config.h.
std::vector<std::string> fields(Section section, const void* object, Show show) {
  std::vector<std::string> out;
  for (const Setting& setting : all_settings()) {
    if (setting.section != section || setting.show == nullptr) continue;
    const std::string value = setting.show(setting, object);
    if (value == setting.fallback && (show == Show::changed || value.empty())) continue;
    out.push_back(fmt::format("{} = {}", setting.name, literal(setting, value)));
  }
  return out;
}

class Dump {
 public:
  Dump(const Config& config, Show show) : config_(config), show_(show) {}

  std::string run() {
    put_top();
    put_section("[limits]", fields(Section::limits, &config_.limits, show_));
    put_section("[timeouts]", fields(Section::timeouts, &config_.timeouts, show_));
    put_section("[access_log]", fields(Section::access_log, &config_.access_log, show_));
    for (const Listen& listen : config_.listens) put_listen(listen);
    for (const Upstream& upstream : config_.upstreams) put_upstream(upstream);
    put_routes();
    put_order();
    return std::move(out_);
  }

 private:
  bool all() const { return show_ == Show::all; }

  void put_section(std::string_view head, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    out_ += fmt::format("{}{}\n", out_.empty() ? "" : "\n", head);
    for (const std::string& line : lines) out_ += line + '\n';
  }

  void put_top() {
    if (config_.workers != 0) {
      out_ += fmt::format("workers = {}\n", config_.workers);
    } else if (all()) {
      out_ += "workers = \"auto\"\n";
    }
    for (const std::string& line : fields(Section::top, &config_, show_)) out_ += line + '\n';
    std::vector<std::string> networks;
    for (const Network& n : config_.trusted_proxies) networks.push_back(quoted(show_network(n)));
    if (!networks.empty() || all()) out_ += fmt::format("trusted_proxies = [{}]\n", list(networks));
    if (!config_.admin.address) {
      out_ += "admin = \"off\"\n";
    } else if (all() || *config_.admin.address != default_admin_address()) {
      out_ += fmt::format("admin = {}\n", quoted(config_.admin.address->text()));
    }
  }

  std::string tls_text(const Tls& tls) {
    if (tls.self_signed) return quoted("self-signed");
    std::vector<std::string> certificates;
    for (const TlsCertificate& each : tls.certificates) {
      const std::string key = each.key.empty() ? "" : fmt::format(", key = {}", quoted(each.key));
      certificates.push_back(fmt::format("{{ cert = {}{} }}", quoted(each.cert), key));
    }
    std::vector<std::string> parts = {fmt::format("certificates = [{}]", list(certificates))};
    for (std::string& field : fields(Section::tls, &tls, show_)) parts.push_back(std::move(field));
    if (all() || tls.alpn != Tls().alpn) {
      std::vector<std::string> protocols;
      for (const std::string& protocol : tls.alpn) protocols.push_back(quoted(protocol));
      parts.push_back(fmt::format("alpn = [{}]", list(protocols)));
    }
    return fmt::format("{{ {} }}", list(parts));
  }

  void put_listen(const Listen& listen) {
    std::vector<std::string> lines = {fmt::format("address = {}", quoted(listen.address.text()))};
    if (!listen.tcp_upstream.empty()) {
      lines.push_back(fmt::format("tcp = {{ upstream = {} }}", quoted(listen.tcp_upstream)));
    }
    std::vector<std::string> entries;
    for (const Passthrough& entry : listen.passthrough) entries.push_back(passthrough(entry));
    if (!entries.empty()) lines.push_back(fmt::format("passthrough = [{}]", list(entries)));
    std::vector<std::string> peers;
    for (const Network& n : listen.proxy_protocol.networks) peers.push_back(show_network(n));
    if (listen.proxy_protocol.unix_sockets) peers.emplace_back("unix");
    put_list(lines, "proxy_protocol", peers);
    if (listen.tls) lines.push_back(fmt::format("tls = {}", tls_text(*listen.tls)));
    for (std::string& line : fields(Section::listen, &listen, show_)) lines.push_back(line);
    if (all() || listen.unix_mode != Listen().unix_mode) {
      lines.push_back(fmt::format("unix_mode = \"{:04o}\"", listen.unix_mode));
    }
    put_section("[[listen]]", lines);
  }

  static std::string passthrough(const Passthrough& entry) {
    std::vector<std::string> parts;
    put_list(parts, "sni", entry.names);
    put_list(parts, "alpn", entry.protocols);
    put_list(parts, "upstream", {entry.upstream});
    return fmt::format("{{ {} }}", list(parts));
  }

  void put_upstream(const Upstream& upstream) {
    std::vector<std::string> servers;
    for (const Server& server : upstream.servers) {
      const std::string address = quoted(server.address.text());
      const auto more = fields(Section::server, &server, show_);
      servers.push_back(more.empty() ? address
                                     : fmt::format("{{ address = {}, {} }}", address, list(more)));
    }
    std::vector<std::string> lines = {fmt::format("servers = [{}]", list(servers))};
    for (std::string& line : fields(Section::upstream, &upstream, show_)) lines.push_back(line);
    if (upstream.tls) lines.push_back(fmt::format("tls = {}", tls_text(*upstream.tls)));
    put_section(fmt::format("[upstream.{}]", quoted(upstream.name)), lines);
  }

  std::string tls_text(const UpstreamTls& tls) const {
    std::vector<std::string> parts;
    if (!tls.pins.empty()) {
      std::vector<std::string> pins;
      for (const std::string& pin : tls.pins) pins.push_back(quoted(pin));
      parts.push_back(fmt::format("pins = [{}]", list(pins)));
    }
    for (std::string& field : fields(Section::server_tls, &tls, show_)) {
      parts.push_back(std::move(field));
    }
    return parts.empty() ? "{}" : fmt::format("{{ {} }}", list(parts));
  }

  static void put_list(std::vector<std::string>& out, std::string_view name,
                       std::vector<std::string> items) {
    if (items.empty()) return;
    for (std::string& item : items) item = quoted(item);
    out.push_back(items.size() == 1 ? fmt::format("{} = {}", name, items.front())
                                    : fmt::format("{} = [{}]", name, list(items)));
  }

  static void put_conditions(std::vector<std::string>& out, std::string_view name,
                             const std::vector<ValueMatch>& conditions) {
    std::vector<std::string> items;
    for (const ValueMatch& c : conditions) {
      std::string value;
      switch (c.kind) {
        case ValueMatch::Kind::present: value = "true"; break;
        case ValueMatch::Kind::absent: value = "false"; break;
        case ValueMatch::Kind::exact: value = quoted(c.value); break;
        case ValueMatch::Kind::regex: value = quoted("~" + c.value); break;
      }
      items.push_back(fmt::format("{} = {}", quoted(c.name), value));
    }
    if (!items.empty()) out.push_back(fmt::format("{} = {{ {} }}", name, list(items)));
  }

  static std::vector<std::string> conditions(const Match& match) {
    std::vector<std::string> out;
    put_list(out, "host", match.hosts);
    std::vector<std::string> paths;
    for (const PathMatch& path : match.paths) paths.push_back(show_path(path));
    put_list(out, "path", paths);
    put_list(out, "method", match.methods);
    put_conditions(out, "header", match.headers);
    put_conditions(out, "query", match.queries);
    return out;
  }

  static void put_rules(std::vector<std::string>& out, std::string_view name,
                        const std::vector<HeaderRule>& rules) {
    std::vector<std::string> set, add, remove, parts;
    for (const HeaderRule& rule : rules) {
      const std::string pair = fmt::format("{} = {}", quoted(rule.name), quoted(rule.value));
      switch (rule.action) {
        case HeaderAction::set: set.push_back(pair); break;
        case HeaderAction::add: add.push_back(pair); break;
        case HeaderAction::remove: remove.push_back(quoted(rule.name)); break;
      }
    }
    if (!set.empty()) parts.push_back(fmt::format("set = {{ {} }}", list(set)));
    if (!add.empty()) parts.push_back(fmt::format("add = {{ {} }}", list(add)));
    if (!remove.empty()) parts.push_back(fmt::format("remove = [{}]", list(remove)));
    if (!parts.empty()) out.push_back(fmt::format("{} = {{ {} }}", name, list(parts)));
  }

  void put_route(const Route& route, const Match& match) {
    std::vector<std::string> lines = fields(Section::route, &route, Show::changed);
    const auto where = conditions(match);
    if (!where.empty()) lines.push_back(fmt::format("match = {{ {} }}", list(where)));
    if (route.respond) {
      const auto parts = fields(Section::respond, &*route.respond, Show::all);
      const std::string type = quoted(route.respond->content_type);
      lines.push_back(fmt::format("respond = {{ {}, content_type = {} }}", list(parts), type));
    }
    if (route.redirect) {
      lines.push_back(fmt::format("redirect = {{ to = {}, status = {} }}",
                                  quoted(route.redirect->to), route.redirect->status));
    }
    const PathRewrite& rewrite = route.rewrite;
    put_list(lines, "strip_prefix", one(rewrite.strip_prefix));
    put_list(lines, "add_prefix", one(rewrite.add_prefix));
    if (rewrite.regex != nullptr) {
      lines.push_back(fmt::format("rewrite = {{ regex = {}, to = {} }}", quoted(rewrite.regex_text),
                                  quoted(rewrite.replacement)));
    }
    put_rules(lines, "request_headers", route.request_headers);
    put_rules(lines, "response_headers", route.response_headers);
    put_section("[[route]]", lines);
  }

  static std::vector<std::string> one(const std::string& text) {
    return text.empty() ? std::vector<std::string>{} : std::vector<std::string>{text};
  }

  /// The entries of one [[route]] are put together again.
  void put_routes() {
    std::map<std::size_t, std::pair<const Route*, Match>> declared;
    for (const Route& route : config_.routes) {
      auto& [first, match] =
          declared.try_emplace(route.declared, &route, route.match).first->second;
      for (const std::string& host : route.match.hosts) {
        const bool known = std::ranges::find(match.hosts, host) != match.hosts.end();
        if (!known) match.hosts.push_back(host);
      }
      for (const PathMatch& path : route.match.paths) {
        const bool known = std::ranges::any_of(match.paths, [&](const PathMatch& other) {
          return show_path(other) == show_path(path);
        });
        if (!known) match.paths.push_back(path);
      }
    }
    for (const auto& [index, entry] : declared) put_route(*entry.first, entry.second);
  }

  void put_order() {
    if (config_.routes.empty()) return;
    out_ += "\n# Routes in the order in which they are tried:\n";
    for (const Route& route : config_.routes) {
      const auto where = conditions(route.match);
      std::string action = "upstream " + route.upstream;
      if (route.respond) action = fmt::format("respond {}", route.respond->status);
      if (route.redirect) action = "redirect " + route.redirect->to;
      out_ += fmt::format("#   {}: {} -> {}\n", route.name,
                          where.empty() ? "every request" : list(where), action);
    }
  }

  const Config& config_;
  Show show_;
  std::string out_;
};

}  // namespace

std::string dump(const Config& config, Show show) { return Dump(config, show).run(); }

}  // namespace weir::config
