// SPDX-License-Identifier: Apache-2.0
#include "config/pattern.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "base/bytes.h"
#include "config/nearest.h"

namespace weir::config {
namespace {

std::unexpected<Complaint> complain(std::string message, std::string hint = {}) {
  return std::unexpected(Complaint{std::move(message), std::move(hint)});
}

bool is_alphanumeric(char c) {
  c = ascii_lower(c);
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

bool has_control_or_space(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return is_control(c) || c == ' '; });
}

std::expected<PathMatch, Complaint> regex_path(std::string_view text) {
  auto regex = compile_regex(text, Anchored::yes);
  if (!regex) return std::unexpected(std::move(regex.error()));
  return PathMatch{PathMatch::Kind::regex, std::string(text), *std::move(regex)};
}

}  // namespace

std::expected<std::shared_ptr<const re2::RE2>, Complaint> compile_regex(std::string_view text,
                                                                        Anchored anchored) {
  // It becomes a part of names, which are shown and logged.
  const auto control = std::ranges::find_if(text, is_control);
  if (control != text.end()) {
    return complain("the regular expression holds a control character",
                    fmt::format("write it as \\x{:02x}, in '' instead of \"\"",
                                static_cast<unsigned char>(*control)));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  const re2::StringPiece piece(text.data(), text.size());
  auto regex = std::make_shared<const re2::RE2>(piece, options);
  if (regex->ok() && anchored == Anchored::yes) {
    regex = std::make_shared<const re2::RE2>(fmt::format("\\A(?:{})\\z", text), options);
  }
  if (!regex->ok()) {
    const char* hint = "";
    if (regex->error_code() == re2::RE2::ErrorBadPerlOp) {
      hint = "RE2 knows neither look-around nor possessive operators, for it runs in linear time";
    }
    return complain(fmt::format("bad regular expression: {}", regex->error()), hint);
  }
  return regex;
}

std::expected<std::string, Complaint> parse_host(std::string_view text) {
  if (text == "*") return std::string();
  std::string host(text);
  std::ranges::transform(host, host.begin(), ascii_lower);
  if (host.find('/') != std::string::npos) {
    const std::size_t mark = host.find("://");
    const std::string rest = mark == std::string::npos ? host : host.substr(mark + 3);
    return complain(fmt::format("\"{}\" is not a host", text),
                    fmt::format("write host = \"{}\", and what follows in path",
                                rest.substr(0, rest.find('/'))));
  }
  std::string_view name = host;
  const std::size_t colon = name.rfind(':');
  const bool has_port = colon != std::string_view::npos && !name.ends_with(']');
  if (has_port) {
    const auto port = parse_u64(name.substr(colon + 1));
    if (!port || *port == 0 || *port > 65535) {
      return complain(fmt::format("\"{}\" is not a port", name.substr(colon + 1)));
    }
    name = name.substr(0, colon);
    if (name.starts_with('*')) {
      return complain(fmt::format("\"{}\": a host with a * cannot have a port", text));
    }
  }
  const bool bracketed = name.starts_with('[') && name.ends_with(']');
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.find('*') != std::string_view::npos) {
    return complain(
        fmt::format("\"{}\": a * stands only at the front of a host, as in "
                    "\"*.example.com\"",
                    text));
  }
  const bool valid = !name.empty() && std::ranges::all_of(name, [&](char c) {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' ||
           (bracketed && (c == ':' || c == '[' || c == ']'));
  });
  if (!valid || name.starts_with('.') || name.find("..") != std::string_view::npos) {
    return complain(fmt::format("\"{}\" is not a host", text),
                    "names outside of ASCII are written in their xn-- form");
  }
  return host;
}

std::expected<PathMatch, Complaint> parse_path(std::string_view text) {
  if (text.starts_with('~')) return regex_path(text.substr(1));
  if (text == "/**" || text == "**" || text == "*") return PathMatch{};
  if (!text.starts_with('/')) {
    return complain(fmt::format("the path \"{}\" does not begin with '/'", text),
                    text.starts_with('^')
                        ? fmt::format("write \"~{}\" for a regular expression", text)
                        : fmt::format("write \"/{}\"", text));
  }
  if (has_control_or_space(text)) {
    return complain(fmt::format("\"{}\" holds bytes that a path cannot hold", text),
                    "write them as %XX");
  }
  if (text.find_first_of("?#") != std::string_view::npos) {
    return complain(fmt::format("\"{}\" is more than a path", text),
                    "conditions on the query stand in match.query");
  }
  const bool prefix = text.ends_with("/**");
  std::string_view value = prefix ? text.substr(0, text.size() - 3) : text;
  const std::size_t star = value.find('*');
  if (star != std::string_view::npos) {
    std::string_view base = value.substr(0, star);
    while (base.ends_with('/')) base.remove_suffix(1);
    return complain(fmt::format("\"{}\": a * stands only in \"/**\" at the end", text),
                    fmt::format("write \"{}/**\" for all below, or \"~regex\"", base));
  }
  return PathMatch{prefix ? PathMatch::Kind::prefix : PathMatch::Kind::exact, std::string(value),
                   nullptr};
}

std::expected<ValueMatch, Complaint> parse_condition(std::string_view name, std::string_view text) {
  ValueMatch match;
  match.name = name;
  match.kind = ValueMatch::Kind::exact;
  match.value = text;
  if (!text.starts_with('~')) return match;
  match.kind = ValueMatch::Kind::regex;
  match.value = text.substr(1);
  auto regex = compile_regex(match.value, Anchored::yes);
  if (!regex) return std::unexpected(std::move(regex.error()));
  match.regex = *std::move(regex);
  return match;
}

std::string show_path(const PathMatch& path) {
  switch (path.kind) {
    case PathMatch::Kind::any: return "/**";
    case PathMatch::Kind::exact: return path.value;
    case PathMatch::Kind::prefix: return path.value + "/**";
    case PathMatch::Kind::regex: return "~" + path.value;
  }
  return "";
}

std::expected<std::string, Complaint> parse_prefix(std::string_view text) {
  std::string_view value = text;
  if (value.ends_with("/**")) value.remove_suffix(2);
  while (value.ends_with('/')) value.remove_suffix(1);
  if (!text.starts_with('/')) {
    return complain(fmt::format("the prefix \"{}\" does not begin with '/'", text),
                    fmt::format("write \"/{}\"", value));
  }
  if (has_control_or_space(value) || value.find_first_of("?#*") != std::string_view::npos) {
    return complain(fmt::format("\"{}\" is not a plain path", text));
  }
  return std::string(value);
}

std::expected<std::string, Complaint> parse_redirect(std::string_view text) {
  const std::vector<std::string_view> known = {"scheme", "host", "path", "query", "uri"};
  if (text.empty()) return complain("a redirect needs a target");
  if (has_control_or_space(text)) {
    return complain("the redirect's target holds a control character or a space",
                    "write a space as %20");
  }
  for (std::string_view rest = text;;) {
    const std::size_t brace = rest.find_first_of("{}");
    if (brace == std::string_view::npos) return std::string(text);
    const std::size_t end = rest.find('}', brace);
    if (rest[brace] == '}' || end == std::string_view::npos) {
      return complain(fmt::format("a brace without its partner in \"{}\"", text));
    }
    const std::string_view name = rest.substr(brace + 1, end - brace - 1);
    if (std::ranges::find(known, name) == known.end()) {
      return complain(fmt::format("unknown placeholder {{{}}}", name),
                      did_you_mean(name, known,
                                   "known are {scheme}, {host}, {path}, {query} and "
                                   "{uri}"));
    }
    rest.remove_prefix(end + 1);
  }
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string::npos;
  });
}

bool is_field_value(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7F) || c == '\t';
  });
}

}  // namespace weir::config
