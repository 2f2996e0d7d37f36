// SPDX-License-Identifier: Apache-2.0
//
// The known word that is closest to a mistyped one, for "did you mean".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
int edit_distance(std::string_view a, std::string_view b);

/// The closest of `words` if it is close enough to be what was meant; empty otherwise.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& words);

/// `did you mean "x"?`, or `otherwise` when nothing is close.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& words,
                         std::string otherwise = {});

}  // namespace weir::config
