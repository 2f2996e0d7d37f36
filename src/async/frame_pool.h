// SPDX-License-Identifier: Apache-2.0
//
// Memory for coroutine frames and other small per-exchange objects: free lists by size class, one
// set per thread, so that a request in steady state calls malloc never. Under AddressSanitizer it
// is plain malloc, because pools hide use-after-free. Defined here, since a request passes through
// some twenty times.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/assert.h"
#include "base/free_list.h"
#include "base/limits.h"

namespace weir {

/// What this thread has asked for so far; tests assert the difference per request.
struct PoolCounts {
  std::uint64_t allocations = 0;  ///< calls of pool_allocate
  std::uint64_t misses = 0;       ///< of these, calls that found nothing kept
  std::int64_t live = 0;          ///< allocated and not yet freed
};

namespace detail {

/// A piece of memory that blocks of one class are cut from, one after the other. Aligned, so that a
/// block lies in as few cache lines as it can, and the slab of a block is found from its address.
struct alignas(kFrameClassStep) Slab {
  std::uint32_t cut = 0;   // blocks that were given out so far
  std::uint32_t free = 0;  // scratch of pool_trim()
};

struct FramePool {
  std::array<FreeList, kFrameClasses> free;
  std::array<Slab*, kFrameClasses> open{};       // that the next block is cut from
  std::array<std::size_t, kFrameClasses> cut{};  // blocks, in all slabs
  PoolCounts counts;
};

// Thread-local because operator new of a promise has no other way to find its worker.
inline constinit thread_local FramePool frame_pool;

#if __has_feature(address_sanitizer)
inline constexpr bool kPoolFrames = false;
#else
inline constexpr bool kPoolFrames = true;
#endif

constexpr std::size_t frame_class(std::size_t size) { return (size - 1) / kFrameClassStep; }

void* pool_miss(std::size_t size);

}  // namespace detail

/// Memory of `size` bytes, aligned as malloc does, or to a cache line if it is not larger than 4
/// KiB. Freed on the same thread, with the same size.
inline void* pool_allocate(std::size_t size) {
  WEIR_ASSERT(size > 0);
  detail::FramePool& pool = detail::frame_pool;
  ++pool.counts.allocations;
  ++pool.counts.live;
  const std::size_t index = detail::frame_class(size);
  if (detail::kPoolFrames && index < kFrameClasses) {
    if (void* block = pool.free[index].pop(); block != nullptr) return block;
  }
  return detail::pool_miss(size);
}

inline void pool_free(void* memory, std::size_t size) noexcept {
  detail::FramePool& pool = detail::frame_pool;
  --pool.counts.live;
  const std::size_t index = detail::frame_class(size);
  if (detail::kPoolFrames && index < kFrameClasses) {
    pool.free[index].push(memory);
  } else {
    std::free(memory);
  }
}

inline PoolCounts pool_counts() { return detail::frame_pool.counts; }
/// Bytes of the blocks that are in use; larger ones are malloc's and not counted.
std::size_t pool_used_bytes();

/// Gives back to the system what the thread has not needed since the last call, but for some.
/// Returns whether there is more that may be given back later.
bool pool_trim();
/// Gives all that it can back to the system; at the end of a worker.
void pool_release();

/// Base of classes whose objects come from the pool.
struct Pooled {
  static void* operator new(std::size_t size) { return pool_allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { pool_free(memory, size); }
};

}  // namespace weir
