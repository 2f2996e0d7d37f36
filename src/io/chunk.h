// SPDX-License-Identifier: Apache-2.0
//
// Stream buffers. A Chunk is bytes that were received: owned by exactly one holder, filled once. It
// is taken from its worker's ChunkPool at the moment when data is there, never before, so that a
// connection which waits holds no buffer. The pool counts against the worker's memory budget.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/free_list.h"
#include "base/limits.h"
#include "base/list.h"

namespace weir::io {

class ChunkPool;

/// A received piece. Movable; empty (size 0) means end of stream.
class Chunk {
 public:
  Chunk() = default;
  Chunk(Chunk&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        pool_(other.pool_),
        size_(std::exchange(other.size_, 0)),
        size_class_(other.size_class_) {}
  Chunk& operator=(Chunk&& other) noexcept {
    if (this != &other) {
      clear();
      data_ = std::exchange(other.data_, nullptr);
      pool_ = other.pool_;
      size_ = std::exchange(other.size_, 0);
      size_class_ = other.size_class_;
    }
    return *this;
  }
  ~Chunk() { clear(); }
  /// Gives the memory back.
  void clear() {
    if (data_ != nullptr) give_back();
  }

  [[nodiscard]] Bytes bytes() const { return {data_, size_}; }
  [[nodiscard]] std::span<char> writable() { return {data_, size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t capacity() const { return data_ == nullptr ? 0 : 4_KiB << size_class_; }
  /// Room behind the bytes, and making some of it part of them.
  [[nodiscard]] std::span<char> room() const { return {data_ + size_, capacity() - size_}; }
  void grow(std::size_t count) {
    WEIR_ASSERT(count <= capacity() - size_);
    size_ += static_cast<std::uint32_t>(count);
  }
  /// No bytes any more, and the same room.
  void drop_bytes() { size_ = 0; }

 private:
  friend class ChunkPool;
  void give_back();

  char* data_ = nullptr;
  ChunkPool* pool_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint8_t size_class_ = 0;
};

/// Told when a pool that had run dry has memory again.
class ChunkWaiter : public ListNode<ChunkWaiter> {
 public:
  void (*retry)(ChunkWaiter&) = nullptr;
};

/// What a receive is for. New work gets nothing of the budget's last part (kBudgetReservedPart).
enum class Work : std::uint8_t { under_way, fresh };

/// Owned by one worker's loop; outlives every chunk that it gave.
class ChunkPool {
 public:
  explicit ChunkPool(std::size_t budget_bytes) : budget_(budget_bytes) {}
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  /// An empty chunk with room for about `wanted` bytes (rounded to a size class: 4, 8, … 256 KiB,
  /// less when the budget is tight). False: the budget is used up.
  bool allocate(std::size_t wanted, Chunk& chunk, Work work = Work::under_way);

  /// Likewise for bytes that are here already in another form, whose chunk goes back soon, or that
  /// must leave so that others can go back: counted whatever the budget says.
  void allocate_beyond(std::size_t wanted, Chunk& chunk);

  /// For memory that is lent to the kernel before anything is received: a block of kBlockSize bytes
  /// that is not counted, and its way back. into_chunk() makes a received block a chunk, counted
  /// whatever the budget says.
  static constexpr std::size_t kBlockSize = 4_KiB;
  char* take_block();
  void return_block(char* block);
  Chunk into_chunk(char* block, std::size_t size);

  /// Whether what goes beyond the budget is no more than little of it.
  [[nodiscard]] bool little_beyond() const {
    return used_ <= budget_ + budget_ / kBudgetBeyondPart;
  }

  void set_budget(std::size_t bytes) { budget_ = bytes; }
  [[nodiscard]] std::size_t budget() const { return budget_; }
  [[nodiscard]] std::size_t used() const { return used_; }
  /// Bytes that are kept for the next use.
  [[nodiscard]] std::size_t kept() const { return kept_; }
  [[nodiscard]] bool tight() const { return used_ * 100 >= budget_ * kBudgetTightPercent; }

  [[nodiscard]] bool has_room(std::size_t bytes, Work work = Work::under_way) const {
    const std::size_t reserved = work == Work::fresh ? budget_ / kBudgetReservedPart : 0;
    return used_ + bytes <= budget_ - reserved;
  }

  /// Somebody waits for memory.
  [[nodiscard]] bool starved() const { return !waiters_.empty() || !fresh_waiters_.empty(); }
  /// Queues `waiter` until memory comes back.
  void wait(ChunkWaiter& waiter, Work work = Work::under_way) {
    (work == Work::fresh ? fresh_waiters_ : waiters_).push_back(waiter);
  }
  /// Gives back to the system what was not needed since the last call, but for some. Returns
  /// whether there is more that may be given back later.
  bool trim();

  /// Wakes the next waiter if there is memory for it. For a waiter that was woken and takes none.
  void offer();

 private:
  friend class Chunk;
  static constexpr std::size_t kClasses = 7;  // 4 KiB << 0 … 6
  static std::size_t class_bytes(std::size_t size_class) { return 4_KiB << size_class; }
  void give_back(char* data, std::size_t size_class);
  char* take_memory(std::size_t size_class);
  void keep_memory(char* data, std::size_t size_class);
  void free_kept(std::size_t size_class, std::size_t count);

  std::size_t budget_;
  std::size_t used_ = 0;  // in chunks that somebody holds
  std::size_t kept_ = 0;  // in the free lists
  std::array<FreeList, kClasses> free_;
  List<ChunkWaiter> waiters_;
  List<ChunkWaiter> fresh_waiters_;
};

}  // namespace weir::io
