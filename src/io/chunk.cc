// SPDX-License-Identifier: Apache-2.0
#include "io/chunk.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <utility>

namespace weir::io {
namespace {

// With AddressSanitizer every chunk is memory of its own, so that a late use of it is seen.
#if __has_feature(address_sanitizer)
constexpr bool kKeepMemory = false;
#else
constexpr bool kKeepMemory = true;
#endif

}  // namespace

void Chunk::give_back() {
  pool_->give_back(std::exchange(data_, nullptr), size_class_);
  size_ = 0;
}

ChunkPool::~ChunkPool() {
  WEIR_ASSERT(used_ == 0);
  for (std::size_t i = 0; i < kClasses; ++i) free_kept(i, free_[i].size());
}

bool ChunkPool::allocate(std::size_t wanted, Chunk& chunk, Work work) {
  WEIR_ASSERT(chunk.data_ == nullptr);
  if (wanted > kWindowTight && tight()) wanted = kWindowTight;
  if (wanted > kWindowMax) wanted = kWindowMax;
  const std::size_t units = (wanted + 4_KiB - 1) / 4_KiB;
  auto size_class =
      units <= 1 ? std::size_t{0} : static_cast<std::size_t>(std::bit_width(units - 1));
  while (size_class > 0 && !has_room(class_bytes(size_class), work)) --size_class;
  const std::size_t bytes = class_bytes(size_class);
  if (!has_room(bytes, work)) return false;
  used_ += bytes;
  chunk.data_ = take_memory(size_class);
  chunk.size_class_ = static_cast<std::uint8_t>(size_class);
  chunk.pool_ = this;
  offer();  // what came back may be enough for several waiters
  return true;
}

void ChunkPool::allocate_beyond(std::size_t wanted, Chunk& chunk) {
  WEIR_ASSERT(chunk.data_ == nullptr);
  const std::size_t units = (std::min(wanted, kWindowMax) + 4_KiB - 1) / 4_KiB;
  const auto size_class =
      units <= 1 ? std::size_t{0} : static_cast<std::size_t>(std::bit_width(units - 1));
  used_ += class_bytes(size_class);
  chunk.data_ = take_memory(size_class);
  chunk.size_class_ = static_cast<std::uint8_t>(size_class);
  chunk.pool_ = this;
}

void ChunkPool::offer() {
  const Work work = waiters_.empty() ? Work::fresh : Work::under_way;
  List<ChunkWaiter>& waiters = waiters_.empty() ? fresh_waiters_ : waiters_;
  if (waiters.empty() || !has_room(class_bytes(0), work)) return;
  ChunkWaiter& waiter = waiters.pop_front();
  waiter.retry(waiter);  // queues itself on the run queue, nothing more
}

void ChunkPool::give_back(char* data, std::size_t size_class) {
  WEIR_ASSERT(used_ >= class_bytes(size_class));
  used_ -= class_bytes(size_class);
  keep_memory(data, size_class);
  offer();
}

char* ChunkPool::take_memory(std::size_t size_class) {
  const std::size_t bytes = class_bytes(size_class);
  if (void* kept = free_[size_class].pop(); kept != nullptr) {
    kept_ -= bytes;
    return static_cast<char*>(kept);
  }
  // What is kept in other sizes makes room for it.
  for (std::size_t i = kClasses; i-- > 0 && kept_ > 0 && used_ + kept_ > budget_;) {
    free_kept(i, free_[i].size());
  }
  char* fresh = static_cast<char*>(std::malloc(bytes));
  WEIR_CHECK(fresh != nullptr);
  return fresh;
}

void ChunkPool::free_kept(std::size_t size_class, std::size_t count) {
  kept_ -= count * class_bytes(size_class);
  for (; count > 0; --count) std::free(free_[size_class].pop());
  free_[size_class].take_unused();  // these are not a use
}

bool ChunkPool::trim() {
  bool more = false;
  for (std::size_t i = 0; i < kClasses; ++i) {
    const std::size_t keep = i == 0 ? kFreeChunksKept : 0;
    const std::size_t unused = free_[i].take_unused();
    const std::size_t spare = free_[i].size() > keep ? free_[i].size() - keep : 0;
    free_kept(i, std::min(unused, spare));
    more = more || free_[i].size() > keep;
  }
  return more;
}

char* ChunkPool::take_block() { return take_memory(0); }

void ChunkPool::return_block(char* block) { keep_memory(block, 0); }

Chunk ChunkPool::into_chunk(char* block, std::size_t size) {
  WEIR_ASSERT(size <= kBlockSize);
  Chunk chunk;
  chunk.data_ = block;
  chunk.size_ = static_cast<std::uint32_t>(size);
  chunk.pool_ = this;
  used_ += kBlockSize;
  return chunk;
}

void ChunkPool::keep_memory(char* data, std::size_t size_class) {
  const std::size_t bytes = class_bytes(size_class);
  if (!kKeepMemory || used_ + kept_ + bytes > budget_) {
    std::free(data);
    return;
  }
  free_[size_class].push(data);
  kept_ += bytes;
}

}  // namespace weir::io
