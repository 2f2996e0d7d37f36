// SPDX-License-Identifier: Apache-2.0
//
// Assertions are always on: Weir ships a parser to the internet, and a crash is better than a leak
// of another client's bytes. WEIR_ASSERT is for our own mistakes, WEIR_CHECK for what the system
// must give us after start. Never for anything that a peer or a file can cause.
#pragma once

namespace weir::detail {
[[noreturn, gnu::cold]] void assertion_failed(const char* what, const char* file, int line);
}

#define WEIR_ASSERT(condition)        \
  (__builtin_expect(!!(condition), 1) \
       ? static_cast<void>(0)         \
       : ::weir::detail::assertion_failed(#condition, __FILE_NAME__, __LINE__))
#define WEIR_CHECK(condition) WEIR_ASSERT(condition)
#define WEIR_UNREACHABLE(why) ::weir::detail::assertion_failed(why, __FILE_NAME__, __LINE__)
