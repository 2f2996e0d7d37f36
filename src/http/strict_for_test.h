// SPDX-License-Identifier: Apache-2.0
//
// A second reading of HTTP/1 messages, for tests and fuzzers only: one plain pass over the bytes of
// a message by the grammar of RFC 9112, without any leniency, and without any of the code that it
// is to check. What it calls bad need not be wrong; what Weir sends must never be bad.
#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::http {

struct Strict {
  enum class State : std::uint8_t { whole, more, bad };
  enum class Framing : std::uint8_t { none, known, chunked, until_close };
  /// What is read, and what its body depends on.
  enum class Kind : std::uint8_t { request, response, response_to_head };

  State head = State::more;
  State body = State::more;  ///< of a body that ends with the connection: more
  std::string first;         ///< the start line
  std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case
  Framing framing = Framing::none;
  std::uint64_t length = 0;  ///< for `known`
  std::string payload;       ///< as far as it is there
  std::size_t head_size = 0;
  std::size_t size = 0;  ///< of the whole message, when body is whole
  const char* why = "";  ///< what is bad

  [[nodiscard]] bool bad() const { return head == State::bad || body == State::bad; }
  [[nodiscard]] bool whole() const { return body == State::whole; }
  [[nodiscard]] int status() const {
    return first.size() < 12 ? 0
                             : (first[9] - '0') * 100 + (first[10] - '0') * 10 + first[11] - '0';
  }
  [[nodiscard]] std::string_view method() const {
    return std::string_view(first).substr(0, first.find(' '));
  }
  [[nodiscard]] std::string_view target() const {
    const std::string_view rest = std::string_view(first).substr(first.find(' ') + 1);
    return rest.substr(0, rest.find(' '));
  }
  [[nodiscard]] bool http10() const {
    return first.starts_with("HTTP/") ? first.starts_with("HTTP/1.0") : first.ends_with("HTTP/1.0");
  }
  [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const auto& [key, value] : fields) {
      if (key == name) values.push_back(value);
    }
    return values;
  }
};

namespace strict {

inline bool token(std::string_view text) {
  for (const char c : text) {
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (!letter && (c == 0 || std::string_view("!#$%&'*+-.^_`|~").find(c) == text.npos)) {
      return false;
    }
  }
  return !text.empty();
}

inline bool text_bytes(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  return true;
}

inline bool visible(std::string_view text) {
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return !text.empty();
}

inline bool digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

/// Takes a line off `rest`. False: its CRLF has not come.
inline bool take_line(std::string_view& rest, std::string_view& line) {
  const std::size_t end = rest.find("\r\n");
  if (end == rest.npos) return false;
  line = rest.substr(0, end);
  rest.remove_prefix(end + 2);
  return true;
}

inline bool first_line(std::string_view line, Strict::Kind kind) {
  const auto version = [](std::string_view text) {
    return text == "HTTP/1.0" || text == "HTTP/1.1";
  };
  if (kind != Strict::Kind::request) {
    return line.size() >= 13 && version(line.substr(0, 8)) && line[8] == ' ' &&
           digits(line.substr(9, 3)) && line[9] >= '1' && line[9] <= '5' && line[12] == ' ' &&
           text_bytes(line.substr(13));
  }
  const std::size_t a = line.find(' ');
  const std::size_t b = line.rfind(' ');
  return a < b && b != line.npos && token(line.substr(0, a)) &&
         visible(line.substr(a + 1, b - a - 1)) && version(line.substr(b + 1));
}

/// A field line, or nullptr and what is wrong with it.
inline const char* field_line(std::string_view line, Strict& message) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos || !token(line.substr(0, colon))) return "a field's name";
  std::string_view value = line.substr(colon + 1);
  if (!text_bytes(value)) return "a field's value";
  const std::size_t begin = value.find_first_not_of(" \t");
  value = begin == value.npos ? "" : value.substr(begin, value.find_last_not_of(" \t") + 1 - begin);
  std::string name(line.substr(0, colon));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  message.fields.emplace_back(std::move(name), value);
  return nullptr;
}

/// RFC 9112 section 6.3, or what is wrong.
inline const char* framing(Strict& message, Strict::Kind kind) {
  const auto lengths = message.all("content-length");
  const auto codings = message.all("transfer-encoding");
  if (lengths.size() + codings.size() > 1) return "more than one length";
  const bool response = kind != Strict::Kind::request;
  const int status = response ? message.status() : 0;
  const bool lengthless = response && (status < 200 || status == 204);
  if (lengthless && lengths.size() + codings.size() > 0) return "a length where no body can be";
  if (!codings.empty()) {
    std::string coding(codings[0]);
    for (char& c : coding) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (coding != "chunked" || message.http10()) return "a transfer coding";
    message.framing = Strict::Framing::chunked;
  } else if (!lengths.empty()) {
    const std::string_view text = lengths[0];
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), message.length);
    if (!digits(text) || error != std::errc()) return "a content length";
    message.framing = Strict::Framing::known;
  } else if (response) {
    message.framing = Strict::Framing::until_close;
  }
  if (lengthless || status == 304 || kind == Strict::Kind::response_to_head) {
    message.framing = Strict::Framing::none;
  }
  if (!response && !message.http10() && message.all("host").size() != 1) return "not one Host";
  return nullptr;
}

/// Why a chunked body is bad that RFC 9112 section 7.1.1 allows.
inline constexpr const char* kExtension = "a chunk's extension";

inline void chunks(std::string_view rest, Strict& message) {
  const std::size_t before = rest.size();
  const auto bad = [&](const char* why) {
    message.body = Strict::State::bad;
    message.why = why;
  };
  for (std::string_view line; take_line(rest, line);) {
    std::uint64_t size = 0;
    const char* const line_end = line.data() + line.size();
    const auto [end, error] = std::from_chars(line.data(), line_end, size, 16);
    const bool extended = error == std::errc() && end != line_end &&
                          std::string_view("; \t").find(*end) != std::string_view::npos;
    if (extended) return bad(kExtension);
    if (error != std::errc() || end != line_end || line.starts_with('-')) {
      return bad("a chunk's size");
    }
    if (size == 0) {
      Strict trailers;
      while (take_line(rest, line)) {
        if (line.empty()) {
          message.body = Strict::State::whole;
          message.size += before - rest.size();
          return;
        }
        if (field_line(line, trailers) != nullptr) return bad("a trailer");
      }
      return;
    }
    message.payload += rest.substr(0, size);
    if (rest.size() < size) return;
    rest.remove_prefix(size);
    if (!std::string_view("\r\n").starts_with(rest.substr(0, 2))) return bad("a chunk's end");
    if (rest.size() < 2) return;
    rest.remove_prefix(2);
  }
}

}  // namespace strict

/// Reads the message at the start of `bytes`.
inline Strict read_strict(std::string_view bytes, Strict::Kind kind) {
  Strict message;
  std::string_view rest = bytes;
  std::string_view line;
  const auto bad = [&](const char* why) {
    message.head = message.body = Strict::State::bad;
    message.why = why;
    return message;
  };
  if (!strict::take_line(rest, line)) return message;
  if (!strict::first_line(line, kind)) return bad("the first line");
  message.first = line;
  for (;;) {
    if (!strict::take_line(rest, line)) return message;
    if (line.empty()) break;
    if (const char* why = strict::field_line(line, message)) return bad(why);
  }
  if (const char* why = strict::framing(message, kind)) return bad(why);
  message.head = Strict::State::whole;
  message.size = message.head_size = bytes.size() - rest.size();
  switch (message.framing) {
    case Strict::Framing::none: message.body = Strict::State::whole; break;
    case Strict::Framing::known:
      message.payload = rest.substr(0, message.length);
      message.size += message.payload.size();
      if (message.payload.size() == message.length) message.body = Strict::State::whole;
      break;
    case Strict::Framing::chunked: strict::chunks(rest, message); break;
    case Strict::Framing::until_close: message.payload = rest; break;
  }
  return message;
}

/// The length that the lines of an accepted head give to whoever looks only for names, however they
/// are spelt: "none", "chunked", a number; "?" for what must have been refused.
inline std::string naive_length(std::string_view head) {
  std::string found = "none";
  while (!head.empty()) {
    const std::size_t end = std::min(head.find('\n'), head.size());
    std::string line(head.substr(0, end));
    head.remove_prefix(std::min(end + 1, head.size()));
    if (!line.ends_with('\r') || line.find('\r') + 1 != line.size() || line[0] == ' ') return "?";
    std::erase_if(line, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; });
    for (char& c : line) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool coding = line.starts_with("transfer-encoding:");
    if (!coding && !line.starts_with("content-length:")) continue;
    line.erase(0, line.find(':') + 1);
    for (bool last = false; !last;) {  // a list of equal numbers is one
      const std::size_t comma = std::min(line.find(','), line.size());
      std::string length = line.substr(0, comma);
      last = comma == line.size();
      line.erase(0, comma + 1);
      while (length.size() > 1 && length[0] == '0') length.erase(0, 1);
      if (found != "none" && (found != length || coding)) return "?";
      found = length;
    }
  }
  return found;
}

}  // namespace weir::http
