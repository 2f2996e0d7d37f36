// SPDX-License-Identifier: Apache-2.0
//
// The configuration as plain values. Made by load.h from files, or in code by `weir proxy` and
// `weir demo`; complete and valid from then on, and never changed: a running Weir shares it as
// shared_ptr<const Config>, and an exchange keeps the one it began with.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace re2 {
class RE2;
}

namespace weir::config {

/// host:port, [v6]:port, name:port or unix:/path. As written, and taken apart.
struct Address {
  enum class Kind : std::uint8_t { ip, name, unix_path };
  enum class Scheme : std::uint8_t { none, http, https };
  Kind kind = Kind::ip;
  Scheme scheme = Scheme::none;  ///< as it was written, of a server; says nothing afterwards
  std::string host;  ///< IP literal without brackets, or DNS name; empty: any address (listeners)
  std::uint16_t port = 0;                  ///< 0: chosen by the kernel (listeners only)
  std::string path;                        ///< of a unix socket
  [[nodiscard]] std::string text() const;  ///< canonical: "127.0.0.1:80", "[::1]:80", "unix:/run/x"
  bool operator==(const Address& other) const {
    return kind == other.kind && host == other.host && port == other.port && path == other.path;
  }
};

/// An IP network, for trusted_proxies. 16 bytes; IPv4 as ::ffff:a.b.c.d.
struct Network {
  std::uint8_t bytes[16] = {};
  int prefix = 128;
  [[nodiscard]] bool contains(const std::uint8_t (&address)[16]) const;
};

struct Limits {
  std::size_t head_size = 32_KiB;
  std::size_t head_fields = 100;
  std::size_t target_size = 16_KiB;
  std::uint64_t body_size = 0;   ///< of a request; 0: no limit
  std::size_t memory = 256_MiB;  ///< of stream buffers, whole process
  std::size_t connections = 0;   ///< from clients, whole process; 0: from the descriptor limit
  std::size_t requests_per_connection = 0;  ///< 0: no limit
};

/// Every timeout is a bound on a stall (no byte moved), unless it says otherwise.
struct Timeouts {
  Millis tls_handshake{10'000};  ///< a total
  Millis client_head{10'000};    ///< first byte to end of head: a total
  Millis client_body{30'000};
  Millis client_write{60'000};
  Millis client_idle{75'000};       ///< keep-alive, between requests
  Millis client_half_close{1'000};  ///< after the client's FIN with nothing moving
  Millis upstream_connect{5'000};
  Millis upstream_head{60'000};  ///< request sent to response head
  Millis upstream_body{60'000};
  Millis upstream_write{30'000};
  Millis tunnel_idle{3'600'000};  ///< WebSocket, TCP: neither direction moved
  Millis drain{30'000};           ///< graceful stop: a total
};

enum class LogFormat : std::uint8_t { json, combined };
struct AccessLog {
  LogFormat format = LogFormat::json;
  std::string to = "off";  ///< "off", "stdout", "stderr", "syslog" or a file's path
};

enum class LogLevel : std::uint8_t { error, warning, info, debug };

struct Server {
  Address address;
  int weight = 1;
  bool backup = false;
};

/// What is spoken with an upstream's servers. HTTP/2: over TLS by ALPN, else by prior knowledge.
/// RFC 9113 section 3.
enum class UpstreamProtocol : std::uint8_t { http1, http2 };

enum class Balance : std::uint8_t { round_robin, least_connections };

/// The header by which a server is told whose connection it is.
enum class ProxyProtocol : std::uint8_t { off, v1, v2 };

enum class TlsVersion : std::uint8_t { tls12, tls13 };

/// TLS towards an upstream's servers. Files are in PEM format.
struct UpstreamTls {
  std::string ca;                 ///< authorities; empty: those of the system
  std::string name;               ///< that servers have to prove; empty: the one in their address
  std::string cert;               ///< shown to servers that ask; empty: none
  std::string key;                ///< empty: in the same file
  std::vector<std::string> pins;  ///< "sha256//BASE64": one of them is the server's key
  TlsVersion min_version = TlsVersion::tls12;
  bool insecure = false;  ///< whoever answers is taken for the server
  bool operator==(const UpstreamTls&) const = default;
};

struct Upstream {
  std::string name;
  std::vector<Server> servers;
  std::optional<UpstreamTls> tls;
  Balance balance = Balance::round_robin;
  UpstreamProtocol protocol = UpstreamProtocol::http1;
  std::size_t streams_max = 32;  ///< requests at once on one HTTP/2 connection
  std::size_t idle_max = 64;     ///< idle connections kept per server and worker
  Millis idle_timeout{60'000};
  Millis lifetime{3'600'000};    ///< a connection is not used again after this; 0: no limit
  std::size_t requests_max = 0;  ///< requests per connection; 0: no limit
  Millis retry_after{1'000};     ///< first wait before a failed server is tried again (doubles)
  Millis retry_after_max{30'000};
  std::optional<Millis> connect_timeout;              ///< overrides timeouts.upstream_connect
  std::optional<Millis> head_timeout;                 ///< overrides timeouts.upstream_head
  ProxyProtocol proxy_protocol = ProxyProtocol::off;  ///< sent first on each connection
};

enum class HeaderAction : std::uint8_t { set, add, remove };
struct HeaderRule {
  HeaderAction action = HeaderAction::set;
  std::string name;
  std::string value;
};

/// How one header, query parameter or the like must look.
struct ValueMatch {
  std::string name;
  enum class Kind : std::uint8_t { present, absent, exact, regex } kind = Kind::present;
  std::string value;
  std::shared_ptr<const re2::RE2> regex;
};

struct PathMatch {
  enum class Kind : std::uint8_t { any, exact, prefix, regex } kind = Kind::any;
  std::string
      value;  ///< exact: the path; prefix: without the trailing "/**" or '/' ("/api" matches
              ///< /api and /api/x, not /apix); regex: the expression, anchored at both ends
  std::shared_ptr<const re2::RE2> regex;
};

struct Match {
  std::vector<std::string> hosts;    ///< lower case; "example.com", "*.example.com"; with ":port"
                                     ///< only when written so, never after a *; empty: any
  std::vector<PathMatch> paths;      ///< empty: any
  std::vector<std::string> methods;  ///< upper case; empty: any
  std::vector<ValueMatch> headers;   ///< all must hold
  std::vector<ValueMatch> queries;   ///< all must hold
};

struct FixedResponse {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
};

struct Redirect {
  std::string to;  ///< may hold {scheme} {host} {path} {query} {uri}; uri is path and query
  int status = 308;
};

struct PathRewrite {
  std::string strip_prefix;  ///< by segments: "/api"; the rest keeps its leading '/'
  std::string add_prefix;
  std::string regex_text;  ///< with `replacement` (\1 …), on the path
  std::shared_ptr<const re2::RE2> regex;
  std::string replacement;
};

struct Route {
  std::string name;  ///< given, or made from the match; used in logs and metrics; unique but for
                     ///< the entries of one [[route]] with several hosts or paths
  std::size_t declared = 0;  ///< which [[route]] of the files it is from, counted from 0
  Match match;               ///< in a Config: at most one host and at most one path
  // Exactly one of these three.
  std::string upstream;
  std::optional<FixedResponse> respond;
  std::optional<Redirect> redirect;

  PathRewrite rewrite;
  std::vector<HeaderRule> request_headers;
  std::vector<HeaderRule> response_headers;
};

/// Peers that have to begin with a PROXY header. Empty: nobody.
struct ProxyPeers {
  std::vector<Network> networks;
  bool unix_sockets = false;
  [[nodiscard]] bool empty() const { return networks.empty() && !unix_sockets; }
};

/// TLS connections that are passed on as they are: those that want one of the names and offer one
/// of the protocols.
struct Passthrough {
  std::vector<std::string> names;      ///< SNI, lower case; "*.example.com": one label; empty: any
  std::vector<std::string> protocols;  ///< ALPN; empty: any
  std::string upstream;
};

struct TlsCertificate {
  std::string cert;  ///< paths
  std::string key;   ///< empty: in the same file
  bool operator==(const TlsCertificate&) const = default;
};

enum class ClientAuth : std::uint8_t { off, optional, required };

/// TLS of a listener.
struct Tls {
  bool self_signed = false;                  ///< a certificate made at start, and no other
  std::vector<TlsCertificate> certificates;  ///< the first is the default
  TlsVersion min_version = TlsVersion::tls12;
  std::vector<std::string> alpn = {"h2", "http/1.1"};
  bool ocsp = true;  ///< ask certificates' authorities
  ClientAuth client_auth = ClientAuth::off;
  std::string client_ca;
  std::string client_crl;
  int client_depth = 3;
};

struct Listen {
  Address address;
  ProxyPeers proxy_protocol;
  std::vector<Passthrough> passthrough;  ///< as written; proxy/passthrough.h has the order
  std::string tcp_upstream;              ///< plain TCP to this upstream; empty: HTTP
  std::optional<Tls> tls;
  bool https_only = false;  ///< redirect to the first listener with TLS
  /// It serves HTTP: all that is not passed through, or all.
  [[nodiscard]] bool serves_http() const {
    return tcp_upstream.empty() && (passthrough.empty() || tls.has_value());
  }
  int backlog = 4096;
  unsigned unix_mode = 0660;  ///< permissions of a unix socket
};

struct Admin {
  std::optional<Address> address;  ///< none: off
};

enum class IoBackend : std::uint8_t { automatic, ring, epoll };

struct Config {
  int workers = 0;  ///< 0: one per core this process may use
  IoBackend io = IoBackend::automatic;
  std::string user;  ///< to become after binding; empty: stay
  std::string group;
  LogLevel log_level = LogLevel::info;
  bool cause_header = true;  ///< "weir-cause" on the responses that Weir makes itself
  std::vector<Network> trusted_proxies;
  Limits limits;
  Timeouts timeouts;
  AccessLog access_log;
  Admin admin;
  std::vector<Listen> listens;
  std::vector<Upstream> upstreams;
  /// In the order in which they are tried, most specific first (order.h). A [[route]] with several
  /// hosts or paths stands here once for each combination, under the same name.
  std::vector<Route> routes;
  std::vector<std::string> files;  ///< read to make this: the main file first
};

}  // namespace weir::config
