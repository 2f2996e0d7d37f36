// SPDX-License-Identifier: Apache-2.0
#include "config/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace weir::config {
namespace {

struct Palette {
  std::string_view bold, red, magenta, green, reset;
};
constexpr Palette kPlain{};
constexpr Palette kAnsi{"\033[1m", "\033[1;31m", "\033[1;35m", "\033[1;32m", "\033[0m"};

bool continues_code_point(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7F) c = '?';
  }
  return out;
}

int code_points(std::string_view text) {
  return static_cast<int>(
      std::ranges::count_if(text, [](char c) { return !continues_code_point(c); }));
}

/// White space as wide as what stands before `column`: tabs are kept, so that the caret lines up.
std::string padding(std::string_view line, int column) {
  std::string out;
  int at = 1;
  for (const char c : line) {
    if (continues_code_point(c)) continue;
    if (at++ >= column) break;
    out += c == '\t' ? '\t' : ' ';
  }
  return out;
}

void render_excerpt(std::string& out, const Diagnostic& d, const Palette& p) {
  const std::string number = fmt::format("{:5}", d.line);
  const int room = std::max(1, code_points(d.excerpt) - d.column + 1);
  const int length = std::clamp(d.length, 1, room);
  out += fmt::format("{} | {}\n", number, printable(d.excerpt));
  out += fmt::format("{:5} | {}{}^{}{}\n", "", padding(d.excerpt, d.column), p.green,
                     std::string(static_cast<std::size_t>(length - 1), '~'), p.reset);
}

void render_one(std::string& out, const Diagnostic& d, const Palette& p) {
  out += p.bold;
  out += d.file;
  if (d.line > 0) out += fmt::format(":{}:{}", d.line, d.column);
  const bool error = d.severity == Severity::error;
  out += fmt::format(": {}{}: {}{}{}{}\n", error ? p.red : p.magenta, error ? "error" : "warning",
                     p.reset, p.bold, printable(d.message), p.reset);
  if (d.line > 0) render_excerpt(out, d, p);
  if (!d.hint.empty()) out += fmt::format("{:5} = hint: {}\n", "", printable(d.hint));
}

}  // namespace

std::string render(const std::vector<Diagnostic>& diagnostics, Color color) {
  std::string out;
  for (const Diagnostic& d : diagnostics) render_one(out, d, color == Color::yes ? kAnsi : kPlain);
  return out;
}

}  // namespace weir::config
