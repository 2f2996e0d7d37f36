// SPDX-License-Identifier: Apache-2.0
//
// What the programs that play seeds have in common: their settings, and where they were when they
// did not end well.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::sim {

/// A number from the environment.
std::optional<std::uint64_t> setting(const char* name);

/// A failed assertion, a sanitizer, or a turn that never ends, ends the process: then the last
/// words are printed. Once, at the beginning.
void prepare_last_words();
/// From now on; from now on, too, it hangs when kHangSeconds have passed in real time.
void set_last_words(std::string_view text);
inline constexpr unsigned kHangSeconds = 300;

}  // namespace weir::sim
