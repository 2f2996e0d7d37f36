// SPDX-License-Identifier: Apache-2.0
//
// Memory of one size that is kept for the next use, last in first out, since what was used last is
// still in the cache. How much of it is worth keeping is seen from use: what was not needed for a
// while can go. Owns nothing: whoever pushes blocks frees what is popped.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

namespace weir {

class FreeList {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }

  /// `block` has room for a pointer.
  void push(void* block) {
    head_ = new (block) Block{head_};
    ++size_;
  }
  /// nullptr when there is none.
  void* pop() {
    if (head_ == nullptr) return nullptr;
    --size_;
    least_ = std::min(least_, size_);
    return std::exchange(head_, head_->next);
  }
  /// Calls visit(block) for each.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (Block* block = head_; block != nullptr; block = block->next) visit(block);
  }
  /// Takes out the blocks of which gone(block) is true, which may end their life at once.
  template <class Gone>
  void remove_if(Gone&& gone) {
    for (Block** at = &head_; *at != nullptr;) {
      Block* const block = *at;
      Block* const next = block->next;
      if (!gone(block)) {
        at = &block->next;
        continue;
      }
      *at = next;
      --size_;
    }
    least_ = size_;
  }
  /// How many were not needed since the last call of this, whatever happened in between.
  std::size_t take_unused() { return std::exchange(least_, size_); }

 private:
  struct Block {
    Block* next;
  };
  Block* head_ = nullptr;
  std::size_t size_ = 0;
  std::size_t least_ = 0;
};

}  // namespace weir
