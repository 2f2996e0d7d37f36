// SPDX-License-Identifier: Apache-2.0
#include "config/units.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <optional>

#include "base/bytes.h"

namespace weir::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr auto kDurations = std::to_array<Unit>(
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}});

constexpr auto kSizes = std::to_array<Unit>({{"TiB", 1ULL << 40},
                                             {"GiB", 1ULL << 30},
                                             {"MiB", 1ULL << 20},
                                             {"KiB", 1ULL << 10},
                                             {"TB", 1'000'000'000'000},
                                             {"GB", 1'000'000'000},
                                             {"MB", 1'000'000},
                                             {"KB", 1'000},
                                             {"kB", 1'000},
                                             {"B", 1}});

// Bounds that keep every later addition far from overflow.
constexpr std::uint64_t kDurationMax = 10ULL * 365 * 86'400'000;
constexpr std::uint64_t kSizeMax = std::numeric_limits<std::int64_t>::max();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view take_digits(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  const std::string_view digits = text.substr(0, n);
  text.remove_prefix(n);
  return digits;
}

template <std::size_t N>
std::optional<std::uint64_t> factor_of(const std::array<Unit, N>& units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return unit.factor;
  }
  return std::nullopt;
}

std::unexpected<Complaint> complain(std::string message, std::string hint) {
  return std::unexpected(Complaint{std::move(message), std::move(hint)});
}

std::unexpected<Complaint> not_a_duration(std::string_view text) {
  if (parse_u64(text)) {
    return complain(
        fmt::format("the duration \"{}\" has no unit", text),
        fmt::format("write \"{}s\" for seconds or \"{}ms\" for milliseconds", text, text));
  }
  return complain(fmt::format("\"{}\" is not a duration", text),
                  "durations are written like \"500ms\", \"10s\", \"2m\" or \"1h30m\"");
}

}  // namespace

std::expected<Millis, Complaint> parse_duration(std::string_view text) {
  if (text == "0") return Millis{0};
  if (text.empty()) return not_a_duration(text);
  std::uint64_t total = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const auto number = parse_u64(take_digits(rest));
    std::size_t n = 0;
    while (n < rest.size() && !is_digit(rest[n])) ++n;
    const auto factor = factor_of(kDurations, rest.substr(0, n));
    if (!number || !factor) return not_a_duration(text);
    rest.remove_prefix(n);
    if (*number > kDurationMax / *factor || total + *number * *factor > kDurationMax) {
      return complain(fmt::format("the duration \"{}\" is too long", text),
                      "ten years are the most");
    }
    total += *number * *factor;
  }
  return Millis{static_cast<std::int64_t>(total)};
}

std::expected<std::uint64_t, Complaint> parse_size(std::string_view text) {
  std::string_view unit = text;
  const auto number = parse_u64(take_digits(unit));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto factor = unit.empty() ? std::optional<std::uint64_t>(1) : factor_of(kSizes, unit);
  if (!number || !factor) {
    return complain(
        fmt::format("\"{}\" is not a size", text),
        "sizes are written like \"32KiB\", \"1MiB\", \"10MB\", or as a number of bytes");
  }
  if (*number > kSizeMax / *factor) {
    return complain(fmt::format("the size \"{}\" is too large", text), "");
  }
  return *number * *factor;
}

std::string show_duration(Millis value) {
  auto rest = static_cast<std::uint64_t>(value.count());
  if (rest == 0) return "0s";
  std::string out;
  for (const Unit& unit : kDurations) {
    if (rest / unit.factor > 0) out += fmt::format("{}{}", rest / unit.factor, unit.name);
    rest %= unit.factor;
  }
  return out;
}

std::string show_size(std::uint64_t bytes) {
  if (bytes == 0) return "0";
  for (const Unit& unit : kSizes) {
    if (bytes % unit.factor == 0 && unit.factor > 1) {
      return fmt::format("{}{}", bytes / unit.factor, unit.name);
    }
  }
  return std::to_string(bytes);
}

}  // namespace weir::config
