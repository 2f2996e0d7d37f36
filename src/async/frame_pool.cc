// SPDX-License-Identifier: Apache-2.0
#include "async/frame_pool.h"

#include <sys/mman.h>

#include <algorithm>

namespace weir {
namespace {

using detail::frame_pool;
using detail::FramePool;
using detail::Slab;

constexpr std::size_t kSlabSize = 64_KiB;

constexpr std::size_t block_size(std::size_t index) { return (index + 1) * kFrameClassStep; }

char* address(Slab* slab) { return reinterpret_cast<char*>(slab); }

Slab* slab_of(void* block) {
  const auto at = reinterpret_cast<std::uintptr_t>(block);
  return reinterpret_cast<Slab*>(at - at % kSlabSize);
}

// Of twice the size the aligned part stays.
Slab* make_slab() {
  void* const map =
      mmap(nullptr, 2 * kSlabSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  WEIR_CHECK(map != MAP_FAILED);
  char* const begin = static_cast<char*>(map);
  char* const from = address(slab_of(begin + kSlabSize - 1));
  const auto before = static_cast<std::size_t>(from - begin);
  if (before > 0) munmap(begin, before);
  munmap(from + kSlabSize, kSlabSize - before);
  return new (from) Slab;
}

void* cut_block(FramePool& pool, std::size_t index) {
  const std::size_t size = block_size(index);
  Slab*& slab = pool.open[index];
  if (slab == nullptr || sizeof(Slab) + (slab->cut + 1) * size > kSlabSize) {
    slab = make_slab();
  }
  ++pool.cut[index];
  return address(slab) + sizeof(Slab) + slab->cut++ * size;
}

// Gives back slabs of which every block is free, and at most so many blocks.
void free_slabs(FramePool& pool, std::size_t index, std::size_t blocks_max) {
  FreeList& list = pool.free[index];
  list.for_each([](void* block) { slab_of(block)->free = 0; });
  list.for_each([](void* block) { ++slab_of(block)->free; });
  // A slab whose blocks are all free is marked by its first one, and goes with its last.
  constexpr std::uint32_t kGoing = 1u << 31;
  list.remove_if([&](void* block) {
    Slab* const slab = slab_of(block);
    if (slab->free == slab->cut && slab->cut <= blocks_max) {
      blocks_max -= slab->cut;
      slab->free |= kGoing;
    }
    if ((slab->free & kGoing) == 0) return false;
    if (--slab->free == kGoing) {
      pool.cut[index] -= slab->cut;
      if (pool.open[index] == slab) pool.open[index] = nullptr;
      munmap(slab, kSlabSize);
    }
    return true;
  });
}

// Of the class; at least so many blocks are kept.
bool trim(FramePool& pool, std::size_t index, std::size_t keep) {
  FreeList& list = pool.free[index];
  const std::size_t before = list.size();
  const std::size_t unused = list.take_unused();
  const std::size_t spare = std::min(unused, before > keep ? before - keep : 0);
  if (spare * block_size(index) >= kSlabSize / 2) free_slabs(pool, index, spare);
  // Some were needed, and may not be any more: worth another look.
  return unused < before && list.size() > keep;
}

}  // namespace

void* detail::pool_miss(std::size_t size) {
  ++frame_pool.counts.misses;
  const std::size_t index = frame_class(size);
  if (kPoolFrames && index < kFrameClasses) return cut_block(frame_pool, index);
  void* memory = std::malloc(size);
  WEIR_CHECK(memory != nullptr);
  return memory;
}

std::size_t pool_used_bytes() {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < kFrameClasses; ++i) {
    bytes += (frame_pool.cut[i] - frame_pool.free[i].size()) * block_size(i);
  }
  return bytes;
}

bool pool_trim() {
  bool more = false;
  for (std::size_t i = 0; i < kFrameClasses; ++i) {
    more = trim(frame_pool, i, kFreeFramesKept) || more;
  }
  return more;
}

void pool_release() {
  for (std::size_t i = 0; i < kFrameClasses; ++i) {
    free_slabs(frame_pool, i, frame_pool.free[i].size());
  }
}

}  // namespace weir
