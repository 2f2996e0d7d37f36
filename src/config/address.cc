// SPDX-License-Identifier: Apache-2.0
#include "config/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace weir::config {
namespace {

constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

constexpr std::size_t kUnixPathMax = 107;  // sockaddr_un::sun_path without its final NUL

std::unexpected<Complaint> complain(std::string message, std::string hint = {}) {
  return std::unexpected(Complaint{std::move(message), std::move(hint)});
}

bool is_ipv4(const std::string& host) {
  in_addr v4;
  return inet_pton(AF_INET, host.c_str(), &v4) == 1;
}

std::optional<std::string> canonical_ipv6(const std::string& host) {
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return std::nullopt;
  char text[INET6_ADDRSTRLEN];
  return std::string(inet_ntop(AF_INET6, &v6, text, sizeof text));
}

bool is_dns_name(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '.' || host.front() == '-') return false;
  if (host.find("..") != std::string_view::npos) return false;
  return std::ranges::all_of(host, [](char c) {
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

/// "1.2.3" or "999.1.1.1" is a mistyped IP address and not a name.
bool looks_like_ipv4(std::string_view host) {
  return std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

std::expected<Address, Complaint> parse_unix(std::string_view text) {
  Address address;
  address.kind = Address::Kind::unix_path;
  address.path = text.substr(std::string_view("unix:").size());
  if (!address.path.starts_with('/')) {
    return complain(fmt::format("the path of \"{}\" must be absolute", text),
                    "write unix:/run/app.sock");
  }
  if (address.path.size() > kUnixPathMax) {
    return complain(
        fmt::format("the path of a unix socket has at most {} bytes, and this one has {}",
                    kUnixPathMax, address.path.size()));
  }
  if (address.path.find('\0') != std::string::npos)
    return complain("a path cannot hold a NUL byte");
  return address;
}

std::expected<std::uint16_t, Complaint> parse_port(std::string_view text, AddressUse use) {
  const auto port = parse_u64(text);
  const unsigned lowest = use == AddressUse::listen ? 0 : 1;
  if (!port || *port < lowest || *port > 65535) {
    return complain(fmt::format("\"{}\" is not a port", text),
                    fmt::format("ports are numbers from {} to 65535", lowest));
  }
  return static_cast<std::uint16_t>(*port);
}

std::expected<Address, Complaint> with_host(std::string_view host, Address address,
                                            AddressUse use) {
  address.host = use == AddressUse::listen && host == "*" ? "" : host;
  if (host.empty() && use == AddressUse::server) address.host = "localhost";
  if (address.host.empty() || is_ipv4(address.host)) return address;
  if (looks_like_ipv4(address.host) || !is_dns_name(address.host)) {
    return complain(fmt::format("\"{}\" is neither an IP address nor a name", host));
  }
  if (use == AddressUse::server) {
    address.kind = Address::Kind::name;
    return address;
  }
  if (iequals(host, "localhost")) {
    address.host = "127.0.0.1";
    return address;
  }
  return complain(fmt::format("a listener needs an IP address, and \"{}\" is a name", host),
                  fmt::format("write \":{}\" to listen on all addresses", address.port));
}

std::expected<Address, Complaint> parse_bracketed(std::string_view text, AddressUse use,
                                                  std::string_view default_port) {
  const std::size_t end = text.find(']');
  if (end == std::string_view::npos) return complain(fmt::format("\"{}\" lacks a ']'", text));
  const auto v6 = canonical_ipv6(std::string(text.substr(1, end - 1)));
  if (!v6) {
    return complain(fmt::format("\"{}\" is not an IPv6 address", text.substr(1, end - 1)));
  }
  std::string_view rest = text.substr(end + 1);
  if (rest.empty()) rest = default_port;
  if (!rest.starts_with(':')) {
    return complain(fmt::format("\"{}\" has no port", text), fmt::format("write \"{}:80\"", text));
  }
  const auto port = parse_port(rest.substr(1), use);
  if (!port) return std::unexpected(port.error());
  Address address;
  address.host = *v6;
  address.port = *port;
  return address;
}

std::expected<Address, Complaint> parse_host_port(std::string_view text, AddressUse use,
                                                  std::string_view default_port) {
  if (text.starts_with('[')) return parse_bracketed(text, use, default_port);
  if (text.find_first_not_of("0123456789") == std::string_view::npos && default_port.empty()) {
    const auto port = parse_port(text, use);
    if (!port) return std::unexpected(port.error());
    Address address;
    address.port = *port;
    return with_host("", address, use);
  }
  if (std::ranges::count(text, ':') > 1) {
    return complain(fmt::format("\"{}\" is ambiguous", text),
                    "write an IPv6 address in brackets: \"[::1]:80\"");
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos && default_port.empty()) {
    return complain(fmt::format("\"{}\" has no port", text), fmt::format("write \"{}:80\"", text));
  }
  const bool has_port = colon != std::string_view::npos;
  const auto port = parse_port((has_port ? text.substr(colon) : default_port).substr(1), use);
  if (!port) return std::unexpected(port.error());
  Address address;
  address.port = *port;
  return with_host(text.substr(0, colon), address, use);
}

std::expected<Address, Complaint> parse_url(std::string_view text, AddressUse use) {
  const std::size_t mark = text.find("://");
  const std::string_view scheme = text.substr(0, mark);
  std::string_view rest = text.substr(mark + 3);
  const bool https = iequals(scheme, "https");
  if (!https && !iequals(scheme, "http")) {
    return complain(fmt::format("unknown scheme \"{}\" in \"{}\"", scheme, text),
                    "write host:port");
  }
  if (use == AddressUse::listen) {
    return complain(fmt::format("a listener's address has no scheme: \"{}\"", text),
                    https ? "write \":443\", and give the listener tls" : "write \":8080\"");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#") != std::string_view::npos) {
    return complain(fmt::format("a server's address has no path: \"{}\"", text),
                    "write host:port, and use add_prefix in the route");
  }
  if (rest.empty()) return complain(fmt::format("\"{}\" has no host", text));
  auto address = parse_host_port(rest, use, https ? ":443" : ":80");
  if (address) address->scheme = https ? Address::Scheme::https : Address::Scheme::http;
  return address;
}

}  // namespace

std::expected<Address, Complaint> parse_address(std::string_view text, AddressUse use) {
  if (text.empty()) return complain("the address is empty", "write host:port or unix:/path");
  if (text.starts_with("unix:")) return parse_unix(text);
  if (text.find("://") != std::string_view::npos) return parse_url(text, use);
  if (text.starts_with('/')) {
    return complain(fmt::format("\"{}\" is not an address", text),
                    fmt::format("write \"unix:{}\" for a unix socket", text));
  }
  return parse_host_port(text, use, "");
}

std::expected<Network, Complaint> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  Network network;
  in_addr v4;
  in6_addr v6;
  int bits = 128;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    bits = 32;
    std::memcpy(network.bytes, kMapped, sizeof kMapped);
    std::memcpy(network.bytes + sizeof kMapped, &v4, sizeof v4);
  } else if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    std::memcpy(network.bytes, &v6, sizeof v6);
  } else {
    return complain(fmt::format("\"{}\" is not an IP address or network", text),
                    "write \"10.0.0.0/8\", \"192.168.1.7\" or \"fd00::/8\"");
  }
  auto length = std::optional<std::uint64_t>(static_cast<std::uint64_t>(bits));
  if (slash != std::string_view::npos) length = parse_u64(text.substr(slash + 1));
  if (!length || *length > static_cast<std::uint64_t>(bits)) {
    return complain(
        fmt::format("\"{}\" is not a prefix length of \"{}\"", text.substr(slash + 1), host),
        fmt::format("it is a number from 0 to {}", bits));
  }
  network.prefix = static_cast<int>(*length) + 128 - bits;
  for (int bit = network.prefix; bit < 128; ++bit) {
    network.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80 >> (bit % 8)));
  }
  return network;
}

std::string show_network(const Network& network) {
  char text[INET6_ADDRSTRLEN];
  if (network.prefix >= 96 && std::memcmp(network.bytes, kMapped, sizeof kMapped) == 0) {
    inet_ntop(AF_INET, network.bytes + sizeof kMapped, text, sizeof text);
    return fmt::format("{}/{}", text, network.prefix - 96);
  }
  inet_ntop(AF_INET6, network.bytes, text, sizeof text);
  return fmt::format("{}/{}", text, network.prefix);
}

bool is_local(const Address& address) {
  if (address.kind == Address::Kind::unix_path) return true;
  return address.host.starts_with("127.") || address.host == "::1" ||
         iequals(address.host, "localhost");
}

std::string Address::text() const {
  if (kind == Kind::unix_path) return "unix:" + path;
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

bool Network::contains(const std::uint8_t (&address)[16]) const {
  const auto whole = static_cast<std::size_t>(prefix / 8);
  if (std::memcmp(bytes, address, whole) != 0) return false;
  if (prefix % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xFF << (8 - prefix % 8));
  return ((bytes[whole] ^ address[whole]) & mask) == 0;
}

}  // namespace weir::config
