// SPDX-License-Identifier: Apache-2.0
#include "io/chunk.h"

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

Chunk::~Chunk() {
  if (data_ != nullptr) pool_->give_back(data_, size_class_);
}

void Chunk::swap(Chunk& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(pool_, other.pool_);
  std::swap(size_, other.size_);
  std::swap(size_class_, other.size_class_);
}

std::size_t Chunk::capacity() const {
  return data_ == nullptr ? 0 : ChunkPool::class_bytes(size_class_);
}

std::span<char> Chunk::room() const { return {data_ + size_, capacity() - size_}; }

void Chunk::grow(std::size_t count) {
  WEIR_ASSERT(count <= capacity() - size_);
  size_ += static_cast<std::uint32_t>(count);
}

ChunkPool::~ChunkPool() {
  WEIR_ASSERT(used_ == 0);
  for (FreeChunk* head : free_) {
    while (head != nullptr) std::free(std::exchange(head, head->next));
  }
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
  FreeChunk* head = free_[size_class];
  if (head == nullptr) {
    char* fresh = static_cast<char*>(std::malloc(bytes));
    WEIR_CHECK(fresh != nullptr);
    return fresh;
  }
  free_[size_class] = head->next;
  kept_ -= bytes;
  return reinterpret_cast<char*>(head);
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
  if (kKeepMemory && kept_ + bytes <= kFreeChunkBytesMax) {
    auto* head = reinterpret_cast<FreeChunk*>(data);
    head->next = free_[size_class];
    free_[size_class] = head;
    kept_ += bytes;
  } else {
    std::free(data);
  }
}

}  // namespace weir::io
