// SPDX-License-Identifier: Apache-2.0
#include "async/frame_pool.h"

#include <algorithm>

namespace weir {
namespace {

void free_blocks(FreeList& list, std::size_t count) {
  for (; count > 0; --count) std::free(list.pop());
  list.take_unused();  // these are not a use
}

}  // namespace

void* detail::pool_miss(std::size_t size) {
  ++frame_pool.counts.misses;
  const std::size_t index = frame_class(size);
  void* memory = std::malloc(index < kFrameClasses ? (index + 1) * kFrameClassStep : size);
  WEIR_CHECK(memory != nullptr);
  return memory;
}

bool pool_trim() {
  bool more = false;
  for (FreeList& list : detail::frame_pool.free) {
    const std::size_t unused = list.take_unused();
    const std::size_t spare = list.size() > kFreeFramesKept ? list.size() - kFreeFramesKept : 0;
    free_blocks(list, std::min(unused, spare));
    more = more || list.size() > kFreeFramesKept;
  }
  return more;
}

void pool_release() {
  for (FreeList& list : detail::frame_pool.free) free_blocks(list, list.size());
}

}  // namespace weir
