// SPDX-License-Identifier: Apache-2.0
#include "last_words.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>

#include "base/error.h"
#include "wire.h"

// Only there in a build with sanitizers.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace weir::sim {
namespace {

std::array<char, 2048> g_last_words{};  // NOLINT: read by signal handlers
std::size_t g_last_size = 0;            // NOLINT

void tell() { ignore(::write(2, g_last_words.data(), g_last_size), "last words"); }
void on_abort(int) { tell(); }
void on_alarm(int) {
  constexpr std::string_view kText = "it hangs: a turn of a loop does not end\n";
  ignore(::write(2, kText.data(), kText.size()), "last words");
  std::abort();
}

}  // namespace

std::optional<std::uint64_t> setting(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::nullopt : number(text);
}

void prepare_last_words() {
  std::signal(SIGABRT, on_abort);
  std::signal(SIGALRM, on_alarm);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(tell);
}

void set_last_words(std::string_view text) {
  g_last_size = std::min(text.size(), g_last_words.size());
  std::copy_n(text.begin(), g_last_size, g_last_words.begin());
  ::alarm(kHangSeconds);
}

}  // namespace weir::sim
