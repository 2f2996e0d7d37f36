// SPDX-License-Identifier: Apache-2.0
#include "cli/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/bytes.h"
#include "base/error.h"
#include "config/nearest.h"

namespace weir::cli {
namespace {

/// The cause that was probably meant; "" when none is near.
std::string_view nearest_cause(std::string_view word) {
  std::string_view best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (std::size_t i = 1; i < cause_count(); ++i) {
    const std::string_view name = describe(static_cast<Cause>(i)).name;
    // Half of a word is nearer than its letters say: "truncated", "refused".
    const bool part = word.size() >= 4 && name.find(word) != std::string_view::npos;
    const std::size_t d = part ? 1 : static_cast<std::size_t>(config::edit_distance(word, name));
    if (d < least) {
      least = d;
      best = name;
    }
  }
  return best;
}

/// Upper case and dashes are how people quote codes.
std::string normal(std::string_view cause) {
  std::string word;
  for (const char c : cause.substr(0, 64)) word += c == '-' || c == ' ' ? '_' : ascii_lower(c);
  return word;
}

std::string explain_one(const CauseText& text) {
  std::string out = fmt::format("{}: {}.\n\n{}\n\n", text.name, text.what, text.advice);
  if (text.http_status > 0) {
    fmt::format_to(std::back_inserter(out),
                   "When nothing was sent yet, the client is answered {}.\n", text.http_status);
  } else {
    out += "The client is not answered: the connection is closed.\n";
  }
  return out;
}

std::string explain_all() {
  std::size_t width = 0;
  for (std::size_t i = 1; i < cause_count(); ++i) {
    width = std::max(width, describe(static_cast<Cause>(i)).name.size());
  }
  std::string out;
  for (std::size_t i = 1; i < cause_count(); ++i) {
    const CauseText& text = describe(static_cast<Cause>(i));
    const std::string status = text.http_status > 0 ? fmt::format("{}", text.http_status) : "-";
    fmt::format_to(std::back_inserter(out), "{:<{}}  {:>3}  {}\n", text.name, width, status,
                   text.what);
  }
  return out;
}

}  // namespace

Answer explain(std::string_view cause) {
  if (cause.empty()) return {.exit_code = 0, .out = explain_all(), .err = {}};
  const std::string word = normal(cause);
  const Cause known = cause_from_name(word);
  if (known != Cause::none) return {.exit_code = 0, .out = explain_one(describe(known)), .err = {}};
  const std::string_view near = nearest_cause(word);
  std::string err = fmt::format("weir: there is no cause \"{}\"", word);
  if (!near.empty()) err += fmt::format(" (did you mean {}?)", near);
  err += "; weir explain lists all of them\n";
  return {.exit_code = 1, .out = {}, .err = std::move(err)};
}

}  // namespace weir::cli
