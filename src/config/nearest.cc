// SPDX-License-Identifier: Apache-2.0
#include "config/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/bytes.h"

namespace weir::config {
namespace {
constexpr std::size_t kWordMax = 64;   // longer words are not compared
constexpr std::size_t kPrefixMin = 4;  // of a word that was cut short, like "warn"
}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  std::iota(last.begin(), last.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replace = last[j - 1] + (ascii_lower(a[i - 1]) == ascii_lower(b[j - 1]) ? 0 : 1);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& words) {
  if (word.size() > kWordMax) return {};
  std::string_view best;
  int best_distance = static_cast<int>(std::max<std::size_t>(1, word.size() / 3)) + 1;
  for (const std::string_view candidate : words) {
    if (candidate.size() > kWordMax) continue;
    const bool shortened = word.size() >= kPrefixMin && candidate.starts_with(word);
    if (shortened) return candidate;
    const int distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& words,
                         std::string otherwise) {
  const std::string_view best = nearest(word, words);
  return best.empty() ? otherwise : fmt::format("did you mean \"{}\"?", best);
}

}  // namespace weir::config
