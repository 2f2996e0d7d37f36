// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace weir::detail {

void assertion_failed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "weir: internal error: %s (%s:%d)\n", what, file, line);
  std::abort();
}

}  // namespace weir::detail
