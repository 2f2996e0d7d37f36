// SPDX-License-Identifier: Apache-2.0
//
// Memory for coroutine frames and other small per-exchange objects: free lists by size class, one
// set per thread, so that a request in steady state calls malloc never. Under AddressSanitizer it
// is plain malloc, because pools hide use-after-free.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

/// Memory of `size` bytes, aligned as malloc does. Freed on the same thread, with the same size.
void* pool_allocate(std::size_t size);
void pool_free(void* memory, std::size_t size) noexcept;

/// What this thread has asked for so far; tests assert the difference per request.
struct PoolCounts {
  std::uint64_t allocations = 0;  ///< calls of pool_allocate
  std::uint64_t misses = 0;       ///< of these, calls that went to malloc
  std::int64_t live = 0;          ///< allocated and not yet freed
};
PoolCounts pool_counts();

/// Gives the thread's free lists back to the system; at the end of a worker.
void pool_release();

/// Base of classes whose objects come from the pool.
struct Pooled {
  static void* operator new(std::size_t size) { return pool_allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { pool_free(memory, size); }
};

}  // namespace weir
