// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a configuration: no crash, and what is accepted reads back from its dump.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "config/dump.h"
#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("include") != std::string_view::npos) return 0;  // would read files of this machine
  const Loaded loaded = load_text(text, "fuzz.toml");
  static_cast<void>(render(loaded.diagnostics, Color::yes));
  if (loaded.config == nullptr) {
    WEIR_ASSERT(!loaded.diagnostics.empty());
    return 0;
  }
  const Loaded again = load_text(dump(*loaded.config), "dump.toml");
  WEIR_ASSERT(again.config != nullptr);
  WEIR_ASSERT(dump(*again.config) == dump(*loaded.config));
  return 0;
}
