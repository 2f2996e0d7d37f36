// SPDX-License-Identifier: Apache-2.0
#include "async/frame_pool.h"

#include <array>
#include <cstdlib>

#include "base/assert.h"
#include "base/limits.h"

namespace weir {
namespace {

struct FreeBlock {
  FreeBlock* next;
};

struct Pool {
  std::array<FreeBlock*, kFrameClasses> free{};
  std::array<std::uint32_t, kFrameClasses> count{};
  PoolCounts counts;
};

// Thread-local because operator new of a promise has no other way to find its worker.
thread_local Pool pool;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kPooling = false;
#else
constexpr bool kPooling = true;
#endif
#else
constexpr bool kPooling = true;
#endif

std::size_t class_of(std::size_t size) { return (size - 1) / kFrameClassStep; }

void* checked_malloc(std::size_t size) {
  void* memory = std::malloc(size);
  WEIR_CHECK(memory != nullptr);
  return memory;
}

}  // namespace

void* pool_allocate(std::size_t size) {
  WEIR_ASSERT(size > 0);
  ++pool.counts.allocations;
  ++pool.counts.live;
  const std::size_t index = class_of(size);
  if (!kPooling || index >= kFrameClasses) {
    ++pool.counts.misses;
    return checked_malloc(size);
  }
  FreeBlock* block = pool.free[index];
  if (block == nullptr) {
    ++pool.counts.misses;
    return checked_malloc((index + 1) * kFrameClassStep);
  }
  pool.free[index] = block->next;
  --pool.count[index];
  return block;
}

void pool_free(void* memory, std::size_t size) noexcept {
  --pool.counts.live;
  const std::size_t index = class_of(size);
  if (!kPooling || index >= kFrameClasses || pool.count[index] >= kFreeFramesPerClass) {
    std::free(memory);
    return;
  }
  auto* block = static_cast<FreeBlock*>(memory);
  block->next = pool.free[index];
  pool.free[index] = block;
  ++pool.count[index];
}

PoolCounts pool_counts() { return pool.counts; }

void pool_release() {
  for (std::size_t i = 0; i < kFrameClasses; ++i) {
    while (FreeBlock* block = pool.free[i]) {
      pool.free[i] = block->next;
      std::free(block);
    }
    pool.count[i] = 0;
  }
}

}  // namespace weir
